"""Who is in a room, where they are and what they use there."""

from __future__ import annotations

import numpy as np

from har.synth.body import N_COCO, Array, Body, P
from har.synth.camera import Camera
from har.synth.scenes.people import N_SHARES, POSTURES, SEATS_FOR, Figure, Seat, is_free, on_seat, pose, random_person
from har.synth.scenes.place import Place
from har.synth.scenes.things import NOTHING, Things, blanket, walking_frame, wheelchair

_POSTURE_TRIES, _PLACE_TRIES = 8, 6
_COMPANY_SHARE = 0.35
"""Of people are put beside somebody who is there already."""
_BLANKET_SHARE = 0.6
_LEAST_JOINTS, _LEAST_JOINTS_CUT = 10, 4
_CUT_SHARE = 0.15
"""Of people may be cut off by the picture's edge so that only a few joints are in it."""
_NEAREST_M, _NEAREST_ABOVE_M = 0.9, 0.4


def populate(rng: np.random.Generator, place: Place) -> list[Figure]:
    """Draw who is in a room, where, and what they do."""
    figures: list[Figure] = []
    for _ in range(int(rng.choice(len(N_SHARES), p=N_SHARES))):
        figure = _find_place(rng, place, others=figures)
        if figure is not None:
            figures.append(figure)
    return figures


def _find_place(rng: np.random.Generator, place: Place, *, others: list[Figure]) -> Figure | None:
    """Try postures and places until one is free and in the picture; None if none of the tries was."""
    body, style, outfit = random_person(rng)
    least = _LEAST_JOINTS_CUT if rng.random() < _CUT_SHARE else _LEAST_JOINTS
    names, shares = tuple(POSTURES), tuple(POSTURES.values())
    for _ in range(_POSTURE_TRIES):
        posture = str(rng.choice(names, p=shares))
        seats = [seat for seat in place.seats if seat.support.kind in SEATS_FOR.get(posture, ())]
        if posture in SEATS_FOR and not seats:
            continue
        for _ in range(_PLACE_TRIES):
            seat = seats[rng.integers(len(seats))] if seats else None
            if seat is not None:
                points = on_seat(rng, body, style, posture, seat)
            else:
                points = pose(rng, body, style, posture) + np.array([*_somewhere(rng, place, others), 0.0])
            boxes = [box for box, _ in place.things.boxes if seat is None or all(box is not own for own in seat.boxes)]
            if is_seen(points, place.camera, least=least) and is_free(
                points, body, others=others, boxes=boxes, half_m=place.half_m
            ):
                return Figure(points, body, outfit, posture, _things(rng, points, body, posture, seat))
    return None


def _somewhere(rng: np.random.Generator, place: Place, others: list[Figure]) -> Array:
    """Draw a place on the floor: anywhere, or beside somebody."""
    if others and rng.random() < _COMPANY_SHARE:
        beside = others[rng.integers(len(others))].points[P["pelvis"], :2]
        turn, apart = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0)
        return np.asarray(beside + apart * np.array([np.cos(turn), np.sin(turn)]))
    return np.asarray(rng.uniform(-1, 1, 2) * (place.half_m - 0.25))


def _things(rng: np.random.Generator, points: Array, body: Body, posture: str, seat: Seat | None) -> Things:
    """Give somebody what belongs to what they do."""
    if posture == "lie in bed" and seat is not None and seat.support.kind == "bed" and rng.random() < _BLANKET_SHARE:
        return blanket(rng, points, body, seat.support)
    if posture == "walking frame":
        return walking_frame(rng, points)
    return wheelchair(rng, points) if posture == "wheelchair" else NOTHING


def is_seen(points: Array, camera: Camera, *, least: int) -> bool:
    """Say whether enough joints are in the picture and no part of the body is at the lens."""
    xy, depth_m = camera.project(points)
    from_above = camera.axes[2, 2] < -0.9
    if np.linalg.norm(points - camera.position_m, axis=1).min() < (_NEAREST_ABOVE_M if from_above else _NEAREST_M):
        return False
    size = np.array([camera.width_px, camera.height_px])
    inside = (depth_m > 0) & (xy >= 0).all(axis=-1) & (xy < size).all(axis=-1)
    return int(inside[:N_COCO].sum()) >= least
