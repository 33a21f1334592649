from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from har.cli.watch import watch
from har.mqtt.publisher import Publisher
from tests.mqtt.builders import Mosquitto, a_camera_status, a_danger, an_action, an_alert, wait_for
from tests.mqtt.test_payloads import validate

pytestmark = pytest.mark.broker

MakePublisher = Callable[..., Publisher]


@contextmanager
def watching(broker: Mosquitto, *, as_json: bool, site: str | None = "home") -> Iterator[io.StringIO]:
    out, stop = io.StringIO(), threading.Event()
    thread = threading.Thread(
        target=watch,
        kwargs={"broker_url": broker.url, "site": site, "as_json": as_json, "out": out, "stop": stop},
    )
    thread.start()
    yield out
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_person_reads_a_line_per_event(mosquitto: Mosquitto, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(mosquitto.url)
    with watching(mosquitto, as_json=False) as out:
        assert wait_for(lambda: "service online" in out.getvalue())

        publisher.publish(a_camera_status())
        publisher.publish(an_action())
        publisher.publish(an_action(label="unknown", score=0.53, top=(("bend", 0.53), ("lie", 0.3))))
        publisher.publish(a_danger(since_s=1795255443.12))
        publisher.publish(an_alert("a1", floor_s=75.0))
        publisher.publish(an_alert("a1", state="closed"))
        assert wait_for(lambda: out.getvalue().count("\n") >= 7)

    since = local("10:04:02")
    why = "hips dropped 0.9 m in 0.6 s, trunk level"
    lines = {line[10:].strip() for line in out.getvalue().splitlines()}
    assert lines == {
        "service      service online  version 0.1.0, model care-1@1f3c",
        "hall         camera online  15 pictures a second",
        "hall         sit down  88% sure, person 7",
        "hall         unknown  perhaps bend (53% sure), person 7",
        "hall         maybe a fall  person 7, 93% sure, for 2 s — hips dropped 0.9 m in 0.6 s, trunk level",
        f"hall          ALERT FALL   person 7, 97% sure, on the floor for 1 min 15 s, since {since} — {why}",
        f"hall          over: fall   person 7, 97% sure, on the floor for 2 s, since {since} — {why}",
    }


def local(utc: str) -> str:
    return datetime.fromisoformat(f"2026-11-21T{utc}+00:00").astimezone().strftime("%H:%M:%S")


def test_a_program_reads_the_bodies_and_the_service_gets_its_receipts(
    mosquitto: Mosquitto, make_publisher: MakePublisher
) -> None:
    publisher = make_publisher(mosquitto.url)
    with watching(mosquitto, as_json=True, site=None) as out:
        assert wait_for(lambda: "har.status.v1" in out.getvalue())

        ids = [publisher.publish(an_alert()).body["id"] for _ in range(5)]
        assert wait_for(lambda: publisher.state().n_receipts >= 5)
        assert wait_for(lambda: publisher.state().n_open == 0)

    bodies = [json.loads(line) for line in out.getvalue().splitlines()]
    for body in bodies:
        validate(body)
    assert [body["id"] for body in bodies if body["type"] == "har.alert.v1"] == ids


def test_watching_goes_on_after_the_broker_was_away(mosquitto: Mosquitto, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(mosquitto.url)
    with watching(mosquitto, as_json=True) as out:
        first = publisher.publish(an_alert()).body["id"]
        assert wait_for(lambda: first in out.getvalue())
        mosquitto.kill()
        second = publisher.publish(an_alert()).body["id"]
        mosquitto.start()

        assert wait_for(lambda: second in out.getvalue(), timeout_s=40)

    ids = [json.loads(line)["id"] for line in out.getvalue().splitlines()]
    assert len(ids) == len(set(ids))


def test_foreign_and_malformed_messages_are_passed_over(mosquitto: Mosquitto, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(mosquitto.url)
    other = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    other.connect("127.0.0.1", mosquitto.port)
    other.loop_start()
    with watching(mosquitto, as_json=False) as out:
        assert wait_for(lambda: "service online" in out.getvalue())

        for payload in (
            b"\xff",
            b"[]",
            b"7",
            b"{}",
            b"[" * 50_000,
            b'{"type": ["har.alert.v1"]}',
            b'{"type":"har.alert.v1"}',
        ):
            other.publish("har/home/alerts/a1", payload, qos=1).wait_for_publish(10)
        publisher.publish(an_action(label="\x1b[2Jsit\ndown [red]"))
        assert wait_for(lambda: "down [red]" in out.getvalue())

    other.disconnect()
    other.loop_stop()
    assert "\x1b" not in out.getvalue()
    assert "sit down [red]" in out.getvalue()
