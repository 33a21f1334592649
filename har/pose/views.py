"""What a network is shown of a picture: a piece of it, moved, sized, turned, mirrored, and the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from har.records import FloatArray, ImageArray

MARGIN = 1.25
"""How much larger a crop is than the longer side of a person's box."""
_SHARP = 2.0  # a picture this many times finer than what is shown is made coarser first, lest it flicker


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A piece of a picture as a network is shown it.

    Attributes:
        width: pixels.
        height: pixels.
        matrix: (2, 3) float64; takes a point of the view (x, y, 1) to the picture; corners of pixels are whole numbers.
    """

    width: int
    height: int
    matrix: np.ndarray

    @classmethod
    def round_box(
        cls,
        box: FloatArray | Sequence[float],
        n_pixels: int,
        *,
        margin: float = MARGIN,
        angle: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        mirrored: bool = False,
    ) -> View:
        """Give a square view round a box (x, y, width, height).

        Args:
            box: pixels of the picture.
            n_pixels: side of the view.
            margin: side of the square in longer sides of the box.
            angle: by which the square is turned in the picture, radians, clockwise as seen.
            shift: of its middle, in sides of the square.
            mirrored: left and right change places.
        """
        x, y, width, height = (float(each) for each in box)
        side = margin * max(width, height, 1.0)
        middle = (x + width / 2 + shift[0] * side, y + height / 2 + shift[1] * side)
        return cls._placed(middle, side / n_pixels, n_pixels, n_pixels, angle=angle, mirrored=mirrored)

    @classmethod
    def of_whole(
        cls,
        picture_width: int,
        picture_height: int,
        width: int,
        height: int,
        *,
        zoom: float = 1.0,
        angle: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
        mirrored: bool = False,
    ) -> View:
        """Give a view of a whole picture, its shape kept, black beside it.

        Args:
            picture_width: pixels.
            picture_height: pixels.
            width: of the view, pixels.
            height: of the view, pixels.
            zoom: how much larger the picture is shown than it fits.
            angle: by which the view is turned in the picture, radians, clockwise as seen.
            shift: of the middle, in sides of the picture.
            mirrored: left and right change places.
        """
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        turned = (picture_width * cos + picture_height * sin, picture_width * sin + picture_height * cos)
        step = max(turned[0] / width, turned[1] / height) / zoom
        middle = (picture_width * (0.5 + shift[0]), picture_height * (0.5 + shift[1]))
        return cls._placed(middle, step, width, height, angle=angle, mirrored=mirrored)

    @classmethod
    def _placed(
        cls, middle: tuple[float, float], step: float, width: int, height: int, *, angle: float, mirrored: bool
    ) -> View:
        cos, sin = step * math.cos(angle), step * math.sin(angle)
        axes = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
        return cls(width, height, np.column_stack([axes, middle - axes @ (width / 2, height / 2)]))

    @property
    def step(self) -> float:
        """Side of a pixel of the view in pixels of the picture."""
        return float(abs(np.linalg.det(self.matrix[:, :2])) ** 0.5)

    def cut(self, image: Image.Image) -> ImageArray:
        """Give what the view shows as (height, width, 3); black where it lies outside the picture."""
        coarse = int(self.step) if self.step > _SHARP else 1
        way = self.matrix / coarse
        if coarse > 1:
            image = image.reduce(coarse)
        axes, corner = way[:, :2], way[:, 2]
        # PIL takes middles of pixels to middles of pixels by itself, given corners to corners.
        values = (*axes[0], corner[0], *axes[1], corner[1])
        shown = image.transform((self.width, self.height), Image.Transform.AFFINE, values, Image.Resampling.BILINEAR)
        return np.asarray(shown)

    def to_picture(self, points: FloatArray) -> FloatArray:
        """Take points (..., 2) of the view to the picture."""
        placed: FloatArray = (points @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)
        return placed

    def to_view(self, points: FloatArray) -> FloatArray:
        """Take points (..., 2) of the picture to the view."""
        back = np.linalg.inv(self.matrix[:, :2])
        placed: FloatArray = ((points - self.matrix[:, 2]) @ back.T).astype(np.float32)
        return placed

    def boxes_to_picture(self, boxes: FloatArray) -> FloatArray:
        """Take boxes (P, 4) of the view to upright ones of the picture."""
        return _round_corners(self.to_picture(_corners(boxes)))

    def boxes_to_view(self, boxes: FloatArray) -> FloatArray:
        """Take boxes (P, 4) of the picture to upright ones of the view."""
        return _round_corners(self.to_view(_corners(boxes)))


def _corners(boxes: FloatArray) -> FloatArray:
    """Give the four corners (P, 4, 2) of boxes (P, 4): x, y, width, height."""
    low, size = boxes[:, None, :2], boxes[:, None, 2:4]
    found: FloatArray = low + size * np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    return found


def _round_corners(corners: FloatArray) -> FloatArray:
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=1).astype(np.float32)
