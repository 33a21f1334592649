"""A furnished room that somebody lives in: where its seats, its bed, its door and its camera are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from har.synth.body import Array
from har.synth.camera import SIZES_PX, Camera, look_at
from har.synth.motion import Support
from har.synth.recording import Polygon
from har.synth.room import furniture
from har.synth.shapes import Box

SIDE_M = (3.2, 5.4)
_TRIES = 60
_DEPTH_M = {"bed": 0.73, "sofa": 0.57, "chair": 0.36, "dining": 1.2}
"""From the wall to where the pelvis is, for what stands with its back, or its table, at the wall."""
_FOOTPRINT_M = {  # behind, ahead, to each side of the pelvis; with room to get in
    "bed": (0.73, 0.25, 1.15), "sofa": (0.57, 0.35, 1.15), "chair": (0.36, 0.35, 0.30), "dining": (0.30, 1.15, 0.65),
}  # fmt: skip
_HEIGHT_M = {"bed": 0.48, "sofa": 0.40, "chair": 0.45, "dining": 0.45}
_DOOR_M = 1.6
"""How far behind the wall somebody goes who leaves the room."""


@dataclass(frozen=True, slots=True, eq=False)
class Home:
    """One room.

    Attributes:
        half_m: (2,) half its length and width; its middle is the origin of the floor.
        seats: where one sits and lies.
        tables: what stands before some of the seats.
        door_m: (2,) a place outside, straight behind the door.
        camera: which watches the room.
    """

    half_m: Array
    seats: tuple[Support, ...]
    tables: tuple[Support, ...]
    door_m: Array
    camera: Camera

    @property
    def boxes(self) -> list[Box]:
        """All furniture."""
        return furniture((*self.seats, *self.tables))

    @property
    def rest_zones(self) -> tuple[Polygon, ...]:
        """Beds and sofas in the picture."""
        return rest_zones(self.seats, self.camera)


def random_home(rng: np.random.Generator) -> Home:
    """Draw a room with a bed or a sofa or both, chairs, mostly a table, and a camera at a wall or in a corner."""
    half_m = np.array([rng.uniform(*SIDE_M), rng.uniform(*SIDE_M)]) / 2
    wanted = ["bed", "sofa"] if rng.random() < 0.5 else [str(rng.choice(("bed", "sofa")))]
    wanted += ["dining"] * bool(rng.random() < 0.7) + ["chair"] * int(rng.integers(1, 3))
    seats: list[Support] = []
    tables: list[Support] = []
    taken: list[Array] = []
    for what in wanted:
        for _ in range(_TRIES):
            seat, area = _at_wall(rng, what, half_m)
            if not any(_overlap(area, other) for other in taken):
                taken.append(area)
                seats.append(seat)
                if what == "dining":
                    tables.append(Support("table", seat.x_m, seat.y_m, float(rng.uniform(0.7, 0.77)), seat.yaw_rad))
                break
    side, along = int(rng.integers(4)), float(rng.uniform(-0.6, 0.6))
    door_m = _wall_point(half_m, side, along, depth_m=-_DOOR_M)[0]
    return Home(half_m, tuple(seats), tuple(tables), door_m, _hang_camera(rng, half_m))


def _wall_point(half_m: Array, side: int, along: float, *, depth_m: float) -> tuple[Array, float]:
    """Give a place `depth_m` in front of a wall and the way from the wall into the room."""
    yaw = side * np.pi / 2
    inward = np.array([np.cos(yaw), np.sin(yaw)]).round()
    aside = np.array([-inward[1], inward[0]])
    reach = float(np.abs(half_m @ inward)), float(np.abs(half_m @ aside))
    return -inward * (reach[0] - depth_m) + aside * along * reach[1], yaw


def _at_wall(rng: np.random.Generator, what: str, half_m: Array) -> tuple[Support, Array]:
    """Draw a place for a piece at a wall; gives it and the floor it takes, (2, 2) lowest and highest x and y."""
    behind, ahead, aside = _FOOTPRINT_M[what]
    side = int(rng.integers(4))
    width = float(half_m[1 - side % 2])
    along = float(rng.uniform(-1, 1)) * max(0.0, (width - aside) / width)
    place, yaw = _wall_point(half_m, side, along, depth_m=_DEPTH_M[what])
    if what == "dining":
        yaw += np.pi  # one faces the wall, the table is between
    forward = np.array([np.cos(yaw), np.sin(yaw)]).round()
    left = np.array([-forward[1], forward[0]])
    ends = np.array([place - behind * forward - aside * left, place + ahead * forward + aside * left])
    kind = "chair" if what == "dining" else what
    support = Support(kind, float(place[0]), float(place[1]), _HEIGHT_M[what], float(yaw))
    return support, np.array([ends.min(axis=0), ends.max(axis=0)])


def _overlap(one: Array, other: Array) -> bool:
    return bool((one[0] < other[1]).all() and (other[0] < one[1]).all())


def _hang_camera(rng: np.random.Generator, half_m: Array) -> Camera:
    """Hang a camera in a corner near the ceiling, or at a wall, and point it into the room."""
    if rng.random() < 0.65:
        hung = (half_m - 0.1) * rng.choice((-1.0, 1.0), 2)
        height_m, view_deg = rng.uniform(2.1, 2.7), rng.uniform(75, 110)
    else:
        hung, _ = _wall_point(half_m, int(rng.integers(4)), float(rng.uniform(-0.7, 0.7)), depth_m=0.1)
        height_m, view_deg = rng.uniform(1.2, 2.4), rng.uniform(70, 105)
    target = np.array([*(0.25 * rng.uniform(-1, 1, 2) * half_m), rng.uniform(0.3, 0.8)])
    width_px, height_px = SIZES_PX[rng.integers(len(SIZES_PX))]
    return look_at(
        np.array([*hung, height_m]),
        target,
        field_of_view_deg=float(view_deg),
        width_px=width_px,
        height_px=height_px,
        roll_deg=float(rng.normal(0, 1.5)),
        distortion=float(rng.uniform(-0.12, 0.0)),
    )


def rest_zones(supports: tuple[Support, ...], camera: Camera) -> tuple[Polygon, ...]:
    """Give the outline of each bed and sofa in the picture, from the seat to a hand's breadth over somebody lying."""
    zones = []
    for support in supports:
        if support.kind not in ("bed", "sofa"):
            continue
        middle, half = (-0.26, (0.47, 1.1)) if support.kind == "bed" else (-0.15, (0.45, 1.0))
        forward = np.array([np.cos(support.yaw_rad), np.sin(support.yaw_rad)])
        left = np.array([-forward[1], forward[0]])
        centre = np.array([support.x_m, support.y_m]) + middle * forward
        corners = [
            [*(centre + a * half[0] * forward + b * half[1] * left), support.height_m + up]
            for a in (-1, 1) for b in (-1, 1) for up in (0.0, 0.3)
        ]  # fmt: skip
        xy, _ = camera.project(np.array(corners))
        zone = _outline(xy[np.isfinite(xy).all(axis=1)] / (camera.width_px, camera.height_px))
        if zone:
            zones.append(zone)
    return tuple(zones)


def _outline(xy: Array) -> Polygon:
    """Give the convex outline of points, cut at the picture's edges; () if nothing of it is in the picture."""
    inside = np.clip(xy, 0.0, 1.0)
    if len(inside) < 3 or np.ptp(inside, axis=0).min() < 0.01:
        return ()
    try:
        hull = ConvexHull(inside).vertices
    except QhullError:
        return ()
    return tuple((float(x), float(y)) for x, y in inside[hull])
