"""Why people fall, as forces, weakness and reflexes: what `tumble` lets happen to a body in MuJoCo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from har.synth.body import Array
from har.synth.kinds import FALLS
from har.synth.postures import SIDES, legs, set_angles

GRAVITY_M_S2 = 9.81
NOTHING = np.zeros(3)


@dataclass(frozen=True, slots=True, eq=False)
class Cause:
    """What happens to a body from the moment the fall begins.

    Attributes:
        pushes: (part of the body, (3,) m/s that the push would give the whole body, its duration in s).
        twist: (3,) N m that turn the pelvis while the first push lasts.
        blocked: a foot that is held where it is, for `blocked_s`.
        blocked_s: how long.
        slippery: whether the heels and toes find no hold.
        weak: tone that is left in each of trunk, head, arms, legs.
        weak_s: how long it takes to get so weak.
        carried: share of the weight that hands on furniture carry at first.
        carried_s: how long it takes until they carry nothing.
        reflex: (A,) posture that arms and legs reach for; None for none.
        reflex_after_s: reaction time.
        reflex_tone: tone with which they do.
        drag: damping of the joints, as a factor.
        back: most tone left in the trunk once it is down: little makes the body fold up.
    """

    pushes: tuple[tuple[str, Array, float], ...] = ()
    twist: Array = field(default_factory=NOTHING.copy)
    blocked: str | None = None
    blocked_s: float = 0.0
    slippery: bool = False
    weak: Mapping[str, float] = field(default_factory=dict)
    weak_s: float = 0.2
    carried: float = 0.0
    carried_s: float = 1.0
    reflex: Array | None = None
    reflex_after_s: float = 0.2
    reflex_tone: float = 0.7
    drag: float = 1.0
    back: float = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """In what somebody is when the fall begins.

    Attributes:
        start: (A,) the posture.
        ahead: (3,) unit vector, level: ahead of somebody upright, off the bed for somebody in it.
        speed_m_s: at which the person walks; 0 for standing, sitting or lying.
    """

    start: Array
    ahead: Array
    speed_m_s: float = 0.0

    @property
    def left(self) -> Array:
        """(3,) unit vector to the left of `ahead`."""
        return np.array([-self.ahead[1], self.ahead[0], 0.0])


def draw_cause(rng: np.random.Generator, situation: Situation, *, kind: str) -> Cause:
    """Draw what makes somebody fall.

    Args:
        rng: source of the differences.
        situation: in which it happens; it has to fit the kind.
        kind: one of `kinds.FALLS`.
    """
    return _DRAWS[kind](rng, situation)


def _tired(rng: np.random.Generator) -> dict[str, float]:
    """Tone left to somebody who loses balance: most keep some, some let go."""
    legs_left = float(rng.uniform(0.05, 0.6))
    return {"trunk": float(rng.uniform(0.3, 1.0)), "head": 0.8, "arms": float(rng.uniform(0.3, 1.0)), "legs": legs_left}


def _limp(rng: np.random.Generator) -> dict[str, float]:
    return {part: float(rng.uniform(0.02, 0.15)) for part in ("trunk", "head", "arms", "legs")}


def _reacting(rng: np.random.Generator, cause: Cause) -> Cause:
    """Draw how quickly and how strongly somebody reacts, and how much the muscles brake."""
    return replace(
        cause,
        reflex_after_s=float(rng.uniform(0.12, 0.35)),
        reflex_tone=float(rng.uniform(0.2, 1.2)),
        drag=float(np.exp(rng.uniform(0.0, 1.6))),
    )


def _reach_forward(rng: np.random.Generator) -> dict[str, float]:
    """Arms ahead, knees and hips bent a little or much."""
    fold = rng.uniform(0.1, 1.0)
    reach = {"arm_flex": rng.uniform(70, 125), "elbow": rng.uniform(15, 50), "arm_abd": rng.uniform(5, 30)}
    return reach | {"hip_flex": 10 + 35 * fold, "knee": 15 + 75 * fold, "ankle": 10, "head_flex": -25}


def _shove(way: Array, *, speed_m_s: float, seconds: float, high: float = 0.65) -> tuple[tuple[str, Array, float], ...]:
    """Push chest and pelvis; `high` is the chest's share."""
    return (("high", way * speed_m_s * high, seconds), ("pelvis", way * speed_m_s * (1 - high), seconds))


def _forward(rng: np.random.Generator, situation: Situation) -> Cause:
    ahead, left, start = situation.ahead, situation.left, situation.start
    way = ahead + left * rng.normal(0, 0.2)
    reflex = set_angles(start, _reach_forward(rng))
    cause = _reacting(rng, Cause(weak=_tired(rng), reflex=reflex))
    if situation.speed_m_s > 0.2:  # a trip: the foot stays, the trunk goes on and is thrown forward
        thrown = float(rng.uniform(0.2, 0.8))
        return replace(cause, blocked=str(rng.choice(SIDES)), blocked_s=float(rng.uniform(0.2, 0.45)),
                       pushes=_shove(way, speed_m_s=thrown, seconds=0.25, high=0.9))  # fmt: skip
    return replace(cause, pushes=_shove(way, speed_m_s=float(rng.uniform(0.7, 1.8)), seconds=0.25))


def _backward(rng: np.random.Generator, situation: Situation) -> Cause:
    ahead, left, start = situation.ahead, situation.left, situation.start
    fold = rng.uniform(0.1, 1.0)
    reach = {"arm_flex": rng.uniform(-45, 60), "arm_abd": rng.uniform(20, 60), "elbow": rng.uniform(5, 40)}
    reach |= {"hip_flex": 15 + 60 * fold, "knee": 10 + 60 * fold, "head_flex": rng.uniform(10, 40)}
    cause = _reacting(rng, Cause(weak=_tired(rng), reflex=set_angles(start, reach)))
    way = left * rng.normal(0, 0.2) - ahead
    if situation.speed_m_s > 0.2 or rng.random() < 0.35:  # a slip: the feet go on without the trunk
        kicks = tuple((f"{side}_foot", ahead * rng.uniform(0.05, 0.2), 0.3) for side in SIDES)
        pushes = (*kicks, *_shove(way, speed_m_s=float(rng.uniform(0.3, 0.7)), seconds=0.3, high=0.9))
        return replace(cause, slippery=True, pushes=pushes)
    return replace(cause, pushes=_shove(way, speed_m_s=float(rng.uniform(0.7, 1.6)), seconds=0.25))


def _sideways(rng: np.random.Generator, situation: Situation) -> Cause:
    ahead, left, start = situation.ahead, situation.left, situation.start
    side = str(rng.choice(SIDES))
    way = left * (1.0 if side == "left" else -1.0) + ahead * rng.normal(0, 0.3)
    fold = rng.uniform(0.1, 1.0)
    reach = {f"{side}_arm_abd": rng.uniform(50, 95), f"{side}_elbow": rng.uniform(10, 50)}
    reach |= {"hip_flex": 10 + 45 * fold, "knee": 15 + 65 * fold}
    cause = _reacting(rng, Cause(weak=_tired(rng), reflex=set_angles(start, reach)))
    return replace(cause, pushes=_shove(way, speed_m_s=float(rng.uniform(0.7, 1.6)), seconds=0.25))


def _chair(rng: np.random.Generator, situation: Situation) -> Cause:
    ahead, left, start = situation.ahead, situation.left, situation.start
    way = rng.choice(("ahead", "aside", "slide"), p=(0.4, 0.35, 0.25))
    limp = {"trunk": rng.uniform(0.1, 0.5), "head": 0.3, "arms": rng.uniform(0.05, 0.6), "legs": rng.uniform(0.05, 0.3)}
    if way == "slide":  # off the front edge, the back sliding down
        slide = (("pelvis", ahead * rng.uniform(1.0, 1.7), rng.uniform(0.6, 1.0)),)
        return Cause(weak=limp, weak_s=0.5, pushes=slide, slippery=bool(rng.random() < 0.5), drag=2.0)
    if way == "aside":
        lean = (left if rng.random() < 0.5 else -left) + ahead * rng.uniform(-0.1, 0.6)
        pushes = _shove(lean, speed_m_s=float(rng.uniform(1.4, 2.3)), seconds=float(rng.uniform(0.3, 0.6)), high=0.6)
    else:
        lean = ahead + left * rng.normal(0, 0.3)
        pushes = _shove(lean, speed_m_s=float(rng.uniform(1.3, 2.3)), seconds=float(rng.uniform(0.3, 0.6)), high=0.55)
    reflex = set_angles(start, _reach_forward(rng)) if rng.random() < 0.6 else None
    return _reacting(rng, Cause(weak=limp, weak_s=0.3, pushes=pushes, reflex=reflex))


def _bed(rng: np.random.Generator, situation: Situation) -> Cause:
    ahead = situation.ahead
    roll = np.cross(np.array([0.0, 0.0, 1.0]), ahead) * rng.uniform(20, 60)
    pushes = _shove(ahead, speed_m_s=float(rng.uniform(1.2, 2.0)), seconds=float(rng.uniform(0.4, 0.7)), high=0.5)
    legs_first = (("left_shin", ahead * 0.1, 0.4), ("right_shin", ahead * 0.1, 0.4)) if rng.random() < 0.4 else ()
    tone = {part: float(rng.uniform(0.1, 0.4)) for part in ("trunk", "head", "arms", "legs")}
    return Cause(pushes=(*pushes, *legs_first), twist=roll, weak=tone, weak_s=0.1)


def _slump(rng: np.random.Generator, situation: Situation) -> Cause:
    start = situation.start
    fold = legs(thigh=rng.uniform(70, 110), shin=rng.uniform(-30, 40)) | {"spine_flex": rng.uniform(5, 30)}
    down = set_angles(start, fold | {"head_flex": rng.uniform(5, 35)})
    weak = {"trunk": rng.uniform(0.4, 0.9), "head": 0.2, "arms": rng.uniform(0.05, 0.3), "legs": 0.12}
    leaning = (("pelvis", -0.8 * situation.ahead, 1.5), ("high", -rng.uniform(0.3, 2.5) * situation.ahead, 3.0))
    return Cause(weak=weak, weak_s=float(rng.uniform(0.4, 1.2)), reflex=down, reflex_after_s=0.05, reflex_tone=0.25,
                 carried=float(rng.uniform(0.0, 0.5)), carried_s=float(rng.uniform(0.5, 1.5)), drag=2.0,
                 back=float(rng.uniform(0.2, 0.7)), pushes=leaning)  # fmt: skip


def _slide(rng: np.random.Generator, situation: Situation) -> Cause:
    start = situation.start
    hold = legs(thigh=rng.uniform(35, 80), shin=-rng.uniform(40, 90), foot=20, pitch=10)
    hold |= {"pitch": 10, "spine_flex": rng.uniform(10, 35), "arm_flex": rng.uniform(70, 130), "elbow": 40}
    weak = {"trunk": rng.uniform(0.3, 0.8), "head": 0.6, "arms": 0.6, "legs": 0.05}
    lean = situation.ahead * rng.uniform(-0.15, 0.25) + situation.left * rng.normal(0, 0.25)
    return Cause(weak=weak, weak_s=float(rng.uniform(0.4, 1.0)), reflex=set_angles(start, hold), reflex_after_s=0.05,
                 reflex_tone=0.5, carried=float(rng.uniform(0.75, 0.92)), carried_s=float(rng.uniform(1.2, 3.0)),
                 drag=3.0, pushes=_shove(lean, speed_m_s=1.0, seconds=0.3))  # fmt: skip


def _collapse(rng: np.random.Generator, situation: Situation) -> Cause:
    lean = situation.ahead * rng.normal(0, 0.25) + situation.left * rng.normal(0, 0.25)
    pushes = _shove(lean, speed_m_s=1.0, seconds=0.3)
    if rng.random() < 0.5:  # a faint: everything goes
        return Cause(weak=_limp(rng), weak_s=float(rng.uniform(0.05, 0.5)), pushes=pushes)
    weak = _tired(rng) | {"legs": float(rng.uniform(0.02, 0.08))}
    reflex = set_angles(situation.start, _reach_forward(rng)) if rng.random() < 0.5 else None
    return _reacting(rng, Cause(weak=weak, weak_s=float(rng.uniform(0.05, 0.4)), pushes=pushes, reflex=reflex))


_DRAWS: Mapping[str, Callable[[np.random.Generator, Situation], Cause]] = dict(
    zip(FALLS, (_forward, _backward, _sideways, _chair, _bed, _slump, _slide, _collapse), strict=True)
)
