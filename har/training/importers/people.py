"""Who is who over time, in files that name bodies by numbers that come and go, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from har.training.importers.ledger import Ledger
from har.training.importers.making import Numbers

MAX_PEOPLE = 2
"""Skeleton sets hold one or two actors; further bodies are furniture and passers-by."""

Body = Mapping[int, Numbers]
"""A body's joints (V, C) by frame."""


def lay_out(bodies: Sequence[Body], *, n_frames: int, clip_id: str, ledger: Ledger) -> npt.NDArray[np.float32] | None:
    """Put bodies into an array (T, M, V, C), M at most two, NaN where nobody is; None if there is no body.

    Bodies that are never seen together share a place: a sensor that loses somebody gives them a new number. Of more
    places than two, those with the most movement stay, as the makers of these sets do it.

    Args:
        bodies: joints by frame.
        n_frames: T.
        clip_id: for the ledger.
        ledger: told of bodies left out.
    """
    places: list[dict[int, Numbers]] = []
    for body in sorted(bodies, key=len, reverse=True):
        for place in places:
            if not place.keys() & body.keys():
                place.update(body)
                break
        else:
            places.append(dict(body))
    places = [place for place in places if place]
    if not places:
        return None
    if len(places) > MAX_PEOPLE:
        ledger.leave_out(clip_id, why="bodies beyond the two that move most", n=len(places) - MAX_PEOPLE)
        places = sorted(places, key=_movement, reverse=True)[:MAX_PEOPLE]
    some = next(iter(places[0].values()))
    joints = np.full((n_frames, len(places), *some.shape), np.nan, dtype=np.float32)
    for person, place in enumerate(places):
        for frame, found in place.items():
            joints[frame, person] = found
    return joints


def _movement(place: Body) -> float:
    joints = np.stack(list(place.values()))[..., :2]
    if len(joints) < 2 or not np.isfinite(joints).any():
        return 0.0
    spread = np.nanstd(np.where(np.isfinite(joints), joints, np.nanmean(joints)), axis=0)
    return float(spread.sum()) * len(joints)


def follow(frames: Sequence[Sequence[Numbers]]) -> list[dict[int, Numbers]]:
    """Follow bodies that nobody numbered: each goes on as the nearest of the frame before.

    Args:
        frames: for each frame the bodies (V, C) in it.

    Returns:
        Joints by frame for each body.
    """
    bodies: list[dict[int, Numbers]] = []
    before: list[int] = []
    for number, found in enumerate(frames):
        owner: dict[int, int] = {}
        if before and found:
            cost = np.array([[_distance(bodies[b][number - 1], each) for each in found] for b in before])
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                owner[int(column)] = before[row]
        for column, each in enumerate(found):
            if column not in owner:
                owner[column] = len(bodies)
                bodies.append({})
            bodies[owner[column]][number] = each
        before = list(owner.values())
    return bodies


def _distance(one: Numbers, other: Numbers) -> float:
    apart = np.hypot(*(one[:, :2] - other[:, :2]).T)
    known = np.isfinite(apart)
    return float(apart[known].mean()) if known.any() else 1e6
