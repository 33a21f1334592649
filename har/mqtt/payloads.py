"""The bodies of DESIGN section 5: pydantic models at the edge, and the way from records to them."""

from __future__ import annotations

import json
import math
import time
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from har import records
from har.mqtt import topics

TIME_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_LATEST_S = 253402300799.0  # the last second of the year 9999

Time: TypeAlias = Annotated[
    str, Field(pattern=TIME_PATTERN, description="UTC with milliseconds, like 2026-11-21T10:04:05.120Z")
]
Probability: TypeAlias = Annotated[
    float | None, Field(ge=0, le=1, description="in [0, 1]; null where it could not be computed")
]
Person: TypeAlias = Annotated[int, Field(description="track id, unique per camera and run; names nobody")]
SourceTime: TypeAlias = Annotated[
    float | None, Field(description="pts of the frame that decided it, seconds; for a file from its beginning")
]
ModelName: TypeAlias = Annotated[str, Field(description="the bundle that said so, name@sha")]
Reason: TypeAlias = Annotated[str, Field(description="why, in words a carer understands")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ServiceStatusData(_Strict):
    """The state of the service; "offline" is also the broker's last will."""

    state: Literal["online", "offline"]
    version: str
    model: ModelName
    reason: Annotated[str, Field(description="why, when offline: stopped, or connection lost (the last will)")] = ""


class CameraStatusData(_Strict):
    """The state of one camera."""

    state: Literal["online", "degraded", "offline"]
    fps: Annotated[float | None, Field(ge=0, description="analysed frames per second over the last seconds")]
    reason: Reason


class ActionData(_Strict):
    """A person's action label changed."""

    person: Person
    label: str
    score: Probability
    top: Annotated[list[tuple[str, float | None]], Field(description="best labels and probabilities, best first")]
    since: Time
    source_time_s: SourceTime = None
    model: ModelName


class DangerData(_Strict):
    """A suspicion of danger began, changed or ended; sent at once, a weak one only when it becomes an alert."""

    phase: Literal["new", "update", "end"]
    kind: Literal["fall", "floor", "risk"]
    probability: Probability
    reason: Reason
    person: Person
    since: Time
    source_time_s: SourceTime
    model: ModelName
    alert: Annotated[str | None, Field(description="id of the alert raised from it; null until then")]


class AlertData(_Strict):
    """One change in the life of an alert."""

    alert: Annotated[str, Field(description="id of the alert, the same for its whole life")]
    state: Literal["raised", "delivered", "acknowledged", "confirmed", "rejected", "closed"]
    change: Annotated[
        Literal["state", "kind", "timer"], Field(description="what changed; raised with state comes once per alert")
    ]
    kind: Literal["fall", "floor", "risk", "technical"]
    priority: Literal["low", "medium", "high"]
    camera: str
    person: Annotated[int | None, Field(description="track id; null for a technical alert")]
    since: Time
    source_time_s: SourceTime
    floor_s: Annotated[float | None, Field(ge=0, description="seconds on the floor so far")]
    probability: Probability
    reason: Reason
    model: ModelName
    change_reason: Annotated[str | None, Field(description="why, where unusual: source_ended, camera_lost...")] = None
    reply_to: Annotated[str | None, Field(description="topic on which to confirm that this event is stored")] = None


class ReceiptData(_Strict):
    """Which event a consumer has stored."""

    alert: Annotated[str, Field(max_length=64)]
    event: Annotated[str, Field(min_length=1, max_length=64, description="the `id` of the stored event")]


class _Event(_Strict):
    """The CloudEvents shape."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=1, max_length=64, description="drop a message whose id you have seen")]
    source: Annotated[str, Field(description="har/<site>/<camera>, or har/<site> for the service itself")]
    time: Time
    sequence: Annotated[int, Field(ge=0, description="grows per source, also over restarts; numbers may be skipped")]
    dataschema: str


class ServiceStatus(_Event):
    """Body of har/<site>/status."""

    type: Literal["har.status.v1"]
    data: ServiceStatusData


class CameraStatus(_Event):
    """Body of har/<site>/<camera>/status."""

    type: Literal["har.camera.v1"]
    data: CameraStatusData


class Action(_Event):
    """Body of har/<site>/<camera>/action."""

    type: Literal["har.action.v1"]
    data: ActionData


class Danger(_Event):
    """Body of har/<site>/<camera>/danger."""

    type: Literal["har.danger.v1"]
    data: DangerData


class Alert(_Event):
    """Body of har/<site>/alerts/<id>."""

    type: Literal["har.alert.v1"]
    data: AlertData


class Receipt(BaseModel):
    """Body of har/<site>/alerts/<id>/receipt, from the consumer: "I have it stored"."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    type: Literal["har.receipt.v1"]
    source: Annotated[str, Field(min_length=1, max_length=128, description="name of the consumer")]
    data: ReceiptData
    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str | None, Field(max_length=64)] = None
    time: Time | None = None
    dataschema: str | None = None


BODIES: dict[str, type[BaseModel]] = {
    "status.v1": ServiceStatus,
    "camera.v1": CameraStatus,
    "action.v1": Action,
    "danger.v1": Danger,
    "alert.v1": Alert,
    "receipt.v1": Receipt,
}


class Message(NamedTuple):
    """One message as it goes to the broker."""

    topic: str
    qos: int
    retain: bool
    body: dict[str, Any]


def to_body(event: records.Event, *, site: str, sequence: int, event_id: str, now_s: float | None = None) -> Message:
    """Turn an event into its message. Numbers that are not finite become null; probabilities stay within [0, 1].

    Args:
        event: what happened.
        site: the site's name.
        sequence: the camera's next number.
        event_id: a new id.
        now_s: stands in for a time that is not finite; default the clock's.

    Raises:
        ConfigError: a name in it cannot stand in a topic.
    """
    kind, topic, qos, retain, data = _DESCRIBE[type(event)](event, site, now_s)
    camera = getattr(event, "camera", "")
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"har/{site}/{camera}" if camera else f"har/{site}",
        "type": f"har.{kind}",
        "time": iso_time(event.time_s, now_s=now_s),
        "sequence": sequence,
        "dataschema": schema_address(kind),
        "data": data,
    }
    return Message(topic, qos, retain, body)


def status_body(
    *,
    site: str,
    state: Literal["online", "offline"],
    version: str,
    model: str,
    reason: str,
    sequence: int,
    event_id: str,
    now_s: float,
) -> Message:
    """Make the message that tells the state of the service itself."""
    body = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"har/{site}",
        "type": "har.status.v1",
        "time": iso_time(now_s),
        "sequence": sequence,
        "dataschema": schema_address("status.v1"),
        "data": {"state": state, "version": version, "model": model, "reason": reason},
    }
    return Message(topics.site_status(site), 1, True, body)


def receipt_body(*, alert: str, event_id: str, consumer: str, receipt_id: str, now_s: float) -> dict[str, Any]:
    """Make the body by which a consumer says that it has stored an alert's event."""
    return {
        "specversion": "1.0",
        "id": receipt_id,
        "source": consumer,
        "type": "har.receipt.v1",
        "time": iso_time(now_s),
        "dataschema": schema_address("receipt.v1"),
        "data": {"alert": alert, "event": event_id},
    }


def encode(body: dict[str, Any]) -> str:
    """Give a body as JSON text; refuses numbers that JSON cannot hold."""
    return json.dumps(body, allow_nan=False, separators=(",", ":"))


def schema_address(kind: str) -> str:
    """Give the address of a body's schema, relative to the project."""
    return f"har/mqtt/schemas/{kind}.json"


def iso_time(time_s: float, *, now_s: float | None = None) -> str:
    """Give Unix seconds as UTC with milliseconds and Z; the clock's time for one that is not a real date."""
    if not (math.isfinite(time_s) and 0 <= time_s < _LATEST_S):
        time_s = time.time() if now_s is None else now_s
    whole_s, milliseconds = divmod(round(float(time_s) * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole_s)) + f".{milliseconds:03d}Z"


_Described: TypeAlias = tuple[str, str, int, bool, dict[str, Any]]  # kind, topic, qos, retain, data


def _describe_action(event: records.ActionEvent, site: str, now_s: float | None) -> _Described:
    data = {
        "person": int(event.person),
        "label": event.label,
        "score": _probability(event.score),
        "top": [[label, _probability(score)] for label, score in event.top],
        "since": iso_time(event.since_s, now_s=now_s),
        "source_time_s": _number(event.source_time_s),
        "model": event.model,
    }
    return "action.v1", topics.action(site, event.camera), 0, False, data


def _describe_danger(event: records.DangerEvent, site: str, now_s: float | None) -> _Described:
    data = {
        "phase": event.phase,
        "kind": event.kind,
        "probability": _probability(event.probability),
        "reason": event.reason,
        "person": int(event.person),
        "since": iso_time(event.since_s, now_s=now_s),
        "source_time_s": _number(event.source_time_s),
        "model": event.model,
        "alert": event.alert,
    }
    return "danger.v1", topics.danger(site, event.camera), 1, False, data


def _describe_alert(event: records.AlertEvent, site: str, now_s: float | None) -> _Described:
    floor_s = _number(event.floor_s)
    data = {
        "alert": event.alert,
        "state": event.state,
        "change": event.change,
        "kind": event.kind,
        "priority": event.priority,
        "camera": event.camera,
        "person": None if event.person is None else int(event.person),
        "since": iso_time(event.since_s, now_s=now_s),
        "source_time_s": _number(event.source_time_s),
        "floor_s": None if floor_s is None else max(0.0, floor_s),
        "probability": _probability(event.probability),
        "reason": event.reason,
        "model": event.model,
        "change_reason": event.change_reason,
        "reply_to": topics.receipt(site, event.alert),
    }
    # Closed is retained too, until it is delivered: then an empty retained message takes it away (store: "clear" row).
    return "alert.v1", topics.alert(site, event.alert), 1, True, data


def _describe_camera(event: records.CameraStatus, site: str, now_s: float | None) -> _Described:
    fps = _number(event.fps)
    data = {"state": event.state, "fps": None if fps is None else max(0.0, round(fps, 2)), "reason": event.reason}
    return "camera.v1", topics.camera_status(site, event.camera), 1, True, data


_DESCRIBE: dict[type[Any], Any] = {
    records.ActionEvent: _describe_action,
    records.DangerEvent: _describe_danger,
    records.AlertEvent: _describe_alert,
    records.CameraStatus: _describe_camera,
}


def _number(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def _probability(value: float) -> float | None:
    return round(min(1.0, max(0.0, float(value))), 4) if math.isfinite(value) else None
