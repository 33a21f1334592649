"""One recording of skeletons with what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from graphs.layouts import LAYOUTS
from graphs.own_layouts import is_own
from har.errors import ClipError
from har.records import FloatArray

TimeArray: TypeAlias = npt.NDArray[np.float64]
Span: TypeAlias = tuple[float, float, str]

UNITS = ("px", "norm", "m", "mm", "body")
"""Of the coordinates: pixels, 0..1 of the picture, metres, millimetres, lengths of the body."""
UPS = ("-y", "+y", "+z")
"""The axis that points away from the floor: "-y" in pictures (y runs down), "+y" or "+z" in most 3D sets."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Clip:
    """One recording of skeletons with what is known of it.

    Attributes:
        id: unique in its set.
        joints: (T, M, V, C) float32: frame by person by joint by coordinate; NaN where missing. In "px" and "norm"
            the channels are x, y and, if there is a third, the score in [0, 1]; in "m", "mm" and "body" they
            are x, y, and if there are more z and the score.
        time_s: (T,) float64, seconds, rising; the clock is the clip's own.
        label: what is done, if it is one thing all through; None if unknown or told by `spans`.
        danger: whether somebody is in danger in it; None if unknown.
        spans: (start_s, end_s, label) on the clip's clock, in order, without overlap: an untrimmed clip's labels.
        subject: who is seen; a name that only tells people apart.
        view: from where it is seen, where one action was recorded from several sides.
        camera: the camera's name.
        splits: named splits and the side this clip is on, e.g. {"official": "train"}.
        rate_hz: frames per second.
        rate_known: False where the rate was assumed.
        layout: joint layout, a key of `graphs.LAYOUTS`: one of those everybody knows, or one that a set brought along.
        units: one of `UNITS`.
        up: one of `UPS`.
        source: where the clip comes from.
        licence: under which terms.
        consent: reference to the consent of the person seen, where there is one.
        width_px: width of the picture that the joints were found in.
        height_px: its height.

    Raises:
        ClipError: a field does not fit; the text names the clip and the field.
    """

    id: str
    joints: FloatArray
    time_s: TimeArray
    label: str | None = None
    danger: bool | None = None
    spans: tuple[Span, ...] = ()
    subject: str | None = None
    view: str | None = None
    camera: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    rate_hz: float
    rate_known: bool = False
    layout: str = "coco17"
    units: str = "px"
    up: str = "-y"
    source: str
    licence: str
    consent: str | None = None
    width_px: int | None = None
    height_px: int | None = None

    def __post_init__(self) -> None:
        problem = _array_problem(self) or _field_problem(self) or _span_problem(self)
        if problem:
            raise ClipError(f"clip {self.id!r}: {problem}")

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return float(self.time_s[-1] - self.time_s[0])


def _array_problem(clip: Clip) -> str | None:
    if clip.layout not in LAYOUTS and is_own(clip.layout):
        return f"layout {clip.layout!r} is not in the set's layouts.json. Import the set again, or copy that file too."
    if clip.layout not in LAYOUTS:
        return f"unknown layout {clip.layout!r}. Known: {', '.join(sorted(LAYOUTS))}."
    n_joints = LAYOUTS[clip.layout].n_joints
    joints, time_s = clip.joints, clip.time_s
    if joints.dtype != np.float32 or joints.ndim != 4:
        return f"joints must be (T, M, V, C) float32, got {joints.shape} {joints.dtype}."
    n_frames, n_persons, n_found, n_channels = joints.shape
    if n_frames == 0 or n_persons == 0 or n_found != n_joints or not 2 <= n_channels <= 4:
        return (
            f"layout {clip.layout!r} needs joints (T >= 1, M >= 1, {n_joints}, 2 to 4), got {joints.shape}. "
            "Choose the layout that the joints were written in."
        )
    if bool(np.isinf(joints).any()):
        return "joints hold infinite numbers. Write NaN where a joint is missing."
    if time_s.dtype != np.float64 or time_s.shape != (n_frames,):
        return f"time_s must be ({n_frames},) float64, one time a frame, got {time_s.shape} {time_s.dtype}."
    if not bool(np.isfinite(time_s).all()) or bool((np.diff(time_s) <= 0).any()):
        return "time_s must be finite and rising. Sort the frames by time and drop doubles."
    return None


def _field_problem(clip: Clip) -> str | None:
    if not clip.id or len(clip.id) > 200 or not clip.id.isprintable():
        return "an id is 1 to 200 printable characters."
    if not (math.isfinite(clip.rate_hz) and 0 < clip.rate_hz <= 1000):
        return f"rate_hz must be above 0 and at most 1000, got {clip.rate_hz}."
    if clip.units not in UNITS:
        return f"unknown units {clip.units!r}. Known: {', '.join(UNITS)}."
    if clip.up not in UPS:
        return f"unknown up {clip.up!r}. Known: {', '.join(UPS)} ('-y' for pictures)."
    if clip.label is not None and not clip.label.strip():
        return "label is empty. Leave it out (null) where nothing is known."
    for name, size in (("width_px", clip.width_px), ("height_px", clip.height_px)):
        if size is not None and not 0 < size <= 100_000:
            return f"{name} must be between 1 and 100000, got {size}."
    return None


def _span_problem(clip: Clip) -> str | None:
    before_s = -math.inf
    for start_s, end_s, label in clip.spans:
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
            return f"span [{start_s}, {end_s}, {label!r}] must start before it ends."
        if not label.strip():
            return f"the span from {start_s} to {end_s} s has no label. Leave the span out where nothing is known."
        if start_s < before_s - 1e-6:
            return f"the span from {start_s} s overlaps the one before. Sort spans and end each where the next begins."
        before_s = end_s
    return None
