"""What somebody does on an ordinary day, one thing after another, without a fall."""

from __future__ import annotations

from collections.abc import Callable

from har.synth.actor import Actor
from har.synth.low import bend, get_up, lie, lie_down, rest_on_floor, roll_over, sit_on_floor, squats, start_lying
from har.synth.seat import sit, sit_down, stand_up, start_seated, tie_shoes
from har.synth.upright import exercise, stand, turn, walk


def act_daily_life(actor: Actor, *, duration_s: float, on_feet: bool = False) -> None:
    """Act one thing after another without a fall.

    Args:
        actor: who.
        duration_s: at least this long, counted from now.
        on_feet: whether to begin and end standing.
    """
    rng = actor.rng
    end_s = actor.duration_s + duration_s
    begin = rng.random()
    if on_feet or begin < 0.65:
        state = "standing"
    elif begin < 0.88:
        start_seated(actor)
        state = "seated"
    else:
        bed = bool(rng.random() < 0.7)
        start_lying(actor, bed=bed)
        state = "lying"
    if state == "standing":
        _begin_on_feet(actor)
    while actor.duration_s < end_s:
        state = _NEXT[state](actor)
    if on_feet and state != "standing":
        _rise(actor, state)


def _begin_on_feet(actor: Actor) -> None:
    if actor.rng.random() < 0.5:
        walk(actor, float(actor.rng.uniform(1.5, 5.0)))
    else:
        stand(actor, float(actor.rng.uniform(1.0, 3.0)))


def _from_standing(actor: Actor) -> str:
    rng = actor.rng
    chance = rng.random()
    if chance < 0.22:
        walk(actor, float(rng.uniform(2.0, 6.0)))
    elif chance < 0.45:
        stand(actor, float(rng.uniform(1.5, 5.0)))
    elif chance < 0.58:
        bend(actor)
    elif chance < 0.61:
        squats(actor)
    elif chance < 0.64:
        exercise(actor, float(rng.uniform(2.0, 5.0)))
    elif chance < 0.67:
        turn(actor, float(rng.uniform(-180, 180)))
    elif chance < 0.87:
        bed = bool(rng.random() < 0.35)
        sit_down(actor, quick=bool(rng.random() < 0.3), furniture="bed" if bed else "chair")
        if bed and rng.random() < 0.75:
            sit(actor, float(rng.uniform(0.3, 1.5)))
            lie_down(actor)
            return "lying"
        return "seated"
    elif chance < 0.93:
        sit_on_floor(actor)
        return "on the floor"
    else:
        lie_down(actor)
        return "lying"
    return "standing"


def _from_seat(actor: Actor) -> str:
    rng = actor.rng
    chance = rng.random()
    if chance < 0.5:
        sit(actor, float(rng.uniform(1.5, 6.0)))
    elif chance < 0.62:
        tie_shoes(actor)
    elif chance < 0.72:
        sit(actor, 0.5)
        lie_down(actor)
        return "lying"
    else:
        return _rise(actor, "seated")
    return "seated"


def _from_floor(actor: Actor) -> str:
    chance = actor.rng.random()
    if chance < 0.5:
        rest_on_floor(actor, float(actor.rng.uniform(1.5, 5.0)))
        return "on the floor"
    if chance < 0.75:
        lie_down(actor)
        return "lying"
    return _rise(actor, "on the floor")


def _from_lying(actor: Actor) -> str:
    chance = actor.rng.random()
    if chance < 0.6:
        lie(actor, float(actor.rng.uniform(2.0, 7.0)))
    elif chance < 0.75:
        roll_over(actor)
    else:
        return _rise(actor, "lying")
    return "lying"


def _rise(actor: Actor, state: str) -> str:
    if state == "seated":
        stand_up(actor)
    else:
        get_up(actor)
    return "standing"


_NEXT: dict[str, Callable[[Actor], str]] = {
    "standing": _from_standing,
    "seated": _from_seat,
    "on the floor": _from_floor,
    "lying": _from_lying,
}
