"""Square, turned pieces of a picture, each holding one person: what a pose network is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from har.records import FloatArray, ImageArray

MARGIN = 1.25
"""How much larger a region is than the circle round the body."""


@dataclass(frozen=True, slots=True)
class Region:
    """A square in a picture.

    Attributes:
        x: of its centre, pixels.
        y: of its centre, pixels.
        size: length of a side, pixels.
        angle: by which it is turned, radians, clockwise as seen.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    @classmethod
    def round_body(cls, hips: FloatArray, rim: FloatArray) -> Region:
        """Give the region of a body between the middle of its hips and a point on the circle round it, (2,) each.

        The line between them is upright in the region (BlazePose, Bazarevsky et al. 2020, section 2).
        """
        across, down = (float(each) for each in rim - hips)
        turned = math.pi / 2 - math.atan2(-down, across)
        return cls(float(hips[0]), float(hips[1]), 2 * MARGIN * math.hypot(across, down), turned)

    def inside(self, points: FloatArray) -> FloatArray:
        """Give points (..., 2) of this region, (0, 0) its top left corner and (1, 1) the other, in pixels."""
        placed: FloatArray = ((points - 0.5) @ self._axes().T + (self.x, self.y)).astype(np.float32)
        return placed

    def cut(self, image: Image.Image, n_pixels: int) -> ImageArray:
        """Give what the region shows as (n_pixels, n_pixels, 3); black where it lies outside the picture."""
        step = self._axes() / n_pixels
        # A pixel's number stands for its corner here and for its middle in PIL.
        corner = (self.x, self.y) - self._axes() @ (0.5, 0.5) - step @ (0.5, 0.5) + 0.5
        way = (step[0, 0], step[0, 1], corner[0], step[1, 0], step[1, 1], corner[1])
        cut = image.transform((n_pixels, n_pixels), Image.Transform.AFFINE, way, Image.Resampling.BILINEAR)
        return np.asarray(cut)

    def is_near(self, other: Region, *, share: float) -> bool:
        """Say whether the centres lie less than a share of the smaller side apart."""
        return math.hypot(self.x - other.x, self.y - other.y) < share * min(self.size, other.size)

    def turned(self, angle: float) -> Region:
        """Give the same square turned by an angle, radians."""
        return replace(self, angle=self.angle + angle)

    def grown(self, factor: float) -> Region:
        """Give a square about the same centre whose sides are so many times as long."""
        return replace(self, size=self.size * factor)

    def _axes(self) -> FloatArray:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]], dtype=np.float32) * np.float32(self.size)
