"""The database of the service: alerts and their outbox in one transaction, on SQLite or PostgreSQL."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import StaticPool

from har.errors import ConfigError, StoreError
from har.records import AlertEvent, DangerEvent
from har.redaction import redact, scrub
from har.store.damage import Salvage, find_damage, set_aside
from har.store.lock import FolderLock
from har.store.queries import (
    as_open_alert,
    as_row,
    due,
    outbox_values,
    write_alert,
    write_audit,
    write_receipt,
)
from har.store.rows import Ack, OpenAlert, OutboxRow, Receipt, clear_row
from har.store.tables import METADATA, SCHEMA_VERSION, alerts, consumers, meta, outbox, sequences

log = logging.getLogger(__name__)

SEQUENCE_BLOCK = 1000  # numbers reserved by one commit, so that an action label costs none; skipped ones are lost
_SEQUENCES_IN_MEMORY = 100  # how many numbers to give out before asking a failing database again
_KEEP_DANGER_S = 0.0  # a settled danger is of no more use
_KEEP_ALERT_S = 30 * 86400.0  # settled alert messages, for questions afterwards; alerts and audit are kept
_ADVISORY_LOCK = 0x68617221  # PostgreSQL's lock number of "one har service per database"


class Store:
    """Alerts, outbox, audit, consumers and sequence numbers. Safe to call from several threads.

    Attributes:
        notice: what had to be repaired when it was opened, in one line; None when nothing had to be.
        instance: id of this installation; stays the same as long as the database does.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        """Open the database, making it where there is none.

        Args:
            url: "sqlite:////folder/har.db", "sqlite://" (memory, for tests) or "postgresql://user:password@host/name".
            clock: gives Unix seconds.

        Raises:
            ConfigError: the address cannot be understood.
            StoreError: the folder cannot be written, another service uses it, or the database is of a newer version.
        """
        self._url = url
        self._clock = clock
        self._mutex = threading.RLock()
        self._sequences: dict[str, list[int]] = {}  # camera -> [last given, last reserved]
        self._lock: FolderLock | None = None
        self._server_lock: sa.Connection | None = None
        self.notice: str | None = None
        address = _read_address(url)
        salvage = self._prepare_file(address) if address.get_backend_name() == "sqlite" else None
        try:
            self._engine = _make_engine(address)
            self._take_server_lock()
            with self._transaction("open it") as connection:
                METADATA.create_all(connection)
                self.instance = self._check_version(connection)
                if salvage:
                    self._restore(connection, salvage)
        except BaseException:
            self.close()
            raise

    # ---- events ----

    def next_sequence(self, camera: str) -> int:
        """Give the camera's next number: larger than every one before, also over restarts; some may be skipped.

        Never raises: while the database fails, numbers go on from memory.
        """
        with self._mutex:
            counter = self._sequences.get(camera)
            if counter is None or counter[0] >= counter[1]:
                counter = self._reserve(camera, counter[0] if counter else 0)
            counter[0] += 1
            return counter[0]

    def record_event(
        self, event: AlertEvent | DangerEvent, *, event_id: str, topic: str, qos: int, retain: bool, body: str
    ) -> OutboxRow:
        """Write one event and its outbox row; for an alert, also the alert and the audit: all of it or nothing.

        Raises:
            StoreError: nothing was written (disk full, database gone); the event must go out from memory.
        """
        now_s = self._clock()
        is_alert = isinstance(event, AlertEvent)
        row = OutboxRow(
            event_id=event_id,
            kind="alert" if is_alert else "danger",
            alert=event.alert if is_alert else None,
            topic=topic,
            qos=qos,
            retain=retain,
            body=body,
            tries=0,
            created_s=now_s,
        )
        with self._transaction("write an event") as connection:
            if isinstance(event, AlertEvent):
                write_alert(connection, event, row=row, now_s=now_s)
            connection.execute(outbox.insert().values(**outbox_values(row), next_try_s=now_s))
            if isinstance(event, AlertEvent) and event.state == "closed":
                connection.execute(outbox.insert().values(**outbox_values(clear_row(row)), next_try_s=now_s))
        return row

    # ---- outbox ----

    def pending(self, now_s: float, *, limit: int = 100) -> list[OutboxRow]:
        """Give the rows that are due, alerts first, then oldest first.

        A "clear" is due only when every other row of its alert is settled.
        """
        is_due = due(outbox.c.next_try_s <= now_s)
        query = sa.select(outbox).where(is_due).order_by(outbox.c.kind == "danger", outbox.c.id).limit(limit)
        with self._transaction("read the outbox") as connection:
            return [as_row(row) for row in connection.execute(query)]

    def count_open(self) -> int:
        """Count the rows that are not settled."""
        with self._transaction("count the outbox") as connection:
            return int(connection.scalar(sa.select(sa.func.count()).where(outbox.c.done_s.is_(None))) or 0)

    def count_unsent(self) -> int:
        """Count the rows that could go out and that no broker has ever confirmed."""
        query = sa.select(sa.func.count()).select_from(outbox).where(due(outbox.c.acked_s.is_(None)))
        with self._transaction("count the outbox") as connection:
            return int(connection.scalar(query) or 0)

    def mark_acked(self, acks: Sequence[Ack]) -> None:
        """Write down what the broker has confirmed, in one transaction."""
        now_s = self._clock()
        with self._transaction("mark what was sent") as connection:
            for ack in acks:
                change = sa.update(outbox).where(outbox.c.event_id == ack.event_id, outbox.c.done_s.is_(None))
                values: dict[str, Any] = {"acked_s": now_s, "tries": outbox.c.tries + 1, "next_try_s": ack.next_try_s}
                connection.execute(change.values(**values, done_s=now_s if ack.done else None))

    def mark_receipted(self, event_id: str, *, consumer: str) -> Receipt:
        """Settle a row by its consumer's receipt: "first", "again" (already known) or "unknown" (no such event)."""
        return self.mark_receipts([(event_id, consumer)])[0]

    def mark_receipts(self, receipts: Sequence[tuple[str, str]]) -> list[Receipt]:
        """Do that for several (event id, consumer) in one transaction."""
        now_s = self._clock()
        with self._transaction("write a receipt") as connection:
            return [write_receipt(connection, event, consumer=who, now_s=now_s) for event, who in receipts]

    def wake(self, *, limit: int | None = None) -> None:
        """Make unsettled alert rows due now; with a limit only the newest ones."""
        open_alerts = sa.and_(outbox.c.done_s.is_(None), outbox.c.kind == "alert")
        change = sa.update(outbox).where(open_alerts)
        if limit is not None:
            newest = sa.select(outbox.c.id).where(open_alerts).order_by(outbox.c.id.desc()).limit(limit)
            change = sa.update(outbox).where(outbox.c.id.in_(newest))
        with self._transaction("wake the outbox") as connection:
            connection.execute(change.values(next_try_s=self._clock()))

    def last_receipt_s(self) -> float | None:
        """Give when any consumer last sent a receipt, Unix seconds."""
        with self._transaction("read the consumers") as connection:
            last_s = connection.scalar(sa.select(sa.func.max(consumers.c.last_s)))
            return None if last_s is None else float(last_s)

    def purge(self) -> None:
        """Delete settled outbox rows that nobody will ask for."""
        now_s = self._clock()
        limit_s = sa.case((outbox.c.kind == "alert", now_s - _KEEP_ALERT_S), else_=now_s - _KEEP_DANGER_S)
        with self._transaction("purge the outbox") as connection:
            connection.execute(sa.delete(outbox).where(outbox.c.done_s <= limit_s))

    def check(self) -> None:
        """Write something, to see whether the database can be written.

        Raises:
            StoreError: it cannot.
        """
        with self._transaction("write") as connection:
            connection.execute(sa.update(meta).where(meta.c.key == "checked_s").values(value=str(self._clock())))

    # ---- alerts ----

    def open_alerts(self) -> list[OpenAlert]:
        """Give the alerts that are not closed, oldest first."""
        unsettled = sa.exists().where(outbox.c.event_id == alerts.c.event_id, outbox.c.done_s.is_(None))
        columns = sa.select(alerts, (~unsettled).label("settled"))
        query = columns.where(alerts.c.closed_s.is_(None)).order_by(alerts.c.opened_s)
        with self._transaction("read the alerts") as connection:
            return [as_open_alert(row) for row in connection.execute(query)]

    def closed_topics(self, *, since_s: float) -> list[str]:
        """Give the topics of alerts closed since then and fully delivered: nothing may be retained there."""
        unsettled = sa.exists().where(outbox.c.alert == alerts.c.alert, outbox.c.done_s.is_(None))
        query = sa.select(alerts.c.topic).where(alerts.c.closed_s >= since_s, ~unsettled)
        with self._transaction("read the alerts") as connection:
            return [str(topic) for topic in connection.scalars(query)]

    def close(self) -> None:
        """Let go of the database and the folder."""
        with self._mutex:
            if self._server_lock is not None:
                self._server_lock.close()
                self._server_lock = None
            if hasattr(self, "_engine"):
                self._engine.dispose()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    # ---- inside ----

    @contextmanager
    def _transaction(self, purpose: str) -> Iterator[sa.Connection]:
        with self._mutex:
            try:
                with self._engine.begin() as connection:
                    yield connection
            except sa.exc.SQLAlchemyError as error:
                cause = getattr(error, "orig", None) or error
                text = scrub(" ".join(str(cause).split()), self._url)
                raise StoreError(f"{redact(self._url)}: could not {purpose}: {text}. {_advise(text)}") from error

    def _prepare_file(self, address: URL) -> Salvage | None:
        """Make the folder, lock it, and set a damaged file aside."""
        if not address.database or address.database == ":memory:":
            return None
        path = Path(address.database)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = FolderLock(path.parent)
        except OSError as error:
            raise StoreError(
                f"{path.parent}: the state folder cannot be written: {error.strerror}. "
                "Choose a folder of your own with --state DIR."
            ) from error
        reason = find_damage(path)
        if reason is None:
            return None
        salvage = set_aside(path, reason=reason, now_s=self._clock())
        self.notice = (
            f"{path}: the database is damaged ({reason}). It was set aside as {salvage.path.name}; a new one is in "
            f"use, with {len(salvage.outbox)} unsettled messages and {len(salvage.alerts)} alerts saved from the old."
        )
        log.error("store damaged %s", self.notice)
        return salvage

    def _take_server_lock(self) -> None:
        """On PostgreSQL, hold a lock for as long as this process is connected."""
        if self._engine.dialect.name != "postgresql":
            return
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._server_lock = connection
            taken = connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        except sa.exc.SQLAlchemyError as error:
            text = scrub(" ".join(str(getattr(error, "orig", None) or error).split()), self._url)
            raise StoreError(
                f"{redact(self._url)}: cannot connect: {text}. Check the address and the server."
            ) from error
        if not taken:
            raise StoreError(
                f"{redact(self._url)}: another har service is using this database. Stop that one, or give this one "
                "a database of its own."
            )

    def _check_version(self, connection: sa.Connection) -> str:
        rows = connection.execute(sa.select(meta.c.key, meta.c.value))
        stored = {str(row.key): str(row.value) for row in rows}
        if not stored:
            stored = {"schema_version": str(SCHEMA_VERSION), "instance": uuid.uuid4().hex[:12], "first_sequence": "0"}
            stored["checked_s"] = "0"
            connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in stored.items()])
        if int(stored["schema_version"]) > SCHEMA_VERSION:
            raise StoreError(
                f"{redact(self._url)}: the database is of version {stored['schema_version']}, this program knows up to "
                f"{SCHEMA_VERSION}. Install the newer har again, or give this one a state folder of its own."
            )
        self._first_sequence = int(stored["first_sequence"])
        return str(stored["instance"])

    def _restore(self, connection: sa.Connection, salvage: Salvage) -> None:
        """Put what was read from a damaged database into the new one."""
        # The old numbers are lost: start above any that can have been given out (fewer than one event per second
        # since 1970), so that they still only grow.
        self._first_sequence = int(self._clock())
        connection.execute(
            sa.update(meta).where(meta.c.key == "first_sequence").values(value=str(self._first_sequence))
        )
        for table, rows in ((alerts, salvage.alerts), (outbox, salvage.outbox), (consumers, salvage.consumers)):
            for row in rows:
                values = {key: value for key, value in row.items() if key in table.c and key != "id"}
                try:
                    with connection.begin_nested():
                        connection.execute(table.insert().values(**values))
                except sa.exc.SQLAlchemyError as error:
                    log.warning("salvaged row refused table=%s reason=%s", table.name, type(error).__name__)
        write_audit(connection, "database_damaged", now_s=self._clock(), detail=self.notice or "")

    def _reserve(self, camera: str, last: int) -> list[int]:
        """Reserve a block of numbers after the last one given."""
        try:
            with self._transaction("reserve sequence numbers") as connection:
                stored = connection.scalar(sa.select(sequences.c.reserved).where(sequences.c.camera == camera))
                first = max(last, self._first_sequence if stored is None else int(stored))
                if stored is None:
                    connection.execute(sequences.insert().values(camera=camera, reserved=first + SEQUENCE_BLOCK))
                else:
                    change = sa.update(sequences).where(sequences.c.camera == camera)
                    connection.execute(change.values(reserved=first + SEQUENCE_BLOCK))
            self._sequences[camera] = [first, first + SEQUENCE_BLOCK]
        except StoreError as error:
            log.warning("sequence numbers from memory camera=%s reason=%s", camera, error)
            first = last or self._first_sequence
            self._sequences[camera] = [first, first + _SEQUENCES_IN_MEMORY]
        return self._sequences[camera]


def _read_address(url: str) -> URL:
    try:
        address = make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            f"{redact(url)}: not a database address. Write sqlite:////folder/har.db or postgresql://user@host/name."
        ) from None
    if address.drivername in ("postgresql", "postgres"):
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"{redact(url)}: har speaks sqlite and postgresql, not {address.get_backend_name()}.")
    return address


def _make_engine(address: URL) -> sa.Engine:
    if address.get_backend_name() != "sqlite":
        try:
            return sa.create_engine(address, pool_size=2, max_overflow=0, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise ConfigError(f"PostgreSQL needs the package {error.name}: pip install 'psycopg[binary]'.") from error
    engine = sa.create_engine(address, poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 10.0})
    sa.event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # survives a power cut, not only a killed process
    cursor.close()


def _advise(text: str) -> str:
    if "full" in text or "No space" in text:
        return "Free some space on that disk; alerts go out from memory until then."
    if "locked" in text:
        return "Another program holds the database; close it."
    return "Check the disk and the database; alerts go out from memory until then."
