"""One person's poses as they come, on an even time grid and in a frame of reference that follows them.

A window has one origin and one scale for all of it (`har.windows.normalise`); a stream has no window. Here the origin
follows the hips with a time constant, and the scale follows a quantile of the trunk's length: both are known at each
frame, forget a wrong one, and cost the same for a minute as for a day.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from graphs.adjacency import hop_distance
from graphs.layouts import layout as layout_of
from har.records import FloatArray
from har.windows import (
    CLOCK_ERROR_S,
    LENGTH_QUANTILE,
    MAX_COORDINATE,
    MAX_GAP_S,
    MAX_HOPS,
    MIN_POSE_JOINTS,
    TORSO_OF_BOX,
    clean,
)

ORIGIN_S = 1.0
"""Time constant of the origin; decision 23 has what 0.5, 1 and 2 s come to."""
LENGTH_STEP = 0.05
"""How far, as a share, the length may move in a frame."""

BoolArray = npt.NDArray[np.bool_]


class RunningBody:
    """One person's poses, put on the grid of a model and into its frame of reference.

    Args:
        rate_hz: frames a second of the grid.
        layout: joint layout; (x, y) in pixels.

    Attributes:
        last_s: capture time of the last pose; None before the first.
    """

    def __init__(self, *, rate_hz: float, layout: str) -> None:
        shape = layout_of(layout)
        self._period_s = 1.0 / rate_hz
        self._follow = 1 - math.exp(-self._period_s / ORIGIN_S)
        self._hips = list(shape.centre)
        self._shoulders = [i for pair in shape.pairs if "shoulder" in shape.joints[pair[0]] for i in pair]
        self._hops = hop_distance(layout)
        n_joints = shape.n_joints
        self.last_s: float | None = None
        self._last = np.zeros((n_joints, 3), np.float32)
        self._next_s = 0.0
        self._place = np.zeros((n_joints, 2), np.float32)  # where each joint was seen last
        self._ever = np.zeros(n_joints, np.bool_)
        self._origin: FloatArray | None = None
        self._length = 0.0

    def breaks_at(self, time_s: float) -> bool:
        """Say whether a pose at that time cannot be joined to the last: too late, or a clock that was set back."""
        return self.last_s is not None and not -CLOCK_ERROR_S <= time_s - self.last_s <= MAX_GAP_S + CLOCK_ERROR_S

    def take(
        self, time_s: float, joints: FloatArray, *, width_px: int | None = None, height_px: int | None = None
    ) -> list[FloatArray]:
        """Take in a pose and give the frames of the grid that it completes.

        Args:
            time_s: capture time; a second pose of the same time is left out.
            joints: (V, 3) x, y in pixels and score; NaN or score 0 where not seen.
            width_px: width of the picture; joints far outside count as not seen.
            height_px: its height.

        Returns:
            Frames (V, 3), finite: coordinates in trunk lengths from where the hips are or were of late; the score is 0
            where a joint was not seen, and it stays where it was then.
        """
        joints = clean(joints, width_px=width_px, height_px=height_px)
        before_s, before = self.last_s, self._last
        if before_s is not None and time_s <= before_s + CLOCK_ERROR_S:
            return []
        self.last_s, self._last = time_s, joints
        if before_s is None:
            self._next_s = time_s
            before_s, before = time_s, joints
        frames = []
        while self._next_s <= time_s + CLOCK_ERROR_S:
            frames.append(self._frame(self._between(self._next_s, before_s, before, time_s, joints)))
            self._next_s += self._period_s
        return frames

    def _between(
        self, at_s: float, before_s: float, before: FloatArray, after_s: float, after: FloatArray
    ) -> FloatArray:
        """Give the joints at a time between two poses; one seen in one of them only counts near that one."""
        share = (at_s - before_s) / (after_s - before_s) if after_s > before_s else 1.0
        seen_before, seen_after = before[:, 2] > 0, after[:, 2] > 0
        mixed = before + (after - before) * np.float32(share)
        nearer, seen = (after, seen_after) if share > 0.5 else (before, seen_before)
        is_near = min(share, 1 - share) * (after_s - before_s) <= self._period_s / 2 + CLOCK_ERROR_S
        taken = np.where((seen & is_near)[:, None], nearer, np.float32(0))
        joints: FloatArray = np.where((seen_before & seen_after)[:, None], mixed, taken)
        return joints

    def _frame(self, joints: FloatArray) -> FloatArray:
        """Give joints (V, 3) in the frame of reference, after moving it."""
        seen: BoolArray = joints[:, 2] > 0
        if seen.any():
            self._move_reference(joints[:, :2], seen)
            self._place[seen] = joints[seen, :2]
            self._ever |= seen
        result = np.zeros_like(joints)
        if self._origin is None or self._length <= 0:
            return result
        place = self._place
        if not self._ever.all():  # one never seen goes with the nearest that was
            place = place[np.where(self._ever[None], self._hops, MAX_HOPS).argmin(axis=1)]
        centred = (place - self._origin) / np.float32(self._length)
        result[:, :2] = centred.clip(-MAX_COORDINATE, MAX_COORDINATE)
        result[:, 2] = np.where(seen, joints[:, 2].clip(0, 1), 0)
        return result

    def _move_reference(self, place: FloatArray, seen: BoolArray) -> None:
        corner, other = place[seen].min(axis=0), place[seen].max(axis=0)
        hips, neck = (self._middle(place, seen, joints) for joints in (self._hips, self._shoulders))
        if hips is not None:
            self._origin = hips if self._origin is None else self._origin + self._follow * (hips - self._origin)
        elif self._origin is None:
            self._origin = (corner + other) / 2
        length = TORSO_OF_BOX * float((other - corner).max())
        if hips is not None and neck is not None:
            length = max(length, float(np.hypot(*(neck - hips))))
        if self._length <= 0:
            self._length = length
        elif length > 0 and seen.sum() >= min(MIN_POSE_JOINTS, len(seen)):
            step = LENGTH_QUANTILE if length > self._length else LENGTH_QUANTILE - 1
            self._length *= 1 + LENGTH_STEP * step

    @staticmethod
    def _middle(place: FloatArray, seen: BoolArray, joints: list[int]) -> FloatArray | None:
        chosen = [joint for joint in joints if seen[joint]]
        return place[chosen].mean(axis=0) if chosen else None
