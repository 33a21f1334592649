"""The tables, the same on SQLite and PostgreSQL. Times are Unix seconds; bodies are JSON text as published."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 1

METADATA = MetaData()

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite

meta = Table("meta", METADATA, Column("key", String(64), primary_key=True), Column("value", Text, nullable=False))

alerts = Table(
    "alerts",
    METADATA,
    Column("alert", String(64), primary_key=True),
    Column("camera", String(64), nullable=False),
    Column("person", BigInteger),
    Column("kind", String(16), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_s", Double, nullable=False),
    Column("updated_s", Double, nullable=False),
    Column("receipted_s", Double),
    Column("closed_s", Double),
    Column("event_id", String(64), nullable=False),
    Column("topic", Text, nullable=False),
    Column("body", Text, nullable=False),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("event_id", String(64), nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("alert", String(64)),
    Column("topic", Text, nullable=False),
    Column("qos", Integer, nullable=False),
    Column("retain", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("next_try_s", Double, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("acked_s", Double),
    Column("receipted_s", Double),
    Column("consumer", String(128)),
    Column("done_s", Double),
    Index("outbox_open", "done_s", "next_try_s"),
    Index("outbox_alert", "alert"),
)

audit = Table(
    "audit",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("time_s", Double, nullable=False),
    Column("what", String(32), nullable=False),
    Column("alert", String(64)),
    Column("event_id", String(64)),
    Column("detail", Text, nullable=False, default=""),
)

consumers = Table(
    "consumers",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("first_s", Double, nullable=False),
    Column("last_s", Double, nullable=False),
    Column("receipts", BigInteger, nullable=False),
)

sequences = Table(
    "sequences",
    METADATA,
    Column("camera", String(64), primary_key=True),
    Column("reserved", BigInteger, nullable=False),
)
