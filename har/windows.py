"""A person's poses on an even time grid, and in a frame of reference that no camera or image size changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from graphs.adjacency import hop_distance
from graphs.layouts import Layout
from graphs.layouts import layout as layout_of
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
        joints: (T, V, D + 1) coordinates (x, y or x, y, z) and score; a joint with NaN or with a score of 0 was not
            seen.
        rate_hz: frames per second of the grid.
        end_s: time of the grid's last frame, on the same clock as `time_s`.
        n_frames: length of the grid.
        max_gap_s: longest hole to fill.
        width_px: width of the picture, to drop joints far outside; not checked if None.
        height_px: its height.

    Returns:
        (n_frames, V, D + 1) float32; where nothing is known, the coordinates are NaN and the score is 0.

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    if joints.ndim != 3 or joints.shape[2] not in (3, 4) or time_s.shape != joints.shape[:1]:
        raise ShapeError(f"expected time_s (T,) and joints (T, V, 3 or 4), got {time_s.shape} and {joints.shape}.")
    half_step_s = 0.5 / rate_hz
    first_s = end_s - (n_frames - 1) / rate_hz
    begin = int(np.searchsorted(time_s, first_s - max(max_gap_s, half_step_s), side="left"))
    stop = int(np.searchsorted(time_s, end_s + CLOCK_ERROR_S, side="right"))
    grid_s = first_s + np.arange(n_frames) / rate_hz
    grid_s[-1] = end_s
    if begin == stop:
        return _nothing(n_frames, *joints.shape[1:])
    time_s = time_s[begin:stop]
    joints = clean(joints[begin:stop], width_px=width_px, height_px=height_px)
    return _interpolate(time_s, joints, grid_s, max_gap_s=max_gap_s, half_step_s=half_step_s)


def _nothing(n_frames: int, n_joints: int, n_channels: int) -> FloatArray:
    empty = np.full((n_frames, n_joints, n_channels), np.nan, dtype=np.float32)
    empty[..., -1] = 0
    return empty


def clean(joints: FloatArray, *, width_px: int | None = None, height_px: int | None = None) -> FloatArray:
    """Give joints in which everything not really seen is NaN with a score of 0.

    Not seen are joints with NaN or a score of 0, joints far outside the picture, and whole poses squeezed into a point
    or a line.

    Args:
        joints: (..., V, D + 1) coordinates and score.
        width_px: width of the picture; not checked if None.
        height_px: its height.
    """
    x, y, score = joints[..., 0], joints[..., 1], joints[..., -1]
    with np.errstate(invalid="ignore"):
        seen = _seen(joints)
        if width_px is not None:
            seen &= np.abs(x - width_px / 2) <= width_px * (0.5 + FRAME_MARGIN)
        if height_px is not None:
            seen &= np.abs(y - height_px / 2) <= height_px * (0.5 + FRAME_MARGIN)
    _, sides = _boxes(joints, seen)
    thin = np.partition(sides, sides.shape[-1] - 2, axis=-1)[..., -2]  # the longest but one: a plane is no line
    flat = (thin <= 0) & (seen.sum(axis=-1) >= 2)
    seen &= ~flat[..., None]
    cleaned = np.where(seen[..., None], joints, np.float32(np.nan)).astype(np.float32, copy=False)
    cleaned[..., -1] = np.where(seen, score, 0)
    return cleaned


def _seen(joints: FloatArray) -> npt.NDArray[np.bool_]:
    """Say which joints (..., V) of (..., V, D + 1) were seen."""
    with np.errstate(invalid="ignore"):
        seen: npt.NDArray[np.bool_] = np.isfinite(joints[..., :-1]).all(axis=-1) & (joints[..., -1] > 0)
    return seen


def _boxes(joints: FloatArray, seen: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Give the centres and the side lengths (..., D) of the boxes round the joints seen; zeros where there are none."""
    place = joints[..., :-1]
    low = np.where(seen[..., None], place, np.float32(np.inf)).min(axis=-2)
    high = np.where(seen[..., None], place, np.float32(-np.inf)).max(axis=-2)
    empty = ~seen.any(axis=-1)
    low[empty], high[empty] = 0, 0
    return (low + high) / 2, high - low


def _interpolate(
    time_s: TimeArray, joints: FloatArray, grid_s: TimeArray, *, max_gap_s: float, half_step_s: float
) -> FloatArray:
    n_given = len(time_s)
    seen = joints[..., -1] > 0  # (T, V)
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
    left = joints[np.where(near_after, after, before).clip(0, n_given - 1), joint]  # (n, V, D+1)
    right = joints[np.where(near_before, before, after).clip(0, n_given - 1), joint]
    grid = left + (right - left) * share[..., None].astype(np.float32)
    empty = _nothing(len(grid_s), *joints.shape[1:])
    return np.where(known[..., None], grid, empty)


def pose_share(joints: FloatArray) -> npt.NDArray[np.float64]:
    """Give the share of frames (...,) of (..., T, V, D + 1) in which enough joints were seen to judge an action."""
    enough = min(MIN_POSE_JOINTS, joints.shape[-2])
    share: npt.NDArray[np.float64] = (_seen(joints).sum(axis=-1) >= enough).mean(axis=-1)
    return share


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The frame of reference of windows.

    Attributes:
        origin: (..., D) where the person began.
        length: (...,) of the trunk; 0 where nothing was seen.
        heading: (..., 2) cosine and sine of the turn about the vertical by which the person faces the camera; None if
            windows are not turned.
    """

    origin: FloatArray
    length: FloatArray
    heading: FloatArray | None = None

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Reference:
        """Give the frames of reference of some windows."""
        return Reference(self.origin[rows], self.length[rows], None if self.heading is None else self.heading[rows])


def find_reference(joints: FloatArray, *, layout: str = "coco17", facing: bool = False) -> Reference:
    """Find each window's frame of reference: where the person began, and the length of their trunk.

    The origin is the middle of the hips (the layout's centre) in the first frames that saw it, else that of the box
    round the joints. The length is the 0.8 quantile over the frames of the longer of shoulder-to-hip and 0.3 of the
    box's longest side: a trunk foreshortened on the ground counts by the frames that saw it upright, or by the legs.

    Args:
        joints: (..., T, V, D + 1) coordinates (x, y or x, y, z) and score; NaN or score 0 where not seen.
        layout: their joint layout.
        facing: find also how the person stands to the camera when the window begins; only for joints with depth.
    """
    seen = _seen(joints)
    place = np.where(seen[..., None], joints[..., :-1], np.float32(0))
    shape = layout_of(layout)
    hips, hips_seen = _middle(place, seen, list(shape.centre))
    centre, sides = _boxes(joints, seen)
    origin = _first(hips, hips_seen)
    never = np.asarray(~hips_seen.any(axis=-1))
    if never.any():
        origin = np.where(never[..., None], _first(centre, np.asarray(seen.any(axis=-1))), origin)
    length = _body_length(place, seen, hips, hips_seen, sides, shape)
    heading = _heading(place, seen, shape) if facing and place.shape[-1] == 3 else None
    return Reference(origin, length, heading)


def normalise(
    joints: FloatArray, *, layout: str = "coco17", facing: bool = False, reference: Reference | None = None
) -> FloatArray:
    """Put windows into a frame of reference of their own: where the person began, in lengths of their trunk.

    One origin and ONE scale for the whole window, see `find_reference`, so that walking stays a movement and a fall a
    drop of y.

    A joint that was not seen stays where it was seen last (at first, where it is seen first); one that the window
    never saw goes with the nearest joint of the body. Its score of 0 tells. (Zeros would put hidden feet into the hips,
    so far out that the network's input norm could not tell small movements of the others any more.)

    Args:
        joints: (..., T, V, D + 1) coordinates and score: x to the right and y down, and if D is 3 z away from the
            camera; NaN or score 0 where not seen.
        layout: their joint layout.
        facing: turn each body about the vertical so that it faces the camera when the window begins; only for D = 3.
        reference: frames of reference to use instead of the windows' own, such as those of the first person of each.

    Returns:
        (..., T, V, D + 1) float32, finite: coordinates in trunk lengths; score in [0, 1], 0 where not seen. All zeros
        where a window saw nothing.
    """
    if reference is None:
        reference = find_reference(joints, layout=layout, facing=facing)
    seen = _seen(joints)
    score = np.nan_to_num(joints[..., -1], nan=0.0, posinf=0.0, neginf=0.0)
    place = np.where(seen[..., None], joints[..., :-1], np.float32(0))
    anyone = np.asarray(seen.any(axis=(-1, -2)))
    usable = (anyone & (reference.length > 0))[..., None, None]
    safe = np.where(reference.length > 0, reference.length, np.float32(1))
    centred: FloatArray = _fill(place, seen, layout) - reference.origin[..., None, None, :]
    centred = (centred / safe[..., None, None, None]).astype(np.float32, copy=False)
    if reference.heading is not None:
        centred = _turn(centred, reference.heading)
    result = np.zeros(joints.shape, dtype=np.float32)
    np.clip(centred, -MAX_COORDINATE, MAX_COORDINATE, out=result[..., :-1], where=usable[..., None])
    np.clip(score, 0, 1, out=result[..., -1], where=usable & seen)
    return result


def _turn(place: FloatArray, heading: FloatArray) -> FloatArray:
    """Turn (..., T, V, 3) about the vertical by the angle whose cosine and sine are given."""
    cos, sin = heading[..., 0, None, None], heading[..., 1, None, None]
    x, y, z = np.moveaxis(place, -1, 0)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1).astype(np.float32, copy=False)


def _heading(place: FloatArray, seen: npt.NDArray[np.bool_], layout: Layout) -> FloatArray:
    """Give cosine and sine (..., 2) of the turn that brings the line from right to left into the picture's x.

    The line is that of the shoulders and hips in the first frames that saw both sides of either.
    """
    chosen = [pair for pair in layout.pairs if any(part in layout.joints[pair[0]] for part in ("shoulder", "hip"))]
    left, right = ([pair[side] for pair in chosen] for side in (0, 1))
    both = seen[..., left] & seen[..., right]  # (..., T, pairs)
    across = np.where(both[..., None], place[..., left, :] - place[..., right, :], 0).sum(axis=-2)  # (..., T, 3)
    line = _first(across.astype(np.float32), np.asarray(both.any(axis=-1)))
    x, z = line[..., 0], line[..., 2]
    size = np.hypot(x, z)
    plain = size <= 1e-6
    safe = np.where(plain, 1, size)
    return np.stack([np.where(plain, 1, x / safe), np.where(plain, 0, z / safe)], axis=-1).astype(np.float32)


@cache
def _hops(layout: str) -> npt.NDArray[np.int64]:
    return hop_distance(layout)


def _fill(place: FloatArray, seen: npt.NDArray[np.bool_], layout: str) -> FloatArray:
    """Give every joint (..., T, V, D) a place: where it was last, or that of the nearest joint the window saw."""
    if seen.all():
        return place
    frame = np.arange(seen.shape[-2])[:, None]
    last = np.maximum.accumulate(np.where(seen, frame, -1), axis=-2)
    source = np.where(last >= 0, last, seen.argmax(axis=-2)[..., None, :])  # (..., T, V)
    held = np.take_along_axis(place, source[..., None], axis=-3)
    ever = np.asarray(seen.any(axis=-2))  # (..., V)
    if ever.all():
        return held
    nearest = np.where(ever[..., None, :], _hops(layout), MAX_HOPS).argmin(axis=-1)  # (..., V)
    return np.take_along_axis(held, nearest[..., None, :, None], axis=-2)


def _middle(
    place: FloatArray, seen: npt.NDArray[np.bool_], joints: list[int]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Give the mean (..., T, D) of those of the joints that were seen, and where there were any."""
    chosen = seen[..., joints]
    count = chosen.sum(axis=-1)
    mean = place[..., joints, :].sum(axis=-2) / np.maximum(count, 1)[..., None]
    return mean.astype(np.float32), count > 0


def _first(points: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Give the mean (..., D) of the first points (..., T, D) that were seen."""
    taken = seen & (np.cumsum(seen, axis=-1) <= ORIGIN_FRAMES)
    total = (points * taken[..., None]).sum(axis=-2)
    mean: FloatArray = (total / np.maximum(taken.sum(axis=-1), 1)[..., None]).astype(np.float32)
    return mean


def _body_length(
    place: FloatArray,
    seen: npt.NDArray[np.bool_],
    hips: FloatArray,
    hips_seen: npt.NDArray[np.bool_],
    sides: FloatArray,
    layout: Layout,
) -> FloatArray:
    """Give the length (...,) of the trunk over a window; 0 where nothing was seen."""
    shoulders = [index for pair in layout.pairs if "shoulder" in layout.joints[pair[0]] for index in pair]
    necks, necks_seen = _middle(place, seen, shoulders)
    trunk = np.where(necks_seen & hips_seen, np.sqrt(np.square(necks - hips).sum(axis=-1)), 0)
    per_frame = np.maximum(trunk, TORSO_OF_BOX * sides.max(axis=-1))  # (..., T)
    known = (seen.sum(axis=-1) >= MIN_POSE_JOINTS) & (per_frame > 0)
    some = known.any(axis=-1, keepdims=True)
    known = np.where(some, known, per_frame > 0)  # a face alone is better than nothing
    ordered = np.sort(np.where(known, per_frame, np.inf), axis=-1)  # unknown frames last
    rank = (LENGTH_QUANTILE * np.maximum(known.sum(axis=-1) - 1, 0)).astype(np.intp)
    length = np.take_along_axis(ordered, rank[..., None], axis=-1)[..., 0]
    return np.where(np.isfinite(length), length, 0).astype(np.float32)
