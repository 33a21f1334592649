"""A furnished room, rendered once per camera: floor, walls, and what stands there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from har.synth.body import Array
from har.synth.camera import Camera
from har.synth.motion import Support
from har.synth.shapes import BoolArray, Box, hit_box

LIGHT = np.array([0.35, -0.25, 0.90])
LIGHT /= np.linalg.norm(LIGHT)
"""Direction to the lamp."""

SIZE_M = (6.4, 6.4, 2.7)
"""Of the room; its middle is the origin of the floor."""


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """The room without the person, as one camera sees it.

    Attributes:
        colour: (H, W, 3) RGB, 0 to 1.
        reach_m: (H, W) distance along each ray.
        floor_xy_m: (H, W, 2) the place on the floor, NaN where something else is seen.
        rays: (H, W, 3) directions of unit length.
    """

    colour: Array
    reach_m: Array
    floor_xy_m: Array
    rays: Array


def make_backdrop(camera: Camera, supports: tuple[Support, ...], *, oversampling: int) -> Backdrop:
    """Render the empty room.

    Args:
        camera: which sees it.
        supports: chairs and beds.
        oversampling: rays along each side of a pixel.
    """
    step = 1.0 / oversampling
    x_px = (np.arange(camera.width_px * oversampling) + 0.5) * step
    y_px = (np.arange(camera.height_px * oversampling) + 0.5) * step
    rays = camera.rays(np.stack(np.meshgrid(x_px, y_px), axis=-1))
    shape = rays.shape[:2]
    flat = rays.reshape(-1, 3)
    colour, reach_m, floor = _walls(camera.position_m, flat)
    for box in furniture(supports):
        seen = np.flatnonzero(_may_show(box, camera, oversampling=oversampling, shape=shape).reshape(-1))
        reach, normal = hit_box(box, origin_m=camera.position_m, rays=flat[seen])
        nearer = reach < reach_m[seen]
        spots = seen[nearer]
        reach_m[spots] = reach[nearer]
        floor[spots] = False
        light = 0.55 + 0.45 * np.maximum(normal[nearer] @ LIGHT, 0.0)
        colour[spots] = np.array(box.colour) * light[:, None]
    spot = camera.position_m + reach_m[:, None] * flat
    floor_xy_m = np.where(floor[:, None], spot[:, :2], np.nan)
    _shade_under_furniture(colour, spot, floor, supports)
    return Backdrop(colour.reshape(*shape, 3), reach_m.reshape(shape), floor_xy_m.reshape(*shape, 2), rays)


def _may_show(box: Box, camera: Camera, *, oversampling: int, shape: tuple[int, ...]) -> BoolArray:
    """Give (H, W) which rays lie in the rectangle about the corners of a box; all of them if a corner is behind."""
    signs = np.stack(np.meshgrid((-1, 1), (-1, 1), (-1, 1)), axis=-1).reshape(-1, 3)
    xy_px, _ = camera.project(box.corners(signs))
    mask = np.zeros(shape, dtype=bool)
    if np.isnan(xy_px).any():
        return ~mask
    # Straight edges bend a little in a distorted picture; a few pixels of margin hold the bulge.
    low = np.maximum((xy_px.min(axis=0) - 6) * oversampling, 0).astype(int)
    high = np.maximum((xy_px.max(axis=0) + 6) * oversampling, 0).astype(int)
    mask[low[1] : high[1], low[0] : high[0]] = True
    return mask


def _walls(origin_m: Array, rays: Array) -> tuple[Array, Array, BoolArray]:
    """Give colour, distance and whether it is floor for rays that leave a box-shaped room from inside."""
    half = np.array([SIZE_M[0] / 2, SIZE_M[1] / 2, SIZE_M[2] / 2])
    middle = np.array([0.0, 0.0, half[2]])
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    leave = (np.sign(safe) * half - (origin_m - middle)) / safe
    side = leave.argmin(axis=1)
    reach_m = leave.min(axis=1)
    spot = origin_m + reach_m[:, None] * rays
    floor = (side == 2) & (rays[:, 2] < 0)
    colour = np.empty_like(rays)
    colour[floor] = _planks(spot[floor])
    ceiling = (side == 2) & ~floor
    colour[ceiling] = (0.93, 0.93, 0.92)
    for axis, paint in ((0, (0.80, 0.82, 0.78)), (1, (0.73, 0.77, 0.79))):
        wall = side == axis
        colour[wall] = _papered(spot[wall], along=spot[wall][:, 1 - axis], paint=paint)
    return colour, reach_m, floor


def _planks(spot: Array) -> Array:
    """Wooden floor: planks of 0.16 m with grain, each a little different."""
    row = np.floor(spot[:, 1] / 0.16)
    shifted = spot[:, 0] + 0.7 * np.mod(row * 0.618, 1.0)
    plank = np.floor(shifted / 1.3)
    tone = np.mod(np.sin(row * 12.9898 + plank * 78.233) * 43758.5453, 1.0)
    grain = 0.03 * np.sin(spot[:, 1] * 260 + 3 * np.sin(spot[:, 0] * 4 + tone * 9))
    seam = (np.mod(spot[:, 1] / 0.16, 1.0) < 0.03) | (np.mod(shifted / 1.3, 1.0) < 0.004)
    bright = (0.86 + 0.16 * tone + grain) * np.where(seam, 0.72, 1.0)
    return np.asarray(np.array([0.66, 0.52, 0.38]) * bright[:, None])


def _papered(spot: Array, *, along: Array, paint: tuple[float, float, float]) -> Array:
    """Painted wall with a skirting board, a little darker towards the floor, and two framed pictures."""
    height = spot[:, 2]
    colour = np.array(paint) * (0.90 + 0.10 * np.clip(height / 2.0, 0, 1))[:, None]
    colour[height < 0.09] = (0.92, 0.91, 0.88)
    for centre, width in ((-1.1, 0.35), (1.3, 0.5)):
        frame = (np.abs(along - centre) < width + 0.03) & (np.abs(height - 1.75) < 0.36)
        inner = (np.abs(along - centre) < width) & (np.abs(height - 1.75) < 0.33)
        colour[frame] = (0.35, 0.27, 0.20)
        sky = np.clip((height[inner] - 1.6) / 0.4, 0, 1)[:, None]
        colour[inner] = sky * np.array([0.62, 0.74, 0.84]) + (1 - sky) * np.array([0.47, 0.58, 0.42])
    return np.asarray(colour)


def furniture(supports: tuple[Support, ...]) -> list[Box]:
    """Give the boxes of all furniture."""
    return [box for support in supports for box in _MAKERS[support.kind](support)]


def _placed(
    support: Support, *, ahead: float, aside: float, low: float, high: float, half: tuple[float, float],
    colour: tuple[float, float, float],
) -> Box:  # fmt: skip
    """Give a box by its place seen from the sitting person: metres ahead and to the left, from `low` to `high`."""
    cosine, sine = np.cos(support.yaw_rad), np.sin(support.yaw_rad)
    centre_m = np.array(
        [
            support.x_m + cosine * ahead - sine * aside,
            support.y_m + sine * ahead + cosine * aside,
            0.5 * (low + high),
        ]
    )
    return Box(centre_m, np.array([*half, 0.5 * (high - low)]), support.yaw_rad, colour)


_WOOD, _CUSHION = (0.45, 0.31, 0.20), (0.30, 0.36, 0.33)


def _chair(support: Support) -> list[Box]:
    top = support.height_m - 0.01
    legs = [
        _placed(support, ahead=ahead, aside=aside, low=0.0, high=top - 0.06, half=(0.02, 0.02), colour=_WOOD)
        for ahead in (-0.17, 0.27)
        for aside in (-0.20, 0.20)
    ]
    seat = _placed(support, ahead=0.05, aside=0.0, low=top - 0.06, high=top, half=(0.24, 0.23), colour=_CUSHION)
    posts = [
        _placed(support, ahead=-0.24, aside=aside, low=0.0, high=top + 0.46, half=(0.02, 0.02), colour=_WOOD)
        for aside in (-0.20, 0.20)
    ]
    back = _placed(support, ahead=-0.24, aside=0.0, low=top + 0.2, high=top + 0.46, half=(0.015, 0.2), colour=_WOOD)
    return [*legs, seat, *posts, back]


def _bed(support: Support) -> list[Box]:
    top = support.height_m - 0.01
    middle = {"ahead": -0.26}
    return [
        _placed(support, **middle, aside=0.0, low=0.06, high=max(top - 0.18, 0.1), half=(0.47, 1.08), colour=_WOOD),
        _placed(
            support,
            **middle,
            aside=0.0,
            low=max(top - 0.18, 0.1),
            high=top,
            half=(0.45, 1.05),
            colour=(0.84, 0.85, 0.88),
        ),
        _placed(support, **middle, aside=-1.1, low=0.0, high=top + 0.3, half=(0.47, 0.03), colour=_WOOD),
        _placed(support, **middle, aside=1.1, low=0.0, high=top + 0.08, half=(0.47, 0.03), colour=_WOOD),
    ]


def _sofa(support: Support) -> list[Box]:
    top = support.height_m - 0.01
    return [
        _placed(support, ahead=-0.10, half=(0.42, 0.95), aside=0.0, low=0.05, high=top, colour=_CUSHION),
        _placed(support, ahead=-0.44, half=(0.1, 0.95), aside=0.0, low=0.05, high=top + 0.42, colour=_CUSHION),
        _placed(support, ahead=-0.10, half=(0.42, 0.09), aside=-1.04, low=0.05, high=top + 0.2, colour=_CUSHION),
        _placed(support, ahead=-0.10, half=(0.42, 0.09), aside=1.04, low=0.05, high=top + 0.2, colour=_CUSHION),
    ]


def _table(support: Support) -> list[Box]:
    """The nearer edge of the top is 0.3 m ahead of the person; the legs are left out where nobody can run into them."""
    top = support.height_m
    return [
        _placed(support, ahead=0.7, aside=0.0, low=top - 0.05, high=top, half=(0.4, 0.6), colour=_WOOD),
        *(_placed(support, ahead=ahead, aside=aside, low=0.0, high=top - 0.05, half=(0.03, 0.03), colour=_WOOD)
          for ahead in (0.4, 1.0) for aside in (-0.55, 0.55)),
    ]  # fmt: skip


def _wall(support: Support) -> list[Box]:
    """Its face is where the person's back was."""
    return [
        _placed(
            support,
            ahead=-0.05,
            aside=0.0,
            low=0.0,
            high=support.height_m,
            half=(0.05, 1.5),
            colour=(0.80, 0.82, 0.78),
        )
    ]


_MAKERS: Mapping[str, Callable[[Support], list[Box]]] = {
    "chair": _chair, "bed": _bed, "sofa": _sofa, "table": _table, "wall": _wall,
    "wheelchair": lambda support: [],
}  # fmt: skip


def _shade_under_furniture(colour: Array, spot: Array, floor: BoolArray, supports: tuple[Support, ...]) -> None:
    """Darken the floor softly under chairs and beds; changes `colour`."""
    for support in supports:
        ahead = -0.26 if support.kind == "bed" else 0.0
        half = (0.5, 1.1) if support.kind == "bed" else (0.25, 0.25)
        cosine, sine = np.cos(support.yaw_rad), np.sin(support.yaw_rad)
        offset = spot[floor][:, :2] - np.array([support.x_m, support.y_m])
        front, left = offset @ np.array([cosine, sine]) - ahead, offset @ np.array([-sine, cosine])
        distance = np.hypot(np.maximum(np.abs(front) - half[0], 0), np.maximum(np.abs(left) - half[1], 0))
        colour[floor] *= (1 - 0.4 * np.exp(-((distance / 0.12) ** 2)))[:, None]
