"""One connection to a broker, kept up: paho's client behind a queue of reports.

paho calls back on its own thread while it holds its locks, and an exception in a callback ends that thread without a
word. So every callback here does one thing: put a report into a queue. One thread of the owner takes the reports, and
only that thread calls the methods of `Connection`.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from har.errors import ConfigError
from har.mqtt.address import BrokerAddress

log = logging.getLogger(__name__)

KEEPALIVE_S = 10  # a broker that hangs is noticed after about twice that
_RECONNECT_S = (1, 8)  # shortest and longest wait between attempts
_HASTY_CLOSES = 3  # closed so often before answering CONNECT: it may not speak this version
_ANSWER_S = (2.0, 32.0)  # shortest and longest wait for an answer to CONNECT before the other version is tried
_UNSUPPORTED_VERSION = 0x84
_STOP_S = 2.0


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted us."""

    protocol: str


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no connection: refused, not reachable, or broken off."""

    reason: str


@dataclass(frozen=True, slots=True)
class Acked:
    """The broker has confirmed (PUBACK) the publish with this message id; reason 16 means nobody subscribed."""

    mid: int
    reason: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message has come."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Wake:
    """The owner wants its own thread to look up."""


Report: TypeAlias = Connected | Lost | Acked | Received | Wake


class Will(NamedTuple):
    """What the broker says in our name once we are gone without a goodbye."""

    topic: str
    payload: str


class _Raw(NamedTuple):
    """A report of one paho client; those of a client already given up are dropped."""

    generation: int
    report: Report
    kind: str  # "opened", "connected", "refused", "closed", "unreachable", "other"
    code: int = 0


class Connection:
    """A connection to a broker that mends itself. All methods but `wake` belong to one thread of the owner's.

    Attributes:
        connected: the broker has accepted us and nothing has broken since.
        protocol: "5" or "3.1.1", the version in use or tried next.
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        client_id: str,
        subscriptions: Sequence[tuple[str, int]] = (),
        ca: Path | None = None,
        keepalive_s: int = KEEPALIVE_S,
    ) -> None:
        """Prepare; nothing happens before `start`.

        Args:
            address: the broker.
            client_id: unique among the broker's clients: two with one id evict each other for ever.
            subscriptions: topic filter and QoS, subscribed anew at every connection.
            ca: certificates to trust instead of the system's.
            keepalive_s: longest silence, seconds.

        Raises:
            ConfigError: the certificate file cannot be read.
        """
        self._address = address
        self._client_id = client_id
        self._subscriptions = list(subscriptions)
        self._keepalive_s = keepalive_s
        self._tls = _make_tls(ca) if address.tls else None
        self._queue: queue.SimpleQueue[_Raw] = queue.SimpleQueue()
        self._generation = 0
        self._client: Client | None = None
        self._threads: dict[int, threading.Thread] = {}
        self._will: Will | None = None
        self._hasty_closes = 0
        self._asked_at_s: float | None = None  # monotonic; a socket is open and the broker has not answered CONNECT
        self._refused = False
        self._patience_s = _ANSWER_S[0]
        self._speaks_5 = False  # it has done so before: a silence then means trouble, not another version
        self.connected = False
        self.protocol = "5"

    def start(self, *, will: Will | None = None) -> None:
        """Begin to connect, in the background and for as long as it takes."""
        self._will = will
        self._open()

    def wake(self) -> None:
        """Make `take` return; callable from any thread."""
        self._queue.put(_Raw(-1, Wake(), "other"))

    def set_will(self, will: Will) -> None:
        """Change the last will, from the next connection on."""
        self._will = will
        if self._client is not None:
            self._client.will_set(will.topic, will.payload, qos=1, retain=True)

    def take(self, *, timeout_s: float) -> list[Report]:
        """Wait for reports and give all there are; afterwards see that the network thread lives."""
        raws: list[_Raw] = []
        with contextlib.suppress(queue.Empty):
            raws.append(self._queue.get(timeout=max(timeout_s, 0.001)))
            while True:
                raws.append(self._queue.get_nowait())
        reports: list[Report] = []
        for raw in raws:
            if raw.generation in (-1, self._generation):
                self._digest(raw, reports)
        if self._is_ignored():
            reports.append(Lost("does not answer"))
            self._change_version()
        thread = self._threads.get(self._generation)
        if thread is not None and not thread.is_alive():
            reports.append(self.restart("the network thread died"))
        return reports

    def publish(
        self,
        topic: str,
        payload: str,
        *,
        qos: int,
        retain: bool,
        reply_to: str | None = None,
        event_id: str | None = None,
    ) -> int | None:
        """Hand a message to the client; give its message id, or None when it was not taken."""
        if self._client is None or not self.connected:
            return None
        properties = _make_properties(reply_to, event_id) if payload and self.protocol == "5" else None
        info = self._client.publish(topic, payload.encode() or None, qos=qos, retain=retain, properties=properties)
        # Without a connection paho answers NO_CONN, and yet keeps what has a QoS and sends it later.
        kept = info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS or (info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and qos > 0)
        return info.mid if kept else None

    def restart(self, reason: str) -> Lost:
        """Give this client up and begin with a new one; what it had not delivered is forgotten."""
        log.warning("broker connection restarted broker=%s reason=%s", self._address.shown, reason)
        self._abandon()
        self._open()
        return Lost(reason)

    def stop(self) -> None:
        """Say goodbye and end; the last will is not sent."""
        self._abandon(wait_s=_STOP_S)

    @property
    def generation(self) -> int:
        """Which client is in use: what was handed to an earlier one is forgotten."""
        return self._generation

    # ---- inside ----

    def _open(self) -> None:
        self._generation += 1
        self._asked_at_s = None
        version = MQTTv5 if self.protocol == "5" else MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, self._client_id, protocol=version)
        client.reconnect_delay_set(*_RECONNECT_S)
        if self._address.username is not None:
            client.username_pw_set(self._address.username, self._address.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        self._listen(client, self._generation)
        client.connect_async(self._address.host, self._address.port, keepalive=self._keepalive_s)
        self._client = client
        client.loop_start()

    def _listen(self, client: Client, generation: int) -> None:
        """Set callbacks that only enqueue."""
        put = self._queue.put
        threads = self._threads
        shown_version = self.protocol
        unreachable = "cannot be reached" + (", or its certificate is not trusted" if self._tls is not None else "")

        def on_pre_connect(_client: Client, _userdata: Any) -> None:
            threads[generation] = threading.current_thread()

        def on_socket_open(_client: Client, _userdata: Any, _socket: Any) -> None:
            put(_Raw(generation, Wake(), "opened"))

        def on_connect(_client: Client, _userdata: Any, _flags: Any, code: Any, _properties: Any) -> None:
            if code.is_failure:
                put(_Raw(generation, Lost(f"refused: {code}"), "refused", code.value))
            else:
                put(_Raw(generation, Connected(shown_version), "connected"))

        def on_connect_fail(_client: Client, _userdata: Any) -> None:
            put(_Raw(generation, Lost(unreachable), "unreachable"))

        def on_disconnect(_client: Client, _userdata: Any, _flags: Any, code: Any, _properties: Any) -> None:
            put(_Raw(generation, Lost(f"broken off: {code}"), "closed"))

        def on_publish(_client: Client, _userdata: Any, mid: int, code: Any, _properties: Any) -> None:
            put(_Raw(generation, Acked(mid, code.value), "other"))

        def on_message(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
            put(_Raw(generation, _as_received(message), "other"))

        client.on_pre_connect = on_pre_connect
        client.on_socket_open = on_socket_open
        client.on_connect = on_connect
        client.on_connect_fail = on_connect_fail
        client.on_disconnect = on_disconnect
        client.on_publish = on_publish
        client.on_message = on_message

    def _digest(self, raw: _Raw, reports: list[Report]) -> None:
        """Keep the state, choose the protocol version, and pass on what the owner needs."""
        if raw.generation not in (-1, self._generation):
            return
        if raw.kind == "opened":
            self._asked_at_s, self._refused = time.monotonic(), False
            return
        if raw.kind == "connected" and self._client is not None:
            self.connected, self._asked_at_s, self._hasty_closes = True, None, 0
            self._patience_s = _ANSWER_S[0]
            self._speaks_5 |= self.protocol == "5"
            if self._subscriptions:
                self._client.subscribe(self._subscriptions)
        elif raw.kind in ("refused", "closed", "unreachable"):
            self.connected = False
            if raw.kind == "closed" and self._refused:
                return  # it hangs up after it has refused us, and that is the reason
            reports.append(raw.report)
            if self._speaks_another_version(raw):
                self._change_version()
            return
        reports.append(raw.report)

    def _speaks_another_version(self, raw: _Raw) -> bool:
        """Say whether the broker refuses this version of MQTT, in words or by hanging up before any answer."""
        hasty = raw.kind == "closed" and self._asked_at_s is not None
        self._asked_at_s = None
        self._refused = raw.kind == "refused"
        if self._refused:
            return raw.code == _UNSUPPORTED_VERSION
        self._hasty_closes += hasty
        return self._hasty_closes >= _HASTY_CLOSES and not self._speaks_5

    def _is_ignored(self) -> bool:
        """Say whether our CONNECT gets no answer: amqtt is silent to one of MQTT 5 with a last will."""
        if self._asked_at_s is None or self._speaks_5:
            return False
        return time.monotonic() - self._asked_at_s > self._patience_s

    def _change_version(self) -> None:
        """Begin anew in the other version of MQTT."""
        if self.protocol == "3.1.1":  # both have been tried: be more patient
            self._patience_s = min(2 * self._patience_s, _ANSWER_S[1])
        self.protocol = "3.1.1" if self.protocol == "5" else "5"
        self._hasty_closes = 0
        log.info("broker protocol changed broker=%s to=%s", self._address.shown, self.protocol)
        self._abandon()
        self._open()

    def _abandon(self, *, wait_s: float = 0.0) -> None:
        """Leave a client to end by itself; paho's own stop can wait for ever on a broker that hangs."""
        client, self._client = self._client, None
        self._threads.pop(self._generation, None)
        self._generation += 1  # whatever it still reports is dropped
        self.connected = False
        if client is None:
            return
        reaper = threading.Thread(target=_end, args=(client,), name="har-mqtt-end", daemon=True)
        reaper.start()
        if wait_s:
            reaper.join(wait_s)


def _end(client: Client) -> None:
    """End a client: politely, then by closing its socket."""
    with contextlib.suppress(Exception):
        client.disconnect()
    stopper = threading.Thread(target=client.loop_stop, name="har-mqtt-stop", daemon=True)
    stopper.start()
    stopper.join(_STOP_S / 2)
    if stopper.is_alive():
        with contextlib.suppress(Exception):
            open_socket = client.socket()
            if isinstance(open_socket, socket.socket):
                open_socket.shutdown(socket.SHUT_RDWR)
        stopper.join(_STOP_S)


def _as_received(message: MQTTMessage) -> Received:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = ""
    return Received(topic, bytes(message.payload), message.retain)


def _make_properties(reply_to: str | None, event_id: str | None) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "application/json"
    if reply_to is not None:
        properties.ResponseTopic = reply_to
    if event_id is not None:
        properties.CorrelationData = event_id.encode()
    return properties


def _make_tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{ca}: cannot be read as certificates ({error}). Give a PEM file with the broker's certificate authority."
        ) from error
