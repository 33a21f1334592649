"""The room behind silhouettes: one still for a whole video, so coarse that nobody in it could be told.

What is shown of a place was seen there when nobody was found in or near it, stayed the same most of those times, and is
blurred to the sixtieth part of the picture's height: a face is about four such cells high. A place that was seldom free
is a plain wall. So a person whom the estimator misses in less than a third of the frames does not show; one whom it
hardly ever finds and who never moves would show, as a blur.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from har.pose.masks import paste, scaled
from har.records import ImageArray, Silhouette

MOST_VIEWS = 150
"""Frames looked at, spread over the video."""
AROUND_S = 1.0
"""Where people were found so long before and after a frame counts for it, too."""
ROWS = 60
"""Cells in the height of the picture."""
_FINE = 4  # shapes are drawn so many times finer than cells, so that thin limbs count
_LIKELY = 50  # of 255: a fifth of a chance that somebody is there is too much
_NEAR_CELLS = 2
_FEWEST_VIEWS = 5
_FREE_SHARE = 0.3  # of all views, of places where somebody was at times
_STEADY_SHARE = 0.6
_STEADY = 20.0  # of 255


class Backdrop:
    """Gathers views of a room and gives what is behind the people in it."""

    def __init__(self) -> None:
        self._views: list[npt.NDArray[np.float32]] = []  # each (R, C, 3), NaN where somebody is near
        self._columns = 0

    def add(self, image: ImageArray, people: Sequence[Silhouette], *, width_px: int, height_px: int) -> None:
        """Take in one frame.

        Args:
            image: (H, W, 3).
            people: everybody's shape, also of those found shortly before and after.
            width_px: width of the picture that the shapes are in.
            height_px: its height.
        """
        if not self._columns:
            self._columns = max(1, round(ROWS * image.shape[1] / image.shape[0]))
        size = (self._columns, ROWS)
        view = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), dtype=np.float32).copy()
        view[self._taken(people, width_px=width_px, height_px=height_px)] = np.nan
        self._views.append(view)

    def still(self, unknown: tuple[int, int, int]) -> ImageArray | None:
        """Give the room as (ROWS, C, 3); None if nothing of it is known.

        Args:
            unknown: colour of what was never free, or never still.
        """
        if len(self._views) < _FEWEST_VIEWS:
            return None
        views = np.stack(self._views)  # (F, R, C, 3)
        is_free = np.isfinite(views[..., 0])  # (F, R, C)
        n_free = is_free.sum(axis=0)  # (R, C)
        # The lower middle one of each colour; places that are not free sort behind all others.
        middle = np.maximum(n_free - 1, 0)[None, ..., None] // 2  # (1, R, C, 1)
        colour = np.take_along_axis(np.sort(views, axis=0), np.repeat(middle, 3, axis=-1), axis=0)[0]  # (R, C, 3)
        with np.errstate(invalid="ignore"):
            is_same = (np.abs(views - colour) <= _STEADY).all(axis=-1)  # (F, R, C)
        often_free = n_free >= np.where(is_free.all(axis=0), _FEWEST_VIEWS, _FREE_SHARE * len(views))
        known = (n_free >= _FEWEST_VIEWS) & often_free & (is_same.sum(axis=0) >= _STEADY_SHARE * n_free)
        if not known.any():
            return None
        still: ImageArray = np.where(known[..., None], np.nan_to_num(colour), unknown).round().astype(np.uint8)
        return still

    def _taken(self, people: Sequence[Silhouette], *, width_px: int, height_px: int) -> npt.NDArray[np.bool_]:
        """Say for each cell (R, C) whether somebody is in it or near it."""
        width, height = self._columns * _FINE, ROWS * _FINE
        fine = np.zeros((height, width), dtype=bool)
        for shape in people:
            placed = scaled(shape, across=width / width_px, down=height / height_px)
            np.logical_or(fine, paste(placed, width_px=width, height_px=height, at_least=_LIKELY), out=fine)
        cells = np.asarray(fine.reshape(ROWS, _FINE, self._columns, _FINE).any(axis=(1, 3)))  # (R, C)
        rim = np.pad(cells, _NEAR_CELLS)
        windows = np.lib.stride_tricks.sliding_window_view(rim, (2 * _NEAR_CELLS + 1, 2 * _NEAR_CELLS + 1))
        return np.asarray(windows.any(axis=(2, 3)))
