"""Where events go: the broker, and beside it whoever listens in this process (a file, the terminal)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from har.mqtt.payloads import Message, to_body
from har.records import Event
from har.store.rows import new_event_id

Listener = Callable[[Message], None]


class Outlet(Protocol):
    """Takes events over; `har.mqtt.publisher.Publisher` is one."""

    def publish(self, event: Event) -> Message:
        """Take an event over and give the message as it is, or would be, published."""
        ...


class LocalOutlet:
    """Makes the same messages as the publisher and sends them nowhere: for `--once` without a broker.

    Args:
        site: the site's name.
    """

    def __init__(self, site: str) -> None:
        self._site = site
        self._sequences: Counter[str] = Counter()

    def publish(self, event: Event) -> Message:
        """Give the message of an event."""
        self._sequences[event.camera] += 1
        return to_body(
            event, site=self._site, sequence=self._sequences[event.camera], event_id=new_event_id(time.time())
        )
