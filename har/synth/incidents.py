"""Falls of every kind, each from the life before it to how the person lies, struggles or gets up after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from har.synth import postures
from har.synth.actor import Actor
from har.synth.body import TRUNK, A, Array
from har.synth.daily import act_daily_life
from har.synth.falling import AFTER_GROUND_S, fall, roll_out_of_bed, tumble_down
from har.synth.low import crawl, get_up, lie, start_lying, struggle
from har.synth.motion import Support
from har.synth.postures import SIDES, legs, set_angles
from har.synth.room import furniture
from har.synth.seat import sit, sit_down, start_seated
from har.synth.upright import stand, walk_on

PHYSICS_SHARE = 0.88
"""Of all falls; the others are tipping rods with hand-made limbs, as a second opinion of what a fall looks like."""
_BED_EDGE_M = 0.04  # how far behind the seat on its edge somebody lies who is about to roll out

AFTERMATHS = ("still", "restless", "struggle", "crawl", "up")


def act_fall(actor: Actor, *, kind: str, before_s: float) -> float:
    """Act something of daily life and then a fall.

    Args:
        actor: who.
        kind: one of `kinds.FALLS`.
        before_s: seconds of life before the fall, at least; a little more where somebody has to sit down first.

    Returns:
        When the body was down, on the actor's clock.
    """
    ahead, speed_m_s = _PREPARE[kind](actor, before_s)
    actor.begin(kind)
    if actor.rng.random() < PHYSICS_SHARE:
        boxes = furniture(tuple(actor.supports))
        ground_s = tumble_down(actor, kind=kind, ahead=ahead, speed_m_s=speed_m_s, boxes=boxes)
        if ground_s is not None:
            return ground_s
    return _fall_by_hand(actor, kind=kind, speed_m_s=speed_m_s)


def act_aftermath(actor: Actor, *, way: str, duration_s: float) -> None:
    """Act what follows a fall.

    Args:
        actor: who has fallen.
        way: one of `AFTERMATHS`.
        duration_s: how long, at least.
    """
    end_s = actor.duration_s + duration_s
    if way == "up":
        lie(actor, float(actor.rng.uniform(0.5, 4.0)), still=0.3)
        get_up(actor)
        stand(actor, 1.0)
        act_daily_life(actor, duration_s=max(0.0, end_s - actor.duration_s), on_feet=True)
        return
    if way == "crawl":
        lie(actor, float(actor.rng.uniform(1.0, 3.0)), still=0.4)
        crawl(actor, float(actor.rng.uniform(2.0, max(2.5, 0.6 * duration_s))))
    elif way == "struggle":
        struggle(actor, float(actor.rng.uniform(2.0, max(2.5, 0.7 * duration_s))))
    still = 0.95 if way == "still" else 0.35
    lie(actor, max(0.6, end_s - actor.duration_s), still=still)


def draw_aftermath(rng: np.random.Generator, *, may_get_up: bool = True) -> str:
    """Draw what follows a fall, one of `AFTERMATHS`."""
    shares = np.array([0.42, 0.22, 0.16, 0.08, 0.12 * may_get_up])
    return str(rng.choice(AFTERMATHS, p=shares / shares.sum()))


# -- what comes before -----------------------------------------------------------------------------------------------


def _on_feet(actor: Actor, before_s: float) -> tuple[None, float]:
    """Live for a while and stand at the end, or rise from a chair."""
    rng = actor.rng
    if rng.random() < 0.2:
        start_seated(actor)
        sit(actor, before_s)
        _half_rise(actor)
    else:
        act_daily_life(actor, duration_s=before_s, on_feet=True)
    return None, 0.0


def _half_rise(actor: Actor) -> None:
    """Begin to stand up and get no further."""
    ease = actor.facing(actor.ease)
    risen = actor.posture + float(actor.rng.uniform(0.6, 0.95)) * (ease - actor.posture)
    lean = actor.posture.copy()
    for name in ("pitch", "left_hip_flex", "right_hip_flex"):
        lean[A[name]] += np.deg2rad(actor.rng.uniform(18, 32))
    actor.act(actor.move([(actor.seconds(0.6), lean), (actor.seconds(0.8), risen)]), "stand up")
    actor.seat_m = 0.0


def _walking(actor: Actor, before_s: float) -> tuple[None, float]:
    if actor.rng.random() < 0.45:
        return _on_feet(actor, before_s)
    act_daily_life(actor, duration_s=before_s, on_feet=True)
    return None, walk_on(actor, float(actor.rng.uniform(1.0, 2.4)))


def _seated(actor: Actor, before_s: float) -> tuple[None, float]:
    if actor.rng.random() < 0.4:
        act_daily_life(actor, duration_s=max(0.5, before_s - 4.0), on_feet=True)
        sit_down(actor)
        sit(actor, float(actor.rng.uniform(1.0, 3.0)))
    else:
        start_seated(actor)
        sit(actor, before_s)
    return None, 0.0


def _in_bed(actor: Actor, before_s: float) -> tuple[Array, float]:
    start_lying(actor, bed=True, edge_m=_BED_EDGE_M)
    lie(actor, before_s)
    yaw = actor.supports[-1].yaw_rad
    return np.array([np.cos(yaw), np.sin(yaw), 0.0]), 0.0


def _at_wall(actor: Actor, before_s: float) -> tuple[None, float]:
    """Lean with the back against a wall, the feet a little ahead of it."""
    act_daily_life(actor, duration_s=before_s, on_feet=True)
    lean = float(actor.rng.uniform(6, 14))
    leaning = set_angles(actor.facing(actor.ease), legs(thigh=lean, shin=lean, pitch=-3) | {"pitch": -3.0})
    actor.act(actor.move([(actor.seconds(0.9), leaning)]), "stand")
    actor.act(actor.idle(float(actor.rng.uniform(0.5, 1.5)), hands=("in front",), base=leaning, restless=0.0), "stand")
    yaw = actor.yaw_rad
    points = actor.last_points
    ahead = np.array([np.cos(yaw), np.sin(yaw)])
    rear_m = float(((points[list(TRUNK), :2] @ ahead) - actor.body.radius_m[list(TRUNK)]).min()) - 0.01
    foot = points[list(TRUNK), :2].mean(axis=0)
    at = foot + ahead * (rear_m - foot @ ahead)
    actor.supports.append(Support("wall", float(at[0]), float(at[1]), 2.5, yaw))
    return None, 0.0


def _at_table(actor: Actor, before_s: float) -> tuple[None, float]:
    """Stand before a table with the hands on it."""
    act_daily_life(actor, duration_s=before_s, on_feet=True)
    holding = postures.with_hands(actor.rng, actor.facing(actor.ease), "table")
    holding = set_angles(
        holding, {"pitch": 6.0, "spine_flex": actor.rng.uniform(8, 22)} | legs(thigh=4, shin=2, pitch=6)
    )
    actor.act(actor.move([(actor.seconds(0.8), holding)]), "stand")
    actor.act(actor.idle(float(actor.rng.uniform(0.5, 2.0)), hands=("table",), base=holding, restless=0.0), "stand")
    x_m, y_m = (float(value) for value in actor.xy)
    actor.supports.append(Support("table", x_m, y_m, float(actor.rng.uniform(0.7, 0.78)), actor.yaw_rad))
    return None, 0.0


_PREPARE: Mapping[str, Callable[[Actor, float], tuple[Array | None, float]]] = {
    "fall-forward": _walking,
    "fall-backward": _walking,
    "fall-sideways": _on_feet,
    "fall-chair": _seated,
    "fall-bed": _in_bed,
    "fall-slump": _at_wall,
    "fall-slide": _at_table,
    "fall-collapse": _on_feet,
}


# -- without physics -------------------------------------------------------------------------------------------------


def _fall_by_hand(actor: Actor, *, kind: str, speed_m_s: float) -> float:
    """Fall as a tipping rod; returns when the body was down."""
    rng = actor.rng
    if kind == "fall-bed":
        roll_out_of_bed(actor)
    else:
        slump = kind in ("fall-slump", "fall-slide", "fall-collapse") or (kind == "fall-chair" and rng.random() < 0.4)
        direction = kind.removeprefix("fall-")
        if direction not in ("forward", "backward"):
            ways = (*SIDES, "forward") if kind == "fall-chair" else SIDES
            direction = str(rng.choice(ways))
        fall(actor, direction=direction, slump=slump, speed_m_s=speed_m_s if direction == "forward" else 0.0)
    start, end, _ = next(span for span in reversed(actor.spans) if span[2] == "fall")
    return max(start, end - AFTER_GROUND_S * (kind != "fall-bed"))
