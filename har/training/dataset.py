"""Clips -> labelled windows, still in pixels: they are normalised when drawn, after their speed was changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphs import LayoutError, map_joints, to_image_axes
from har.clips import Clip
from har.errors import ClipError
from har.records import FloatArray
from har.training.recipe import Recipe
from har.windows import clean, normalise, pose_share, resample

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WindowSet:
    """Labelled windows of a clip set.

    Attributes:
        joints: (N, S, V, 3) float32, x, y in pixels (y down) and score, NaN where not seen; S is at least the length of
            a window, the frames before are there to play it faster.
        n_known: (N,) how many of the S frames, counted from the end, may be used.
        labels: (N,) index into `names`.
        clip: (N,) index into `clip_ids`.
        segment: (N,) counts stretches of one label of one clip.
        end_s: (N,) time of the last frame on the clip's clock.
        names: the labels.
        clip_ids: the clips that the windows are of.
        clip_sources: where each clip comes from.
        layout: joint layout.
        n_frames: T, the length of a window.
    """

    joints: FloatArray
    n_known: IntArray
    labels: IntArray
    clip: IntArray
    segment: IntArray
    end_s: npt.NDArray[np.float64]
    names: tuple[str, ...]
    clip_ids: tuple[str, ...]
    clip_sources: tuple[str, ...]
    layout: str
    n_frames: int

    def __len__(self) -> int:
        return len(self.labels)

    def sources(self) -> IntArray:
        """Give each window's source as a number, (N,)."""
        return np.unique(self.clip_sources, return_inverse=True)[1].astype(np.int64)[self.clip]

    def draw(
        self,
        indices: IntArray,
        *,
        speed: npt.NDArray[np.float64] | None = None,
        shift: npt.NDArray[np.float64] | None = None,
        hidden: npt.NDArray[np.bool_] | None = None,
    ) -> FloatArray:
        """Give windows (B, T, V, 3), normalised, each played at a speed of its own.

        Args:
            indices: (B,) which windows.
            speed: (B,) frames of the clip per frame of the window; 1 if None; cut to what the clip has.
            shift: (B,) in 0..1: where in the slack of a slowed, trimmed clip the window lies; 0 is its end.
            hidden: (B, T, V) joints to treat as not seen.
        """
        joints = self.joints[indices]
        if speed is not None:
            joints = _play(joints, self.n_known[indices], speed, shift, n_frames=self.n_frames)
        joints = joints[:, -self.n_frames :]
        if hidden is not None:
            joints = np.where(hidden[..., None], np.float32(np.nan), joints)
        return normalise(joints, layout=self.layout)


def _play(
    joints: FloatArray,
    n_known: IntArray,
    speed: npt.NDArray[np.float64],
    shift: npt.NDArray[np.float64] | None,
    *,
    n_frames: int,
) -> FloatArray:
    n_stored = joints.shape[1]
    speed = np.minimum(speed, (n_known - 1) / max(n_frames - 1, 1))
    trimmed = n_known < n_stored
    slack = np.where(trimmed, (n_known - 1) - speed * (n_frames - 1), 0) if shift is not None else np.zeros(len(joints))
    last = n_stored - 1 - slack * (shift if shift is not None else 0)
    at = np.clip(last[:, None] - np.arange(n_frames - 1, -1, -1) * speed[:, None], 0, n_stored - 1)  # (B, T)
    before = np.floor(at).astype(np.intp)
    after = np.minimum(before + 1, n_stored - 1)
    share = (at - before).astype(np.float32)[..., None, None]
    rows = np.arange(len(joints))[:, None]
    left, right = joints[rows, before], joints[rows, after]
    played: FloatArray = np.where(share == 0, left, left + (right - left) * share)  # NaN on either side stays NaN
    played[..., 2] = np.where(np.isnan(played[..., 0]), 0, played[..., 2])
    return played


def labels_of(clip: Clip) -> set[str]:
    """Give the labels that a clip can teach."""
    return {label for _, _, label in clip.spans} or ({clip.label} if clip.label else set())


def label_names(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Give the labels of clips in alphabetical order."""
    return tuple(
        sorted(
            {label for clip in clips for _, _, label in clip.spans}
            | {c.label for c in clips if c.label and not c.spans}
        )
    )


def cut_windows(clips: Sequence[Clip], recipe: Recipe, *, names: Sequence[str]) -> WindowSet:
    """Cut labelled windows out of clips.

    An untrimmed clip (with spans) gives windows on the recipe's time grid, one every `stride_s`, each labelled by the
    span in which it was `label_delay_s` before its end, and ending at a frame of the clip, as a live window does. A
    trimmed clip (with a label only) gives one window: all of it, stretched to the window's length. Clips with neither,
    labels that are not among `names`, and windows with too little of a pose are left out. Where a clip shows several
    people, the windows are of the one seen most.

    Args:
        clips: a clip set.
        recipe: layout, length, rate, stride and so on.
        names: the labels wanted, in the order of the model.
    """
    index = {name: position for position, name in enumerate(names)}
    n_stored = recipe.n_frames + math.ceil((recipe.n_frames - 1) * recipe.speed)
    parts: list[tuple[FloatArray, int, int, int, int, float]] = []
    n_segments = 0
    for number, clip in enumerate(clips):
        joints = person_joints(clip, layout=recipe.layout)
        if clip.spans:
            found = _untrimmed_windows(clip, joints, recipe, n_stored=n_stored)
        elif clip.label is not None:
            found = _trimmed_window(clip, joints, recipe, n_stored=n_stored)
        else:
            found = []
        parts += [
            (window, n_known, index[label], number, n_segments + span, end_s)
            for window, n_known, label, span, end_s in found
            if label in index
        ]
        n_segments += max(len(clip.spans), 1)
    n_joints = parts[0][0].shape[1] if parts else 0
    empty = np.zeros((0, n_stored, n_joints, 3), dtype=np.float32)
    return WindowSet(
        joints=np.stack([part[0] for part in parts]) if parts else empty,
        n_known=np.array([part[1] for part in parts], dtype=np.int64),
        labels=np.array([part[2] for part in parts], dtype=np.int64),
        clip=np.array([part[3] for part in parts], dtype=np.int64),
        segment=np.array([part[4] for part in parts], dtype=np.int64),
        end_s=np.array([part[5] for part in parts], dtype=np.float64),
        names=tuple(names),
        clip_ids=tuple(clip.id for clip in clips),
        clip_sources=tuple(clip.source for clip in clips),
        layout=recipe.layout,
        n_frames=recipe.n_frames,
    )


_Found = tuple[FloatArray, int, str, int, float]


def _untrimmed_windows(clip: Clip, joints: FloatArray, recipe: Recipe, *, n_stored: int) -> list[_Found]:
    found: list[_Found] = []
    time_s = clip.time_s
    last_end = -1
    for due_s in np.arange(float(time_s[0]) + recipe.stride_s, float(time_s[-1]) + 1e-6, recipe.stride_s):
        end = int(np.searchsorted(time_s, due_s + 1e-6, side="right")) - 1
        end_s = float(time_s[end])
        span = _span_at(clip, end_s - recipe.label_delay_s)
        if end == last_end or span is None:
            continue
        last_end = end
        window = resample(
            time_s,
            joints,
            rate_hz=recipe.rate_hz,
            end_s=end_s,
            n_frames=n_stored,
            max_gap_s=recipe.max_gap_s,
            width_px=clip.width_px,
            height_px=clip.height_px,
        )
        if pose_share(window[-max(1, round(recipe.rate_hz)) :]) >= recipe.min_pose_share:
            found.append((window, n_stored, clip.spans[span][2], span, end_s))
    return found


def _span_at(clip: Clip, time_s: float) -> int | None:
    for number, (start_s, end_s, _) in enumerate(clip.spans):
        if start_s <= time_s < end_s:
            return number
    return None


def _trimmed_window(clip: Clip, joints: FloatArray, recipe: Recipe, *, n_stored: int) -> list[_Found]:
    if clip.label is None:
        return []
    if len(clip.time_s) == 1:
        window = np.repeat(clean(joints, width_px=clip.width_px, height_px=clip.height_px), n_stored, axis=0)
    else:
        window = _stretched(clip, joints, recipe, n_stored=n_stored)
    if pose_share(window[-recipe.n_frames :]) < recipe.min_pose_share:
        return []
    return [(window, recipe.n_frames, clip.label, 0, float(clip.time_s[-1]))]


def _stretched(clip: Clip, joints: FloatArray, recipe: Recipe, *, n_stored: int) -> FloatArray:
    return resample(
        clip.time_s,
        joints,
        rate_hz=(recipe.n_frames - 1) / clip.duration_s,
        end_s=float(clip.time_s[-1]),
        n_frames=n_stored,
        max_gap_s=max(recipe.max_gap_s, 3 / clip.rate_hz),
        width_px=clip.width_px,
        height_px=clip.height_px,
    )


def person_joints(clip: Clip, *, layout: str) -> FloatArray:
    """Give the joints (T, V, 3) of the person seen most, in the axes of a picture and in the layout wanted.

    3D clips lose their depth. Scores that a clip lacks are 1 where the joint is known.

    Raises:
        ClipError: the clip's joints cannot be mapped to the layout.
    """
    known = np.isfinite(clip.joints[..., :2]).all(axis=-1)  # (T, M, V)
    joints = clip.joints[:, int(known.sum(axis=(0, 2)).argmax())]
    flat = _in_picture(clip, joints)
    if clip.layout != layout:
        try:
            flat = map_joints(flat, clip.layout, layout)
        except LayoutError as error:
            raise ClipError(f"clip {clip.id!r}: {error}") from None
    return flat


def _in_picture(clip: Clip, joints: FloatArray) -> FloatArray:
    """Give x, y, score (T, V, 3) of one person's joints (T, V, C)."""
    flat_units = clip.units in ("px", "norm")
    n_channels = joints.shape[-1]
    xy = joints[..., :2]
    score = joints[..., -1] if n_channels == (3 if flat_units else 4) else None
    if clip.up == "+z":
        xy = np.stack([joints[..., 0], -joints[..., 2]], axis=-1)
    elif clip.up == "+y":
        turned = to_image_axes(xy, clip.layout)
        xy = np.stack([turned[..., 0], -joints[..., 1]], axis=-1)
    if clip.units == "norm" and clip.width_px and clip.height_px:
        xy = xy * np.array([clip.width_px, clip.height_px], dtype=np.float32)
    known = np.isfinite(xy[..., 0]) & np.isfinite(xy[..., 1])
    seen = known if score is None else known & (score > 0)
    result = np.full((*joints.shape[:-1], 3), np.nan, dtype=np.float32)
    result[..., :2] = np.where(seen[..., None], xy, np.nan)
    result[..., 2] = np.where(seen, 1 if score is None else np.clip(np.nan_to_num(score), 0, 1), 0)
    return result
