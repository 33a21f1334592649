"""The values that travel between rooms: frozen, self-checking, with shapes, units and axes written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from graphs.layouts import LAYOUTS
from har.errors import ShapeError

FloatArray: TypeAlias = npt.NDArray[np.float32]
ImageArray: TypeAlias = npt.NDArray[np.uint8]

Phase: TypeAlias = Literal["new", "update", "end"]
DangerKind: TypeAlias = Literal["fall", "floor", "risk"]
AlertKind: TypeAlias = Literal["fall", "floor", "risk", "technical"]
AlertState: TypeAlias = Literal["raised", "delivered", "acknowledged", "confirmed", "rejected", "closed"]
Change: TypeAlias = Literal["state", "kind", "timer"]
Priority: TypeAlias = Literal["low", "medium", "high"]
CameraState: TypeAlias = Literal["online", "degraded", "offline"]

SEEN_SCORE = 0.2
"""A joint with a lower score does not count as seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera.

    Attributes:
        image: (H, W, 3) uint8, RGB, top row first.
        time_s: capture time, seconds since the Unix epoch.
        source_time_s: presentation time in the stream (its pts), seconds; for a file, from its beginning.
        camera: the camera's name.
    """

    image: ImageArray
    time_s: float
    source_time_s: float
    camera: str

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ShapeError(
                f"a frame's image must be (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}. "
                "Convert the picture to 24-bit RGB before making a Frame."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Silhouette:
    """Which part of a frame one person fills: a shape over their box, no picture.

    Attributes:
        box: (4,) float32 left, top, right, bottom, pixels.
        cover: (R, C) uint8: how likely each cell of the box is of this person, 255 for certain.
    """

    box: FloatArray
    cover: ImageArray

    def __post_init__(self) -> None:
        if self.box.shape != (4,) or self.cover.ndim != 2 or self.cover.dtype != np.uint8 or not self.cover.size:
            raise ShapeError(
                f"a silhouette needs a box (4,) and a cover (R, C) uint8, got {self.box.shape}, {self.cover.shape} "
                f"{self.cover.dtype}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """One person's joints in one frame.

    Attributes:
        xy: (V, 2) float32, pixels, origin top left, y down; NaN where nothing is known.
        score: (V,) float32 in [0, 1]; 0 means "not seen".
        layout: joint layout, a key of `graphs.LAYOUTS`, e.g. "coco17".
        silhouette: the person's shape, from an estimator that gives it and was asked for it.

    Raises:
        ShapeError: xy or score does not fit the layout.
    """

    xy: FloatArray
    score: FloatArray
    layout: str = "coco17"
    silhouette: Silhouette | None = None

    def __post_init__(self) -> None:
        n_joints = LAYOUTS[self.layout].n_joints
        if self.xy.shape != (n_joints, 2) or self.score.shape != (n_joints,):
            raise ShapeError(
                f"layout {self.layout!r} has {n_joints} joints: expected xy ({n_joints}, 2) and score ({n_joints},), "
                f"got {self.xy.shape} and {self.score.shape}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class PoseFrame:
    """Everybody seen in one frame: what crosses the line from a camera's process to the main one. No pixels.

    Attributes:
        camera: the camera's name.
        time_s: capture time, seconds since the Unix epoch.
        source_time_s: pts, seconds.
        width_px: width of the frame the poses were found in.
        height_px: its height.
        poses: everybody found, in no particular order; may be empty.
    """

    camera: str
    time_s: float
    source_time_s: float
    width_px: int
    height_px: int
    poses: tuple[Pose, ...] = field(default=())


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One person's joints on an even time grid.

    Attributes:
        joints: (T, V, 3) float32: x, y in pixels and score; NaN x, y where nothing is known.
        rate_hz: frames per second of the grid.
        end_s: capture time of the last frame, seconds since the Unix epoch.
        person: track id.
        layout: joint layout, a key of `graphs.LAYOUTS`.
    """

    joints: FloatArray
    rate_hz: float
    end_s: float
    person: int
    layout: str = "coco17"

    def __post_init__(self) -> None:
        n_joints = LAYOUTS[self.layout].n_joints
        if self.joints.ndim != 3 or self.joints.shape[1:] != (n_joints, 3):
            raise ShapeError(f"a window of {self.layout!r} must be (T, {n_joints}, 3), got {self.joints.shape}.")


@dataclass(frozen=True, slots=True)
class Posture:
    """How one person holds their body now, as far as the picture tells.

    Rises are in body lengths of that person, angles in half turns (0 upright, 0.5 level).

    Attributes:
        time_s: capture time, Unix seconds.
        found: a pose was there within the last half second; if not, the rest is the last that was known.
        trunk_angle: angle of the trunk from upright.
        aspect: width over height of the box round the joints.
        shoulder_y: height of the shoulders in the picture, pixels from its upper edge, downwards.
        hip_y: height of the hips, likewise.
        head_rise: head over the lowest point seen.
        hip_rise: hips over the lowest point seen.
        place: (x, y) middle of the hips (or shoulders), pixels.
        body_px: length of the upright body, pixels.
        at_edge: the box touches the left, right or upper edge.
        whole: head and hips were both seen; if not, the rise of the one that was not is 1.
    """

    time_s: float
    found: bool
    trunk_angle: float
    aspect: float
    shoulder_y: float
    hip_y: float
    head_rise: float
    hip_rise: float
    place: tuple[float, float]
    body_px: float
    at_edge: bool
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Stance:
    """How high a body is in the picture, in pixels from its upper edge, downwards.

    Attributes:
        shoulder_y: of the shoulders.
        hip_y: of the hips.
    """

    shoulder_y: float
    hip_y: float


@dataclass(frozen=True, slots=True)
class Risk:
    """What the risk model says of one window.

    Attributes:
        probability: calibrated probability that the window holds the beginning of danger.
        kind: "fall" where the way down was seen, "risk" where the pose was lost on the way.
        reason: why, in words.
        before: how high the body was before: what "still down" is held against.
    """

    probability: float
    kind: DangerKind
    reason: str
    before: Stance


@dataclass(frozen=True, slots=True)
class ActionScores:
    """What the action model says of one window.

    Attributes:
        label: the best label, or "unknown" if its probability is below `unknown_below`.
        score: the probability of the best label, in [0, 1].
        top: the best labels with their probabilities, best first.
        unknown_below: the probability under which no label is named; 0 where one always is.
    """

    label: str
    score: float
    top: tuple[tuple[str, float], ...]
    unknown_below: float = 0.0


@dataclass(frozen=True, slots=True)
class ActionEvent:
    """A person's action label changed.

    Attributes:
        camera: the camera's name.
        person: track id, unique per camera and run.
        label: the new label; "unknown" where the model is not sure enough of any.
        score: its probability; that of the best label where it is "unknown".
        top: the best labels with their probabilities, best first.
        since_s: when this label began, Unix seconds.
        time_s: capture time of the frame that decided it, Unix seconds.
        source_time_s: the same frame's pts, seconds.
        model: "name@sha", the bundle that said so.
    """

    camera: str
    person: int
    label: str
    score: float
    top: tuple[tuple[str, float], ...]
    since_s: float
    time_s: float
    source_time_s: float
    model: str


@dataclass(frozen=True, slots=True)
class DangerEvent:
    """A suspicion of danger began, changed or ended; sent at once, a weak one only when it becomes an alert.

    Attributes:
        camera: the camera's name.
        person: track id.
        phase: "new", "update" or "end".
        kind: "fall" (seen), "risk" (suspected) or "floor" (long on the floor).
        probability: calibrated probability of danger in [0, 1].
        reason: why, in words a carer understands.
        since_s: when the danger began, Unix seconds.
        time_s: capture time, Unix seconds.
        source_time_s: pts, seconds.
        model: "name@sha".
        alert: id of the alert raised from it; None until then.
    """

    camera: str
    person: int
    phase: Phase
    kind: DangerKind
    probability: float
    reason: str
    since_s: float
    time_s: float
    source_time_s: float
    model: str
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One change in the life of an alert (DESIGN, section 6).

    Attributes:
        alert: the alert's id, the same for its whole life (a UUID).
        state: where it is in its life; here always "raised" or "closed".
        change: what changed: "state" (sent once per state), "kind" or "timer".
        kind: "fall", "risk", "floor" or "technical".
        priority: "low", "medium" or "high".
        camera: the camera's name.
        person: track id; None for a technical alert.
        since_s: when the danger began, Unix seconds.
        time_s: capture time, Unix seconds.
        source_time_s: pts, seconds.
        floor_s: seconds on the floor so far.
        probability: highest probability of danger so far.
        reason: why, in words.
        model: "name@sha".
        change_reason: why this change, where it is not the usual one: "source_ended", "camera_lost", "expired".
    """

    alert: str
    state: AlertState
    change: Change
    kind: AlertKind
    priority: Priority
    camera: str
    person: int | None
    since_s: float
    time_s: float
    source_time_s: float
    floor_s: float
    probability: float
    reason: str
    model: str
    change_reason: str | None = None


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """The state of one camera.

    Attributes:
        camera: the camera's name.
        state: "online", "degraded" or "offline".
        fps: analysed frames per second over the last seconds.
        reason: why, in words; empty when online. Never holds credentials.
        time_s: Unix seconds.
    """

    camera: str
    state: CameraState
    fps: float
    reason: str
    time_s: float


Event: TypeAlias = ActionEvent | DangerEvent | AlertEvent | CameraStatus
