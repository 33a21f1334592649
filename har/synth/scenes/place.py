"""Rooms: walls and floor, furniture, things that lie about, and the camera that hangs there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from har.synth.body import Array
from har.synth.camera import Camera, look_at
from har.synth.home import random_home
from har.synth.motion import Support
from har.synth.room import furniture
from har.synth.scenes.patterns import (
    SKINS,
    Colour,
    between,
    blotched,
    checked,
    gridded,
    near,
    plain,
    planked,
    random_cloth,
    random_colour,
    striped,
)
from har.synth.scenes.people import Seat
from har.synth.scenes.things import Things, draw_things
from har.synth.scenes.view import Paint, View
from har.synth.shapes import Box, Limb

CAMERAS: Mapping[str, float] = {"corner": 0.45, "wall": 0.3, "ceiling": 0.25}
"""Share of rooms by where their camera hangs: high in a corner, at a wall at ordinary height, straight above."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One furnished room with its camera.

    Attributes:
        half_m: (2,) half its length and width; the middle of the floor is the origin.
        height_m: of the ceiling.
        floor: its paint.
        walls: paint of the two walls across x and the two across y; called with (along, 0, height).
        ceiling: its paint.
        seats: where one sits and lies.
        things: all that stands, hangs and lies there; the seats among it.
        camera: which watches the room.
    """

    half_m: Array
    height_m: float
    floor: Paint
    walls: tuple[Paint, Paint]
    ceiling: Paint
    seats: tuple[Seat, ...]
    things: Things
    camera: Camera


def random_place(rng: np.random.Generator, *, width_px: int, height_px: int) -> Place:
    """Draw a room, what stands in it, and the camera."""
    home = random_home(rng)
    height_m = float(rng.uniform(2.35, 3.1))
    supports = [replace(seat, height_m=seat.height_m + float(rng.normal(0, 0.03))) for seat in home.seats]
    wood, cushion, sheet = near(rng, (0.45, 0.31, 0.20), spread=0.12), random_colour(rng), random_colour(rng)
    boxes: list[tuple[Box, Paint]] = []
    seats = []
    for support in [*supports, *home.tables]:
        own = [_coloured(rng, box, wood=wood, cushion=cushion, sheet=sheet) for box in furniture((support,))]
        head = float(rng.choice((-1.0, 1.0)))
        if support.kind == "bed":
            own.append(_pillow(rng, support, head=head))
        boxes += own
        if support.kind != "table":
            seats.append(Seat(support, tuple(box for box, _ in own), head))
    boxes += _on_walls(rng, home.half_m, height_m=height_m)
    boxes += _clutter(rng, home.half_m, taken=[seat.support for seat in seats])
    return Place(
        home.half_m,
        height_m,
        floor=_floor(rng),
        walls=(_wall(rng), _wall(rng)),
        ceiling=plain(near(rng, (0.92, 0.92, 0.91), spread=0.03)),
        seats=tuple(seats),
        things=Things(tuple(boxes), tuple(_round_things(rng, home.half_m))),
        camera=_hang(rng, home.half_m, height_m=height_m, width_px=width_px, height_px=height_px),
    )


def draw_place(view: View, place: Place) -> None:
    """Draw the empty room and everything in it; changes `view`."""
    _draw_shell(view, place)
    draw_things(view, place.things)


def _draw_shell(view: View, place: Place) -> None:
    """Draw floor, walls and ceiling as seen from inside."""
    half = np.array([*place.half_m, place.height_m / 2], dtype=np.float32)
    origin = view.camera.position_m.astype(np.float32)
    rays = view.rays.reshape(-1, 3)
    safe = np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)
    leave = (np.sign(safe) * half - (origin - np.array([0, 0, half[2]], dtype=np.float32))) / safe
    reach = np.minimum(np.minimum(leave[:, 0], leave[:, 1]), leave[:, 2])
    side = np.where(reach == leave[:, 2], 2, np.where(reach == leave[:, 1], 1, 0))
    spot = origin + reach[:, None] * rays
    colour = np.empty_like(rays)
    normal = np.where(side[:, None] == np.arange(3), -np.sign(safe), np.float32(0))
    floor = (side == 2) & (rays[:, 2] < 0)
    for mask, paint, order in (
        (floor, place.floor, (0, 1, 2)),
        ((side == 2) & ~floor, place.ceiling, (0, 1, 2)),
        (side == 0, place.walls[0], (1, 0, 2)),
        (side == 1, place.walls[1], (0, 1, 2)),
    ):
        if mask.any():
            colour[mask] = paint(spot[mask][:, list(order)])
    shape = view.reach_m.shape
    view.reach_m[:] = reach.reshape(shape)
    view.colour[:] = colour.reshape(*shape, 3)
    view.normal[:] = normal.reshape(*shape, 3)


# -- surfaces --------------------------------------------------------------------------------------------------------


def _floor(rng: np.random.Generator) -> Paint:
    wood = near(rng, between(rng, ((0.80, 0.68, 0.52), (0.62, 0.46, 0.32), (0.35, 0.24, 0.17))), spread=0.04)
    dull = near(rng, between(rng, ((0.82, 0.80, 0.76), (0.62, 0.60, 0.56), (0.38, 0.38, 0.40))), spread=0.05)
    kind = rng.integers(5)
    if kind <= 1:
        return planked(wood, width_m=float(rng.uniform(0.08, 0.24)), axis=int(rng.integers(2)))
    if kind == 2:
        return gridded(dull, near(rng, dull, spread=0.1), period_m=float(rng.uniform(0.2, 0.6)))
    if kind == 3:
        carpet = near(rng, dull, spread=0.12)
        return blotched(carpet, near(rng, carpet, spread=0.08), size_m=float(rng.uniform(0.03, 0.3)), seed=1.7)
    return blotched(dull, near(rng, dull, spread=0.03), size_m=float(rng.uniform(0.05, 0.6)), seed=4.1)


def _wall(rng: np.random.Generator) -> Paint:
    paint = near(rng, between(rng, ((0.93, 0.92, 0.88), (0.84, 0.82, 0.76), (0.72, 0.76, 0.78))), spread=0.05)
    if rng.random() < 0.25:
        paint = random_colour(rng)
    kind, other = rng.integers(6), near(rng, paint, spread=0.12)
    if kind == 0:
        split = float(rng.uniform(0.8, 1.3))
        upper, lower = plain(paint), plain(other)
        return lambda spot: np.where((spot[:, 2] > split)[:, None], upper(spot), lower(spot))
    if kind == 1:
        return striped(paint, other, period_m=float(rng.uniform(0.06, 0.4)), axis=0)
    if kind == 2:
        return blotched(paint, other, size_m=float(rng.uniform(0.05, 0.3)), seed=float(rng.uniform(0, 9)))
    if kind == 3:
        return gridded(paint, other, period_m=float(rng.uniform(0.1, 0.3)), axes=(0, 2))
    return plain(paint)


def _coloured(rng: np.random.Generator, box: Box, *, wood: Colour, cushion: Colour, sheet: Colour) -> tuple[Box, Paint]:
    """Give a box of the furniture another colour than it was made with."""
    red, green, blue = box.colour
    if red > green > blue:
        return box, plain(near(rng, wood, spread=0.01))
    chosen = sheet if red > 0.6 else cushion
    return box, random_cloth(rng, chosen, patterned=0.25)


def _box(xy_m: Array, *, low: float, high: float, half: tuple[float, float], yaw_rad: float = 0.0) -> Box:
    return Box(np.array([*xy_m, 0.5 * (low + high)]), np.array([*half, 0.5 * (high - low)]), yaw_rad, (1.0, 1.0, 1.0))


def _pillow(rng: np.random.Generator, bed: Support, *, head: float) -> tuple[Box, Paint]:
    forward = np.array([np.cos(bed.yaw_rad), np.sin(bed.yaw_rad)])
    left = np.array([-forward[1], forward[0]])
    place = np.array([bed.x_m, bed.y_m]) - 0.26 * forward + head * 0.85 * left
    top = bed.height_m
    paint = random_cloth(rng, near(rng, (0.88, 0.88, 0.88), spread=0.08), patterned=0.2)
    return _box(place, low=top - 0.01, high=top + 0.07, half=(0.32, 0.17), yaw_rad=bed.yaw_rad), paint


def _on_walls(rng: np.random.Generator, half_m: Array, *, height_m: float) -> list[tuple[Box, Paint]]:
    """Hang pictures, a door, a window, curtains and a coat or two on the walls."""
    pieces: list[tuple[Box, Paint]] = []
    for _ in range(int(rng.integers(2, 8))):
        side, kind = int(rng.integers(4)), rng.integers(6)
        if kind == 0:  # a door
            size, low, paint = (0.45, 1.0), 0.0, plain(near(rng, (0.8, 0.75, 0.68), spread=0.15))
        elif kind == 1:  # a window
            size, low, paint = (rng.uniform(0.4, 0.9), 0.6), 0.9, plain(near(rng, (0.9, 0.93, 0.96), spread=0.06))
        elif kind == 2:  # a curtain
            size, low = (rng.uniform(0.25, 0.7), 1.0), 0.15
            paint = striped(random_colour(rng), random_colour(rng), period_m=float(rng.uniform(0.05, 0.2)), axis=0)
        else:  # a picture, a poster, a board
            size, low = (rng.uniform(0.12, 0.5), rng.uniform(0.12, 0.4)), rng.uniform(0.9, 1.5)
            paint = _poster(rng)
        high = min(low + 2 * float(size[1]), height_m - 0.05)
        along = rng.uniform(-0.8, 0.8) * half_m[1 - side % 2]
        yaw = side * np.pi / 2
        inward = np.array([np.cos(yaw), np.sin(yaw)]).round()
        aside = np.array([-inward[1], inward[0]])
        place = -inward * np.abs(half_m @ inward) + aside * along
        pieces.append((_box(place, low=float(low), high=high, half=(0.02, float(size[0])), yaw_rad=yaw), paint))
    return pieces


def _poster(rng: np.random.Generator) -> Paint:
    one, two, seed = random_colour(rng), random_colour(rng), float(rng.uniform(0, 9))
    if rng.random() < 0.3:
        one = between(rng, SKINS)
    size_m = float(rng.uniform(0.05, 0.3))
    choices: tuple[Callable[[], Paint], ...] = (
        lambda: blotched(one, two, size_m=size_m, seed=seed),
        lambda: checked(one, two, period_m=size_m),
        lambda: striped(one, two, period_m=size_m, axis=2),
    )
    return choices[rng.integers(3)]()


def _clutter(rng: np.random.Generator, half_m: Array, *, taken: list[Support]) -> list[tuple[Box, Paint]]:
    """Put cupboards, bags and other things where no seat is; some are of the colours of people."""
    pieces: list[tuple[Box, Paint]] = []
    for _ in range(int(rng.integers(1, 7))):
        tall = rng.random() < 0.4
        half = (float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.12, 0.5)))
        high = float(rng.uniform(0.7, 2.0) if tall else rng.uniform(0.08, 0.6))
        place = rng.uniform(-1, 1, 2) * (half_m - 0.3)
        if tall:  # at a wall
            axis = int(rng.integers(2))
            place[axis] = np.sign(place[axis]) * (half_m[axis] - half[0])
        if any(np.hypot(place[0] - one.x_m, place[1] - one.y_m) < 0.9 for one in taken):
            continue
        colour = between(rng, SKINS) if rng.random() < 0.2 else random_colour(rng)
        yaw = float(rng.choice((0.0, np.pi / 2)) if tall else rng.uniform(0, np.pi))
        paint = random_cloth(rng, colour, patterned=0.3) if not tall else plain(colour)
        pieces.append((_box(place, low=0.0, high=high, half=half, yaw_rad=yaw), paint))
    return pieces


def _round_things(rng: np.random.Generator, half_m: Array) -> list[tuple[Limb, Paint]]:
    """Draw round things: lamps, vases, heaps of clothes, coats on a stand, some in the colours of skin and cloth."""
    pieces: list[tuple[Limb, Paint]] = []
    for _ in range(int(rng.integers(0, 4))):
        colour = between(rng, SKINS) if rng.random() < 0.3 else random_colour(rng)
        x_m, y_m = rng.uniform(-1, 1, 2) * (half_m - 0.25)
        radius, length = float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.02, 0.6))
        start = np.array([x_m, y_m, radius])
        tilt = rng.normal(0, 0.5, 3) + np.array([0, 0, 1.0])
        end = start + length * tilt / np.linalg.norm(tilt)
        limb = Limb(start, end, radius, radius * float(rng.uniform(0.3, 1.1)), "thing", np.eye(3))
        pieces.append((limb, random_cloth(rng, colour, patterned=0.3)))
    return pieces


# -- cameras ---------------------------------------------------------------------------------------------------------


def _hang(rng: np.random.Generator, half_m: Array, *, height_m: float, width_px: int, height_px: int) -> Camera:
    kind = str(rng.choice(tuple(CAMERAS), p=tuple(CAMERAS.values())))
    if kind == "ceiling":
        return _straight_down(rng, half_m, height_m=height_m, width_px=width_px, height_px=height_px)
    if kind == "corner":
        hung = (half_m - 0.1) * rng.choice((-1.0, 1.0), 2)
        hung_m, view_deg = min(float(rng.uniform(2.2, 2.8)), height_m - 0.1), rng.uniform(65, 105)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        hung = np.clip(2 * half_m.max() * np.array([np.cos(angle), np.sin(angle)]), 0.1 - half_m, half_m - 0.1)
        hung_m, view_deg = float(rng.uniform(0.9, 2.1)), rng.uniform(55, 95)
    target = np.array([*(0.25 * rng.uniform(-1, 1, 2) * half_m), rng.uniform(0.4, 0.9)])
    return look_at(
        np.array([*hung, hung_m]),
        target,
        field_of_view_deg=float(view_deg),
        width_px=width_px,
        height_px=height_px,
        roll_deg=float(rng.normal(0, 2)),
        distortion=_barrel(rng, view_deg=float(view_deg), aspect=height_px / width_px),
    )


def _straight_down(
    rng: np.random.Generator, half_m: Array, *, height_m: float, width_px: int, height_px: int
) -> Camera:
    """Hang a camera under the ceiling that looks down, turned any way about its axis."""
    xy_m = rng.uniform(-0.4, 0.4, 2) * half_m
    tilt, turn = np.deg2rad(rng.uniform(0.5, 12)), rng.uniform(0, 2 * np.pi)
    view_deg = float(rng.uniform(85, 125))
    target = np.array([*(xy_m + np.tan(tilt) * height_m * np.array([np.cos(turn), np.sin(turn)])), 0.0])
    return look_at(
        np.array([*xy_m, height_m - 0.05]),
        target,
        field_of_view_deg=view_deg,
        width_px=width_px,
        height_px=height_px,
        roll_deg=float(rng.uniform(-180, 180)),
        distortion=_barrel(rng, view_deg=view_deg, aspect=height_px / width_px),
    )


def _barrel(rng: np.random.Generator, *, view_deg: float, aspect: float) -> float:
    """Draw a lens' distortion; the corners stay well before the place where its polynomial folds back."""
    corner = np.tan(np.deg2rad(view_deg) / 2) * np.hypot(1.0, aspect)
    return float(-rng.uniform(0.0, 0.09) / corner**2)
