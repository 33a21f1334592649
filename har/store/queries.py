"""Statements on the tables: what each event and each receipt changes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from har.records import AlertEvent
from har.store.rows import OpenAlert, OutboxRow, Receipt
from har.store.tables import alerts, audit, consumers, outbox


def due(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Narrow a condition to unsettled rows whose turn it is: a "clear" waits for the rest of its alert."""
    other = outbox.alias("other")
    waiting = sa.exists().where(other.c.alert == outbox.c.alert, other.c.kind == "alert", other.c.done_s.is_(None))
    return sa.and_(outbox.c.done_s.is_(None), condition, sa.or_(outbox.c.kind != "clear", ~waiting))


def write_alert(connection: sa.Connection, event: AlertEvent, *, row: OutboxRow, now_s: float) -> None:
    """Insert or update the alert, take the retain flag from its older messages, and write the audit."""
    values: dict[str, Any] = {
        "camera": event.camera,
        "person": None if event.person is None else int(event.person),
        "kind": event.kind,
        "priority": event.priority,
        "updated_s": now_s,
        "event_id": row.event_id,
        "topic": row.topic,
        "body": row.body,
    }
    if event.state == "closed":
        values |= {"state": "closed", "closed_s": now_s}
    known = connection.scalar(sa.select(alerts.c.alert).where(alerts.c.alert == event.alert))
    if known is None:
        values = {"state": event.state, **values}
        connection.execute(alerts.insert().values(alert=event.alert, opened_s=now_s, **values))
    else:
        connection.execute(sa.update(alerts).where(alerts.c.alert == event.alert).values(**values))
        older = sa.and_(outbox.c.alert == event.alert, outbox.c.kind == "alert")
        connection.execute(sa.update(outbox).where(older).values(retain=False))
    what = event.state if event.change == "state" else f"changed_{event.change}"
    write_audit(connection, what, now_s=now_s, alert=event.alert, event_id=row.event_id, detail=event.reason)


def write_audit(
    connection: sa.Connection,
    what: str,
    *,
    now_s: float,
    alert: str | None = None,
    event_id: str | None = None,
    detail: str = "",
) -> None:
    """Write one line of the audit."""
    connection.execute(
        audit.insert().values(time_s=now_s, what=what, alert=alert, event_id=event_id, detail=detail.replace("\0", ""))
    )


def write_receipt(connection: sa.Connection, event_id: str, *, consumer: str, now_s: float) -> Receipt:
    """Settle an alert's row, count the consumer, and move the alert on."""
    query = sa.select(outbox.c.alert, outbox.c.receipted_s).where(outbox.c.event_id == event_id)
    row = connection.execute(query).first()
    if row is None or row.alert is None:
        return "unknown"
    count_receipt(connection, consumer, now_s=now_s)
    if row.receipted_s is not None:
        return "again"
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.event_id == event_id)
        .values(receipted_s=now_s, consumer=consumer, done_s=sa.func.coalesce(outbox.c.done_s, now_s))
    )
    mark_delivered(connection, row.alert, event_id=event_id, consumer=consumer, now_s=now_s)
    return "first"


def count_receipt(connection: sa.Connection, consumer: str, *, now_s: float) -> None:
    """Remember that this consumer sends receipts."""
    change = sa.update(consumers).where(consumers.c.name == consumer)
    if not connection.execute(change.values(last_s=now_s, receipts=consumers.c.receipts + 1)).rowcount:
        connection.execute(consumers.insert().values(name=consumer, first_s=now_s, last_s=now_s, receipts=1))


def mark_delivered(connection: sa.Connection, alert: str, *, event_id: str, consumer: str, now_s: float) -> None:
    """Move a raised alert to delivered, and write the audit."""
    connection.execute(
        sa.update(alerts)
        .where(alerts.c.alert == alert)
        .values(
            receipted_s=sa.func.coalesce(alerts.c.receipted_s, now_s),
            state=sa.case((alerts.c.state == "raised", "delivered"), else_=alerts.c.state),
        )
    )
    write_audit(connection, "receipt", now_s=now_s, alert=alert, event_id=event_id, detail=consumer)


def outbox_values(row: OutboxRow) -> dict[str, Any]:
    """Give a row as column values."""
    return {
        "event_id": row.event_id,
        "kind": row.kind,
        "alert": row.alert,
        "topic": row.topic,
        "qos": row.qos,
        "retain": row.retain,
        "body": row.body,
        "created_s": row.created_s,
        "tries": row.tries,
    }


def as_row(row: sa.Row[Any]) -> OutboxRow:
    """Read an outbox row."""
    return OutboxRow(
        event_id=row.event_id,
        kind=row.kind,
        alert=row.alert,
        topic=row.topic,
        qos=row.qos,
        retain=bool(row.retain),
        body=row.body,
        tries=row.tries,
        created_s=row.created_s,
    )


def as_open_alert(row: sa.Row[Any]) -> OpenAlert:
    """Read an alert row."""
    return OpenAlert(
        alert=row.alert,
        camera=row.camera,
        kind=row.kind,
        opened_s=row.opened_s,
        event_id=row.event_id,
        topic=row.topic,
        body=row.body,
        delivered=row.receipted_s is not None,
        settled=bool(row.settled),
    )
