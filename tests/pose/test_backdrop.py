"""The room without its people."""

from __future__ import annotations

import numpy as np
import pytest

from har.pose.backdrop import ADOPT_AFTER_S, KNOWN_AFTER_S, Backdrop
from har.pose.regions import Region
from har.records import FloatArray, ImageArray

STEP_S = 0.5
BODY = (np.array([60, 40], np.float32), np.array([80, 100], np.float32))


def room(*, light: int = 0) -> ImageArray:
    """Give a picture of a room with something in it everywhere, and a camera's noise."""
    rng = np.random.default_rng(1)
    patches = rng.integers(60, 180, (12, 16)).repeat(10, axis=0).repeat(10, axis=1)
    noise = np.random.default_rng().normal(0, 2, patches.shape)
    return np.clip(patches + noise + light, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def with_body(image: ImageArray, low: FloatArray = BODY[0], high: FloatArray = BODY[1]) -> ImageArray:
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    image[top:bottom, left + 4 : right - 4] = (200, 30, 60)
    return image


def watch(backdrop: Backdrop, seconds: float, *, begin_s: float, body: bool = False, people: bool = False) -> float:
    """Show the room for a while; gives when it ends."""
    middle = (BODY[0] + BODY[1]) / 2
    there = [Region(float(middle[0]), float(middle[1]), 75.0)] if people else []
    for n in range(round(seconds / STEP_S)):
        image = with_body(room()) if body else room()
        backdrop.look(image, people=there, time_s=begin_s + n * STEP_S)
    return begin_s + seconds


def test_a_place_that_looks_as_when_nobody_was_there_is_empty() -> None:
    backdrop = Backdrop()
    now_s = watch(backdrop, KNOWN_AFTER_S + 1, begin_s=0.0)
    now_s = watch(backdrop, 5.0, begin_s=now_s, body=True, people=True)
    assert not backdrop.is_empty(*BODY)

    watch(backdrop, 1.0, begin_s=now_s, people=True)  # they left; a ghost stays

    assert backdrop.is_empty(*BODY)


def test_whoever_was_there_from_the_beginning_is_not_taken_for_the_room() -> None:
    backdrop = Backdrop()

    watch(backdrop, 30.0, begin_s=0.0, body=True, people=True)

    assert not backdrop.is_empty(*BODY)


def test_whoever_was_there_from_the_beginning_and_is_lost_does_not_become_part_of_the_room() -> None:
    backdrop = Backdrop()
    now_s = watch(backdrop, 1.0, begin_s=0.0, body=True, people=True)

    watch(backdrop, 30.0, begin_s=now_s, body=True)  # they lie still, and no pose is found

    assert not backdrop.is_empty(*BODY)


def test_in_the_dark_a_little_is_much() -> None:
    backdrop, dark = Backdrop(), np.full((120, 160, 3), 20, np.uint8)
    for n in range(10):
        backdrop.look(dark, people=[], time_s=n * STEP_S)
    assert backdrop.is_empty(*BODY)

    body = dark.copy()
    body[40:100, 64:76] = 27
    for n in range(10, 14):
        backdrop.look(body, people=[], time_s=n * STEP_S)

    assert not backdrop.is_empty(*BODY)


def test_somebody_who_fell_and_is_not_seen_does_not_become_part_of_the_room() -> None:
    backdrop = Backdrop()
    now_s = watch(backdrop, 5.0, begin_s=0.0)

    now_s = watch(backdrop, ADOPT_AFTER_S / 2, begin_s=now_s, body=True, people=False)
    assert not backdrop.is_empty(*BODY)

    watch(backdrop, ADOPT_AFTER_S, begin_s=now_s, body=True)
    assert backdrop.is_empty(*BODY)  # a chair that somebody put there is the room in the end


def test_a_lamp_does_not_move_anything_and_empties_nothing() -> None:
    backdrop = Backdrop()
    now_s = watch(backdrop, 5.0, begin_s=0.0)

    backdrop.look(room(light=40), people=[], time_s=now_s)

    assert not len(backdrop.moving_in(*BODY)[0])
    assert backdrop.moving(people=[]) == []
    assert backdrop.is_empty(*BODY)


def test_what_moves_is_found_unless_it_is_somebody_known() -> None:
    backdrop = Backdrop()
    now_s = watch(backdrop, 5.0, begin_s=0.0)

    backdrop.look(with_body(room()), people=[], time_s=now_s)

    ((low, high),) = backdrop.moving(people=[])
    assert (low <= BODY[0] + 4).all()
    assert (high >= BODY[1] - 4).all()
    moving, n_cells = backdrop.moving_in(*BODY)
    assert 10 < len(moving) <= n_cells
    assert ((moving > BODY[0] - 4) & (moving < BODY[1] + 4)).all()
    assert backdrop.moving(people=[Region(70.0, 70.0, 80.0)]) == []


@pytest.mark.parametrize("box", [((-300, -300), (-200, -100)), ((150, 110), (900, 900)), ((-50, -50), (9000, 9000))])
def test_a_box_may_lie_anywhere(box: tuple[tuple[int, int], tuple[int, int]]) -> None:
    backdrop = Backdrop()
    low, high = (np.array(corner, np.float32) for corner in box)
    assert not backdrop.is_empty(low, high)
    watch(backdrop, 5.0, begin_s=0.0)

    assert not len(backdrop.moving_in(low, high)[0])
    assert backdrop.is_empty(low, high) in (True, False)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2160, 3840), (48, 640)])
def test_pictures_may_have_any_size_and_may_change_it(shape: tuple[int, int]) -> None:
    backdrop = Backdrop()
    watch(backdrop, 1.0, begin_s=0.0)

    for n in range(3):
        backdrop.look(np.zeros((*shape, 3), np.uint8), people=[Region(5.0, 5.0, 8.0)], time_s=2.0 + n)

    assert backdrop.moving(people=[]) == []


def test_a_clock_that_is_set_back_is_borne() -> None:
    backdrop = Backdrop()
    watch(backdrop, 5.0, begin_s=1000.0)

    watch(backdrop, 5.0, begin_s=0.0)

    assert backdrop.is_empty(*BODY)
