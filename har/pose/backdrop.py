"""What a room looks like while nobody is there, in coarse cells: what has moved in it, and where nobody can be.

Estimators see people in backpacks, bottles and table feet for seconds after somebody left (measured on the corridor
clip). Where the picture is as it was before anybody came, there is nobody.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_dilation, find_objects, label

from har.pose.regions import Region
from har.records import FloatArray, ImageArray

N_COLUMNS = 80
CHANGED_LEVELS, CHANGED_DARK, CHANGED_SHARE = 8.0, 3.0, 0.05
"""Grey levels by which a cell must differ, and in the dark, with the share of its own that comes on top. The mean of a
cell of 8x8 pixels is quiet to about one level."""
KNOWN_AFTER_S = 2.0
"""A cell is known when it was still, and nobody's, for so long."""
ADOPT_AFTER_S = 600.0
"""What changed and stays is the room after ten minutes: a chair that was moved, a lamp. Not sooner, or somebody who
lies there unseen would become part of it."""
EMPTY_SHARE = 0.05
_KNOWN_SHARE = 0.8
_DRIFT = 0.1
_SMALLEST_CELLS = 6

_Cells: TypeAlias = npt.NDArray[np.bool_]


class Backdrop:
    """The room without its people, learnt while they move about."""

    def __init__(self) -> None:
        self._room: FloatArray | None = None  # (rows, columns) grey levels
        self._last: FloatArray | None = None
        self._still_s: FloatArray | None = None  # how long each cell has been still and nobody's
        self._held: _Cells | None = None  # somebody was before the cell when it was not known yet
        self._differs_s: FloatArray | None = None  # how long it has been so but not as the room was
        self._moving: _Cells | None = None
        self._cell_px = 1.0
        self._time_s = 0.0

    def look(self, image: ImageArray, *, people: list[Region], time_s: float) -> None:
        """Take a picture in.

        Args:
            image: (H, W, 3) RGB.
            people: where somebody is, or may be: nothing is learnt there.
            time_s: when; pictures come a few times a second.
        """
        cells, self._cell_px = _to_cells(image)
        if self._last is None or self._room is None or self._last.shape != cells.shape:
            self._forget(cells, time_s)
            return
        passed_s, self._time_s = min(max(time_s - self._time_s, 0.0), 1.0), time_s
        change = cells - self._last
        self._moving = np.abs(change - np.median(change)) > _levels(cells)  # a lamp changes all cells alike
        self._last = cells
        covered = self._covered(people)
        assert self._held is not None
        self._held = (self._held | covered) & ~self._known()
        self._learn(cells, busy=binary_dilation(self._moving) | covered, passed_s=passed_s)

    def _forget(self, cells: FloatArray, time_s: float) -> None:
        self._room, self._last, self._time_s = cells.copy(), cells, time_s
        self._still_s, self._differs_s = np.zeros_like(cells), np.zeros_like(cells)
        self._moving, self._held = np.zeros(cells.shape, bool), np.zeros(cells.shape, bool)

    def _known(self) -> _Cells:
        """Say which cells are known; before which somebody was from the beginning they take as long as any change."""
        assert self._still_s is not None
        assert self._held is not None
        known: _Cells = self._still_s >= np.where(self._held, ADOPT_AFTER_S, KNOWN_AFTER_S)
        return known

    def _learn(self, cells: FloatArray, *, busy: _Cells, passed_s: float) -> None:
        assert self._room is not None
        assert self._still_s is not None
        assert self._differs_s is not None
        known = self._known()
        differs = known & (np.abs(cells - self._room) > _levels(cells))
        self._differs_s = np.where(differs & ~busy, self._differs_s + passed_s, 0).astype(np.float32)
        adopted = (~known & ~busy) | (self._differs_s > ADOPT_AFTER_S)
        self._room = np.where(adopted, cells, self._room)
        self._room = np.where(known & ~differs & ~busy, self._room + _DRIFT * (cells - self._room), self._room)
        # What is not known yet begins anew when it is disturbed; what is known stays so under whoever stands before it.
        self._still_s = np.where(busy & ~known, 0, self._still_s + np.where(busy, 0, passed_s)).astype(np.float32)

    def is_empty(self, low: FloatArray, high: FloatArray) -> bool:
        """Say whether a box shows the room as it was when nobody was there, and nothing moves in it.

        Args:
            low: (2,) top left corner, pixels.
            high: (2,) bottom right corner.

        Returns:
            False also where the room is not known.
        """
        if self._room is None or self._last is None or self._still_s is None or self._moving is None:
            return False
        box = self._cells_of(low, high)
        known = self._known()[box]
        if known.size < _SMALLEST_CELLS or known.mean() < _KNOWN_SHARE or self._moving[box].any():
            return False
        change = (self._last[box] - self._room[box])[known]
        return bool((np.abs(change - np.median(change)) > _levels(self._room[box])[known]).mean() < EMPTY_SHARE)

    def moving_in(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, int]:
        """Give the middles (n, 2) of the cells that move in a box, and how many cells it has.

        Args:
            low: (2,) top left corner, pixels.
            high: (2,) bottom right corner.
        """
        if self._moving is None:
            return np.zeros((0, 2), np.float32), 0
        rows, columns = box = self._cells_of(low, high)
        y, x = np.nonzero(self._moving[box])
        middles = (np.stack([x + columns.start, y + rows.start], axis=1) + 0.5) * self._cell_px
        return middles.astype(np.float32), self._moving[box].size

    def moving(self, *, people: list[Region]) -> list[tuple[FloatArray, FloatArray]]:
        """Give the boxes of what moves and is nobody known, the largest first: (2,) corners each, pixels."""
        if self._moving is None:
            return []
        loose = binary_dilation(self._moving & ~self._covered(people), iterations=2)
        names, _ = label(loose)
        boxes = [
            (np.array([part[1].start, part[0].start], np.float32), np.array([part[1].stop, part[0].stop], np.float32))
            for part in find_objects(names)
        ]
        boxes.sort(key=lambda box: -float((box[1] - box[0]).prod()))
        return [(low * self._cell_px, high * self._cell_px) for low, high in boxes]

    def _cells_of(self, low: FloatArray, high: FloatArray) -> tuple[slice, slice]:
        (left, top), (right, bottom) = (np.maximum(each // self._cell_px, -1).astype(int) for each in (low, high))
        return slice(max(top, 0), bottom + 1), slice(max(left, 0), right + 1)

    def _covered(self, people: list[Region]) -> _Cells:
        """Say which cells lie in somebody's region."""
        assert self._last is not None
        rows, columns = self._last.shape
        y, x = np.mgrid[:rows, :columns]
        covered = np.zeros((rows, columns), bool)
        for person in people:
            half = person.size / 2 / self._cell_px
            middle = (person.x / self._cell_px - 0.5, person.y / self._cell_px - 0.5)
            covered |= (np.abs(x - middle[0]) <= half) & (np.abs(y - middle[1]) <= half)
        return covered


def _levels(cells: FloatArray) -> FloatArray:
    levels: FloatArray = np.minimum(CHANGED_LEVELS, CHANGED_DARK + CHANGED_SHARE * cells)
    return levels


def _to_cells(image: ImageArray) -> tuple[FloatArray, float]:
    """Average the green of a picture's cells; gives them and the side of one, pixels."""
    height, width = image.shape[:2]
    size = (min(N_COLUMNS, width), max(round(min(N_COLUMNS, width) * height / width), 1))
    green = Image.fromarray(np.ascontiguousarray(image[..., 1]))
    return np.asarray(green.resize(size, Image.Resampling.BOX), dtype=np.float32), width / size[0]
