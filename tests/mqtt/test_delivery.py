from __future__ import annotations

import json
from typing import Any

import pytest

from har.mqtt.delivery import Retry, decide, read_receipt
from har.mqtt.payloads import encode, receipt_body
from har.store import OutboxRow
from tests.mqtt.builders import TIME_S

RETRY = Retry()


def a_row(kind: str = "alert", *, tries: int = 0) -> OutboxRow:
    return OutboxRow("e1", kind, "a1", "t", 1, True, "{}", tries, TIME_S)  # type: ignore[arg-type]


def test_without_a_known_consumer_the_puback_settles_an_alert() -> None:
    outcome, ack = decide(a_row(), reason=0, consumer_known=False, now_s=TIME_S, retry=RETRY)

    assert (outcome, ack.done) == ("settled", True)


def test_with_a_known_consumer_an_alert_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    waits = [
        decide(a_row(tries=tries), reason=0, consumer_known=True, now_s=0.0, retry=RETRY)[1] for tries in (0, 1, 2, 50)
    ]

    assert [(ack.done, ack.next_try_s) for ack in waits] == [(False, 2.0), (False, 4.0), (False, 8.0), (False, 600.0)]


@pytest.mark.parametrize("consumer_known", [False, True])
def test_nobody_listening_keeps_an_alert_open_until_it_is_woken(consumer_known: bool) -> None:
    outcome, ack = decide(a_row(), reason=16, consumer_known=consumer_known, now_s=0.0, retry=RETRY)

    assert (outcome, ack.done) == ("nobody", False)
    assert ack.next_try_s > 86400


@pytest.mark.parametrize("kind", ["danger", "clear"])
@pytest.mark.parametrize("reason", [0, 16])
def test_a_danger_is_settled_by_the_puback_whoever_listens(kind: str, reason: int) -> None:
    outcome, ack = decide(a_row(kind), reason=reason, consumer_known=True, now_s=0.0, retry=RETRY)

    assert (outcome, ack.done) == ("settled", True)


@pytest.mark.parametrize("kind", ["alert", "danger", "clear"])
def test_a_refusal_is_no_delivery(kind: str) -> None:
    outcome, ack = decide(a_row(kind), reason=0x87, consumer_known=False, now_s=0.0, retry=RETRY)

    assert (outcome, ack.done, ack.next_try_s) == ("refused", False, 2.0)


def receipt(**changes: Any) -> dict[str, Any]:
    return receipt_body(alert="a1", event_id="e1", consumer="desk", receipt_id="r", now_s=TIME_S) | changes


def test_a_receipt_names_its_event_and_its_consumer() -> None:
    assert read_receipt("har/home/alerts/a1/receipt", encode(receipt()).encode()) == ("e1", "desk")


def test_a_receipt_written_by_hand_needs_only_type_source_and_data() -> None:
    text = '{"type": "har.receipt.v1", "source": "desk", "data": {"alert": "a1", "event": "e1"}}'

    assert read_receipt("har/home/alerts/a1/receipt", text.encode()) == ("e1", "desk")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"ok",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 4000,
        b"{}",
        json.dumps(receipt(source=7)).encode(),
        json.dumps(receipt(source="")).encode(),
        json.dumps(receipt(source="a\0b")).encode(),
        json.dumps(receipt(data={"alert": "another", "event": "e1"})).encode(),
        json.dumps(receipt(data={"alert": "a1"})).encode(),
        json.dumps(receipt(note="x" * 10_000)).encode(),
        b"x" * 10_000_000,
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_anything_else_on_the_receipt_topic_is_no_receipt(payload: bytes) -> None:
    assert read_receipt("har/home/alerts/a1/receipt", payload) is None
