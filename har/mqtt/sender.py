"""The sender's thread: takes the broker's reports, decides what is settled, and sends what is due."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from har.errors import StoreError
from har.mqtt import topics
from har.mqtt.connection import Acked, Connected, Connection, Lost, Received, Report, Will
from har.mqtt.delivery import Retry, decide, read_receipt
from har.mqtt.payloads import Message, encode, status_body
from har.mqtt.waiting import Waiting
from har.records import AlertEvent
from har.store import Ack, OutboxRow, Store
from har.store.rows import new_event_id

log = logging.getLogger(__name__)

WINDOW = 20  # messages on their way to the broker at a time
SITE_SEQUENCE = "status"  # whose numbers the service's own status takes; no camera can be called that
_LOOK_S = 0.5  # how often to look for due rows when nothing happens
_SAVE_S = 5.0  # how often to try a database that failed
_PURGE_S = 3600.0
_CLEARED_S = 3600.0  # alerts closed so long ago are cleared again: a broker may come back with old memory
_SILENCE_S = 5.0  # a receipt after so much silence: the consumer is back, send it everything now
_GOODBYE_S = 1.0

OnSent: TypeAlias = Callable[[str, dict[str, Any]], None]


class Identity(NamedTuple):
    """Who publishes: what stands in the service's status."""

    site: str
    version: str
    model: str


@dataclass(slots=True)
class _InFlight:
    row: OutboxRow
    generation: int
    since_s: float  # monotonic


class Sender:
    """Drains the outbox. Everything but `start`, `stop`, `wake` and reading the attributes happens on its own thread.

    Attributes:
        since_s: when the connection last came or went, Unix seconds.
        error: what is wrong with the broker; None when nothing is.
        listening: somebody subscribes to alerts; None while that is not known.
        n_open: rows not settled, as last counted.
        n_sent: messages handed to the broker, repeats included.
        n_receipts: receipts that came.
        n_rejected: messages on the receipt topic that were none.
        n_failures: exceptions that should not have been.
    """

    def __init__(
        self,
        store: Store,
        connection: Connection,
        waiting: Waiting,
        *,
        identity: Identity,
        retry: Retry,
        on_sent: OnSent | None,
        clock: Callable[[], float],
    ) -> None:
        """Prepare; see `Publisher` for the meaning of the arguments."""
        self._store = store
        self._connection = connection
        self._waiting = waiting
        self._identity = identity
        self._retry = retry
        self._on_sent = on_sent
        self._clock = clock
        self._thread = threading.Thread(target=self._run, name="har-mqtt-sender", daemon=True)
        self._stopping = threading.Event()
        self._look = True  # something may be due
        self._look_at_s = self._probe_at_s = self._save_at_s = self._purge_at_s = 0.0
        self._in_flight: dict[int, _InFlight] = {}
        self._acks: list[Ack] = []  # not yet in the database
        self._receipts: list[tuple[str, str]] = []  # not yet in the database
        self._not_before: dict[str, float] = {}  # event -> when to send it again, as long as the database does not know
        self._announced: set[str] = set()
        self._online: Message | None = None
        self._last_receipt_s: float | None = None
        self.since_s = clock()
        self.error: str | None = "not connected yet"
        self.listening: bool | None = None
        self.n_open = self.n_sent = self.n_receipts = self.n_rejected = self.n_failures = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new to send."""
        self._look = True
        self._connection.wake()

    def stop(self) -> None:
        """Say goodbye to the broker and end the thread."""
        self._stopping.set()
        self._connection.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def is_idle(self) -> bool:
        """Say whether nothing is on its way and nothing waits for the database."""
        return not self._in_flight and not self._acks

    @property
    def n_in_flight(self) -> int:
        """Messages on their way to the broker."""
        return len(self._in_flight)

    def consumer_known(self) -> bool:
        """Say whether receipts are to be waited for."""
        last_s = self._last_receipt_s
        return last_s is not None and self._clock() - last_s < self._retry.consumer_s

    # ---- the loop ----

    def _run(self) -> None:
        self._try_store(self._read_consumers)
        self._connection.start(will=self._prepare_statuses())
        while not self._stopping.is_set():
            try:
                self._step()
            except Exception:
                self.n_failures += 1
                log.exception("sender failed n=%d", self.n_failures)
                self._stopping.wait(1.0)
        self._settle()
        self._say_goodbye()
        self._connection.stop()

    def _step(self) -> None:
        for report in self._connection.take(timeout_s=_LOOK_S):
            self._handle(report)
        if self._connection.connected:
            self._send_live()
            self._send_due()
        else:
            self._drop_live()
        self._settle()  # after sending: a commit takes milliseconds
        self._keep_house()

    def _handle(self, report: Report) -> None:
        if isinstance(report, Connected):
            self._greet(report)
        elif isinstance(report, Lost):
            self._note_loss(report)
        elif isinstance(report, Acked):
            flight = self._in_flight.pop(report.mid, None)
            if flight is not None:
                self._take_ack(flight.row, report.reason)
        elif isinstance(report, Received):
            self._take_receipt(report)

    # ---- what the broker reports ----

    def _greet(self, report: Connected) -> None:
        """Tell a broker that may know nothing: who we are, how the cameras are, and which alerts are open."""
        self.since_s, self.error, self.listening = self._clock(), None, None
        log.info("broker connected protocol=%s", report.protocol)
        generation = self._connection.generation
        self._in_flight = {mid: flight for mid, flight in self._in_flight.items() if flight.generation == generation}
        for flight in self._in_flight.values():
            flight.since_s = time.monotonic()  # paho sends these again by itself
        if self._online is not None:
            self._send_message(self._online)
        self._connection.set_will(self._prepare_statuses())
        for message in list(self._waiting.statuses.values()):
            self._send_message(message)
        self._look = True
        self._try_store(self._restore_retained)
        self._try_store(self._store.wake)

    def _restore_retained(self) -> None:
        """Retain again what the broker may have forgotten, and clear what it may have remembered wrongly."""
        for alert in self._store.open_alerts():
            if alert.settled:
                self._connection.publish(alert.topic, alert.body, qos=1, retain=True, event_id=alert.event_id)
        for topic in self._store.closed_topics(since_s=self._clock() - _CLEARED_S):
            self._connection.publish(topic, "", qos=1, retain=True)

    def _note_loss(self, report: Lost) -> None:
        self.listening = None
        if self.error is None:
            self.since_s = self._clock()
        if self.error != report.reason:
            log.info("broker lost reason=%s", report.reason)
        self.error = report.reason

    def _take_ack(self, row: OutboxRow, reason: int) -> None:
        now_s = self._clock()
        known = self.consumer_known()
        outcome, ack = decide(row, reason=reason, consumer_known=known, now_s=now_s, retry=self._retry)
        self._look = True
        self._remember(row, ack)
        if outcome == "refused" and self.error is None:
            self.error = f"the broker refuses messages (reason {reason}): check the rights of this client"
            log.warning("broker refused topic=%s reason=%d", row.topic, reason)
        elif outcome == "nobody":
            self._probe_at_s = now_s + self._retry.probe_s
            if self.listening is not False:
                log.warning("nobody listens to alerts, trying again every_s=%g", self._retry.probe_s)
            self.listening = False
        elif outcome != "refused" and row.kind == "alert":
            self._note_listener()

    def _remember(self, row: OutboxRow, ack: Ack) -> None:
        """Keep what an ack means until the database has it; for what is only in memory, for good."""
        self._not_before[row.event_id] = float("inf") if ack.done else ack.next_try_s
        unsaved = self._waiting.memory.get(row.event_id)
        if unsaved is None:
            self._acks.append(ack)
        elif ack.done:
            self._finish_unsaved(row.event_id)
        else:
            self._waiting.memory[row.event_id] = unsaved.tried()
        if ack.done:
            self._announced.discard(row.event_id)

    def _finish_unsaved(self, event_id: str) -> None:
        """Settle a message that is only in memory; behind a closed alert, take its retained message away."""
        unsaved = self._waiting.memory.pop(event_id)
        self._not_before.pop(event_id, None)
        if isinstance(unsaved.event, AlertEvent) and unsaved.event.state == "closed":
            self._connection.publish(unsaved.row.topic, "", qos=1, retain=True)

    def _take_receipt(self, report: Received) -> None:
        found = read_receipt(report.topic, report.payload)
        if found is None:
            self.n_rejected += 1
            log.warning("receipt refused topic=%s bytes=%d", report.topic, len(report.payload))
            return
        self.n_receipts += 1
        if found[0] in self._waiting.memory:
            self._finish_unsaved(found[0])
            self._note_consumer()
        else:
            self._receipts.append(found)

    def _note_listener(self) -> None:
        """Somebody listens: if that is news, send everything that waited for it."""
        if self.listening is False:
            log.info("somebody listens to alerts again")
            self._wake_all()
        self.listening = True

    def _note_consumer(self) -> None:
        """A consumer has sent a receipt: count on it, and if it had been away, send it everything."""
        now_s, last_s = self._clock(), self._last_receipt_s
        self._last_receipt_s = now_s
        self._note_listener()
        if last_s is None or now_s - last_s > _SILENCE_S:
            self._wake_all()

    def _wake_all(self) -> None:
        self._look = True
        for event_id in list(self._waiting.memory):
            self._not_before.pop(event_id, None)
        self._try_store(self._write_acks)
        self._try_store(self._store.wake)

    # ---- the database ----

    def _settle(self) -> None:
        """Write receipts and acks to the database, each sort in one transaction."""
        if self._try_store(self._write_receipts):
            self._try_store(self._write_acks)

    def _write_receipts(self) -> None:
        if not self._receipts:
            return
        outcomes = self._store.mark_receipts(self._receipts)
        self._receipts = []
        self._look = True
        if any(outcome != "unknown" for outcome in outcomes):
            self._note_consumer()

    def _write_acks(self) -> None:
        if not self._acks:
            return
        self._store.mark_acked(self._acks)
        for ack in self._acks:
            self._not_before.pop(ack.event_id, None)
        self._acks = []
        self._look = True

    def _read_consumers(self) -> None:
        self._last_receipt_s = self._store.last_receipt_s()

    def _try_store(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except StoreError as error:
            self._waiting.note(error)
            return False
        return True

    # ---- sending ----

    def _send_live(self) -> None:
        while self._waiting.live:
            self._send_message(self._waiting.live.popleft())

    def _drop_live(self) -> None:
        """Without a broker action labels are dropped; camera statuses are sent when it is back."""
        while self._waiting.live:
            self._waiting.n_dropped += self._waiting.live.popleft().qos == 0

    def _send_message(self, message: Message) -> None:
        text, event_id = encode(message.body), str(message.body["id"])
        mid = self._connection.publish(message.topic, text, qos=message.qos, retain=message.retain, event_id=event_id)
        if mid is None:
            self._waiting.n_dropped += message.qos == 0
            return
        self.n_sent += 1
        if self._on_sent is not None:
            self._on_sent(message.topic, message.body)

    def _send_due(self) -> None:
        n_free = WINDOW - len(self._in_flight)
        now_s = self._clock()
        if n_free <= 0 or not (self._look or now_s >= self._look_at_s):
            return
        self._look = False
        self._look_at_s = now_s + _LOOK_S
        on_their_way = {flight.row.event_id for flight in self._in_flight.values()}
        for row in self._find_due(now_s):
            if n_free <= 0:
                break
            if row.event_id not in on_their_way and self._not_before.get(row.event_id, 0.0) <= now_s:
                n_free -= self._send_row(row)

    def _find_due(self, now_s: float) -> list[OutboxRow]:
        rows = [unsaved.row for unsaved in list(self._waiting.memory.values())]
        try:
            rows += self._store.pending(now_s, limit=WINDOW + len(self._in_flight) + len(self._not_before))
            self.n_open = self._store.count_open()
        except StoreError as error:
            self._waiting.note(error)
        return rows

    def _send_row(self, row: OutboxRow) -> bool:
        """Hand a row to the broker; say whether it was taken."""
        newest = row.alert is None or self._waiting.newest.get(row.alert, row.event_id) == row.event_id
        mid = self._connection.publish(
            row.topic,
            row.body,
            qos=row.qos,
            retain=row.retain and (newest or row.kind == "clear"),
            reply_to=None if row.alert is None else topics.receipt(self._identity.site, row.alert),
            event_id=row.event_id,
        )
        if mid is None:
            return False
        self._in_flight[mid] = _InFlight(row, self._connection.generation, time.monotonic())
        self.n_sent += 1
        if row.kind == "clear" and row.alert is not None:
            self._waiting.newest.pop(row.alert, None)
        elif row.event_id not in self._announced:
            self._announced.add(row.event_id)
            if self._on_sent is not None:
                self._on_sent(row.topic, json.loads(row.body))
        return True

    # ---- housekeeping ----

    def _keep_house(self) -> None:
        now_s = self._clock()
        self._watch_broker()
        if self.listening is False and now_s >= self._probe_at_s:
            self._probe_at_s = now_s + self._retry.probe_s
            self._try_store(lambda: self._store.wake(limit=1))
            self._look = True
        if now_s >= self._purge_at_s:
            self._purge_at_s = now_s + _PURGE_S
            self._try_store(self._store.purge)
        if self._waiting.store_error is not None and now_s >= self._save_at_s:
            self._save_at_s = now_s + _SAVE_S
            self._waiting.save(self._store)
            if not self._waiting.memory and self._try_store(self._store.check):
                log.info("store works again")
                self._waiting.store_error = None

    def _watch_broker(self) -> None:
        """Give a connection up over which nothing is confirmed any more, though it looks alive."""
        if not self._connection.connected or not self._in_flight:
            return
        age_s = time.monotonic() - min(flight.since_s for flight in self._in_flight.values())
        if age_s > self._retry.hang_s:
            self._note_loss(self._connection.restart(f"no answer for {age_s:.0f} s"))

    # ---- the service's own status ----

    def _prepare_statuses(self) -> Will:
        """Make the "online" of the next connection and the last will that belongs to it, numbered after it."""
        self._online = self._make_status("online", "")
        will = self._make_status("offline", "connection lost")
        return Will(will.topic, encode(will.body))

    def _make_status(self, state: Literal["online", "offline"], reason: str) -> Message:
        now_s = self._clock()
        return status_body(
            site=self._identity.site,
            state=state,
            version=self._identity.version,
            model=self._identity.model,
            reason=reason,
            sequence=self._store.next_sequence(SITE_SEQUENCE),
            event_id=new_event_id(now_s),
            now_s=now_s,
        )

    def _say_goodbye(self) -> None:
        """Publish "offline" ourselves, and wait a moment for the broker to have it."""
        message = self._make_status("offline", "stopped")
        mid = self._connection.publish(message.topic, encode(message.body), qos=1, retain=True)
        deadline_s = time.monotonic() + _GOODBYE_S
        while mid is not None and time.monotonic() < deadline_s:
            reports = self._connection.take(timeout_s=0.1)
            if any(isinstance(report, Acked) and report.mid == mid for report in reports):
                return
