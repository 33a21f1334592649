"""What pose estimators learn from, and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphs.layouts import COCO17
from har.errors import ConfigError, TrainingError
from har.pose.coco import Picture, write_pictures
from har.pose.networks.centernet import CenterNet, CenterNetSettings
from har.pose.networks.deeppose import DeepPose, DeepPoseSettings
from har.pose.networks.hourglass import Hourglass, HourglassSettings
from har.pose.views import View
from har.records import Pose
from har.training.pose.augment import Chances, draw_crop, draw_whole
from har.training.pose.crops import CropLesson, fill_in, people_in, place_joints
from har.training.pose.detection import DetectorLesson, targets_of
from har.training.pose.judging import ENOUGH_PEOPLE, judge_boxes, pdj
from har.training.pose.loop import Given, Plan, Progress, fit
from har.training.pose.pictures import hold_out, read_data
from har.training.pose.progress import as_line
from tests.training.pose.builders import COLOURS, draw_picture, make_person, write_set

SMALL = HourglassSettings(size_px=64, channels=16, stacks=1, depth=2)
STILL = Chances(scale=(1.0, 1.0), shift=0.0, turn_share=0.0, full_turn_share=0.0, mirror_share=0.0, half_share=0.0)
PLAN = Plan(epochs=2, batch_size=4, learning_rate=3e-3)


def crop_lesson(folder: Path, *, n: int = 10) -> CropLesson:
    learn, check = hold_out(write_set(folder, n=n), seed=0)
    torch.manual_seed(0)
    return CropLesson(Hourglass(SMALL), people_in(learn), people_in(check))


@pytest.mark.parametrize("seed", range(6))
def test_joints_are_where_the_crop_shows_them_however_it_is_changed(seed: int) -> None:
    person = make_person(60, 20, 80)
    rng = np.random.default_rng(seed)
    view = draw_crop(person, 128, Chances(full_turn_share=0.5), rng)
    shown = view.cut(Image.fromarray(draw_picture((person,))))

    joints, seen, weights = place_joints(view, person, is_taught=False)

    mirrored = np.linalg.det(view.matrix[:, :2]) < 0
    for joint in (9, 10, 15, 16):  # wrists and ankles, which no other spot covers
        column, row = (joints[joint] * 128).astype(int)
        if seen[joint] and min(row, column) >= 3 and max(row, column) < 125:
            drawn = COLOURS[COCO17.mirror_order[joint] if mirrored else joint]
            assert np.abs(shown[row, column].astype(int) - drawn).max() < 60
    assert weights.all()


def test_of_a_taught_person_only_joints_the_teacher_was_sure_of_count() -> None:
    person = make_person(60, 20, 80)
    visibility = person.visibility.copy()
    visibility[:5], visibility[5:8] = 0, 1
    view = View.round_box(person.box, 64)

    _, seen, weights = place_joints(view, replace(person, visibility=visibility), is_taught=True)
    _, _, all_weights = place_joints(view, replace(person, visibility=visibility), is_taught=False)

    assert weights.tolist() == [0.0] * 8 + [1.0] * 9
    assert seen[8:].all()
    assert all_weights.all()


def test_the_mean_student_fills_in_what_the_teacher_did_not_know(tmp_path: Path) -> None:
    lesson = crop_lesson(tmp_path / "set")
    lesson.learn = [replace(sample, is_taught=True) for sample in lesson.learn]
    lesson.learn[0].person.visibility[:] = 0
    batch = lesson.batch([0, 1], np.random.default_rng(0))

    class Sure(Hourglass):
        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            maps = torch.zeros(len(crops), 1, 17, 16, 16)
            maps[..., 4, 8] = 0.9
            return maps

    filled = fill_in(Sure(SMALL), batch, torch.device("cpu"))

    assert (batch.weights[0] == 0).all()
    np.testing.assert_allclose(filled.joints[0], np.tile([8.5 / 16, 4.5 / 16], (17, 1)), atol=1e-3)
    np.testing.assert_allclose(filled.weights[0], 0.45, atol=1e-6)
    known = batch.weights[1] == 1
    assert torch.equal(filled.joints[1][known], batch.joints[1][known])


def test_frames_of_a_few_videos_are_changed_as_they_are_told_to_be_and_annotated_pictures_are_not(
    tmp_path: Path,
) -> None:
    lesson = crop_lesson(tmp_path / "set")
    lesson.chances, lesson.chances_taught = STILL, replace(STILL, scale=(0.5, 0.5))
    first = lesson.learn[0]
    lesson.learn = [first, replace(first, is_taught=True)]

    batch = lesson.batch([0, 1], np.random.default_rng(0))

    still, closer = (row[[5, 16]] for row in batch.joints)  # a shoulder and an ankle
    torch.testing.assert_close(closer[1] - closer[0], 2 * (still[1] - still[0]))


def test_groups_and_people_with_few_joints_are_not_learnt_from() -> None:
    few = make_person(10, 10, 60)
    few.visibility[3:] = 0
    picture = Picture(1, Path("a.png"), 160, 120, (make_person(5, 5, 80, crowd=True), few, make_person(80, 5, 80)))

    assert [sample.person for sample in people_in([picture])] == [picture.people[2]]


def test_the_detector_is_asked_for_people_and_not_punished_for_groups() -> None:
    people = (make_person(20, 20, 60), make_person(90, 20, 60, crowd=True))
    target = targets_of(Picture(1, Path("a.png"), 160, 120, people), View.of_whole(160, 120, 160, 128))

    assert target[5].sum() == 1
    row, column = np.argwhere(target[5])[0]
    assert (column, row) == (int((20 + 15) / 4), int((20 + 30 + 4) / 4))
    np.testing.assert_allclose(np.exp(target[1:3, row, column]), [30 / 4, 60 / 4], rtol=1e-5)
    assert (target[0, 8:18, 23:29] == 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_boxes_follow_a_turned_and_zoomed_picture(seed: int) -> None:
    person = make_person(50, 20, 70)
    view = draw_whole((160, 120), (160, 128), Chances(full_turn_share=1.0), np.random.default_rng(seed))
    shown = view.cut(Image.fromarray(draw_picture((person,))))[..., 0]

    ((x, y, width, height),) = view.boxes_to_view(person.box[None])

    rows, columns = np.nonzero(shown >= 100)
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1],
        np.clip([x, y, x + width, y + height], 0, (160, 128, 160, 128)),
        atol=2.5,
    )


def test_whole_scenes_are_held_out(tmp_path: Path) -> None:
    pictures = [replace(each, video=f"scene-{each.id // 4}") for each in write_set(tmp_path / "set", n=40)]

    learn, check = hold_out(pictures, seed=3)

    assert len(learn) + len(check) == 40
    assert check
    assert not {each.video for each in learn} & {each.video for each in check}
    assert [each.id for each in hold_out(pictures, seed=3)[1]] == [each.id for each in check]


def test_pictures_with_nobody_in_them_are_refused(tmp_path: Path) -> None:
    (picture,) = write_set(tmp_path / "set", n=1)
    write_pictures([replace(picture, people=())], tmp_path / "set" / "annotations.json")

    with pytest.raises(TrainingError, match="nobody is annotated"):
        read_data([tmp_path / "set"])


def test_figures_are_one_for_the_truth_and_zero_for_nothing_like_it() -> None:
    person = make_person(10, 10, 80)
    truth = Pose(person.xy, np.ones(17, dtype=np.float32))
    box = person.box[None]

    assert pdj([person], [truth]) == {"pdj": 1.0, "pdj_seen": 1.0}
    assert pdj([person], [Pose(person.xy + 50, truth.score)])["pdj"] == 0.0
    assert judge_boxes([np.append(box, [[0.9]], axis=1)], [box]) == {"ap50": 1.0}
    assert judge_boxes([np.append(box + 60, [[0.9]], axis=1), np.zeros((0, 5))], [box, box]) == {"ap50": 0.0}
    assert judge_boxes([np.zeros((0, 5))], [box]) == {"ap50": 0.0}


def test_a_detector_learns_from_which_score_on_a_box_is_somebody() -> None:
    """Of a hundred people eighty are found with 0.2 or more, and every box below that is furniture."""
    box = np.array([[10, 10, 40, 80]], dtype=np.float32)
    right = [np.array([[*box[0], score]]) for score in np.linspace(0.9, 0.2, 80)]
    wrong = [np.array([[*box[0] + 60, 0.1]])] * 20

    figures = judge_boxes(right + wrong, [box] * ENOUGH_PEOPLE)

    assert figures["sure"] == pytest.approx(0.2)
    assert figures["recall"] == pytest.approx(0.8)
    assert figures["precision"] == 1.0
    assert figures["ap50"] == pytest.approx(0.8)


def test_a_detector_and_a_regressor_learn_from_batches(tmp_path: Path) -> None:
    pictures = write_set(tmp_path / "set", n=6)
    torch.manual_seed(0)
    eye = DetectorLesson(CenterNet(CenterNetSettings(width_px=96, height_px=64, channels=16)), pictures, pictures[:2])
    deep = CropLesson(DeepPose(DeepPoseSettings(size_px=64, channels=16)), people_in(pictures), people_in(pictures[:2]))

    for lesson, names in ((eye, {"heat", "size", "offset"}), (deep, {"place", "refine", "seen"})):
        found = fit(lesson, replace(PLAN, epochs=1, batch_size=3), seed=0)
        assert names < set(found.history[0])
        assert any(name.startswith("validation") for name in found.history[0])


def test_training_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path: Path) -> None:
    whole = fit(crop_lesson(tmp_path / "a"), PLAN, seed=1)
    steps = []

    def is_stopped() -> bool:
        steps.append(1)
        return len(steps) == 3

    given = Given(checkpoint=tmp_path / "state.safetensors", fingerprint="x", is_stopped=is_stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(crop_lesson(tmp_path / "b"), PLAN, seed=1, given=given)
    resumed = fit(crop_lesson(tmp_path / "c"), PLAN, seed=1, given=replace(given, resume=True))

    assert len(steps) == 4  # of four steps in all
    for name, value in whole.state.items():
        torch.testing.assert_close(resumed.state[name], value, rtol=1e-5, atol=1e-6)


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    given = Given(checkpoint=tmp_path / "state.safetensors", fingerprint="x")
    fit(crop_lesson(tmp_path / "a"), replace(PLAN, epochs=1), seed=1, given=given)

    with pytest.raises(ConfigError, match="another"):
        fit(crop_lesson(tmp_path / "b"), PLAN, seed=1, given=replace(given, fingerprint="y", resume=True))


def test_no_time_and_nobody_to_learn_from_are_told(tmp_path: Path) -> None:
    lesson = crop_lesson(tmp_path / "a")

    with pytest.raises(TrainingError, match="time limit"):
        fit(lesson, PLAN, seed=0, given=Given(deadline_s=0.0))
    with pytest.raises(TrainingError, match="nobody"):
        fit(CropLesson(lesson.network, [], []), PLAN, seed=0)


def test_progress_shows_every_loss_and_what_was_held_out() -> None:
    told = Progress(
        step=5, n_steps=10, epoch=2, n_epochs=2, losses={"heat": 0.25, "size": 0.5}, check={"ap50": 0.875}, per_s=20.0,
        unit="pictures", left_s=65.0, is_pass_end=True,
    )  # fmt: skip

    assert as_line(told) == "pass 1/2 loss heat 0.250 size 0.500 validation ap50 0.875 20 pictures/s 1 min 5 s left"
