"""Where the detector looks."""

from __future__ import annotations

import numpy as np
import pytest

from har.pose.glances import TILE_SHARE, Glances, round_box, tiles, whole


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (480, 640), (320, 240), (3840, 2160), (16, 16)])
def test_tiles_cover_the_picture_and_overlap_by_a_third(size: tuple[int, int]) -> None:
    side = TILE_SHARE * min(size)

    found = tiles(*size)

    corners = np.array([(each.x - side / 2, each.y - side / 2) for each in found])
    np.testing.assert_allclose(corners.min(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(corners.max(axis=0) + side, size, rtol=1e-4)
    for axis in (0, 1):
        steps = np.diff(np.unique(corners[:, axis].round(2)))
        assert (steps <= 0.67 * side).all()
    assert all(each.size == pytest.approx(side) for each in found)


def test_every_tile_has_its_turn_and_a_new_size_begins_anew() -> None:
    glances = Glances()
    n_tiles = len(tiles(640, 480))

    assert [glances.next_tile(640, 480) for _ in range(2 * n_tiles)] == 2 * tiles(640, 480)
    glances.next_tile(640, 480)
    assert glances.next_tile(320, 240) == tiles(320, 240)[0]


def test_the_whole_and_what_moves_are_squares_about_them() -> None:
    assert (whole(640, 480).x, whole(640, 480).y, whole(640, 480).size) == (320, 240, 640)

    moving = round_box(np.array([100, 100], np.float32), np.array([140, 300], np.float32), least_px=50.0)
    small = round_box(np.array([100, 100], np.float32), np.array([110, 110], np.float32), least_px=190.0)

    assert (moving.x, moving.y, moving.size) == (120, 200, 320)
    assert small.size == 190
