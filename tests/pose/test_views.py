"""What a network is shown of a picture, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from har.pose.views import View


def spot(x: int, y: int, *, width: int, height: int, side: int = 4) -> Image.Image:
    """Give a black picture with a white square round a point."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[y - side : y + side, x - side : x + side] = 255
    return Image.fromarray(image)


def middle_of_light(shown: np.ndarray) -> np.ndarray:
    light = shown[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, -2.5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_a_view_shows_is_where_it_says(angle: float, mirrored: bool) -> None:
    view = View.round_box((30, 10, 30, 40), 96, angle=angle, mirrored=mirrored, shift=(0.05, -0.04))

    shown = view.cut(spot(42, 28, width=80, height=60))

    place = middle_of_light(shown)
    np.testing.assert_allclose(view.to_view(np.array([42.0, 28.0])), place, atol=0.1)
    np.testing.assert_allclose(view.to_picture(place), [42, 28], atol=0.1)


def test_a_large_picture_is_made_coarser_and_nothing_is_lost_between_the_pixels() -> None:
    view = View.of_whole(3840, 2160, 320, 256)

    shown = view.cut(spot(1000, 600, width=3840, height=2160, side=6))

    np.testing.assert_allclose(view.to_picture(middle_of_light(shown)), [1000, 600], atol=3)


def test_a_whole_picture_keeps_its_shape() -> None:
    view = View.of_whole(200, 100, 320, 256)

    shown = view.cut(Image.new("RGB", (200, 100), (255, 255, 255)))

    assert shown.shape == (256, 320, 3)
    lit = (shown[..., 0] > 127).sum(axis=0)
    assert set(lit) == {160}


def test_boxes_go_there_and_back() -> None:
    boxes = np.array([[10, 20, 30, 40], [0, 0, 5, 5]], dtype=np.float32)
    view = View.of_whole(200, 100, 320, 256, zoom=1.3, angle=math.pi / 2, shift=(0.1, 0.0), mirrored=True)

    np.testing.assert_allclose(view.boxes_to_picture(view.boxes_to_view(boxes)), boxes, atol=1e-3)


def test_a_box_beyond_the_picture_or_of_no_size_shows_black_or_a_pixel() -> None:
    picture = Image.new("RGB", (16, 16), (200, 200, 200))

    assert View.round_box((500, 500, 10, 10), 32).cut(picture).max() == 0
    assert View.round_box((8, 8, 0, 0), 32).cut(picture).shape == (32, 32, 3)
