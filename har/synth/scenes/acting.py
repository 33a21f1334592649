"""Short scenes in which people walk past each other, stand, bend and fall: pictures in a row, for trackers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from har.synth.actor import Actor
from har.synth.body import A, Array
from har.synth.falling import fall
from har.synth.falls import DIRECTIONS
from har.synth.film import sample
from har.synth.low import bend, lie
from har.synth.scenes.crowd import is_seen
from har.synth.scenes.people import Figure, is_free, random_person
from har.synth.scenes.place import Place
from har.synth.upright import stand, walk_to

SEQUENCE_FRAMES, SEQUENCE_HZ = 40, 10.0
N_SHARES = (0.0, 0.0, 0.5, 0.3, 0.2)
"""Of scenes with nobody, one, two, three, four people."""
ROLES = {"cross": 0.55, "stay": 0.2, "bend": 0.1, "fall": 0.15}
"""Share of what people do: walk through the room, past where somebody else is; stand; pick something up; fall."""
_TRIES = 12
_CHECK_EVERY = 3  # frames: people are where they are for longer than that
_SHORTEST_WAY_M = 1.2
_PASSING_M = 0.7
_LEAST_JOINTS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one person does in a scene: a figure for each picture."""

    figures: tuple[Figure, ...]


def act_scene(rng: np.random.Generator, place: Place, *, n_frames: int) -> list[Part]:
    """Draw who does what in a room; nobody walks through anybody or anything.

    Args:
        rng: source of the differences.
        place: the room.
        n_frames: how many pictures.
    """
    parts: list[Part] = []
    for _ in range(int(rng.choice(len(N_SHARES), p=N_SHARES))):
        part = _find_part(rng, place, n_frames=n_frames, others=parts)
        if part is not None:
            parts.append(part)
    return parts


def _find_part(rng: np.random.Generator, place: Place, *, n_frames: int, others: Sequence[Part]) -> Part | None:
    """Try what somebody could do until all of it is free and most of it in the picture; None if no try was."""
    body, style, outfit = random_person(rng)
    boxes = [box for box, _ in place.things.boxes]
    time_s = np.arange(n_frames) / SEQUENCE_HZ
    for _ in range(_TRIES):
        actor = Actor(body, style, rng, room_m=float(place.half_m.min()) - 0.4)
        role = str(rng.choice(tuple(ROLES), p=tuple(ROLES.values())))
        _act(rng, actor, role, place, duration_s=float(time_s[-1]) + 0.5, others=others)
        points, labels = sample(actor.motion(), time_s)
        some = range(0, n_frames, _CHECK_EVERY)
        seen = np.mean([is_seen(points[frame], place.camera, least=_LEAST_JOINTS) for frame in some])
        if seen >= 0.6 and all(
            is_free(
                points[frame],
                body,
                others=[other.figures[frame] for other in others],
                boxes=boxes,
                half_m=place.half_m,
            )
            for frame in some
        ):
            return Part(tuple(Figure(points[frame], body, outfit, labels[frame]) for frame in range(n_frames)))
    return None


def _act(
    rng: np.random.Generator, actor: Actor, role: str, place: Place, *, duration_s: float, others: Sequence[Part]
) -> None:
    """Act for a while."""
    start, end = _way(rng, place, others)
    actor.xy = start
    heading = np.arctan2(*(end - start)[::-1]) if role in ("cross", "fall") else rng.uniform(-np.pi, np.pi)
    for posture in (actor.ease, actor.posture):
        posture[A["yaw"]] = heading
    if role == "cross":
        stand(actor, float(rng.uniform(0.2, 1.0)))
        walk_to(actor, *(float(value) for value in end))
    elif role == "bend":
        stand(actor, float(rng.uniform(0.3, 1.5)))
        bend(actor)
    elif role == "fall":
        stand(actor, float(rng.uniform(0.3, 1.2)))
        fall(actor, direction=str(rng.choice(DIRECTIONS)), slump=bool(rng.random() < 0.3))
        lie(actor, duration_s)
    while actor.duration_s < duration_s:
        stand(actor, duration_s - actor.duration_s + 0.1)


def _way(rng: np.random.Generator, place: Place, others: Sequence[Part]) -> tuple[Array, Array]:
    """Draw where somebody starts and goes to: past somebody else if there is one."""
    reach = place.half_m - 0.35
    for _ in range(_TRIES):
        start = rng.uniform(-1, 1, 2) * reach
        end = rng.uniform(-1, 1, 2) * reach
        if others and rng.random() < 0.8:
            figures = others[int(rng.integers(len(others)))].figures
            passed = figures[int(rng.integers(len(figures)))].points[:, :2].mean(axis=0)
            aside = rng.normal(0, 1, 2)
            via = passed + _PASSING_M * aside / max(float(np.hypot(*aside)), 1e-6)
            end = np.clip(start + 1.9 * (via - start), -reach, reach)
        if np.hypot(*(end - start)) > _SHORTEST_WAY_M:
            break
    return start, end
