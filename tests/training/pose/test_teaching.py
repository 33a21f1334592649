"""What a heavy estimator says of frames, as labels for a light one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import har.training.pose.teaching as teaching
from har.errors import SourceError, TrainingError
from har.records import Frame, Pose
from har.training.pose.pictures import hold_out
from har.training.pose.teaching import find_videos, label_videos, people_of
from tests.sources.builders import write_video
from tests.training.pose.builders import make_person


class Seer:
    """An estimator that sees the same person in every frame."""

    def __init__(self, score: float) -> None:
        person = make_person(300, 40, 400)
        self.pose = Pose(person.xy, np.full(17, score, dtype=np.float32))

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        return (self.pose,)

    def close(self) -> None:
        pass


def a_frame() -> Frame:
    return Frame(np.zeros((480, 960, 3), dtype=np.uint8), time_s=0.0, source_time_s=0.0, camera="hall")


def films(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        images = [np.full((480, 960, 3), 90, dtype=np.uint8)] * 6
        write_video(folder / name, [0.1 * number for number in range(6)], images=images)
    return folder


def test_joints_are_sure_unsure_or_unknown_and_the_box_holds_them() -> None:
    score = np.array([0.9] * 9 + [0.5] * 4 + [0.1] * 4, dtype=np.float32)
    (person,) = people_of([Pose(make_person(300, 40, 400).xy, score)], a_frame())

    assert person.visibility.tolist() == [2] * 9 + [1] * 4 + [0] * 4
    known = person.xy[person.visibility > 0]
    assert (known >= person.box[:2]).all()
    assert (known <= person.box[:2] + person.box[2:]).all()


def test_whoever_is_seen_only_in_part_or_outside_the_frame_is_no_label() -> None:
    few = np.array([0.9] * 5 + [0.5] * 12, dtype=np.float32)
    sure = np.ones(17, dtype=np.float32)

    assert people_of([Pose(make_person(300, 40, 400).xy, few)], a_frame()) == ()
    assert people_of([Pose(make_person(2000, 40, 400).xy, sure)], a_frame()) == ()


def test_frames_of_all_videos_below_a_folder_become_pictures_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "open_estimator", lambda name, *, max_people: Seer(0.9))
    videos, told = films(tmp_path / "videos", "a/1.mp4", "b/2.mp4"), []

    first = label_videos(videos, teacher="seer", folder=tmp_path / "kept", tell=told.append)
    again = label_videos(videos, teacher="seer", folder=tmp_path / "kept", tell=told.append)

    assert len(told) == 2
    assert len(first) == len(again) == 12
    assert (first[0].width_px, first[0].height_px) == (480, 240)
    np.testing.assert_allclose(first[0].people[0].xy, make_person(150, 20, 200).xy, atol=0.02)
    learn, check = hold_out(first, seed=0)
    assert len({each.video for each in learn}) == len({each.video for each in check}) == 1


def test_videos_without_anybody_and_folders_without_videos_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "open_estimator", lambda name, *, max_people: Seer(0.3))

    with pytest.raises(TrainingError, match="sure of nobody"):
        label_videos(films(tmp_path / "videos", "1.mp4"), teacher="seer", folder=tmp_path / "kept")
    with pytest.raises(SourceError, match="no video file"):
        find_videos(tmp_path / "kept")
