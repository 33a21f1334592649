"""When a message counts as delivered.

- danger: the broker's PUBACK settles it.
- alert: a receipt (`har/<site>/alerts/<id>/receipt`) settles it, always and at once.
- alert without a receipt: the PUBACK settles it only while no consumer is known. A consumer is known for 24 hours after
  the last receipt; that is kept in the database. While one is known, the alert is sent again after 2 s, 4 s, 8 s ... up
  to every 10 minutes, and at once when a receipt comes after a silence or the broker comes back.
- PUBACK with reason 16 ("no matching subscribers", MQTT 5): nobody is listening. The alert stays open, its retained
  message stands at the broker, and every 30 s the newest open alert is sent to see whether somebody listens by now;
  then all of them go out again.
- PUBACK with an error (128 and above): not delivered; sent again like one without a receipt.

A broker of MQTT 3.1.1 does not tell that nobody listens: there the PUBACK settles, and the retained message is what a
late consumer finds. Everything may therefore come more than once: consumers drop ids they have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import ValidationError

from har.mqtt.payloads import Receipt
from har.store import Ack, OutboxRow

NO_SUBSCRIBERS = 16
_FIRST_ERROR = 128
_LARGEST_RECEIPT_BYTES = 4096
_FAR_S = 365 * 86400.0  # until woken

Outcome: TypeAlias = Literal["settled", "waiting", "nobody", "refused"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How patient the sender is.

    Attributes:
        first_s: wait before an alert is sent a second time; doubles from then on.
        longest_s: longest wait.
        probe_s: how often to see whether somebody listens by now.
        consumer_s: how long after its last receipt a consumer is counted on.
        hang_s: longest wait for a PUBACK before the connection is given up.
    """

    first_s: float = 2.0
    longest_s: float = 600.0
    probe_s: float = 30.0
    consumer_s: float = 86400.0
    hang_s: float = 15.0


def decide(row: OutboxRow, *, reason: int, consumer_known: bool, now_s: float, retry: Retry) -> tuple[Outcome, Ack]:
    """Say what a PUBACK with this reason means for a row."""
    wait_s = min(retry.first_s * 2.0 ** min(row.tries, 30), retry.longest_s)
    if reason >= _FIRST_ERROR:
        return "refused", Ack(row.event_id, done=False, next_try_s=now_s + wait_s)
    if row.kind != "alert":
        return "settled", Ack(row.event_id, done=True, next_try_s=now_s)
    if reason == NO_SUBSCRIBERS:
        return "nobody", Ack(row.event_id, done=False, next_try_s=now_s + _FAR_S)
    if consumer_known:
        return "waiting", Ack(row.event_id, done=False, next_try_s=now_s + wait_s)
    return "settled", Ack(row.event_id, done=True, next_try_s=now_s)


def read_receipt(topic: str, payload: bytes) -> tuple[str, str] | None:
    """Read a consumer's receipt: (event id, consumer); None for anything else, however malformed."""
    if len(payload) > _LARGEST_RECEIPT_BYTES:
        return None
    try:
        receipt = Receipt.model_validate_json(payload)
    except (ValidationError, RecursionError):
        return None
    parts = topic.split("/")
    if len(parts) != 5 or parts[3] != receipt.data.alert or "\0" in receipt.source + receipt.data.event:
        return None
    return receipt.data.event, receipt.source
