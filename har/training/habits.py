"""How the people of a clip set stand and which hand they use: what may rightly be done to them while training.

A gesture that everybody makes with the right hand towards the camera is not the same gesture mirrored or seen from the
side: windows changed like that are of people who are not there, and crowd out those who are. On MSR-Action3D (three
people learnt from, two others judged) turns of 60 degrees and mirroring cost 20 points; on NW-UCLA, where people stand
every way round and are seen from another side, leaving them out costs 11 (`docs/decisions/0016-as-people-do-it.md`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphs.layouts import Layout
from har.records import FloatArray

Array = npt.NDArray[np.float64]

LEAST_TURN_DEG = 15.0
"""Nobody stands quite straight before a camera, and no camera quite straight before them."""
TURNED_SHARE = 0.95
"""Of the windows: so many are turned no farther than the turn that is taken for usual."""
ONE_SIDED = 0.1
"""Both sides together move by 1; a window is of one side if the two differ by more than this."""
_ACROSS = ("hip", "shoulder")


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """What is usual in a set of windows.

    Attributes:
        turn_deg: how far people stand turned about the vertical from the set's commonest direction, at most; 180 where
            it cannot be told.
        other_side: (K,) by label, the share of the windows, 0..0.5, that are done with the rarer side; what is done
            with both at once counts half.
    """

    turn_deg: float
    other_side: Array


def find_habits(
    bodies: Sequence[FloatArray], labels: npt.NDArray[np.int64], *, n_labels: int, layout: Layout
) -> Habits:
    """Find what is usual.

    Args:
        bodies: of each of N windows, the joints (T, V, D + 1) of the person seen most, NaN where not seen.
        labels: (N,) the label of each.
        n_labels: K.
        layout: of the joints; where it has no pairs of joints, sides are taken for alike and turns for unknown.
    """
    pairs = list(layout.pairs)
    if not pairs or not bodies:
        return Habits(180.0, np.full(n_labels, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means of nothing: joints that are never seen
        sides = np.array([_side(body, pairs) for body in bodies])
        across = np.array([_across(body, pairs, layout) for body in bodies])
    other_side = np.full(n_labels, 0.5)
    for label in np.unique(labels):
        share = float(sides[labels == label].mean())
        other_side[label] = min(share, 1 - share)
    return Habits(_usual_turn_deg(across), other_side)


def _side(body: FloatArray, pairs: Sequence[tuple[int, int]]) -> float:
    """Say which joints of the pairs move more: 0 for the left, 1 for the right, 0.5 for both alike."""
    steps = np.linalg.norm(np.diff(body[..., :-1].astype(np.float64), axis=0), axis=-1)  # (T - 1, V)
    moved = np.nan_to_num(np.nanmean(steps, axis=0)) if len(steps) else np.zeros(body.shape[1])
    left, right = (float(sum(moved[pair[k]] for pair in pairs)) for k in (0, 1))
    if abs(left - right) <= ONE_SIDED * (left + right):
        return 0.5
    return float(right > left)


def _across(body: FloatArray, pairs: Sequence[tuple[int, int]], layout: Layout) -> Array:
    """Give the way (D,) from the left side of the trunk to the right; of all pairs of joints if none is named so."""
    named = [pair for pair in pairs if any(word in layout.joints[pair[0]] for word in _ACROSS)] or pairs
    ways = [body[:, right, :-1] - body[:, left, :-1] for left, right in named]
    way: Array = np.nanmedian(np.nanmean(np.stack(ways), axis=0).astype(np.float64), axis=0)
    return way


def _usual_turn_deg(across: Array) -> float:
    """Give the angle about the vertical that few are turned by, of ways across the trunk (N, D)."""
    known = across[np.isfinite(across).all(axis=1)]
    if across.shape[1] < 3 or not len(known):
        return 180.0
    turned = np.arctan2(known[:, 2], known[:, 0])
    commonest = np.angle(np.exp(1j * turned).mean())
    away = np.abs(np.angle(np.exp(1j * (turned - commonest))))
    return float(np.degrees(np.quantile(away, TURNED_SHARE)))
