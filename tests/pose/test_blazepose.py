"""Our own tracking round BlazePose's networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from har.errors import WeightsError
from har.likeness import oks
from har.pose.blazepose import LOOK_EMPTY_S, LOOK_EVERY_S, SEARCH_EVERY_S, TRIAL_FRAMES, BlazePose
from har.pose.blazepose_networks import BlazePoseNetworks, Body, _refine
from har.pose.mediapipe_pose import MediaPipePose
from har.pose.regions import Region
from har.records import Frame, Pose
from har.sources import open_source

SAMPLE = Path(__file__).resolve().parents[2] / "sample_clips" / "fall_in_room.mp4"


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    with open_source(str(SAMPLE), camera="hall", paced=False) as source:
        return list(itertools.islice(source.frames(), 40))


class Counting:
    """Networks that count how often they look at the whole picture, and see what they are told to see."""

    def __init__(self) -> None:
        self.looks = 0
        self.there: list[Region] = []
        self.presence: Callable[[Region], float] = lambda region: 1.0

    def detect(self, image: Any, place: Region, *, threshold: float, most: int) -> list[Region]:
        self.looks += place.size == max(image.size)
        half = place.size / 2
        near = [each for each in self.there if max(abs(each.x - place.x), abs(each.y - place.y)) <= half]
        return near[:most]

    def locate(self, image: Any, region: Region) -> Body:
        upright = region.inside(np.array([[0.5, 0.1], [0.5, 0.9]], np.float32))
        return Body(np.resize(upright, (33, 2)), np.ones(33, np.float32), self.presence(region), region)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[BlazePose, Counting]:
    networks = Counting()
    monkeypatch.setattr("har.pose.blazepose.open_networks", lambda weights: networks)
    monkeypatch.setattr("har.pose.blazepose.blazepose_path", lambda: Path("none"))
    return BlazePose(max_people=2), networks


def show(estimator: BlazePose, *, begin_s: float, seconds: float, rate_hz: float = 15.0) -> list[int]:
    """Show a still picture for a while; give how many people were seen in each frame."""
    image = np.zeros((48, 64, 3), np.uint8)
    times = begin_s + np.arange(round(seconds * rate_hz)) / rate_hz
    return [len(estimator.estimate(Frame(image, float(t), float(t), "hall"))) for t in times]


def test_a_region_is_upright_along_the_line_from_the_hips() -> None:
    standing = Region.round_body(np.array([50.0, 60.0], np.float32), np.array([50.0, 20.0], np.float32))
    lying = Region.round_body(np.array([50.0, 60.0], np.float32), np.array([90.0, 60.0], np.float32))

    assert (standing.x, standing.y, standing.size, standing.angle) == pytest.approx((50, 60, 100, 0))
    assert lying.angle == pytest.approx(math.pi / 2)
    np.testing.assert_allclose(
        standing.inside(np.array([[0, 0], [1, 1]], np.float32)), [[0, 10], [100, 110]], atol=1e-4
    )
    np.testing.assert_allclose(lying.inside(np.array([[0.5, 0.0]], np.float32)), [[100, 60]], atol=1e-4)


def test_a_cut_shows_what_lies_in_the_region_turned_upright() -> None:
    picture = np.zeros((80, 120, 3), np.uint8)
    picture[38:42, 90:110] = 255  # to the right of the hips: the head of somebody lying
    lying = Region(60.0, 40.0, 80.0, math.pi / 2)

    shown = lying.cut(Image.fromarray(picture), 40)[..., 0]

    bright = np.argwhere(shown > 128)
    assert shown.shape == (40, 40)
    np.testing.assert_allclose(bright.mean(axis=0), [2, 19.5], atol=0.6)  # its half in the region: top, in the middle
    assert not Region(-500.0, 0.0, 80.0).cut(Image.fromarray(picture + 9), 8).any()


def test_landmarks_move_to_the_middle_of_the_warmth_and_stay_where_it_is_cold() -> None:
    heat = np.full((64, 64, 39), -20.0, np.float32)
    heat[30, 21:24, 0] = 8.0
    xy = np.full((39, 2), 0.5, np.float32)
    xy[0] = (20.5 / 64, 29.5 / 64)
    xy[1] = (-0.2, 1.7)

    refined = _refine(xy, heat)

    np.testing.assert_allclose(refined[0], [22 / 64, 30 / 64], atol=1e-3)
    np.testing.assert_array_equal(refined[1:], xy[1:])


def test_the_detector_looks_now_and_then_while_somebody_is_in_view(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]

    seen = show(estimator, begin_s=100.0, seconds=6.0)

    assert seen == [1] * 90
    assert networks.looks == pytest.approx(6.0 / LOOK_EVERY_S, abs=3)


def test_somebody_who_comes_is_seen_at_the_next_look(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(10, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)

    networks.there.append(Region(50, 20, 40))
    seen = show(estimator, begin_s=1.0, seconds=1.0)

    assert seen[-1] == 2
    assert seen.index(2) <= math.ceil(LOOK_EVERY_S * 15) + TRIAL_FRAMES


def test_two_people_are_followed_without_the_detector(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(10, 20, 40), Region(50, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)
    before = networks.looks

    assert show(estimator, begin_s=1.0, seconds=5.0) == [2] * 75
    assert networks.looks == before


def test_an_empty_room_is_looked_into_less_often_and_nobody_found_costs_nothing_else(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched

    assert show(estimator, begin_s=0.0, seconds=10.0) == [0] * 150
    assert networks.looks == pytest.approx(10.0 / LOOK_EMPTY_S, rel=0.35)


def test_whoever_is_lost_is_searched_for(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)

    networks.there, networks.presence = [], lambda region: 0.1
    before = networks.looks
    assert show(estimator, begin_s=1.0, seconds=1.0) == [0] * 15
    assert networks.looks - before >= 0.5 / SEARCH_EVERY_S
    networks.there, networks.presence = [Region(30, 20, 40)], lambda region: 1.0

    assert show(estimator, begin_s=2.0, seconds=0.3)[-1] == 1


def test_furniture_that_looks_a_little_like_a_person_is_not_taken_for_one(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    networks.there, networks.presence = [Region(30, 20, 40)], lambda region: 0.6

    assert not any(show(estimator, begin_s=0.0, seconds=2.0))


def test_whoever_was_lost_is_found_again_near_by_though_hardly_seen(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)
    networks.there, networks.presence = [], lambda region: 0.1
    show(estimator, begin_s=1.0, seconds=0.5)

    networks.presence = lambda region: 0.6 if region in networks.there else 0.1
    networks.there = [Region(50, 20, 40)]
    assert not any(show(estimator, begin_s=1.5, seconds=0.3))
    networks.there = [Region(40, 22, 40)]
    assert show(estimator, begin_s=1.8, seconds=0.3)[-1] == 1


def test_furniture_beside_somebody_does_not_keep_a_second_person_from_being_seen(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    networks.there = [Region(10, 20, 40), Region(30, 20, 40), Region(50, 20, 40)]
    networks.presence = lambda region: 0.4 if region.x == 30 else 1.0

    assert show(estimator, begin_s=0.0, seconds=1.0)[-1] == 2


def test_whoever_another_slides_over_for_a_moment_is_searched_for_like_anybody_lost(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    networks.there = [Region(10, 20, 40), Region(30, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)
    locate = networks.locate
    networks.locate = lambda image, region: locate(image, Region(10, 20, 40))  # type: ignore[method-assign]
    show(estimator, begin_s=1.0, seconds=0.07)
    networks.locate = locate  # type: ignore[method-assign]
    networks.presence = lambda region: 0.6

    assert show(estimator, begin_s=1.1, seconds=0.3)[-1] == 2


def test_a_large_region_does_not_swallow_a_small_one(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 400), Region(60, 20, 60)]  # a carer close to the camera, somebody far behind

    assert show(estimator, begin_s=0.0, seconds=1.0)[-1] == 2


def test_a_region_that_has_slipped_gives_way_to_where_the_detector_sees_the_same_person(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)
    networks.there, networks.presence = [Region(33, 20, 40)], lambda region: 0.4 if region.x == 30 else 0.9

    show(estimator, begin_s=1.0, seconds=1.0)

    pose = estimator.estimate(Frame(np.zeros((48, 64, 3), np.uint8), 2.0, 2.0, "hall"))
    assert [float(each.xy[0, 0]) for each in pose] == [33.0]


def test_a_clock_that_is_set_back_does_not_keep_the_detector_from_looking(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    show(estimator, begin_s=5000.0, seconds=1.0)
    networks.there = [Region(30, 20, 40)]

    assert show(estimator, begin_s=10.0, seconds=0.5)[-1] == 1


def test_a_part_of_somebody_is_not_a_second_person_but_a_child_who_came_along_stays(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    grown_up, legs = Region(30, 20, 40), Region(30, 30, 14)
    corners = np.array([[0.2, 0.1], [0.8, 0.9]], np.float32)

    def locate(image: Any, region: Region) -> Body:
        return Body(np.resize(region.inside(corners), (33, 2)), np.ones(33, np.float32), 1.0, region)

    networks.locate = locate  # type: ignore[method-assign]
    networks.there = [grown_up]
    show(estimator, begin_s=0.0, seconds=0.2)
    networks.there = [grown_up, legs]
    assert show(estimator, begin_s=0.2, seconds=0.8)[-1] == 1

    networks.there = [grown_up, Region(58, 30, 14)]
    assert show(estimator, begin_s=1.0, seconds=0.8)[-1] == 2
    networks.locate = lambda image, region: locate(image, region if region.size > 14 else legs)  # type: ignore[method-assign]
    assert show(estimator, begin_s=1.8, seconds=0.8)[-1] == 2


def test_a_second_pose_lengthways_upon_a_body_is_not_a_second_person_but_somebody_who_came_apart_is(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    body, upon = Region(30, 20, 40), Region(30, 28, 26, math.pi - 0.1)  # upside down, and not in its box
    networks.there = [body]
    show(estimator, begin_s=0.0, seconds=0.2)
    networks.there = [body, upon]
    assert show(estimator, begin_s=0.2, seconds=0.8)[-1] == 1

    networks.there = [body, Region(50, 28, 26, math.pi - 0.1)]
    assert show(estimator, begin_s=1.0, seconds=0.8)[-1] == 2


def test_of_the_first_picture_whoever_is_lost_before_they_are_proven_is_searched_for_and_must_prove_themselves_again(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]
    assert show(estimator, begin_s=0.0, seconds=0.13) == [1, 1]
    networks.presence = lambda region: 0.1
    assert show(estimator, begin_s=0.13, seconds=0.07) == [0]

    networks.presence = lambda region: 0.6  # enough for somebody who was lost, not to be proven

    seen = show(estimator, begin_s=0.2, seconds=1.0)
    assert 1 in seen[:3]
    assert seen[-1] == 0
    networks.presence = lambda region: 1.0
    assert show(estimator, begin_s=1.2, seconds=1.0)[-1] == 1


def test_a_camera_that_stutters_right_after_its_first_picture_loses_nobody(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]
    image = np.zeros((48, 64, 3), np.uint8)

    assert [len(estimator.estimate(Frame(image, t, t, "hall"))) for t in np.arange(0.0, 20.0, 2.5)] == [1] * 8


def test_what_moves_at_somebody_proven_does_not_prove_a_restless_newcomer_beside_them(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    proven, ghost = Region(20, 24, 30), Region(34, 24, 30)
    locate, number = networks.locate, itertools.count()

    def restless(image: Any, region: Region) -> Body:
        body = locate(image, region)
        if region.x < 30:
            return body
        wide = np.resize(np.array([[12.0, 14.0], [44.0, 34.0]], np.float32), (33, 2))  # its box reaches over the other
        return Body(wide + 2.0 * (next(number) % 2), body.visibility, body.presence, region)

    networks.locate = restless  # type: ignore[method-assign]
    networks.there = [proven]
    blink(estimator, begin_s=0.0, seconds=1.0, columns=slice(18, 22))
    networks.there = [proven, ghost]
    assert blink(estimator, begin_s=1.0, seconds=2.0, columns=slice(18, 22))[-1] == 1
    assert blink(estimator, begin_s=3.0, seconds=2.0, columns=slice(36, 44))[-1] == 2  # now it is there that it moves


def blink(estimator: BlazePose, *, begin_s: float, seconds: float, columns: slice) -> list[int]:
    """Show a picture some columns of which change all the time; give how many people were seen in each frame."""
    seen = []
    for number in range(round(seconds * 15)):
        image = np.zeros((48, 64, 3), np.uint8)
        image[10:40, columns] = 200 * (number // 3 % 2)
        time_s = begin_s + number / 15
        seen.append(len(estimator.estimate(Frame(image, time_s, time_s, "hall"))))
    return seen


def spread(region: Region, *, presence: float = 1.0) -> Body:
    """Give a body that fills its region."""
    corners = region.inside(np.array([[0.2, 0.1], [0.8, 0.9]], np.float32))
    return Body(np.resize(corners, (33, 2)), np.ones(33, np.float32), presence, region)


def test_whoever_lies_under_a_helper_and_is_missed_for_a_frame_comes_back(watched: tuple[BlazePose, Counting]) -> None:
    estimator, networks = watched
    helper, fallen = Region(32, 24, 46), Region(32, 34, 16)
    # The one who fell was there first, the helper came and bent over them.
    networks.locate = lambda image, region: spread(region)  # type: ignore[method-assign]
    networks.there = [fallen]
    show(estimator, begin_s=0.0, seconds=0.2)
    networks.there = [fallen, helper]
    assert show(estimator, begin_s=0.2, seconds=0.8)[-1] == 2

    networks.locate = lambda image, region: spread(region, presence=0.1 if region.size < 40 else 1.0)  # type: ignore[method-assign]
    assert show(estimator, begin_s=1.0, seconds=0.07) == [1]
    networks.locate = lambda image, region: spread(region)  # type: ignore[method-assign]

    assert show(estimator, begin_s=1.07, seconds=0.5)[-1] == 2


@pytest.mark.parametrize("first", [0, 1])
def test_whose_landmarks_jump_onto_a_bystander_is_the_one_who_is_searched_for(
    first: int, watched: tuple[BlazePose, Counting]
) -> None:
    estimator, networks = watched
    fallen, bystander = Region(14, 24, 20), Region(48, 24, 20)
    networks.there = [fallen, bystander] if first == 0 else [bystander, fallen]
    show(estimator, begin_s=0.0, seconds=0.5)
    locate = networks.locate
    networks.there = []
    networks.locate = lambda image, region: locate(image, bystander)  # type: ignore[method-assign]
    assert show(estimator, begin_s=0.5, seconds=0.07) == [1]

    networks.locate, networks.presence = locate, lambda region: 0.7  # type: ignore[method-assign]

    assert show(estimator, begin_s=0.6, seconds=0.5)[-1] == 2


def test_after_an_outage_nobody_is_still_there_unless_they_are_seen_surely(
    watched: tuple[BlazePose, Counting],
) -> None:
    estimator, networks = watched
    networks.there = [Region(30, 20, 40)]
    show(estimator, begin_s=0.0, seconds=1.0)

    networks.there, networks.presence = [], lambda region: 0.35

    assert not any(show(estimator, begin_s=3600.0, seconds=4.0))


@pytest.mark.weights
def test_on_single_pictures_the_joints_are_those_of_mediapipe(frames: list[Frame]) -> None:
    for frame in frames[::10]:
        theirs, ours = MediaPipePose(), BlazePose()
        (a,), (b,) = theirs.estimate(frame), ours.estimate(frame)
        theirs.close()

        body_px = float(np.ptp(a.xy[:, 1]))
        assert np.median(np.linalg.norm(a.xy - b.xy, axis=1)) < 0.01 * body_px
        assert np.abs(a.score - b.score).max() < 0.1


@pytest.mark.weights
def test_looking_now_and_then_gives_the_poses_of_looking_always(frames: list[Frame]) -> None:
    always, sometimes = BlazePose(every_frame=True), BlazePose()

    similar = [
        oks(a, b) for frame in frames for a, b in zip(always.estimate(frame), sometimes.estimate(frame), strict=True)
    ]

    assert len(similar) == len(frames)
    assert np.mean(similar) > 0.95


@pytest.mark.weights
def test_weights_that_are_none_are_refused_with_their_path(tmp_path: Path) -> None:
    path = tmp_path / "own.task"
    path.write_bytes(b"not weights")

    with pytest.raises(WeightsError, match=r"own\.task: cannot be used as BlazePose weights"):
        BlazePoseNetworks(path)


@pytest.mark.slow
@pytest.mark.weights
def test_three_small_people_side_by_side_are_all_seen() -> None:
    with open_source(str(SAMPLE), camera="hall", paced=False) as source:
        frames = list(itertools.islice(source.frames(), 60))
    alone, together, n_seen = BlazePose(max_people=1), BlazePose(), 0

    for frame in frames:
        (pose,) = alone.estimate(frame)
        picture, places = three_of(frame, pose)
        n_seen += sum(
            any(np.linalg.norm(found.xy - place, axis=1).mean() < 0.04 * frame.image.shape[0] for found in poses)
            for poses in [together.estimate(picture)]
            for place in places
        )

    assert n_seen >= 0.9 * 3 * len(frames)


def three_of(frame: Frame, pose: Pose) -> tuple[Frame, list[Any]]:
    """Show somebody three times side by side, each 0.45 of the picture tall; gives it and where their joints are."""
    height_px, width_px = frame.image.shape[:2]
    scale = 0.45 * height_px / (1.1 * float(np.ptp(pose.xy[:, 1])))
    small = Image.fromarray(frame.image).resize((round(width_px * scale), round(height_px * scale)))
    third, middle = width_px // 3, pose.xy.mean(axis=0) * scale
    left, top = round(float(middle[0]) - third / 2), round(float(middle[1]) - 0.4 * height_px)
    picture = Image.new("RGB", (width_px, height_px), (128, 120, 110))
    for n in range(3):
        cut = small.crop((left, top, left + third, top + round(0.8 * height_px)))
        picture.paste(cut, (n * third, round(0.1 * height_px)))
    offsets = [(n * third - left, round(0.1 * height_px) - top) for n in range(3)]
    shown = Frame(np.asarray(picture), frame.time_s, frame.source_time_s, frame.camera)
    return shown, [pose.xy * scale + offset for offset in offsets]
