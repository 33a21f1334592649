"""Rays against the shapes a person and a room are made of: cones with round ends, and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from har.synth.body import Array

BoolArray: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Limb:
    """A cone with round ends, flattened along one axis.

    Attributes:
        start_m: (3,) centre of the first end, in the room.
        end_m: (3,) centre of the other end.
        start_radius_m: radius of the first end.
        end_radius_m: of the other end.
        paint: which surface it has, a key of `render.PAINTS`.
        axes: (3, 3) rows: forward, left and up of the part of the body it belongs to.
        depth: how deep it is along `forward`, as a share of its width.
    """

    start_m: Array
    end_m: Array
    start_radius_m: float
    end_radius_m: float
    paint: str
    axes: Array
    depth: float = 1.0


def hit_limb(limb: Limb, *, origin_m: Floats, rays: Floats) -> tuple[Array, Array, Array]:
    """Find where rays first meet a limb.

    The surface is the hull of a sphere that moves from one end to the other while its radius changes evenly: between
    two circles it is a cone whose half opening a has sin a = (r0 - r1) / length, beyond them the two end spheres.

    Args:
        limb: what to hit.
        origin_m: (3,) where all rays start.
        rays: (N, 3) directions of unit length.

    Returns:
        (N,) distance in metres, infinite for a miss; (N, 3) outward normal in the room; (N, 3) the point hit, seen
        from the limb's start in its own axes, in metres (flattening undone).
    """
    squeeze = limb.axes / np.array([limb.depth, 1.0, 1.0])[:, None]  # into a space in which the limb is round
    origin = squeeze @ (origin_m - limb.start_m)
    direction = rays @ squeeze.T
    end = squeeze @ (limb.end_m - limb.start_m)
    length = max(float(np.linalg.norm(end)), 1e-6)
    axis = end / length
    dd = np.einsum("nc,nc->n", direction, direction)
    best = np.full(len(rays), np.inf)
    normal = np.zeros(rays.shape)
    for centre, radius in ((np.zeros(3), limb.start_radius_m), (end, limb.end_radius_m)):
        reach = _hit_sphere(origin - centre, direction, dd, radius)
        nearer = reach < best
        best[nearer] = reach[nearer]
        normal[nearer] = (origin - centre + best[nearer, None] * direction[nearer]) / radius
    _hit_mantle(limb, origin=origin, direction=direction, dd=dd, axis=axis, length=length, best=best, normal=normal)
    found = np.isfinite(best)
    local = np.zeros(rays.shape)
    local[found] = origin + best[found, None] * direction[found]
    world = normal @ squeeze
    world[found] /= np.linalg.norm(world[found], axis=1, keepdims=True)
    return best, world, local


def _hit_sphere(origin: Array, direction: Array, dd: Array, radius: float) -> Array:
    od = direction @ origin
    discriminant = od * od - dd * (origin @ origin - radius * radius)
    reach = (-od - np.sqrt(np.maximum(discriminant, 0.0))) / dd
    return np.where((discriminant > 0) & (reach > 0), reach, np.inf)


def _hit_mantle(
    limb: Limb, *, origin: Array, direction: Array, dd: Array, axis: Array, length: float, best: Array, normal: Array
) -> None:
    """Let the cone between the ends take over where it is nearer; changes `best` and `normal`."""
    sine = (limb.start_radius_m - limb.end_radius_m) / length
    if abs(sine) >= 0.99:  # one end swallows the other
        return
    cosine = np.sqrt(1 - sine * sine)
    base, slope = limb.start_radius_m / cosine, -sine / cosine  # radius about the axis at height h: base + slope h
    dh, oh = direction @ axis, float(origin @ axis)
    foot = base + slope * oh
    a2 = dd - dh * dh * (1 + slope * slope)
    a1 = direction @ origin - dh * (oh + slope * foot)
    a0 = float(origin @ origin) - oh * oh - foot * foot
    discriminant = a1 * a1 - a2 * a0
    steep = np.abs(a2) > 1e-12
    reach = (-a1 - np.sqrt(np.maximum(discriminant, 0.0))) / np.where(steep, a2, 1.0)
    height = oh + reach * dh
    low, high = limb.start_radius_m * sine, length + limb.end_radius_m * sine
    hit = steep & (discriminant > 0) & (reach > 0) & (height >= low) & (height <= high) & (reach < best)
    best[hit] = reach[hit]
    radial = origin + reach[hit, None] * direction[hit] - height[hit, None] * axis
    radial /= np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), 1e-9)
    normal[hit] = radial * cosine + axis * sine


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A box that stands upright.

    Attributes:
        centre_m: (3,) its middle.
        half_m: (3,) half its length, width and height.
        yaw_rad: its turn about the vertical.
        colour: (3,) RGB, 0 to 1.
    """

    centre_m: Array
    half_m: Array
    yaw_rad: float
    colour: tuple[float, float, float]

    @property
    def turn(self) -> Array:
        """(3, 3) from the room's axes to the box's own."""
        cosine, sine = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])

    def corners(self, signs: Array) -> Array:
        """Give corners in the room from (N, 3) signs along the box's own axes."""
        return np.asarray(self.centre_m + (signs * self.half_m) @ self.turn)


def hit_box(box: Box, *, origin_m: Floats, rays: Floats) -> tuple[Array, Array]:
    """Find where rays first meet a box from outside.

    Returns:
        (N,) distance in metres, infinite for a miss; (N, 3) outward normal.
    """
    turn = box.turn
    origin, direction = turn @ (origin_m - box.centre_m), rays @ turn.T
    safe = np.where(np.abs(direction) < 1e-9, 1e-9, direction)
    one, two = (-box.half_m - origin) / safe, (box.half_m - origin) / safe
    enter, leave = np.minimum(one, two), np.maximum(one, two)
    reach = np.maximum(np.maximum(enter[:, 0], enter[:, 1]), enter[:, 2])
    hit = (reach <= np.minimum(np.minimum(leave[:, 0], leave[:, 1]), leave[:, 2])) & (reach > 0)
    normal = np.where(enter == reach[:, None], -np.sign(safe), 0.0)
    return np.where(hit, reach, np.inf), normal @ turn
