"""One room under one light, photographed a few times with other people in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from har.records import FloatArray, ImageArray
from har.synth.scenes.acting import SEQUENCE_FRAMES, act_scene
from har.synth.scenes.crowd import populate
from har.synth.scenes.light import Light, Lit, light_up, open_shadows, random_light
from har.synth.scenes.patterns import plain
from har.synth.scenes.people import Figure
from har.synth.scenes.place import Place, draw_place, random_place
from har.synth.scenes.sensor import Sensor, expose, random_sensor
from har.synth.scenes.things import draw_things
from har.synth.scenes.truth import Annotation, annotate, depth_mm
from har.synth.scenes.view import Paint, View, open_view
from har.synth.scenes.wardrobe import dress
from har.synth.shapes import Limb

SHOTS_PER_ROOM = 4
"""Pictures of each room: drawing it takes as long as drawing the people of several pictures."""
OVERSAMPLING = 2
ROOM_SPACE, SHOT_SPACE, SEQUENCE_SPACE = 21, 22, 23  # of seeds; `clips` and `life` use others
_LEAST_SEEN = 0.12
_LEAST_SEEN_PX = 60
"""Somebody of whom less is seen is taken out of the picture: nobody could tell that they are there."""
_THIN_M = 0.03  # nose, ears and fingers throw no shadow that one could see
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
    return prepare(place, light, random_sensor(rng, kind=light.kind))


def prepare(place: Place, light: Light, sensor: Sensor) -> Room:
    """Draw a room without people."""
    view = open_view(place.camera, oversampling=OVERSAMPLING)
    draw_place(view, place)
    shadows = open_shadows(light)
    draw_things(shadows, place.things)
    lit = light_up(view, light, np.ones(view.owner.shape, dtype=bool))
    return Room(place, light, sensor, view, lit, shadows, mean=float(lit.colour(shadows).mean()))


def photograph(room: Room, figures: Sequence[Figure], rng: np.random.Generator) -> Shot:
    """Take a picture of a room with people in it.

    Args:
        room: without them.
        figures: who; somebody of whom hardly anything would be seen is left out.
        rng: source of the noise.
    """
    people = [
        _Dressed(number, figure, *dress(figure.points, figure.body, figure.outfit))
        for number, figure in enumerate(figures, start=1)
    ]
    view, people = _draw_people(room, people)
    image = expose(_shrink(_light(room, view, people), OVERSAMPLING), room.sensor, rng, mean=room.mean)
    found = annotate(view, {person.number: person.figure for person in people})
    return Shot(image, tuple(found), depth_mm(view), room.sensor.quality)


@dataclass(frozen=True, slots=True, eq=False)
class _Dressed:
    """Somebody with the shapes that they are drawn of; the number is theirs in the whole scene."""

    number: int
    figure: Figure
    limbs: list[Limb]
    paints: list[Paint]


def _draw_people(room: Room, people: list[_Dressed]) -> tuple[View, list[_Dressed]]:
    """Draw people into a copy of the room's view; gives it and who is in it to be seen."""
    view = room.view.copy()
    for person in people:
        view.draw_limbs(person.limbs, person.paints, owner=person.number)
        draw_things(view, person.figure.things)
    seen = [person for person in people if _can_be_told(view, person)]
    return (view, people) if len(seen) == len(people) else _draw_people(room, seen)


def _can_be_told(view: View, person: _Dressed) -> bool:
    """Say whether enough is seen of somebody: of a third of the box about the joints, which nobody hid would fill."""
    camera = view.camera
    xy, _ = camera.project(person.figure.points)
    xy = np.clip(xy[np.isfinite(xy).all(axis=1)], 0, (camera.width_px, camera.height_px))
    whole_px = float(np.ptp(xy, axis=0).prod()) / 3 if len(xy) else 0.0
    n_rays = int((view.owner == person.number).sum())
    return n_rays >= OVERSAMPLING**2 * max(_LEAST_SEEN_PX, _LEAST_SEEN * whole_px)


def _light(room: Room, view: View, people: list[_Dressed]) -> FloatArray:
    """Give (H, W, 3) RGB of everything under the light of the room and the shadows of the people."""
    shadows = room.shadows.copy()
    for person in people:
        large = [limb for limb in person.limbs if limb.start_radius_m > _THIN_M]
        shadows.draw_limbs(large, [_WHITE] * len(large), owner=0)
        draw_things(shadows, person.figure.things)
    picture = room.lit.colour(shadows).reshape(view.colour.shape)
    new = view.reach_m < room.view.reach_m
    if new.any():
        picture[new] = light_up(view, room.light, new).colour(shadows)
    return picture


def _shrink(picture: FloatArray, k: int) -> FloatArray:
    """Average the rays of each pixel."""
    parts = [picture[row::k, column::k] for row in range(k) for column in range(k)]
    return np.asarray(sum(parts[1:], start=parts[0]) / np.float32(k * k))


def photograph_room(number: int, *, n_shots: int, seed: int, width_px: int, height_px: int) -> Iterator[Shot]:
    """Give the first pictures of a room, at most `SHOTS_PER_ROOM`."""
    room = make_room(number, seed=seed, width_px=width_px, height_px=height_px)
    for shot in range(n_shots):
        rng = np.random.default_rng([seed, SHOT_SPACE, number * SHOTS_PER_ROOM + shot])
        yield photograph(room, populate(rng, room.place), rng)


def film_room(number: int, *, n_shots: int, seed: int, width_px: int, height_px: int) -> Iterator[Shot]:
    """Give the first pictures of a moving scene, at most `SEQUENCE_FRAMES` at `SEQUENCE_HZ`."""
    room = make_room(number, seed=seed, width_px=width_px, height_px=height_px)
    rng = np.random.default_rng([seed, SEQUENCE_SPACE, number])
    parts = act_scene(rng, room.place, n_frames=SEQUENCE_FRAMES)
    for shot in range(n_shots):
        yield photograph(room, [part.figures[shot] for part in parts], rng)
