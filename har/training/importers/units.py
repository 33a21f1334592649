"""In which units joints are and which axis points up: from a set's own words where there are any, else from numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]

_WORDS = (
    ("body", r"centred|centered|scale.normali|trunk|body length"),
    ("norm", r"normali[sz]ed|\b0\.\.1\b"),
    ("mm", r"\bmm\b|millimet"),
    ("m", r"\bm\b|\bmet(re|er)s?\b"),
    ("px", r"\bpx\b|pixel"),
)
_UPS = (("-y", r"y\W{0,3}down"), ("+y", r"y\W{0,3}up"), ("+z", r"z\W{0,3}up"))
_HIGH, _LOW = ("head", "neck", "face", "nose", "shoulder"), ("ankle", "foot", "feet", "knee", "toe", "heel")
MM_FROM = 20.0
"""A median coordinate above this is no metre."""


def read_units(text: str, sample: Numbers) -> tuple[str, str | None]:
    """Give the units that a set speaks of, or else those that its numbers look like.

    Args:
        text: its own words; may be empty.
        sample: (..., V, C) of some frames, NaN where missing.

    Returns:
        One of `har.clips.UNITS`; and a note if it was guessed.
    """
    for units, pattern in _WORDS:
        if re.search(pattern, text.lower()):
            return units, None
    guessed = guess_units(sample)
    return guessed, f"units are not stated; taken to be {guessed!r} by the size of the numbers"


def guess_units(sample: Numbers) -> str:
    """Give the units that numbers look like."""
    flat = sample.shape[-1] == 2 or (sample.shape[-1] == 3 and _is_score(sample))
    values = np.abs(sample[..., : 2 if flat else 3])
    known = values[np.isfinite(values) & (values > 0)]
    if flat:
        low = float(np.nanmin(sample[..., :2])) if len(known) else 0.0
        high = float(known.max()) if len(known) else 0.0
        return "px" if high > 4 else "norm" if low >= 0 and high <= 1.5 else "body"
    return "mm" if len(known) and float(np.median(known)) > MM_FROM else "m"


def _is_score(sample: Numbers) -> bool:
    """Say whether the third channel looks like a score: in 0..1, where x and y are pixels."""
    third, xy = sample[..., 2], sample[..., :2]
    known = third[np.isfinite(third)]
    return len(known) > 0 and known.min() >= 0 and known.max() <= 1 and float(np.nanmax(np.abs(xy))) > 10


def read_up(text: str, sample: Numbers, names: Sequence[str], *, units: str) -> tuple[str, str | None]:
    """Give the axis that points up, by a set's own words or else by where heads and feet are.

    Args:
        text: its own words; may be empty.
        sample: (..., V, C) of some frames, NaN where missing.
        names: joint names, in the order of the arrays.
        units: one of `har.clips.UNITS`.

    Returns:
        One of `har.clips.UPS`; and a note if it was guessed.
    """
    for up, pattern in _UPS:
        if re.search(pattern, text.lower()):
            return up, None
    if units in ("px", "norm"):
        return "-y", None
    up = _guess_up(sample, names) or ("-y" if units == "body" else "+y")
    return up, f"which axis points up is not stated; taken to be {up} by where heads and feet are"


def _guess_up(sample: Numbers, names: Sequence[str]) -> str | None:
    high = [i for i, name in enumerate(names) if any(part in name.lower() for part in _HIGH)]
    low = [i for i, name in enumerate(names) if any(part in name.lower() for part in _LOW)]
    if not high or not low:
        return None
    rise = [_median_rise(sample[..., axis], high, low) for axis in (1, 2) if axis < sample.shape[-1]]
    best = max(range(len(rise)), key=lambda axis: abs(rise[axis]))
    if rise[best] == 0 or (best == 1 and rise[best] < 0):
        return None
    return ("+y" if rise[0] > 0 else "-y") if best == 0 else "+z"


def _median_rise(values: Numbers, high: Sequence[int], low: Sequence[int]) -> float:
    pairs = values[..., list(high)][..., :, None] - values[..., list(low)][..., None, :]
    known = pairs[np.isfinite(pairs)]
    return float(np.median(known)) if len(known) else 0.0
