"""What somebody did in a room, as points over time with labels, and the way a person moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from har.synth.body import Array

LABELS = ("stand", "walk", "sit", "sit down", "stand up", "bend", "lie", "fall")
SEATS = ("chair", "bed", "sofa")
"""Furniture that one sits on."""
RATE_HZ = 50.0
"""Of the motion; clips sample it at the rate of their camera."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one person moves.

    Attributes:
        pace: speed of deliberate movements; 1 is a fit adult, 0.4 very slow.
        walk_m_s: usual walking speed.
        stoop_deg: bend of the back when standing.
        arm_swing_deg: half the swing of the arms in walking.
        walker: whether both hands hold a walking frame.
    """

    pace: float
    walk_m_s: float
    stoop_deg: float
    arm_swing_deg: float
    walker: bool


def random_style(rng: np.random.Generator) -> Style:
    """Draw a style between fit and frail."""
    frail = float(rng.beta(1.1, 1.3))
    walker = bool(frail > 0.6 and rng.random() < 0.25)
    return Style(
        pace=float(np.clip(1.15 - 0.6 * frail + rng.normal(0, 0.1), 0.4, 1.3)),
        walk_m_s=float(np.clip(1.35 - 0.9 * frail + rng.normal(0, 0.12), 0.3, 1.5)),
        stoop_deg=float(np.clip(28 * frail + rng.normal(-4, 5), 0, 35)),
        arm_swing_deg=0.0 if walker else float(np.clip(rng.normal(24 - 14 * frail, 7), 0, 40)),
        walker=walker,
    )


def frail_style(style: Style) -> Style:
    """Give somebody with a walking frame: slow, stooped, both hands on it."""
    return Style(
        pace=min(style.pace, 0.65),
        walk_m_s=min(style.walk_m_s, 0.55),
        stoop_deg=max(style.stoop_deg, 14.0),
        arm_swing_deg=0.0,
        walker=True,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What a person did.

    Attributes:
        points: (T, P, 3) metres in the room, z up, the floor at 0; see `body.POINTS`.
        labels: (T,) what is done, one of `LABELS`.
        rate_hz: frames per second.
        supports: where furniture stands under the person.
    """

    points: Array
    labels: tuple[str, ...]
    rate_hz: float
    supports: tuple[Support, ...] = ()

    @property
    def time_s(self) -> Array:
        """(T,) seconds from the beginning."""
        return np.arange(len(self.labels)) / self.rate_hz

    @property
    def spans(self) -> tuple[tuple[float, float, str], ...]:
        """(start_s, end_s, label) from the beginning to the end without holes."""
        return spans_of(self.labels, rate_hz=self.rate_hz)


@dataclass(frozen=True, slots=True)
class Support:
    """A piece of furniture that carried the person, or that they leant on.

    Attributes:
        kind: one of `SEATS`, "wheelchair", "table" or "wall".
        x_m: where the pelvis was, in the room.
        y_m: where the pelvis was.
        height_m: of the seat, the table's top or the wall.
        yaw_rad: the way that the person faces who uses it.
    """

    kind: str
    x_m: float
    y_m: float
    height_m: float
    yaw_rad: float


def spans_of(labels: Sequence[str], *, rate_hz: float) -> tuple[tuple[float, float, str], ...]:
    """Give (start_s, end_s, label) of the stretches of one label a frame, from the beginning to the end."""
    starts = [0] + [i for i in range(1, len(labels)) if labels[i] != labels[i - 1]]
    ends = [*starts[1:], len(labels)]
    return tuple((i / rate_hz, j / rate_hz, labels[i]) for i, j in zip(starts, ends, strict=True))
