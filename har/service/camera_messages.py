"""What crosses the line between a camera's process and the main one: JSON keys, joints, silhouettes, never a pixel.

A camera's process decodes whatever the network sends it; so nothing that it says is unpickled or trusted to name
itself: the reader checks each message, and puts in the camera's name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np

from har.errors import HarError
from har.records import CameraStatus, Pose, PoseFrame, Silhouette
from har.redaction import redact
from har.sources import LiveLimits

MAX_MESSAGE_BYTES = 128 * 1024
MAX_PEOPLE = 100
MAX_CELLS = 1024
"""Of a silhouette; those of everybody must fit into one message."""
_LAYOUT = "coco17"
_N_JOINTS = 17
_BODY_BYTES, _BOX_BYTES = 4 * 3 * _N_JOINTS, 4 * 4


class MessageError(HarError):
    """A camera's process sent something that is no message."""


@dataclass(frozen=True, slots=True, repr=False)
class CameraSpec:
    """All that a camera's process needs to know.

    Attributes:
        camera: the camera's name.
        url: its source; may hold a password.
        pose: name of the pose estimator.
        max_people: most people looked for in a frame.
        once: read a file to its end as fast as possible, dropping nothing; a failure ends it.
        max_rate_hz: frames beyond this average rate are left out, decided by their pts alone; None for no limit.
        hang_after_s: without a sign of life for this long, the process is killed.
        start_within_s: the same, until the estimator is loaded.
        frozen_after_s: a picture unchanged for this long is reported; longer than the time between two key frames.
        black_after_s: a picture black for this long is reported.
        slow_below_hz: a live camera that gives fewer analysed frames a second is reported; 0 for never.
        limits: time-outs and waits of a live source.
        masks: ask the estimator for silhouettes too; it must be one that gives them.
        estimator: "module:function" called as `function(pose, max_people=max_people)`, with `masks=True` where asked.
    """

    camera: str
    url: str
    pose: str = "blazepose"
    max_people: int = 4
    once: bool = False
    max_rate_hz: float | None = 15.0
    hang_after_s: float = 20.0
    start_within_s: float = 90.0
    frozen_after_s: float = 25.0
    black_after_s: float = 5.0
    slow_below_hz: float = 5.0
    limits: LiveLimits = field(default_factory=LiveLimits)
    masks: bool = False
    estimator: str = "har.pose:open_estimator"

    def __repr__(self) -> str:
        return f"CameraSpec(camera={self.camera!r}, url={redact(self.url)!r}, pose={self.pose!r}, once={self.once})"


@dataclass(frozen=True, slots=True)
class EndOfSource:
    """A camera has nothing more to give and is not started again.

    Attributes:
        camera: its name.
        reason: empty when the file simply ended; else what went wrong, in words.
        user_error: the reason is a mistake that the user can mend (exit code 2).
        frames: frames read.
        skipped: frames left out by the rate limit, of those read.
        dropped: frames left out because the consumer was late, besides those read.
        corrupt: packets or pictures that could not be decoded.
    """

    camera: str
    reason: str = ""
    user_error: bool = False
    frames: int = 0
    skipped: int = 0
    dropped: int = 0
    corrupt: int = 0


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """Nothing new, but alive; `ready` once the estimator is loaded."""

    ready: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """The process cannot go on, and says so before it ends."""

    reason: str
    user_error: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the main process's log."""

    logger: str
    level: int
    text: str


Message: TypeAlias = PoseFrame | CameraStatus | EndOfSource | SignOfLife | Failure | LogLine

_PLAIN: dict[str, type[CameraStatus | EndOfSource | SignOfLife | Failure | LogLine]] = {
    "status": CameraStatus,
    "end": EndOfSource,
    "alive": SignOfLife,
    "failure": Failure,
    "log": LogLine,
}
_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "CameraState": (str,),
}


def encode(message: Message) -> bytes:
    """Write a message as bytes."""
    if isinstance(message, PoseFrame):
        head = {
            "kind": "poses",
            "time_s": message.time_s,
            "source_time_s": message.source_time_s,
            "width_px": message.width_px,
            "height_px": message.height_px,
        }
        joints = [np.column_stack([pose.xy, pose.score]).astype("<f4") for pose in message.poses]
        shapes = [pose.silhouette for pose in message.poses]
        if any(shape is not None for shape in shapes):
            head["covers"] = [None if shape is None else list(shape.cover.shape) for shape in shapes]
        blobs = [each.tobytes() for each in joints]
        blobs += [shape.box.astype("<f4").tobytes() + shape.cover.tobytes() for shape in shapes if shape is not None]
        return _join(head, b"".join(blobs))
    kind = next(kind for kind, plain in _PLAIN.items() if isinstance(message, plain))
    return _join({"kind": kind, **asdict(message)}, b"")


def decode(data: bytes | bytearray | memoryview, *, camera: str) -> Message:
    """Read a message, checking all of it.

    Raises:
        MessageError: it is none.
    """
    head_bytes, _, joints = bytes(data).partition(b"\0")
    try:
        head = json.loads(head_bytes)
        kind = head.pop("kind")
        if kind == "poses":
            return _poses(head, joints, camera)
        plain = _PLAIN[kind]
        _check_fields(head, plain.__annotations__)
        if "camera" in plain.__annotations__:
            head["camera"] = camera
        return plain(**head)
    except (ValueError, TypeError, KeyError, AttributeError, HarError) as error:
        raise MessageError(f"camera {camera} sent no message: {type(error).__name__}") from None


def encode_spec(spec: CameraSpec) -> bytes:
    """Write a camera's spec as bytes."""
    return json.dumps(asdict(spec)).encode()


def decode_spec(data: bytes) -> CameraSpec:
    """Read a camera's spec; it comes from the main process and is trusted."""
    values = json.loads(data)
    return CameraSpec(**{**values, "limits": LiveLimits(**values["limits"])})


def _join(head: dict[str, Any], joints: bytes) -> bytes:
    return json.dumps(head).encode() + b"\0" + joints


def _poses(head: dict[str, Any], blob: bytes, camera: str) -> PoseFrame:
    covers = head.pop("covers", None)
    n_people = len(covers) if covers is not None else len(blob) // _BODY_BYTES
    if n_people > MAX_PEOPLE:
        raise ValueError("too many people")
    joints, rest = (blob, b"") if covers is None else (blob[: n_people * _BODY_BYTES], blob[n_people * _BODY_BYTES :])
    bodies = np.frombuffer(joints, dtype="<f4").reshape(-1, _N_JOINTS, 3)
    _check_fields(head, PoseFrame.__annotations__)
    shapes = _silhouettes(covers or [None] * n_people, rest)
    poses = tuple(
        Pose(xy=body[:, :2].copy(), score=body[:, 2].copy(), layout=_LAYOUT, silhouette=shape)
        for body, shape in zip(bodies, shapes, strict=True)
    )
    return PoseFrame(camera=camera, poses=poses, **head)


def _silhouettes(covers: list[Any], blob: bytes) -> list[Silhouette | None]:
    """Read silhouettes: for each its box, then its cells."""
    shapes = list[Silhouette | None]()
    for cover in covers:
        if cover is None:
            shapes.append(None)
            continue
        rows, columns = cover
        if not (type(rows) is int and type(columns) is int and rows > 0 and columns > 0):
            raise ValueError("no such cover")
        size = rows * columns
        if size > MAX_CELLS or len(blob) < _BOX_BYTES + size:
            raise ValueError("a cover does not fit")
        box, cells = np.frombuffer(blob[:_BOX_BYTES], dtype="<f4"), blob[_BOX_BYTES : _BOX_BYTES + size]
        if not np.isfinite(box).all():
            raise ValueError("a box is not finite")
        shapes.append(Silhouette(box.copy(), np.frombuffer(cells, dtype=np.uint8).reshape(rows, columns).copy()))
        blob = blob[_BOX_BYTES + size :]
    if blob:
        raise ValueError("more than the covers say")
    return shapes


def _check_fields(values: dict[str, Any], annotations: dict[str, str]) -> None:
    for name, value in values.items():
        wanted = _FIELD_TYPES[annotations[name]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ValueError(f"{name} is no {annotations[name]}")
        if annotations[name] == "CameraState" and value not in ("online", "degraded", "offline"):
            raise ValueError("no such state")
        if isinstance(value, float) and not np.isfinite(value):
            raise ValueError(f"{name} is not finite")
