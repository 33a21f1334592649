"""What the risk model looks at: one body's heights, angles, speeds and losses in a window, whatever its size.

Lengths are in body lengths, so that neither the picture's size nor the person's matters, and the features also say
"the pose was lost": a third of real falls show almost no pose on the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphs.layouts import LAYOUTS
from har.errors import ShapeError
from har.models.quantiles import median, quantile
from har.records import SEEN_SCORE, FloatArray

Array = npt.NDArray[np.float64]

RISK_WINDOW_S = 2.5
"""Length of the window of the features: a whole fall (0.5 to 1.4 s on real video) and what was before it."""

MIN_HISTORY_S = 1.0
"""Shortest time in view before the risk model has a say."""

_START_S = 0.8
_END_S = 0.6
_SPEED_OVER_S = 0.4
# A trunk farther than this from upright, at the start, is that of somebody who lies: a fall out of bed drops, too.
_LEVEL_FROM = 0.2
_TORSO_PER_BODY = 3.0  # nose-to-ankle length over shoulder-hip length of an upright adult (Drillis & Contini 1966)

FEATURES = (
    "trunk angle at the start", "trunk angle at the end", "trunk angle change", "trunk angle speed",
    "hip drop", "shoulder drop", "head drop", "hip drop speed", "shoulder drop speed", "head drop speed",
    "box aspect at the start", "box aspect at the end", "box height at the start", "box height at the end",
    "box height ratio", "trunk rise at the start", "trunk rise at the end", "leg rise at the start",
    "leg rise at the end", "head over hips at the end", "hips over lowest point at the end", "movement at the end",
    "found share", "found share at the end", "score at the start", "score at the end", "drop while lost",
    "lowest point drop", "trunk length ratio", "side edge touched at the end", "lower edge touched at the end",
    "sideways speed", "hip drop while level", "hip drop speed while level",
)  # fmt: skip
"""Names of the features, in their order. Lengths are in body lengths, angles in half turns, times in seconds.

New ones are added at the end; a model looks at those that it was fitted on.
"""

_JOINT = {name: i for i, name in enumerate(LAYOUTS["coco17"].joints)}
_HEAD = [_JOINT[n] for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
_SHOULDERS = [_JOINT["left_shoulder"], _JOINT["right_shoulder"]]
_HIPS = [_JOINT["left_hip"], _JOINT["right_hip"]]
_KNEES = [_JOINT["left_knee"], _JOINT["right_knee"]]
_ANKLES = [_JOINT["left_ankle"], _JOINT["right_ankle"]]


def pick_columns(features: Array, wanted: tuple[str, ...], *, among: tuple[str, ...]) -> Array:
    """Give the columns that a model was fitted on of features (..., F) with the names `among`, in its order."""
    return features if wanted == among else features[..., [among.index(name) for name in wanted]]


@dataclass(frozen=True, slots=True, eq=False)
class BodyTrace:
    """The few lengths and angles a body's fall shows in, frame by frame; NaN where nothing is known.

    Attributes:
        found: (T,) bool: a pose is there.
        hip: (T, 2) middle of the hips, pixels.
        shoulder: (T, 2) middle of the shoulders, pixels.
        head: (T, 2) middle of the head's joints, pixels.
        foot: (T, 2) middle of the ankles, or of the knees where those are not seen, pixels.
        box: (T, 4) x0, y0, x1, y1 of the joints seen, pixels.
        trunk_angle: (T,) angle of the trunk from upright, half turns: 0 upright, 0.5 level, 1 upside down.
        score: (T,) mean joint score.
        body_px: length of the upright body, pixels.
        rate_hz: frames per second.
    """

    found: npt.NDArray[np.bool_]
    hip: Array
    shoulder: Array
    head: Array
    foot: Array
    box: Array
    trunk_angle: Array
    score: Array
    body_px: float
    rate_hz: float


def trace_body(joints: FloatArray, *, rate_hz: float) -> BodyTrace | None:
    """Reduce a window to its body trace.

    Args:
        joints: (T, 17, 3) COCO-17 x, y in pixels and score, NaN where nothing is known.
        rate_hz: frames per second.

    Returns:
        None if no frame holds a pose with a body.

    Raises:
        ShapeError: joints is not (T, 17, 3).
    """
    if joints.ndim != 3 or joints.shape[1:] != (17, 3):
        raise ShapeError(f"the risk features need COCO-17 windows (T, 17, 3), got {joints.shape}.")
    xy = joints[..., :2].astype(np.float64)
    score = np.nan_to_num(joints[..., 2].astype(np.float64))
    seen = (score >= SEEN_SCORE) & np.isfinite(xy).all(axis=-1)
    xy = np.where(seen[..., None], xy, np.nan)
    hip, shoulder = _middle(xy, _HIPS), _middle(xy, _SHOULDERS)
    ankle = _middle(xy, _ANKLES)
    foot = np.where(np.isfinite(ankle), ankle, _middle(xy, _KNEES))
    found = (seen.sum(axis=1) >= 6) & (np.isfinite(hip).all(axis=1) | np.isfinite(shoulder).all(axis=1))
    if not found.any():
        return None
    low = np.where(seen[..., None], xy, np.inf).min(axis=1)
    high = np.where(seen[..., None], xy, -np.inf).max(axis=1)
    box = np.where(found[:, None], np.concatenate([low, high], axis=1), np.nan)
    trunk = shoulder - hip
    angle = np.abs(np.arctan2(trunk[:, 0], -trunk[:, 1])) / np.pi
    sides = (box[:, 2:] - box[:, :2])[found].max(axis=1)
    lengths = np.hypot(trunk[:, 0], trunk[:, 1])[found]
    lengths = lengths[np.isfinite(lengths)]
    by_trunk = _TORSO_PER_BODY * quantile(lengths, 0.8) if lengths.size else 0.0
    body_px = max(quantile(sides, 0.9), by_trunk, 1.0)
    return BodyTrace(found, hip, shoulder, _middle(xy, _HEAD), foot, box, angle, score.mean(axis=1), body_px, rate_hz)


def risk_features(joints: FloatArray, *, rate_hz: float, width_px: int, height_px: int) -> Array | None:
    """Compute the features of one window, newest frame last.

    Args:
        joints: (T, 17, 3) COCO-17 x, y in pixels and score, NaN where nothing is known.
        rate_hz: frames per second.
        width_px: width of the picture.
        height_px: its height.

    Returns:
        (F,) float64, finite, in the order of `FEATURES`; None if the person came into view under a second ago.

    Raises:
        ShapeError: joints is not (T, 17, 3).
    """
    body = trace_body(joints, rate_hz=rate_hz)
    return None if body is None else body_features(body, width_px=width_px, height_px=height_px)


def body_features(body: BodyTrace, *, width_px: int, height_px: int) -> Array | None:
    """Compute the features of one window from its body trace; otherwise as `risk_features`."""
    if len(body.found) - int(np.flatnonzero(body.found)[0]) < round(MIN_HISTORY_S * body.rate_hz):
        return None
    start, end = _ends(body)
    values = _posture(body, start, end) | _motion(body, start, end) | _evidence(body, start, end, width_px, height_px)
    level = max(values["trunk angle at the start"] - _LEVEL_FROM, 0.0)
    values["hip drop while level"] = min(max(values["hip drop"], 0.0), 1.0) * level
    values["hip drop speed while level"] = min(max(values["hip drop speed"], 0.0), 3.0) * level
    row: Array = np.array([values[name] for name in FEATURES], dtype=np.float64)
    return np.nan_to_num(row, nan=0.0, posinf=5.0, neginf=-5.0)


def _middle(xy: Array, joints: Sequence[int]) -> Array:
    """Mean of the joints seen, (T, 2); NaN where none is."""
    part = xy[:, joints]
    count = np.isfinite(part[..., 0]).sum(axis=1)
    total = np.where(np.isfinite(part), part, 0.0).sum(axis=1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


def _ends(body: BodyTrace) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Masks of the frames with a pose at the start and at the end.

    A person who came into view within the window starts with the first pose (the first third of what there is); a
    person lost at the end ends with the last poses there were.
    """
    n, first = len(body.found), int(np.flatnonzero(body.found)[0])
    start, end = np.zeros(n, bool), np.zeros(n, bool)
    start[first : first + min(round(_START_S * body.rate_hz), max((n - first) // 3, 1))] = True
    end[n - round(_END_S * body.rate_hz) :] = True
    start &= body.found
    end &= body.found
    if not end.any():
        end[np.flatnonzero(body.found)[-3:]] = True
    return start, end


def _median(values: Array, mask: npt.NDArray[np.bool_]) -> float:
    """Median of the known values under a mask; NaN if there are none."""
    known = values[mask]
    known = known[np.isfinite(known)]
    return median(known) if known.size else float("nan")


def _posture(body: BodyTrace, start: npt.NDArray[np.bool_], end: npt.NDArray[np.bool_]) -> dict[str, float]:
    size = body.body_px
    width, height = body.box[:, 2] - body.box[:, 0], body.box[:, 3] - body.box[:, 1]
    aspect = np.log(np.maximum(width, 1.0) / np.maximum(height, 1.0))
    trunk_rise = (body.hip[:, 1] - body.shoulder[:, 1]) / size
    leg_rise = (body.foot[:, 1] - body.hip[:, 1]) / size
    height_start, height_end = _median(height, start) / size, _median(height, end) / size
    angle_start, angle_end = _median(body.trunk_angle, start), _median(body.trunk_angle, end)
    return {
        "trunk angle at the start": angle_start,
        "trunk angle at the end": angle_end,
        "trunk angle change": angle_end - angle_start,
        "box aspect at the start": _median(aspect, start),
        "box aspect at the end": _median(aspect, end),
        "box height at the start": height_start,
        "box height at the end": height_end,
        "box height ratio": height_end / max(height_start, 0.05),
        "trunk rise at the start": _median(trunk_rise, start),
        "trunk rise at the end": _median(trunk_rise, end),
        "leg rise at the start": _median(leg_rise, start),
        "leg rise at the end": _median(leg_rise, end),
        "head over hips at the end": _median((body.hip[:, 1] - body.head[:, 1]) / size, end),
        "hips over lowest point at the end": _median((body.box[:, 3] - body.hip[:, 1]) / size, end),
    }


def _motion(body: BodyTrace, start: npt.NDArray[np.bool_], end: npt.NDArray[np.bool_]) -> dict[str, float]:
    size = body.body_px
    step = max(round(_SPEED_OVER_S * body.rate_hz), 1)
    seconds = step / body.rate_hz

    def drop(line: Array) -> float:
        return (_median(line, end) - _median(line, start)) / size

    def top_speed(line: Array) -> float:
        change = line[step:] - line[:-step]
        change = change[np.isfinite(change)]
        return quantile(change, 0.95) / seconds if change.size else float("nan")

    late = body.hip[-max(round(_END_S * body.rate_hz), 2) :]
    moved = np.hypot(*np.diff(late, axis=0).T) * body.rate_hz / size
    moved = moved[np.isfinite(moved)]
    return {
        "trunk angle speed": top_speed(body.trunk_angle),
        "hip drop": drop(body.hip[:, 1]),
        "shoulder drop": drop(body.shoulder[:, 1]),
        "head drop": drop(body.head[:, 1]),
        "hip drop speed": top_speed(body.hip[:, 1]) / size,
        "shoulder drop speed": top_speed(body.shoulder[:, 1]) / size,
        "head drop speed": top_speed(body.head[:, 1]) / size,
        "movement at the end": float(moved.mean()) if moved.size else 0.0,
        "lowest point drop": drop(body.box[:, 3]),
        "sideways speed": abs(drop(body.hip[:, 0])),
    }


def _evidence(
    body: BodyTrace, start: npt.NDArray[np.bool_], end: npt.NDArray[np.bool_], width_px: int, height_px: int
) -> dict[str, float]:
    late = np.zeros(len(body.found), bool)
    late[len(late) - round(_END_S * body.rate_hz) :] = True
    found_end = float(body.found[late].mean())
    shoulder_drop = (_median(body.shoulder[:, 1], end) - _median(body.shoulder[:, 1], start)) / body.body_px
    trunk = np.hypot(*(body.shoulder - body.hip).T)
    box = body.box[end]
    side = (box[:, 0] < 0.02 * width_px) | (box[:, 2] > 0.98 * width_px)
    return {
        "found share": float(body.found[int(np.flatnonzero(body.found)[0]) :].mean()),
        "found share at the end": found_end,
        "score at the start": _median(body.score, start),
        "score at the end": _median(body.score, end),
        "drop while lost": max(shoulder_drop if np.isfinite(shoulder_drop) else 0.0, 0.0) * (1.0 - found_end),
        "trunk length ratio": _median(trunk, end) / max(_median(trunk, start), 1.0),
        "side edge touched at the end": float(side.mean()),
        "lower edge touched at the end": float((box[:, 3] > 0.98 * height_px).mean()),
    }
