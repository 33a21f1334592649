"""A person's poses on an even time grid, and in a frame of reference that no camera or image size changes."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from graphs.adjacency import hop_distance
from graphs.layouts import LAYOUTS, Layout
from har.clips import TimeArray
from har.errors import ShapeError
from har.records import FloatArray

MAX_GAP_S = 0.5
"""Longest hole to fill: a limb moves about one limb's length in that time; across more the line would be invented."""
CLOCK_ERROR_S = 1e-6  # sums of float steps; times nearer than this are the same time
MIN_POSE_JOINTS = 6
"""Fewer joints than these are no pose to judge an action from (the face alone has five)."""
FRAME_MARGIN = 0.15
"""How far, in widths or heights, an estimator may put a joint outside the picture; further out it is guessing."""
ORIGIN_FRAMES = 3
LENGTH_QUANTILE = 0.8
TORSO_OF_BOX = 0.3
"""Shoulder to hip as a share of the longer side of the joints' box, standing (0.52 m of 1.6 m, nose to ankle)."""
MAX_HOPS = 1000
MAX_COORDINATE = 10.0
"""In trunk lengths; further away than that is an error of the estimator."""


def resample(
    time_s: TimeArray,
    joints: FloatArray,
    *,
    rate_hz: float,
    end_s: float,
    n_frames: int,
    max_gap_s: float = MAX_GAP_S,
    width_px: int | None = None,
    height_px: int | None = None,
) -> FloatArray:
    """Put one person's joints on an even time grid that ends at `end_s`, filling short gaps.

    Each joint is interpolated by itself on a straight line between the frames that saw it, if these are at most
    `max_gap_s` apart. A grid time with a sighting on one side only takes it if it is at most half a grid step away.
    Nothing later than `end_s` is read.

    Args:
        time_s: (T,) capture times, seconds, rising.
        joints: (T, V, 3) x, y, score; a joint with NaN or with a score of 0 was not seen.
        rate_hz: frames per second of the grid.
        end_s: time of the grid's last frame, on the same clock as `time_s`.
        n_frames: length of the grid.
        max_gap_s: longest hole to fill.
        width_px: width of the picture, to drop joints far outside; not checked if None.
        height_px: its height.

    Returns:
        (n_frames, V, 3) float32; where nothing is known, x and y are NaN and the score is 0.

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    if joints.ndim != 3 or joints.shape[2] != 3 or time_s.shape != joints.shape[:1]:
        raise ShapeError(f"expected time_s (T,) and joints (T, V, 3), got {time_s.shape} and {joints.shape}.")
    half_step_s = 0.5 / rate_hz
    first_s = end_s - (n_frames - 1) / rate_hz
    begin = int(np.searchsorted(time_s, first_s - max(max_gap_s, half_step_s), side="left"))
    stop = int(np.searchsorted(time_s, end_s + CLOCK_ERROR_S, side="right"))
    grid_s = first_s + np.arange(n_frames) / rate_hz
    grid_s[-1] = end_s
    if begin == stop:
        return _nothing(n_frames, joints.shape[1])
    time_s = time_s[begin:stop]
    joints = clean(joints[begin:stop], width_px=width_px, height_px=height_px)
    return _interpolate(time_s, joints, grid_s, max_gap_s=max_gap_s, half_step_s=half_step_s)


def _nothing(n_frames: int, n_joints: int) -> FloatArray:
    empty = np.full((n_frames, n_joints, 3), np.nan, dtype=np.float32)
    empty[..., 2] = 0
    return empty


def clean(joints: FloatArray, *, width_px: int | None = None, height_px: int | None = None) -> FloatArray:
    """Give joints in which everything not really seen is NaN with a score of 0.

    Not seen are joints with NaN or a score of 0, joints far outside the picture, and whole poses squeezed into a point
    or a line.

    Args:
        joints: (..., V, 3) x, y, score.
        width_px: width of the picture; not checked if None.
        height_px: its height.
    """
    x, y, score = joints[..., 0], joints[..., 1], joints[..., 2]
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(x) & np.isfinite(y) & (score > 0)
        if width_px is not None:
            seen &= np.abs(x - width_px / 2) <= width_px * (0.5 + FRAME_MARGIN)
        if height_px is not None:
            seen &= np.abs(y - height_px / 2) <= height_px * (0.5 + FRAME_MARGIN)
    _, sides = _boxes(joints, seen)
    flat = (sides.min(axis=-1) <= 0) & (seen.sum(axis=-1) >= 2)
    seen &= ~flat[..., None]
    cleaned = np.where(seen[..., None], joints, np.float32(np.nan)).astype(np.float32, copy=False)
    cleaned[..., 2] = np.where(seen, score, 0)
    return cleaned


def _boxes(joints: FloatArray, seen: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Give the centres and the side lengths (..., 2) of the boxes round the joints seen; zeros where there are none."""
    xy = joints[..., :2]
    low = np.where(seen[..., None], xy, np.float32(np.inf)).min(axis=-2)
    high = np.where(seen[..., None], xy, np.float32(-np.inf)).max(axis=-2)
    empty = ~seen.any(axis=-1)
    low[empty], high[empty] = 0, 0
    return (low + high) / 2, high - low


def _interpolate(
    time_s: TimeArray, joints: FloatArray, grid_s: TimeArray, *, max_gap_s: float, half_step_s: float
) -> FloatArray:
    n_given = len(time_s)
    seen = joints[..., 2] > 0  # (T, V)
    index = np.arange(n_given)[:, None]
    last_seen = np.maximum.accumulate(np.where(seen, index, -1), axis=0)
    next_seen = np.minimum.accumulate(np.where(seen, index, n_given)[::-1], axis=0)[::-1]
    at_or_before = np.searchsorted(time_s, grid_s + CLOCK_ERROR_S, side="right") - 1  # (n,), -1 before the first frame
    at_or_after = np.searchsorted(time_s, grid_s - CLOCK_ERROR_S, side="left")  # (n,), T after the last frame
    before = np.where(at_or_before[:, None] >= 0, last_seen[at_or_before], -1)  # (n, V)
    after = np.where(at_or_after[:, None] < n_given, next_seen[np.minimum(at_or_after, n_given - 1)], n_given)
    before_s = np.where(before >= 0, time_s[before], -np.inf)
    after_s = np.where(after < n_given, time_s[np.minimum(after, n_given - 1)], np.inf)

    span_s = after_s - before_s
    filled = span_s <= max_gap_s
    share = np.zeros(before.shape)
    np.divide(grid_s[:, None] - before_s, span_s, out=share, where=filled & (span_s > 0))
    np.clip(share, 0, 1, out=share)
    near_before = ~filled & (grid_s[:, None] - before_s <= half_step_s)
    near_after = ~filled & ~near_before & (after_s - grid_s[:, None] <= half_step_s)
    share[near_after] = 1
    known = filled | near_before | near_after

    joint = np.arange(joints.shape[1])
    left = joints[np.where(near_after, after, before).clip(0, n_given - 1), joint]  # (n, V, 3)
    right = joints[np.where(near_before, before, after).clip(0, n_given - 1), joint]
    grid = left + (right - left) * share[..., None].astype(np.float32)
    empty = _nothing(len(grid_s), joints.shape[1])
    return np.where(known[..., None], grid, empty)


def pose_share(joints: FloatArray) -> npt.NDArray[np.float64]:
    """Give the share of frames (...,) of (..., T, V, 3) in which enough joints were seen to judge an action."""
    seen = np.isfinite(joints[..., 0]) & (joints[..., 2] > 0)
    share: npt.NDArray[np.float64] = (seen.sum(axis=-1) >= MIN_POSE_JOINTS).mean(axis=-1)
    return share


def normalise(joints: FloatArray, *, layout: str = "coco17") -> FloatArray:
    """Put windows into a frame of reference of their own: where the person began, in lengths of their trunk.

    One origin (the middle of the hips in the first frames that saw them) and ONE scale (the trunk's length, seen
    nearly at its longest) for the whole window, so that walking stays a movement and a fall a drop of y. The scale is
    the 0.8 quantile over the frames of the longer of shoulder-to-hip and 0.3 of the box's longer side: a trunk
    foreshortened on the ground counts by the frames that saw it upright, or by the legs.

    A joint that was not seen stays where it was seen last (at first, where it is seen first); one that the window
    never saw goes with the nearest joint of the body. Its score of 0 tells. (Zeros would put hidden feet into the hips,
    so far out that the network's input norm could not tell small movements of the others any more.)

    Args:
        joints: (..., T, V, 3) x, y, score, y down; NaN or score 0 where not seen.
        layout: their joint layout.

    Returns:
        (..., T, V, 3) float32, finite: x, y in trunk lengths, y down; score in [0, 1], 0 where not seen. All zeros
        where a window saw nothing.
    """
    score = np.nan_to_num(joints[..., 2], nan=0.0, posinf=0.0, neginf=0.0)
    seen = np.isfinite(joints[..., 0]) & np.isfinite(joints[..., 1]) & (score > 0)
    xy = np.where(seen[..., None], joints[..., :2], np.float32(0))
    shape = LAYOUTS[layout]
    hips, hips_seen = _middle(xy, seen, list(shape.centre))
    centre, sides = _boxes(joints, seen)
    origin = _first(hips, hips_seen)
    never = np.asarray(~hips_seen.any(axis=-1))
    if never.any():
        origin = np.where(never[..., None], _first(centre, np.asarray(seen.any(axis=-1))), origin)
    length = _body_length(xy, seen, hips, hips_seen, sides, shape)

    usable = (length > 0)[..., None, None]
    safe = np.where(length > 0, length, np.float32(1))
    centred = (_fill(xy, seen, layout) - origin[..., None, None, :]) / safe[..., None, None, None]
    result = np.zeros(joints.shape, dtype=np.float32)
    np.clip(centred, -MAX_COORDINATE, MAX_COORDINATE, out=result[..., :2], where=usable[..., None])
    np.clip(score, 0, 1, out=result[..., 2], where=usable & seen)
    return result


@cache
def _hops(layout: str) -> npt.NDArray[np.int64]:
    return hop_distance(layout)


def _fill(xy: FloatArray, seen: npt.NDArray[np.bool_], layout: str) -> FloatArray:
    """Give every joint (..., T, V, 2) a place: where it was last, or that of the nearest joint the window saw."""
    if seen.all():
        return xy
    frame = np.arange(seen.shape[-2])[:, None]
    last = np.maximum.accumulate(np.where(seen, frame, -1), axis=-2)
    source = np.where(last >= 0, last, seen.argmax(axis=-2)[..., None, :])  # (..., T, V)
    held = np.take_along_axis(xy, source[..., None], axis=-3)
    ever = np.asarray(seen.any(axis=-2))  # (..., V)
    if ever.all():
        return held
    nearest = np.where(ever[..., None, :], _hops(layout), MAX_HOPS).argmin(axis=-1)  # (..., V)
    return np.take_along_axis(held, nearest[..., None, :, None], axis=-2)


def _middle(xy: FloatArray, seen: npt.NDArray[np.bool_], joints: list[int]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Give the mean (..., T, 2) of those of the joints that were seen, and where there were any."""
    chosen = seen[..., joints]
    count = chosen.sum(axis=-1)
    mean = xy[..., joints, :].sum(axis=-2) / np.maximum(count, 1)[..., None]
    return mean.astype(np.float32), count > 0


def _first(points: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Give the mean (..., 2) of the first points (..., T, 2) that were seen."""
    taken = seen & (np.cumsum(seen, axis=-1) <= ORIGIN_FRAMES)
    total = (points * taken[..., None]).sum(axis=-2)
    mean: FloatArray = (total / np.maximum(taken.sum(axis=-1), 1)[..., None]).astype(np.float32)
    return mean


def _body_length(
    xy: FloatArray,
    seen: npt.NDArray[np.bool_],
    hips: FloatArray,
    hips_seen: npt.NDArray[np.bool_],
    sides: FloatArray,
    layout: Layout,
) -> FloatArray:
    """Give the length (...,) of the trunk over a window; 0 where nothing was seen."""
    shoulders = [index for pair in layout.pairs if "shoulder" in layout.joints[pair[0]] for index in pair]
    necks, necks_seen = _middle(xy, seen, shoulders)
    trunk = np.where(necks_seen & hips_seen, np.hypot(*np.moveaxis(necks - hips, -1, 0)), 0)
    per_frame = np.maximum(trunk, TORSO_OF_BOX * sides.max(axis=-1))  # (..., T)
    known = (seen.sum(axis=-1) >= MIN_POSE_JOINTS) & (per_frame > 0)
    some = known.any(axis=-1, keepdims=True)
    known = np.where(some, known, per_frame > 0)  # a face alone is better than nothing
    ordered = np.sort(np.where(known, per_frame, np.inf), axis=-1)  # unknown frames last
    rank = (LENGTH_QUANTILE * np.maximum(known.sum(axis=-1) - 1, 0)).astype(np.intp)
    length = np.take_along_axis(ordered, rank[..., None], axis=-1)[..., 0]
    return np.where(np.isfinite(length), length, 0).astype(np.float32)
