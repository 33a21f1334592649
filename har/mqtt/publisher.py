"""Events out to the broker: alerts by way of the database until somebody has them, labels as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from har.errors import StoreError
from har.mqtt import topics
from har.mqtt.address import read_address
from har.mqtt.connection import Connection
from har.mqtt.delivery import Retry
from har.mqtt.payloads import Message, to_body
from har.mqtt.sender import SITE_SEQUENCE, Identity, OnSent, Sender
from har.mqtt.waiting import Waiting
from har.names import check_site
from har.records import ActionEvent, CameraStatus, Event
from har.store import Store
from har.store.rows import new_event_id


@dataclass(frozen=True, slots=True)
class PublisherState:
    """How the publisher is doing.

    Attributes:
        connected: the broker is there.
        broker: its address, without credentials.
        protocol: MQTT version, "5" or "3.1.1".
        since_s: when `connected` last changed, Unix seconds.
        listening: somebody subscribes to alerts; None while that is not known.
        consumer_known: receipts are waited for, because one has come in the last 24 hours.
        n_open: messages not settled.
        n_in_flight: of these, on their way to the broker.
        n_memory: of these, only in memory, because the database fails.
        n_sent: messages handed to the broker since the start, repeats included.
        n_receipts: receipts since the start.
        n_rejected: messages on the receipt topic that were no receipts.
        n_dropped: action labels dropped because there was no broker.
        store_error: why the database cannot be written; None when it can.
        error: what is wrong with the broker; None when nothing is.
    """

    connected: bool
    broker: str
    protocol: str
    since_s: float
    listening: bool | None
    consumer_known: bool
    n_open: int
    n_in_flight: int
    n_memory: int
    n_sent: int
    n_receipts: int
    n_rejected: int
    n_dropped: int
    store_error: str | None
    error: str | None


class Publisher:
    """Publishes events; alerts are never lost, whatever becomes of the broker, the network or this process."""

    def __init__(
        self,
        store: Store,
        *,
        url: str,
        site: str,
        version: str,
        model: str,
        on_sent: OnSent | None = None,
        ca: Path | None = None,
        retry: Retry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is sent before `start`.

        Args:
            store: the database, open.
            url: mqtt://host:1883 or mqtts://user:password@host:8883.
            site: the site's name.
            version: of this program, for the status topic.
            model: "name@sha" of the bundle, for the status topic.
            on_sent: called with topic and body when an event is first handed to a broker, on the sender's thread.
            ca: certificates to trust for mqtts instead of the system's.
            retry: how patient to be.
            clock: gives Unix seconds.

        Raises:
            ConfigError: address, site or certificate file cannot be used.
        """
        address = read_address(url)
        identity = Identity(check_site(site), version, model)
        self._store = store
        self._site = identity.site
        self._clock = clock
        self._broker = address.shown
        self._connection = Connection(
            address,
            client_id=f"har-{site}-{store.instance}",
            subscriptions=[(topics.all_receipts(site), 1)],
            ca=ca,
        )
        self._waiting = Waiting()
        self._sender = Sender(
            store,
            self._connection,
            self._waiting,
            identity=identity,
            retry=retry or Retry(),
            on_sent=on_sent,
            clock=clock,
        )
        self._order = threading.Lock()  # keeps the order of sequence numbers; never held while paho is called

    def start(self) -> None:
        """Begin to connect and send, in the background."""
        self._sender.start()

    def publish(self, event: Event) -> Message:
        """Take an event over; waits for the database at most, never for the network, and never fails because of them.

        Returns:
            The message, as it will be published.

        Raises:
            ConfigError: a name in it cannot stand in a topic (a bug: names are checked when the config is read).
        """
        now_s = self._clock()
        with self._order:
            sequence = self._store.next_sequence(event.camera or SITE_SEQUENCE)
            message = to_body(event, site=self._site, sequence=sequence, event_id=new_event_id(now_s), now_s=now_s)
            if isinstance(event, ActionEvent | CameraStatus):
                if isinstance(event, CameraStatus):
                    self._waiting.statuses[event.camera] = message
                self._waiting.append_live(message)
            else:
                self._waiting.record(self._store, event, message, now_s=now_s)
        self._sender.wake()
        return message

    def state(self) -> PublisherState:
        """Say how the publisher is doing; waits for nothing."""
        sender, waiting = self._sender, self._waiting
        return PublisherState(
            connected=self._connection.connected,
            broker=self._broker,
            protocol=self._connection.protocol,
            since_s=sender.since_s,
            listening=sender.listening,
            consumer_known=sender.consumer_known(),
            n_open=sender.n_open + len(waiting.memory),
            n_in_flight=sender.n_in_flight,
            n_memory=len(waiting.memory),
            n_sent=sender.n_sent,
            n_receipts=sender.n_receipts,
            n_rejected=sender.n_rejected,
            n_dropped=waiting.n_dropped,
            store_error=waiting.store_error,
            error=sender.error,
        )

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has confirmed everything published so far; receipts are not waited for.

        Returns:
            Whether it has, within the time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._is_flushed():
            if time.monotonic() >= deadline_s:
                return False
            self._sender.wake()
            time.sleep(0.02)
        return True

    def stop(self) -> None:
        """Say offline and end; what is not settled stays in the database for the next start."""
        self._sender.stop()

    def _is_flushed(self) -> bool:
        if not self._connection.connected or self._waiting.live or not self._sender.is_idle():
            return False
        if any(unsaved.row.tries == 0 for unsaved in list(self._waiting.memory.values())):
            return False
        try:
            return self._store.count_unsent() == 0
        except StoreError:
            return True  # nothing that can be read waits; what is in memory was looked at above
