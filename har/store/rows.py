"""What the store hands out and takes in: plain rows without a database behind them."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias

RowKind: TypeAlias = Literal["alert", "danger", "clear"]
Receipt: TypeAlias = Literal["first", "again", "unknown"]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message that the broker, and for an alert its consumer, has yet to confirm.

    Attributes:
        event_id: id of the event; the same however often it is sent.
        kind: "alert" and "danger" carry a body; "clear" empties the retained message of a closed alert.
        alert: id of the alert; None for a danger.
        topic: where it goes.
        qos: MQTT quality of service.
        retain: whether the broker is to keep it; False once a newer event of the same alert exists.
        body: JSON text; empty for a clear.
        tries: how often the broker has confirmed it without it being settled.
        created_s: when it was written, Unix seconds.
    """

    event_id: str
    kind: RowKind
    alert: str | None
    topic: str
    qos: int
    retain: bool
    body: str
    tries: int
    created_s: float


@dataclass(frozen=True, slots=True)
class Ack:
    """What the broker's confirmation (PUBACK) of one row means.

    Attributes:
        event_id: which row.
        done: the row is settled by it.
        next_try_s: otherwise, when to send it again, Unix seconds.
    """

    event_id: str
    done: bool
    next_try_s: float


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that nobody has closed.

    Attributes:
        alert: its id.
        camera: where.
        kind: "fall", "risk", "floor" or "technical".
        opened_s: when it was raised, Unix seconds.
        event_id: its newest event.
        topic: where its newest event is retained.
        body: that event as JSON text.
        delivered: a consumer has confirmed one of its events.
        settled: its newest event waits for nothing more.
    """

    alert: str
    camera: str
    kind: str
    opened_s: float
    event_id: str
    topic: str
    body: str
    delivered: bool
    settled: bool


def new_event_id(now_s: float) -> str:
    """Make a UUID of version 7: ids made later sort later."""
    bits = (int(now_s * 1000) & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | (7 << 76)
    bits = bits & ~(0x3 << 62) | (2 << 62)
    return str(uuid.UUID(int=bits))


def clear_row(row: OutboxRow) -> OutboxRow:
    """Give the row that empties the retained message behind an alert's closing row."""
    return OutboxRow(
        event_id=f"{row.event_id}-clear",
        kind="clear",
        alert=row.alert,
        topic=row.topic,
        qos=1,
        retain=True,
        body="",
        tries=0,
        created_s=row.created_s,
    )
