"""Cameras in a room: points in metres to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from har.synth.body import Array

NEAR_M = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera with mild radial distortion.

    Attributes:
        position_m: (3,) where it hangs in the room, z up.
        axes: (3, 3) rows: its right, its down and its viewing direction, as unit vectors of the room.
        focal_px: focal length in pixels.
        width_px: of the picture.
        height_px: of the picture.
        distortion: k1 of r' = r (1 + k1 r^2), r being the tangent of the angle to the axis; negative is barrel.
    """

    position_m: Array
    axes: Array
    focal_px: float
    width_px: int
    height_px: int
    distortion: float = 0.0

    def project(self, points: Array) -> tuple[Array, Array]:
        """Give pixels and depth of points.

        Args:
            points: (..., 3) metres in the room.

        Returns:
            (..., 2) pixels, origin top left, NaN behind the camera; (...) metres along the viewing direction.
        """
        seen = (points - self.position_m) @ self.axes.T
        depth_m = seen[..., 2]
        safe_m = np.where(depth_m > NEAR_M, depth_m, np.nan)
        flat = seen[..., :2] / safe_m[..., None]
        # Beyond the maximum of r' the polynomial folds back; points out there are far outside the picture anyway.
        limit = np.inf if self.distortion >= 0 else 1.0 / (-3.0 * self.distortion)
        square = np.minimum((flat**2).sum(axis=-1, keepdims=True), limit)
        pixels = flat * (1.0 + self.distortion * square) * self.focal_px
        return pixels + np.array([0.5 * self.width_px, 0.5 * self.height_px]), depth_m

    def rays(self, xy_px: Array) -> Array:
        """Give the viewing direction of each pixel, of unit length.

        Args:
            xy_px: (..., 2) pixels.

        Returns:
            (..., 3) directions in the room.
        """
        bent = (xy_px - np.array([0.5 * self.width_px, 0.5 * self.height_px])) / self.focal_px
        flat = bent
        for _ in range(6):
            flat = bent / (1.0 + self.distortion * (flat[..., :1] ** 2 + flat[..., 1:] ** 2))
        direction = flat @ self.axes[:2] + self.axes[2]
        length = np.sqrt(direction[..., :1] ** 2 + direction[..., 1:2] ** 2 + direction[..., 2:] ** 2)
        return np.asarray(direction / length)


def look_at(
    position_m: Array,
    target_m: Array,
    *,
    field_of_view_deg: float,
    width_px: int = 640,
    height_px: int = 480,
    roll_deg: float = 0.0,
    distortion: float = 0.0,
) -> Camera:
    """Hang a camera somewhere and point it at something.

    Args:
        position_m: (3,) where it hangs.
        target_m: (3,) what is in the middle of its picture.
        field_of_view_deg: from the left to the right edge, without distortion.
        width_px: of the picture.
        height_px: of the picture.
        roll_deg: turn about the viewing direction.
        distortion: see `Camera`.
    """
    forward = target_m - position_m
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    roll = np.deg2rad(roll_deg)
    axes = np.stack([np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward])
    focal_px = 0.5 * width_px / np.tan(np.deg2rad(field_of_view_deg) / 2)
    return Camera(position_m, axes, float(focal_px), width_px, height_px, distortion)


SIZES_PX = ((640, 480), (640, 480), (640, 360), (1280, 720), (320, 240))


HANGS = {
    # share, height above the floor, distance to the middle of what happens, angle of view
    "corner": (0.42, (2.1, 3.0), (2.2, 6.0), (65, 115)),
    "wall": (0.28, (1.2, 2.1), (2.0, 6.0), (50, 90)),
    "shelf": (0.14, (0.7, 1.3), (2.0, 5.0), (50, 85)),
    "far": (0.08, (1.4, 2.8), (5.0, 8.0), (50, 75)),
    "ceiling": (0.08, (2.5, 3.2), (0.6, 2.2), (85, 125)),
}
"""Where cameras hang, as ranges in metres and degrees."""


def random_camera(rng: np.random.Generator, centre_m: Array) -> Camera:
    """Draw a camera of a room: high in a corner, at a wall, on a shelf, far off or nearly overhead; from any side.

    Args:
        rng: source of the differences.
        centre_m: (2,) the middle of what happens, on the floor.
    """
    hangs = list(HANGS.values())
    _, height, distance, view_deg = hangs[rng.choice(len(hangs), p=[share for share, *_ in hangs])]
    height_m, distance_m = float(rng.uniform(*height)), float(rng.uniform(*distance))
    azimuth = rng.uniform(-np.pi, np.pi)
    position_m = np.array(
        [centre_m[0] + distance_m * np.cos(azimuth), centre_m[1] + distance_m * np.sin(azimuth), height_m]
    )
    target_m = np.array([centre_m[0], centre_m[1], rng.uniform(0.4, 1.1)]) + rng.normal(0, 0.25, 3)
    width_px, height_px = SIZES_PX[rng.integers(len(SIZES_PX))]
    return look_at(
        position_m,
        target_m,
        field_of_view_deg=float(rng.uniform(*view_deg)),
        width_px=width_px,
        height_px=height_px,
        roll_deg=float(rng.normal(0, 1.5)),
        distortion=float(rng.uniform(-0.12, 0.02)),
    )
