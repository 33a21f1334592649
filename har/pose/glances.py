"""Where a detector should look next: the whole picture, what moves, and one tile after another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from har.pose.regions import Region
from har.records import FloatArray

TILE_SHARE = 0.65
"""Side of a tile, in shares of the picture's shorter side: the detector sees somebody 0.3 to 1 tile tall, of the whole
picture only who is larger (three people side by side, 0.45 of the height: one found in the whole, three in tiles)."""
TILE_STEP = 0.66
"""From tile to tile, in shares of a tile."""
MOVING_MARGIN = 1.6


def whole(width_px: int, height_px: int) -> Region:
    """Give the square about a whole picture."""
    return Region(width_px / 2, height_px / 2, max(width_px, height_px))


def tiles(width_px: int, height_px: int) -> list[Region]:
    """Give the overlapping tiles of a picture, row by row."""
    side = TILE_SHARE * min(width_px, height_px)
    return [Region(x, y, side) for y in _middles(height_px, side=side) for x in _middles(width_px, side=side)]


def _middles(length_px: int, *, side: float) -> FloatArray:
    n = int(np.ceil((length_px - side) / (TILE_STEP * side))) + 1
    return np.linspace(side / 2, length_px - side / 2, n, dtype=np.float32)


def round_box(low: FloatArray, high: FloatArray, *, least_px: float) -> Region:
    """Give the square about a box with room round it, at least so large."""
    x, y = (float(each) for each in (low + high) / 2)
    return Region(x, y, max(MOVING_MARGIN * float((high - low).max()), least_px))


class Glances:
    """Takes the tiles of a camera's picture in turn."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._turn: Iterator[Region] = iter(())

    def next_tile(self, width_px: int, height_px: int) -> Region:
        """Give the tile whose turn it is."""
        if self._size != (width_px, height_px):
            self._size = (width_px, height_px)
            self._turn = itertools.cycle(tiles(width_px, height_px))
        return next(self._turn)
