from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from har.clips import find_clip
from har.errors import ConfigError, WeightsError
from har.pose import BLAZEPOSE, BLAZEPOSE_FAST, Estimator, check_estimator, open_estimator
from har.pose.weights import blazepose_path
from har.records import Frame
from har.sources import open_source

SAMPLE = Path(__file__).resolve().parents[2] / "sample_clips" / "fall_in_room.mp4"


@pytest.fixture(params=[BLAZEPOSE, BLAZEPOSE_FAST])
def blazepose(request: pytest.FixtureRequest) -> Iterator[Estimator]:
    estimator = open_estimator(request.param, max_people=2)
    yield estimator
    estimator.close()


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """The first seconds of the sample video: somebody stands, then walks."""
    with open_source(str(SAMPLE), camera="hall", paced=False) as source:
        return list(itertools.islice(source.frames(), 25))


def blank(*, time_s: float, height_px: int = 240, width_px: int = 320) -> Frame:
    return Frame(np.full((height_px, width_px, 3), 90, np.uint8), time_s, time_s, "hall")


@pytest.mark.weights
def test_the_person_in_the_sample_video_is_found_where_they_were_drawn(
    blazepose: Estimator, frames: list[Frame]
) -> None:
    truth = find_clip(SAMPLE.with_suffix(".npz"))
    assert truth is not None

    found = [blazepose.estimate(frame) for frame in frames]

    assert sum(len(poses) == 1 for poses in found) >= 0.9 * len(frames)
    errors = []
    for frame, poses in zip(frames, found, strict=True):
        drawn = truth.joints[np.abs(truth.time_s - frame.source_time_s).argmin(), 0, :, :2]
        body_px = np.ptp(drawn[:, 1])
        errors += [np.linalg.norm(pose.xy - drawn, axis=1)[5:] / body_px for pose in poses]  # the face is another's
    assert np.median(errors) < 0.05


@pytest.mark.weights
def test_joints_lie_in_the_picture_with_scores_from_0_to_1(blazepose: Estimator, frames: list[Frame]) -> None:
    height_px, width_px = frames[0].image.shape[:2]

    poses = [pose for frame in frames for pose in blazepose.estimate(frame)]

    assert poses
    for pose in poses:
        assert (pose.layout, pose.xy.shape, pose.xy.dtype) == ("coco17", (17, 2), np.float32)
        assert ((pose.score >= 0.0) & (pose.score <= 1.0)).all()
        sure = pose.xy[pose.score > 0.5]
        assert len(sure) >= 10
        assert ((sure >= 0.0) & (sure <= [width_px, height_px])).all()


@pytest.mark.weights
def test_the_same_frames_give_the_same_joints(blazepose: Estimator, frames: list[Frame]) -> None:
    first = [pose.xy for frame in frames[:10] for pose in blazepose.estimate(frame)]
    other = type(blazepose)()

    second = [pose.xy for frame in frames[:10] for pose in other.estimate(frame)]
    other.close()

    np.testing.assert_array_equal(first, second)


@pytest.mark.weights
@pytest.mark.parametrize("times_s", [[5.0] * 4, [5.0, 4.0, 3.0, 2.0], [0.0, 0.0], [1e9, 1e9 + 1e-5], [-2.0, -1.0]])
def test_times_that_stand_still_or_go_back_do_no_harm(
    times_s: list[float], blazepose: Estimator, frames: list[Frame]
) -> None:
    found = [blazepose.estimate(Frame(frames[0].image, time_s, 0.0, "hall")) for time_s in times_s]

    assert [len(poses) for poses in found] == [1] * len(times_s)


@pytest.mark.weights
def test_an_empty_room_holds_nobody(blazepose: Estimator) -> None:
    assert [blazepose.estimate(blank(time_s=float(t))) for t in range(3)] == [()] * 3


@pytest.mark.weights
def test_pictures_of_any_size_and_stride_are_taken(blazepose: Estimator, frames: list[Frame]) -> None:
    blazepose.estimate(blank(time_s=1.0, height_px=1, width_px=1))
    blazepose.estimate(blank(time_s=2.0, height_px=2000, width_px=3))
    mirrored = Frame(frames[0].image[:, ::-1], 3.0, 0.0, "hall")

    assert len(blazepose.estimate(mirrored)) == 1


@pytest.mark.weights
@pytest.mark.parametrize("damage", ["empty", "text", "half"])
def test_a_bad_task_file_is_refused_with_its_path(damage: str, tmp_path: Path) -> None:
    whole = blazepose_path().read_bytes()
    path = tmp_path / "own.task"
    path.write_bytes({"empty": b"", "text": b"not weights", "half": whole[: len(whole) // 2]}[damage])

    with pytest.raises(WeightsError, match=r"own\.task: MediaPipe refuses these weights") as caught:
        open_estimator(str(path), max_people=1)

    assert "\n" not in str(caught.value)


@pytest.mark.weights
def test_a_task_file_of_ones_own_serves(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "own.task"
    path.write_bytes(blazepose_path().read_bytes())
    estimator = open_estimator(str(path), max_people=2)

    found = estimator.estimate(frames[0])
    estimator.close()

    assert len(found) == 1


def test_a_task_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "own.task")

    with pytest.raises(WeightsError, match=r"own\.task: no such weights file"):
        open_estimator(path, max_people=1)
    with pytest.raises(WeightsError, match=r"own\.task: no such weights file"):
        check_estimator(path)


@pytest.mark.parametrize("name", ["", "openpose", "BlazePose", "weights.tflite"])
def test_an_unknown_estimator_is_told_the_known_ones(name: str) -> None:
    for ask in (check_estimator, lambda name: open_estimator(name, max_people=1)):
        with pytest.raises(ConfigError, match=r"not known\. Use blazepose, blazepose-fast, maskrcnn, or the path of a"):
            ask(name)
