"""Alerts that nobody answered: closed after a day, and said so."""

from __future__ import annotations

import json
import math
from datetime import datetime

from har.records import AlertEvent
from har.service.outlet import Outlet
from har.store import Store

EXPIRES_AFTER_S = 24 * 3600.0
"""An alert nobody answered for a day is closed, so that retained messages do not pile up; never silently."""


def expire_alerts(store: Store, outlet: Outlet, *, now_s: float) -> int:
    """Close the open alerts that are a day old.

    Args:
        store: where the alerts are.
        outlet: where their end is told.
        now_s: Unix seconds.

    Returns:
        How many were closed.

    Raises:
        StoreError: the alerts cannot be read.
    """
    old = [alert for alert in store.open_alerts() if now_s - alert.opened_s > EXPIRES_AFTER_S]
    for alert in old:
        data = json.loads(alert.body)["data"]
        outlet.publish(
            AlertEvent(
                alert=alert.alert,
                state="closed",
                change="state",
                kind=data["kind"],
                priority=data["priority"],
                camera=alert.camera,
                person=data["person"],
                since_s=datetime.fromisoformat(data["since"]).timestamp(),
                time_s=now_s,
                source_time_s=_number(data["source_time_s"]),
                floor_s=_number(data["floor_s"]),
                probability=_number(data["probability"]),
                reason="nobody answered within a day",
                model=data["model"],
                change_reason="expired",
            )
        )
    return len(old)


def _number(value: float | None) -> float:
    """Turn back what a body says of a number that is not known."""
    return math.nan if value is None else value
