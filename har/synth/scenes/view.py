"""What one camera, or one lamp, sees first along each of its rays: distance, surface and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from har.records import FloatArray
from har.synth.camera import Camera
from har.synth.shapes import BoolArray, Box, Limb, hit_box, hit_limb

Window: TypeAlias = tuple[slice, slice]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Paint: TypeAlias = Callable[[Floats], Floats]
"""From (N, 3) points of a surface, in metres of the thing's own axes, to (N, 3) RGB, 0 to 1."""

_SIGNS = np.stack(np.meshgrid((-1, 1), (-1, 1), (-1, 1)), axis=-1).reshape(-1, 3)
_MARGIN_PX = 2.0
_BULGE_PX = 6.0  # straight edges bend in a distorted picture


@dataclass(slots=True, eq=False)
class View:
    """The nearest surface along each ray; drawing changes it in place.

    Attributes:
        camera: which looks.
        rays: (H, W, 3) float32 directions of unit length, `oversampling` times as many along each side as pixels.
        reach_m: (H, W) float32 distance along each ray.
        colour: (H, W, 3) float32 RGB of the surface in white light.
        normal: (H, W, 3) float32 outward.
        owner: (H, W) int8, 0 for the room and its things, else the number of a person.
        oversampling: rays along each side of a pixel.
    """

    camera: Camera
    rays: FloatArray
    reach_m: FloatArray
    colour: FloatArray
    normal: FloatArray
    owner: npt.NDArray[np.int8]
    oversampling: int

    def copy(self) -> View:
        """Give a view that can be drawn on without changing this one."""
        parts = (self.reach_m.copy(), self.colour.copy(), self.normal.copy(), self.owner.copy())
        return View(self.camera, self.rays, *parts, self.oversampling)

    def draw_limbs(self, limbs: Sequence[Limb], paints: Sequence[Paint], *, owner: int) -> None:
        """Draw round shapes of one owner.

        Args:
            limbs: what to draw.
            paints: of each of them, called with points in the limb's own axes.
            owner: whose they are.
        """
        origin_m = self.camera.position_m.astype(np.float32)
        for limb, paint, window in zip(limbs, paints, self._limb_windows(limbs), strict=True):
            if window is None:
                continue
            rays = self.rays[window].reshape(-1, 3)
            reach, normal, local = hit_limb(limb, origin_m=origin_m, rays=rays)
            nearer = self._keep_nearer(window, reach, normal, owner=owner)
            if nearer is not None:
                self.colour[window][nearer] = paint(local[nearer.reshape(-1)])

    def draw_box(self, box: Box, paint: Paint) -> None:
        """Draw a box of the room; `paint` is called with points in the box's own axes from its middle."""
        corners, depth_m = self.camera.project(box.corners(_SIGNS))
        window = self._clip(corners, _BULGE_PX) if np.isfinite(corners).all() else (slice(None), slice(None))
        if window is None or (depth_m < 0).all():
            return
        origin_m = self.camera.position_m.astype(np.float32)
        rays = self.rays[window].reshape(-1, 3)
        reach, normal = hit_box(box, origin_m=origin_m, rays=rays)
        nearer = self._keep_nearer(window, reach, normal, owner=0)
        if nearer is not None:
            flat = nearer.reshape(-1)
            spot = origin_m + reach[flat, None] * rays[flat]
            self.colour[window][nearer] = paint((spot - box.centre_m) @ box.turn.T)

    def _keep_nearer(self, window: Window, reach: Floats, normal: Floats, *, owner: int) -> BoolArray | None:
        """Keep what is nearer than all drawn so far; gives where in the window that is, None for nowhere."""
        nearer = reach.reshape(self.reach_m[window].shape) < self.reach_m[window]
        if not nearer.any():
            return None
        flat = nearer.reshape(-1)
        self.reach_m[window][nearer] = reach[flat]
        self.normal[window][nearer] = normal[flat]
        self.owner[window][nearer] = owner
        return nearer

    def _limb_windows(self, limbs: Sequence[Limb]) -> list[Window | None]:
        """Give for each limb the rows and columns of the rays that may meet it."""
        ends = np.stack([[limb.start_m, limb.end_m] for limb in limbs])  # (L, 2, 3)
        radius = np.array([max(limb.start_radius_m, limb.end_radius_m) for limb in limbs])[:, None]
        xy_px, depth_m = self.camera.project(ends)
        margin = 1.2 * self.camera.focal_px * radius / np.maximum(depth_m - radius, 0.1) + _MARGIN_PX
        low, high = (xy_px - margin[..., None]).min(axis=1), (xy_px + margin[..., None]).max(axis=1)
        return [self._clip(np.stack(pair)) if np.isfinite(pair).all() else None for pair in zip(low, high, strict=True)]

    def _clip(self, xy_px: Floats, margin_px: float = 0.0) -> Window | None:
        """Give the rows and columns of rays about (N, 2) pixels; None if they are outside the picture."""
        low = np.floor((xy_px.min(axis=0) - margin_px) * self.oversampling).astype(int)
        high = np.ceil((xy_px.max(axis=0) + margin_px) * self.oversampling).astype(int)
        height, width = self.reach_m.shape
        left, top = np.maximum(low, 0)
        right, bottom = np.minimum(high, (width, height))
        return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None


def open_view(camera: Camera, *, oversampling: int) -> View:
    """Give a view of nothing: every distance is infinite."""
    step = 1.0 / oversampling
    x_px = (np.arange(camera.width_px * oversampling) + 0.5) * step
    y_px = (np.arange(camera.height_px * oversampling) + 0.5) * step
    rays = camera.rays(np.stack(np.meshgrid(x_px, y_px), axis=-1)).astype(np.float32)
    shape = rays.shape[:2]
    return View(
        camera,
        rays,
        reach_m=np.full(shape, np.inf, dtype=np.float32),
        colour=np.zeros((*shape, 3), dtype=np.float32),
        normal=np.zeros((*shape, 3), dtype=np.float32),
        owner=np.zeros(shape, dtype=np.int8),
        oversampling=oversampling,
    )
