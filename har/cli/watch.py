"""What `har watch` does: a line per event for people, or the bodies for programs, and a receipt for every alert."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import threading
import time
from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from har.models.unknown import UNKNOWN
from har.mqtt import topics
from har.mqtt.address import read_address
from har.mqtt.connection import Connected, Connection, Lost, Received
from har.mqtt.payloads import Action, Alert, CameraStatus, Danger, ServiceStatus, encode, receipt_body
from har.store.rows import new_event_id

log = logging.getLogger(__name__)

_REMEMBERED = 20_000  # ids of events shown, so that a repeat is not shown again
_DANGER_WORDS = {
    "new": {"fall": "maybe a fall", "risk": "maybe in danger", "floor": "low on the floor"},
    "update": {"fall": "looks like a fall", "risk": "looks like danger", "floor": "still low on the floor"},
    "end": {"fall": "no longer a fall", "risk": "no longer in danger", "floor": "up from the floor"},
}
_ALERT_WORDS = {"fall": "FALL", "risk": "IN DANGER", "floor": "ON THE FLOOR", "technical": "TECHNICAL"}
_PRIORITY_STYLES = {"high": "bold white on red", "medium": "bold black on yellow", "low": "bold black on cyan"}
_CAMERA_STYLES = {"online": "green", "degraded": "yellow", "offline": "bold red"}


def watch(
    *,
    broker_url: str,
    site: str | None,
    as_json: bool,
    receipts: bool = True,
    out: TextIO,
    stop: threading.Event,
    ca: Path | None = None,
    consumer: str | None = None,
) -> int:
    """Show every event of a site until `stop` is set or Ctrl-C is pressed.

    Args:
        broker_url: mqtt://host:1883 or mqtts://user:password@host:8883.
        site: the site's name; None for every site on the broker.
        as_json: print the bodies, one JSON object a line, instead of lines for people.
        receipts: confirm every alert event once it is printed.
        out: where to print.
        stop: set it to end.
        ca: certificates to trust for mqtts instead of the system's.
        consumer: name in the receipts; default "har-watch@" and this machine's name.

    Returns:
        How many events were shown.

    Raises:
        ConfigError: address or site cannot be used.
    """
    console = Console(file=out, highlight=False, soft_wrap=True)
    watcher = _Watcher(console, as_json=as_json, show_site=site is None)
    who = consumer or f"har-watch@{socket.gethostname()}"
    connection = Connection(
        read_address(broker_url),
        client_id=f"har-watch-{socket.gethostname()}-{os.getpid()}-{threading.get_ident() % 10000}",
        subscriptions=[(topics.everything(site), 1)],
        ca=ca,
    )
    connection.start()
    last_loss: str | None = None
    try:
        while not stop.is_set():
            for report in connection.take(timeout_s=0.5):
                if isinstance(report, Received):
                    alert = watcher.show(report)
                    if alert is not None and receipts:
                        _confirm(connection, report.topic, alert, consumer=who)
                elif isinstance(report, Lost) and report.reason != last_loss:
                    last_loss = report.reason
                    log.warning("broker %s: %s; trying again", read_address(broker_url).shown, report.reason)
                elif isinstance(report, Connected):
                    last_loss = None
                    log.info("watching broker=%s", read_address(broker_url).shown)
    except KeyboardInterrupt:
        pass
    finally:
        connection.stop()
    return watcher.n_shown


def _confirm(connection: Connection, topic: str, alert: Alert, *, consumer: str) -> None:
    """Tell the service that this event has been shown."""
    now_s = time.time()
    body = receipt_body(
        alert=alert.data.alert, event_id=alert.id, consumer=consumer, receipt_id=new_event_id(now_s), now_s=now_s
    )
    connection.publish(f"{topic}/receipt", encode(body), qos=1, retain=False)


class _Watcher:
    """Prints messages, each event once."""

    def __init__(self, console: Console, *, as_json: bool, show_site: bool) -> None:
        self._console = console
        self._as_json = as_json
        self._show_site = show_site
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.n_shown = 0

    def show(self, message: Received) -> Alert | None:
        """Print a message if it is an event not shown before; give the alert that is to be confirmed, if it is one."""
        body = _read_event(message)
        if body is None:
            return None
        if body.id not in self._seen:
            self._seen[body.id] = None
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            self._print(message, body)
            self.n_shown += 1
        return body if isinstance(body, Alert) else None

    def _print(self, message: Received, body: AnyEvent) -> None:
        if self._as_json:
            self._console.file.write(message.payload.decode("utf-8", "replace").strip() + "\n")
        else:
            self._console.print(_make_line(body, show_site=self._show_site))
        self._console.file.flush()


AnyEvent = Action | Danger | Alert | CameraStatus | ServiceStatus

_EVENTS: dict[str, type[AnyEvent]] = {
    "har.action.v1": Action,
    "har.danger.v1": Danger,
    "har.alert.v1": Alert,
    "har.camera.v1": CameraStatus,
    "har.status.v1": ServiceStatus,
}


def _read_event(message: Received) -> AnyEvent | None:
    """Read a body; None for empty, foreign or malformed messages."""
    if not message.payload:
        return None
    try:
        raw: Any = json.loads(message.payload)
        model = _EVENTS.get(raw.get("type", "")) if isinstance(raw, dict) else None
        if model is None:
            return None
        body = model.model_validate(raw, extra="ignore")
    except (ValueError, ValidationError, RecursionError, TypeError):
        log.warning("message not understood topic=%r bytes=%d", message.topic, len(message.payload))
        return None
    return None if isinstance(body, Alert) and not topics.is_alert(message.topic) else body


def event_line(body: dict[str, Any], *, file_time: bool = False) -> Text | None:
    """Give the line that people read of a body that this service published; None for one without a line.

    Args:
        body: the body.
        file_time: show times from the beginning of the file instead of the time of day.
    """
    model = _EVENTS.get(body["type"])
    if model is None:
        return None
    shift_s = None
    if file_time:
        source_time_s = body["data"].get("source_time_s")
        shift_s = math.nan if source_time_s is None else source_time_s - _local(body["time"]).timestamp()
    return _make_line(model.model_validate(body), show_site=False, shift_s=shift_s)


def file_clock(time_s: float) -> str:
    """Write a time in a file: minutes, seconds and tenths."""
    minutes, tenths = divmod(math.floor(time_s * 10 + 1e-6), 600)
    return f"{minutes}:{tenths // 10:02}.{tenths % 10}"


def _make_line(body: AnyEvent, *, show_site: bool, shift_s: float | None = None) -> Text:
    """Write an event as: time, camera, what happened, how sure, for how long, why.

    Args:
        body: the event.
        show_site: name the site too.
        shift_s: from Unix time to that of the file, seconds (NaN: not known); None for the local time of day.
    """
    _, _, place = _plain(body.source).partition("/")
    site, _, camera = place.partition("/")
    where = f"{site}/{camera}".rstrip("/") if show_site else (camera or "service")
    line = Text(no_wrap=True)
    line.append(f"{_clock(body.time, shift_s):>8}", style="dim")
    line.append(f"  {where:<12} ")
    if isinstance(body, Alert):
        return line.append_text(_describe_alert(body, shift_s))
    if isinstance(body, Danger):
        return line.append_text(_describe_danger(body))
    if isinstance(body, Action):
        return line.append_text(_describe_action(body))
    if isinstance(body, CameraStatus):
        line.append(f"camera {body.data.state}", style=_CAMERA_STYLES[body.data.state])
        fps = f"  {body.data.fps:.0f} pictures a second" if body.data.fps else ""
        return line.append(fps if body.data.state == "online" else "").append(_because(body.data.reason))
    line.append(f"service {body.data.state}", style="green" if body.data.state == "online" else "bold red")
    return line.append(f"  version {_plain(body.data.version)}, model {_plain(body.data.model)}").append(
        _because(body.data.reason)
    )


def _clock(text: str, shift_s: float | None) -> str:
    if shift_s is None:
        return _local(text).strftime("%H:%M:%S")
    return "" if math.isnan(shift_s) else file_clock(max(0.0, _local(text).timestamp() + shift_s))


def _describe_action(body: Action) -> Text:
    """Name the label and how sure it is; of "unknown", what it might be."""
    data = body.data
    text = Text(_plain(data.label), style="bold")
    if data.label != UNKNOWN or not data.top:
        return text.append(f"  {_sure(data.score)}, person {data.person}", style="")
    likeliest, probability = data.top[0]
    return text.append(f"  perhaps {_plain(likeliest)} ({_sure(probability)}), person {data.person}", style="")


def _describe_alert(body: Alert, shift_s: float | None) -> Text:
    data = body.data
    text = Text()
    words = _ALERT_WORDS[data.kind]
    if data.state == "closed":
        text.append(f" over: {words.lower()} ", style="green")
    else:
        text.append(f" ALERT {words} ", style=_PRIORITY_STYLES[data.priority])
    facts = [] if data.person is None else [f"person {data.person}"]
    if data.kind != "technical":
        facts.append(_sure(data.probability))
    if data.floor_s:
        facts.append(f"on the floor for {_duration(data.floor_s)}")
    facts.append(f"since {_clock(data.since, shift_s)}")
    if data.change_reason:
        facts.append(_plain(data.change_reason.replace("_", " ")))
    return text.append("  " + ", ".join(facts)).append(_because(data.reason))


def _describe_danger(body: Danger) -> Text:
    data = body.data
    style = "dim" if data.phase == "end" else "bold yellow"
    text = Text(_DANGER_WORDS[data.phase][data.kind], style=style)
    lasted_s = (_local(body.time) - _local(data.since)).total_seconds()
    facts = [f"person {data.person}", _sure(data.probability)]
    if lasted_s >= 1:
        facts.append(f"for {_duration(lasted_s)}")
    return text.append("  " + ", ".join(facts), style="").append(_because(data.reason), style="")


def _sure(probability: float | None) -> str:
    return "not known how sure" if probability is None else f"{probability:.0%} sure"


def _because(reason: str) -> str:
    return f" — {_plain(reason)}" if reason else ""


def _plain(text: str) -> str:
    """Give a text on one line and without control characters: a message must not be able to move the cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()
