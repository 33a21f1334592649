"""One room under one light, photographed a few times with other people in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from har.records import ImageArray
from har.synth.body import N_COCO, Array, Body, P
from har.synth.camera import Camera
from har.synth.scenes.light import Light, Lit, light_up, open_shadows, random_light
from har.synth.scenes.patterns import plain
from har.synth.scenes.people import (
    N_SHARES,
    POSTURES,
    SEATS_FOR,
    Figure,
    Seat,
    is_free,
    on_seat,
    pose,
    random_person,
)
from har.synth.scenes.place import Place, draw_place, random_place
from har.synth.scenes.sensor import Sensor, expose, random_sensor
from har.synth.scenes.things import NOTHING, Things, blanket, walking_frame, wheelchair
from har.synth.scenes.truth import Annotation, annotate, depth_mm
from har.synth.scenes.view import View, open_view
from har.synth.scenes.wardrobe import dress

SHOTS_PER_ROOM = 4
"""Pictures of each room: drawing it takes as long as drawing the people of several pictures."""
OVERSAMPLING = 2
ROOM_SPACE, SHOT_SPACE = 21, 22  # of seeds; `clips` and `life` use others
_POSTURE_TRIES, _PLACE_TRIES = 8, 6
_COMPANY_SHARE = 0.35
"""Of people are put beside somebody who is there already."""
_BLANKET_SHARE = 0.6
_LEAST_JOINTS, _LEAST_JOINTS_CUT = 10, 4
_CUT_SHARE = 0.15
"""Of people may be cut off by the picture's edge so that only a few joints are in it."""
_LEAST_SEEN = 0.12
_LEAST_SEEN_PX = 60
"""Somebody of whom less is seen is taken out of the picture: nobody could tell that they are there."""
_NEAREST_M, _NEAREST_ABOVE_M = 0.9, 0.4
_WHITE = plain((1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture with its truth.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        people: who is seen in it.
        depth_mm: (H, W) uint16, along the viewing direction.
        quality: of the JPEG file.
    """

    image: ImageArray
    people: tuple[Annotation, ...]
    depth_mm: npt.NDArray[np.uint16]
    quality: int


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """A room that was drawn without people, ready to be photographed with some.

    Attributes:
        place: what stands where.
        light: in it.
        sensor: of its camera.
        view: what the camera sees.
        lit: the light on all of that.
        shadows: what the lamp sees.
        mean: of the light that reaches the camera.
    """

    place: Place
    light: Light
    sensor: Sensor
    view: View
    lit: Lit
    shadows: View
    mean: float


def make_room(number: int, *, seed: int, width_px: int, height_px: int) -> Room:
    """Draw the room of a number, empty."""
    rng = np.random.default_rng([seed, ROOM_SPACE, number])
    place = random_place(rng, width_px=width_px, height_px=height_px)
    light = random_light(rng)
    view = open_view(place.camera, oversampling=OVERSAMPLING)
    draw_place(view, place)
    shadows = open_shadows(light)
    for box, _ in place.boxes:
        shadows.draw_box(box, _WHITE)
    if place.limbs:
        shadows.draw_limbs([limb for limb, _ in place.limbs], [_WHITE] * len(place.limbs), owner=0)
    lit = light_up(view, light, np.ones(view.owner.shape, dtype=bool))
    mean = float(lit.colour(shadows).mean())
    return Room(place, light, random_sensor(rng, kind=light.kind), view, lit, shadows, mean)


def photograph(room: Room, number: int, *, seed: int) -> Shot:
    """Put people into a room and take the picture of a number."""
    rng = np.random.default_rng([seed, SHOT_SPACE, number])
    figures = populate(rng, room.place)
    view, figures = _draw_people(room, figures)
    image = expose(_shrink(_light(room, view, figures), OVERSAMPLING), room.sensor, rng, mean=room.mean)
    return Shot(image, tuple(annotate(view, figures)), depth_mm(view), room.sensor.quality)


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
            boxes = [box for box, _ in place.boxes if seat is None or all(box is not own for own in seat.boxes)]
            if _is_seen(points, place.camera, least=least) and is_free(
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


def _is_seen(points: Array, camera: Camera, *, least: int) -> bool:
    """Say whether enough joints are in the picture and no part of the body is at the lens."""
    xy, depth_m = camera.project(points)
    from_above = camera.axes[2, 2] < -0.9
    if np.linalg.norm(points - camera.position_m, axis=1).min() < (_NEAREST_ABOVE_M if from_above else _NEAREST_M):
        return False
    size = np.array([camera.width_px, camera.height_px])
    inside = (depth_m > 0) & (xy >= 0).all(axis=-1) & (xy < size).all(axis=-1)
    return int(inside[:N_COCO].sum()) >= least


def _draw_people(room: Room, figures: list[Figure]) -> tuple[View, list[Figure]]:
    """Draw people into a copy of the room's view; gives it and who is in it to be seen."""
    view = room.view.copy()
    for number, figure in enumerate(figures, start=1):
        view.draw_limbs(*dress(figure.points, figure.body, figure.outfit), owner=number)
        _draw_things(view, figure.things)
    rays = np.bincount(view.owner.reshape(-1), minlength=len(figures) + 1)[1:]
    seen = [
        figure
        for figure, n_rays in zip(figures, rays, strict=True)
        if n_rays >= max(_LEAST_SEEN_PX * OVERSAMPLING**2, _LEAST_SEEN * _whole_rays(figure, room.place.camera))
    ]
    return (view, figures) if len(seen) == len(figures) else _draw_people(room, seen)


def _draw_things(view: View, things: Things) -> None:
    for box, paint in things.boxes:
        view.draw_box(box, paint)
    if things.limbs:
        limbs, paints = zip(*things.limbs, strict=True)
        view.draw_limbs(limbs, paints, owner=0)


def _whole_rays(figure: Figure, camera: Camera) -> float:
    """Estimate how many rays would meet somebody whom nothing hides: a third of the box about the joints."""
    xy, _ = camera.project(figure.points)
    xy = np.clip(xy[np.isfinite(xy).all(axis=1)], 0, (camera.width_px, camera.height_px))
    return float(np.ptp(xy, axis=0).prod()) / 3 * OVERSAMPLING**2


def _light(room: Room, view: View, figures: list[Figure]) -> npt.NDArray[np.float32]:
    """Give (H, W, 3) RGB of everything under the light of the room and the shadows of the people."""
    shadows = room.shadows.copy()
    for figure in figures:
        limbs, _ = dress(figure.points, figure.body, figure.outfit)
        shadows.draw_limbs(limbs, [_WHITE] * len(limbs), owner=0)
        _draw_things(shadows, figure.things)
    picture = room.lit.colour(shadows).reshape(view.colour.shape)
    new = view.reach_m < room.view.reach_m
    if new.any():
        picture[new] = light_up(view, room.light, new).colour(shadows)
    return picture


def _shrink(picture: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float32]:
    """Average the rays of each pixel."""
    parts = [picture[row::k, column::k] for row in range(k) for column in range(k)]
    return np.asarray(sum(parts[1:], start=parts[0]) / np.float32(k * k))


def photograph_room(number: int, *, n_shots: int, seed: int, width_px: int, height_px: int) -> Iterator[Shot]:
    """Give the first pictures of a room, at most `SHOTS_PER_ROOM`."""
    room = make_room(number, seed=seed, width_px=width_px, height_px=height_px)
    for shot in range(n_shots):
        yield photograph(room, number * SHOTS_PER_ROOM + shot, seed=seed)
