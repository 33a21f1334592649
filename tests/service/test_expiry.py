from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from har.mqtt.publisher import Publisher
from har.service.expiry import EXPIRES_AFTER_S, expire_alerts
from har.store import Store
from tests.mqtt.builders import TIME_S, a_danger, an_alert, free_port
from tests.mqtt.test_payloads import validate


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock(TIME_S)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/har.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def publisher(store: Store, clock: Clock) -> Publisher:
    """A publisher that writes to the database and is never started: its broker is not there."""
    return Publisher(store, url=f"mqtt://127.0.0.1:{free_port()}", site="home", version="0.1.0", model="care-1@1f3c",
                     clock=clock)  # fmt: skip


def test_an_alert_is_closed_a_day_after_it_was_raised_and_not_before(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    publisher.publish(an_alert("old"))
    clock.now_s += EXPIRES_AFTER_S / 2
    publisher.publish(an_alert("young"))

    clock.now_s = TIME_S + EXPIRES_AFTER_S - 1
    assert expire_alerts(store, publisher, now_s=clock.now_s) == 0
    clock.now_s = TIME_S + EXPIRES_AFTER_S + 1
    assert expire_alerts(store, publisher, now_s=clock.now_s) == 1

    assert [alert.alert for alert in store.open_alerts()] == ["young"]
    assert expire_alerts(store, publisher, now_s=clock.now_s) == 0


def test_the_end_of_an_alert_is_told_with_its_reason(store: Store, publisher: Publisher, clock: Clock) -> None:
    raised = publisher.publish(an_alert("old", kind="floor", priority="medium", since_s=TIME_S - 75.0)).body["data"]
    clock.now_s += EXPIRES_AFTER_S + 1

    expire_alerts(store, publisher, now_s=clock.now_s)

    bodies = [json.loads(row.body) for row in store.pending(clock.now_s + 1) if row.kind == "alert"]
    closed = next(body for body in bodies if body["data"]["state"] == "closed")
    validate(closed)
    assert closed["data"]["reason"] == "nobody answered within a day"
    assert closed["data"]["change_reason"] == "expired"
    same = ("alert", "kind", "priority", "camera", "person", "since", "source_time_s", "floor_s", "probability")
    assert {key: closed["data"][key] for key in same} == {key: raised[key] for key in same}


def test_an_alert_of_the_house_itself_with_unknown_numbers_ends_too(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    publisher.publish(an_alert("technical", kind="technical", person=None, source_time_s=math.nan, floor_s=math.nan,
                               probability=math.nan))  # fmt: skip
    clock.now_s += EXPIRES_AFTER_S + 1

    assert expire_alerts(store, publisher, now_s=clock.now_s) == 1

    assert store.open_alerts() == []


def test_an_alert_that_changed_since_still_ends_a_day_after_it_was_raised(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    publisher.publish(a_danger())
    publisher.publish(an_alert("old"))
    clock.now_s += EXPIRES_AFTER_S - 10
    publisher.publish(an_alert("old", change="timer", floor_s=80_000.0))
    clock.now_s += 20

    assert expire_alerts(store, publisher, now_s=clock.now_s) == 1
