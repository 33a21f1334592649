"""How somebody spends the time at home: sits and lies for long, walks, stands, and does what looks like a fall."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from har.synth.actor import Actor
from har.synth.kinds import DAILY
from har.synth.low import get_up, lie, lie_down, roll_over
from har.synth.negatives import act_negative
from har.synth.seat import doze, sit, sit_down, stand_up, tie_shoes, wheel
from har.synth.upright import exercise, stand, turn, walk, walk_to

PER_HOUR: Mapping[str, float] = {
    "kneel": 0.5, "tie-shoes": 1.0, "floor-sit": 0.2, "lie-down": 0.8, "pick-up": 2.5, "exercise": 0.4,
    "floor-play": 0.15, "bend": 2.5, "doze": 1.0, "plop": 1.2, "reach-under": 0.3, "in-out": 2.5, "close": 0.8,
}  # fmt: skip
"""How often people do hard negatives in a room they live in: an estimate, not a measurement."""
OTHERS_PER_HOUR = 22.0
"""All the other things, such as sitting for ten minutes; walking and standing in between included."""


def live(actor: Actor, *, duration_s: float, dense: bool, camera_m: np.ndarray, in_wheelchair: bool) -> None:
    """Live for a while without a fall.

    Args:
        actor: who, with seats of their own and a door.
        duration_s: how long, at least.
        dense: hard negatives one after another instead of now and then.
        camera_m: (2,) where the camera hangs, which some come near to.
        in_wheelchair: whether the person stays in a wheelchair.
    """
    actor.begin(DAILY)
    if in_wheelchair:
        _live_in_wheelchair(actor, duration_s=duration_s)
        return
    kinds = list(PER_HOUR)
    rates = np.array([PER_HOUR[kind] for kind in kinds])
    share = 1.0 if dense else rates.sum() / (rates.sum() + OTHERS_PER_HOUR)
    chances = np.sqrt(rates) if dense else rates
    if actor.rng.random() < 0.5:
        walk_to(actor, 0.0, 0.0)
    else:
        stand(actor, 1.0)
    while actor.duration_s < duration_s:
        if actor.rng.random() < share:
            kind = str(actor.rng.choice(kinds, p=chances / chances.sum()))
            _look_into_camera(actor, camera_m) if kind == "close" else act_negative(actor, kind, duration_s=0.1)
            actor.begin(DAILY)
            if dense:
                _HABITS["stand"](actor, 3.0)
        else:
            habits = list(_HABITS)
            habit = str(actor.rng.choice(habits, p=[_HABIT_SHARES[name] for name in habits]))
            _HABITS[habit](actor, min(1e9, duration_s - actor.duration_s + 30.0))


def _look_into_camera(actor: Actor, camera_m: np.ndarray) -> None:
    """Walk up to below the camera, do something there, walk back."""
    actor.begin("close")
    away = -camera_m / max(float(np.hypot(*camera_m)), 1e-6)
    spot = camera_m + away * actor.rng.uniform(0.45, 0.9)
    walk_to(actor, float(spot[0]), float(spot[1]))
    stand(actor, float(actor.rng.uniform(0.5, 4.0)))
    if actor.rng.random() < 0.3:
        act_negative(actor, "pick-up", duration_s=0.1)
    walk_to(actor, *(float(value) for value in actor.rng.uniform(-0.5, 0.5, 2)))


def _live_in_wheelchair(actor: Actor, *, duration_s: float) -> None:
    """Sit in the wheelchair for long, roll about, doze, reach for the shoes."""
    actor.begin("wheelchair")
    sit_down(actor, furniture="wheelchair")
    while actor.duration_s < duration_s:
        chance = actor.rng.random()
        if chance < 0.45:
            sit(actor, float(actor.rng.uniform(20, 240)))
        elif chance < 0.85:
            wheel(actor, float(actor.rng.uniform(3, 15)))
        elif chance < 0.93:
            doze(actor, float(actor.rng.uniform(10, 120)))
        else:
            tie_shoes(actor)


# -- habits: what people do most of the time; `left_s` is how long there still is ------------------------------------


def _sit_long(actor: Actor, left_s: float) -> None:
    sit_down(actor, furniture=str(actor.rng.choice(("chair", "sofa"))))
    end_s = actor.duration_s + min(left_s, float(np.exp(actor.rng.uniform(np.log(20), np.log(700)))))
    while actor.duration_s < end_s:
        sit(actor, min(120.0, max(1.0, end_s - actor.duration_s)))
        if actor.rng.random() < 0.05:
            tie_shoes(actor)
    stand_up(actor)


def _lie_long(actor: Actor, left_s: float) -> None:
    if not any(seat.kind in ("bed", "sofa") for seat in actor.seats):
        _sit_long(actor, left_s)
        return
    sit_down(actor, furniture="bed")
    sit(actor, float(actor.rng.uniform(1.0, 10.0)))
    lie_down(actor)
    end_s = actor.duration_s + min(left_s, float(np.exp(actor.rng.uniform(np.log(30), np.log(900)))))
    while actor.duration_s < end_s:
        lie(actor, min(120.0, max(2.5, end_s - actor.duration_s)), still=0.9)
        if actor.rng.random() < 0.2:
            roll_over(actor)
    get_up(actor)


def _stand_about(actor: Actor, left_s: float) -> None:
    stand(actor, min(left_s, float(np.exp(actor.rng.uniform(np.log(2), np.log(60))))))
    if actor.rng.random() < 0.3:
        turn(actor, float(actor.rng.uniform(-150, 150)))


def _walk_about(actor: Actor, left_s: float) -> None:
    for _ in range(int(actor.rng.integers(1, 4))):
        walk(actor, float(actor.rng.uniform(2.0, 7.0)))
        stand(actor, float(actor.rng.uniform(0.5, 6.0)))


def _leave(actor: Actor, left_s: float) -> None:
    """Go out of the room and stay away for a while."""
    if actor.door_m is not None:
        walk_to(actor, *(float(value) for value in actor.door_m))
        stand(actor, min(left_s, float(np.exp(actor.rng.uniform(np.log(5), np.log(240))))))
        walk_to(actor, *(float(value) for value in actor.rng.uniform(-0.6, 0.6, 2)))


def _move_arms(actor: Actor, left_s: float) -> None:
    exercise(actor, float(actor.rng.uniform(2.0, 6.0)))


_HABITS: Mapping[str, Callable[[Actor, float], None]] = {
    "sit": _sit_long, "lie": _lie_long, "stand": _stand_about, "walk": _walk_about, "leave": _leave, "arms": _move_arms,
}  # fmt: skip
_HABIT_SHARES: Mapping[str, float] = {
    "sit": 0.27, "lie": 0.08, "stand": 0.24, "walk": 0.30, "leave": 0.09, "arms": 0.02,
}  # fmt: skip
