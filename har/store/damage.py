"""A SQLite file that cannot be trusted any more: find out, set it aside, save what can still be read."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Salvage:
    """What could be read out of a damaged database.

    Attributes:
        path: where the damaged file lies now.
        reason: what is wrong with it.
        outbox: unsettled outbox rows, column by name.
        alerts: alert rows, column by name.
        consumers: consumer rows, column by name.
    """

    path: Path
    reason: str
    outbox: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    consumers: list[dict[str, Any]] = field(default_factory=list)


def find_damage(path: Path) -> str | None:
    """Say what is wrong with a SQLite file; None for a sound one, or none at all."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return None  # locked, unreadable folder, full disk: not damage, and said better when it is opened
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else answer.replace("\n", " ")


def set_aside(path: Path, *, reason: str, now_s: float) -> Salvage:
    """Move a damaged database out of the way and read from it what can be read."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    salvage = Salvage(path=aside, reason=reason)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(aside)) as connection:
        connection.row_factory = sqlite3.Row
        _read(connection, "SELECT * FROM outbox WHERE done_s IS NULL ORDER BY id", salvage.outbox)
        _read(connection, "SELECT * FROM alerts", salvage.alerts)
        _read(connection, "SELECT * FROM consumers", salvage.consumers)
    return salvage


def _read(connection: sqlite3.Connection, query: str, into: list[dict[str, Any]]) -> None:
    """Append rows until the first one that cannot be read."""
    with contextlib.suppress(sqlite3.Error):
        for row in connection.execute(query):
            into.append(dict(row))
