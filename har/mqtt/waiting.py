"""What publish() has taken over and the sender has yet to send: the one thing their two threads share."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field, replace

from har.errors import StoreError
from har.mqtt.payloads import Message, encode
from har.records import AlertEvent, DangerEvent
from har.store import OutboxRow, Store

log = logging.getLogger(__name__)

_MOST_LIVE = 1000  # action labels and statuses waiting for the sender; beyond it the oldest label is dropped


@dataclass(frozen=True, slots=True)
class Unsaved:
    """An event that the database would not take, and the row it would have become."""

    event: AlertEvent | DangerEvent
    row: OutboxRow

    def tried(self) -> Unsaved:
        """Count one more try."""
        return Unsaved(self.event, replace(self.row, tries=self.row.tries + 1))


@dataclass(slots=True)
class Waiting:
    """Every change is one atomic operation on one container; readers copy before they walk through one.

    Attributes:
        live: action labels and camera statuses, in order.
        statuses: the newest status of every camera, for a broker that has forgotten it.
        memory: what is only in memory because the database fails, by event id.
        newest: alert -> its newest event: only that one may be retained.
        store_error: why the database cannot be written; None when it can.
        n_dropped: action labels dropped.
    """

    live: deque[Message] = field(default_factory=deque)
    statuses: dict[str, Message] = field(default_factory=dict)
    memory: dict[str, Unsaved] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    store_error: str | None = None
    n_dropped: int = 0

    def append_live(self, message: Message) -> None:
        """Queue a message that may be lost."""
        if len(self.live) >= _MOST_LIVE:
            self.live.popleft()
            self.n_dropped += 1
        self.live.append(message)

    def record(self, store: Store, event: AlertEvent | DangerEvent, message: Message, *, now_s: float) -> None:
        """Write to the database; when that fails, keep it in memory, to be sent all the same."""
        body, event_id = encode(message.body), str(message.body["id"])
        alert = event.alert if isinstance(event, AlertEvent) else None
        if alert is not None:
            self.newest[alert] = event_id
        try:
            store.record_event(
                event, event_id=event_id, topic=message.topic, qos=message.qos, retain=message.retain, body=body
            )
        except StoreError as error:
            row = OutboxRow(
                event_id=event_id,
                kind="danger" if alert is None else "alert",
                alert=alert,
                topic=message.topic,
                qos=message.qos,
                retain=message.retain,
                body=body,
                tries=0,
                created_s=now_s,
            )
            self.memory[event_id] = Unsaved(event, row)
            self.note(error)

    def save(self, store: Store) -> None:
        """Try to write to the database what it would not take before."""
        for event_id, unsaved in list(self.memory.items()):
            row = unsaved.row
            try:
                store.record_event(
                    unsaved.event, event_id=event_id, topic=row.topic, qos=row.qos, retain=row.retain, body=row.body
                )
            except StoreError as error:
                self.note(error)
                return
            self.memory.pop(event_id, None)

    def note(self, error: StoreError) -> None:
        """Remember, and say once, that the database fails."""
        if self.store_error is None:
            log.error("store failed, alerts go out from memory: %s", error)
        self.store_error = str(error)
