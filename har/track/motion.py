"""Where somebody out of sight will be, how sure that is, and how well a pose fits it.

Somebody upright goes on as they went, or stops: so they are expected between where they were last seen and where their
walking speed would have taken them, less and less surely with time. The body's size in the picture says how far away
somebody is, and changes slowly; so does how high they stand in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, log

import numpy as np

from har.likeness import oks
from har.track.sightings import Sighting, moved_by, stature_of, trunk_of

_FIT_S = 1.0
_FIT_POSES, _FIT_LEAST_S = 4, 0.25
_FASTEST, _FASTEST_DOWN = 1.2, 0.35
"""In body lengths a second, across and down the picture: walking at 1.9 m/s; nobody falls for longer than a moment."""
_UPRIGHT = 0.9  # width over height of the box of somebody who may be walking
_ACROSS, _DOWN, _SIZE = (0.03, 0.30), (0.02, 0.12), (0.04, 0.06)
"""Uncertainty of the place across and down the picture, in body lengths, and of the logarithm of the size: at once, and
as much more for each second."""
_TAIL = 4.0
_STOPS_AFTER_S = 3.0
_SHAPE, _SHAPE_S = 5.0, 0.3  # what joints just where they were are worth, and for how long


@dataclass(frozen=True, slots=True)
class Motion:
    """How somebody moved when last seen.

    Attributes:
        last: the last pose.
        body_px: the person's size: the longest box side of the last seconds, pixels.
        velocity: pixels a second, across and down the picture; zero for somebody not upright.
        stature_px: of the upright body where they were last; None if not known.
    """

    last: Sighting
    body_px: float
    velocity: tuple[float, float]
    stature_px: float | None


def is_upright(sighting: Sighting) -> bool:
    """Say whether a pose is taller than wide."""
    return sighting.box.width < _UPRIGHT * sighting.box.height


def motion_of(sightings: Sequence[Sighting], *, body_px: float) -> Motion:
    """Read speed and size off somebody's last second.

    Args:
        sightings: at least one, oldest first.
        body_px: the person's size, pixels.
    """
    last = sightings[-1]
    recent = []
    for sighting in reversed(sightings):
        if sighting.time_s < last.time_s - _FIT_S:
            break
        recent.append(sighting)
    statures = [stature for stature in map(stature_of, recent) if stature is not None]
    stature_px = float(np.median(statures)) if statures else None
    velocity = (0.0, 0.0)
    if len(recent) >= _FIT_POSES and last.time_s - recent[-1].time_s >= _FIT_LEAST_S and is_upright(last):
        velocity = _slope(recent, body_px=max(body_px, 1.0))
    return Motion(last, max(body_px, 1.0), velocity, stature_px)


def _slope(recent: Sequence[Sighting], *, body_px: float) -> tuple[float, float]:
    time_s = np.array([sighting.time_s for sighting in recent])
    places = np.array([trunk_of(sighting) for sighting in recent])
    time_s -= time_s.mean()
    x, y = (time_s @ (places - places.mean(axis=0)) / (time_s @ time_s)).tolist()
    fastest, fastest_down = _FASTEST * body_px, _FASTEST_DOWN * body_px
    return min(max(x, -fastest), fastest), min(max(y, -fastest_down), fastest_down)


def way_off(motion: Motion, sighting: Sighting) -> float:
    """Give how far a pose is from the way between the last place and the one expected now, in body lengths."""
    (x0, y0), (x, y) = motion.last.box.centre, sighting.box.centre
    gap_s = sighting.time_s - motion.last.time_s
    way_x, way_y = (speed * gap_s for speed in motion.velocity)
    length = way_x * way_x + way_y * way_y
    share = min(max(((x - x0) * way_x + (y - y0) * way_y) / length, 0.0), 1.0) if length > 0 else 0.0
    return hypot(x - x0 - share * way_x, y - y0 - share * way_y) / motion.body_px


def goes_out(motion: Motion, *, now_s: float, width_px: float) -> bool:
    """Say whether somebody who goes on as they went is at or beyond the left or right edge of the picture by now."""
    moved_px = motion.velocity[0] * (now_s - motion.last.time_s)
    return motion.last.box.x0 + moved_px < 0 or motion.last.box.x1 + moved_px > width_px


def size_change(motion: Motion, sighting: Sighting) -> float | None:
    """Give the logarithm of how much larger a body is than it was; None if too little of it is seen."""
    stature_px = stature_of(sighting)
    return None if stature_px is None or not motion.stature_px else log(max(stature_px, 1e-3) / motion.stature_px)


def fit(motion: Motion, sighting: Sighting) -> float:
    """Give how well a pose fits what is expected: a log likelihood, up to a constant; larger is better.

    Somebody out of sight has gone on, or stopped where they were: the longer ago, the more likely.
    """
    gap_s = max(sighting.time_s - motion.last.time_s, 0.0)
    x, y = moved_by(motion.last, sighting)
    vx, vy = motion.velocity
    gone_on = _place_fit(motion, x - vx * gap_s, y - vy * gap_s, gap_s=gap_s)
    stopped = _place_fit(motion, x, y, gap_s=gap_s) + log(1 - exp(-max(gap_s, 1e-3) / _STOPS_AFTER_S))
    sigma = _SIZE[0] + _SIZE[1] * gap_s
    larger = size_change(motion, sighting)
    larger = sigma if larger is None else larger  # where it is not known, as much as is usual
    return max(gone_on, stopped) + _log_likelihood(larger, sigma=sigma)


def _place_fit(motion: Motion, across_px: float, down_px: float, *, gap_s: float) -> float:
    """Give how likely it is that somebody is so far from where they should be."""
    across = _log_likelihood(across_px / motion.body_px, sigma=_ACROSS[0] + _ACROSS[1] * gap_s)
    return across + _log_likelihood(down_px / motion.body_px, sigma=_DOWN[0] + _DOWN[1] * gap_s)


def _log_likelihood(off: float, *, sigma: float) -> float:
    """Student's t with `_TAIL` degrees of freedom, without its constant: estimators err wildly at times."""
    return -0.5 * (_TAIL + 1) * log(1 + (off / sigma) ** 2 / _TAIL) - log(sigma)


def shape_fit(motion: Motion, sighting: Sighting) -> float:
    """Give what it is worth that the joints are where they were, moved on; nothing soon after."""
    gap_s = max(sighting.time_s - motion.last.time_s, 0.0)
    moved = np.array(motion.velocity, dtype=np.float32) * np.float32(gap_s)
    expected = replace(motion.last.pose, xy=motion.last.pose.xy + moved)
    return _SHAPE * exp(-gap_s / _SHAPE_S) * oks(sighting.pose, expected)
