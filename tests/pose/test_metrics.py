from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from har.errors import AnnotationError, ConfigError
from har.pose import coco_protocol
from har.pose.coco import Mask, Person, Picture, write_pictures
from har.pose.coco_protocol import Kind, coco_figures
from har.pose.metrics import (
    Guess,
    box_errors,
    guess,
    joint_oks,
    oks,
    pair,
    seen,
    share_within,
    torso_errors,
)
from har.records import Pose, Silhouette

BODY = np.array(
    [[50, 12], [53, 9], [47, 9], [57, 11], [43, 11], [64, 30], [36, 30], [68, 50], [32, 50], [70, 68], [30, 68],
     [58, 68], [42, 68], [59, 95], [41, 95], [60, 120], [40, 120]],
    np.float32,
)  # fmt: skip


def person(*, x: float = 0.0, y: float = 0.0, hidden: tuple[int, ...] = (), **changes: Any) -> Person:
    visibility = np.full(17, 2, np.int8)
    visibility[list(hidden)] = 0
    fields = {"mask": None, "area_px": 2000.0, **changes}
    return Person(np.array([x + 25, y + 5, 50, 120], np.float32), BODY + np.float32([x, y]), visibility, **fields)


def pose(*, x: float = 0.0, y: float = 0.0, score: float = 0.9) -> Pose:
    return Pose(BODY + np.float32([x, y]), np.full(17, score, np.float32))


def made_of(one: Pose) -> Guess:
    return guess(one, width_px=320, height_px=240)


def test_a_pose_on_every_joint_is_alike_and_one_far_away_is_not() -> None:
    assert oks(person(), pose()) == 1.0
    assert oks(person(), pose(x=500)) == pytest.approx(0.0, abs=1e-6)


def test_a_joint_one_falloff_off_has_the_similarity_that_coco_defines() -> None:
    moved = pose()
    moved.xy[0, 0] += 0.026 * 2 * np.sqrt(2000)

    alike = joint_oks(person(), moved)

    assert alike[0] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert (alike[1:] == 1).all()


def test_joints_that_are_not_annotated_do_not_count_and_unplaced_ones_count_nothing() -> None:
    lost = pose()
    lost.xy[1] = np.nan

    alike = joint_oks(person(hidden=(0,)), lost)

    assert np.isnan(alike[0])
    assert alike[1] == 0
    assert oks(person(hidden=(0,)), lost) == pytest.approx(15 / 16)
    assert oks(person(hidden=tuple(range(17))), pose()) == 0


def test_pdj_measures_in_torso_diameters_and_pck_in_longer_box_sides() -> None:
    torso = float(np.linalg.norm(BODY[5] - BODY[12]))
    moved = pose(x=0.15 * torso)

    assert share_within(torso_errors(person(), moved), 0.1) == 0
    assert share_within(torso_errors(person(), moved), 0.2) == 1
    np.testing.assert_allclose(box_errors(person(), pose(x=60)), 0.5)
    assert np.isnan(torso_errors(person(hidden=(5,)), moved)).all()
    assert share_within(torso_errors(person(hidden=(5,)), moved), 0.2) is None


def test_without_a_pose_every_annotated_joint_is_missed() -> None:
    errors = box_errors(person(hidden=(3, 4)), None)

    assert np.isnan(errors[[3, 4]]).all()
    assert np.isinf(np.delete(errors, [3, 4])).all()


def test_everybody_gets_their_own_pose_though_one_is_nearest_to_both() -> None:
    people = [person(), person(x=6)]
    poses = [pose(x=4), pose(x=300), pose(x=10)]

    pairs = pair(people, poses)

    assert [(of, whose) for of, whose, _ in pairs] == [(0, 0), (1, 2)]
    assert pair([], poses) == pair(people, []) == []


def test_a_guess_has_the_box_round_the_joints_seen_and_their_mean_score() -> None:
    one = pose()
    one.score[0] = 0.05
    one.xy[1] = np.nan

    made = made_of(one)

    assert int(seen(one).sum()) == 15
    np.testing.assert_array_equal(made.box, [30, 9, 40, 111])
    assert made.score == pytest.approx(float(one.score.mean()))


@pytest.mark.parametrize("place", [0.0, float("nan")])
def test_a_pose_without_any_joint_seen_is_still_a_guess(place: float) -> None:
    empty = Pose(np.full((17, 2), place, np.float32), np.zeros(17, np.float32))

    np.testing.assert_array_equal(made_of(empty).box, [0, 0, 0, 0])


def test_a_guess_of_a_pose_with_a_silhouette_has_its_box_and_mask() -> None:
    shape = Silhouette(np.array([20, 10, 60, 90], np.float32), np.full((28, 28), 255, np.uint8))

    made = made_of(Pose(BODY, np.full(17, 0.5, np.float32), silhouette=shape))

    np.testing.assert_array_equal(made.box, [20, 10, 40, 80])
    assert 0.9 * 3200 < masks.area(made.mask) <= 3200


def runs(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    """Give a filled rectangle of a 320 x 240 picture as run lengths."""
    drawn = np.zeros((240, 320), np.uint8, order="F")
    drawn[y : y + height, x : x + width] = 1
    encoded: dict[str, Any] = masks.encode(drawn)
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode()}


def outline(x: float, y: float, width: float, height: float) -> list[list[float]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def scene(tmp_path: Path) -> tuple[list[Picture], dict[int, list[Guess]]]:
    """Three pictures: people large, small, unannotated, a group, one with 25 guesses, one with a ghost, one empty."""
    masks_of: list[Mask] = [runs(25, 5, 50, 120), outline(125, 5, 50, 120), outline(205, 105, 50, 120)]
    first = (
        person(mask=masks_of[0], area_px=6000.0),
        person(x=100, mask=masks_of[1], area_px=900.0),
        person(x=180, y=100, mask=masks_of[2], hidden=tuple(range(17))),
    )
    second = (
        person(x=10, y=10, mask=outline(35, 15, 50, 120), area_px=12000.0),
        person(x=150, y=20, mask=runs(175, 25, 50, 120), hidden=tuple(range(17)), crowd=True, area_px=9000.0),
    )
    pictures = [
        Picture(11, tmp_path / "a.jpg", 320, 240, first),
        Picture(12, tmp_path / "b.jpg", 320, 240, second),
        Picture(13, tmp_path / "c.jpg", 320, 240),
    ]
    chance = np.random.default_rng(3)

    def seen_at(x: float, y: float, *, score: float, wobble: float) -> Guess:
        shaken = Pose(
            BODY + np.float32([x, y]) + chance.normal(0, wobble, (17, 2)).astype(np.float32),
            np.full(17, score, np.float32),
        )
        box = np.array([x + 25 + chance.normal(0, 4), y + 5, 50, 120 - 2 * wobble], np.float32)
        return Guess(shaken, score, box, runs(int(x) + 25 + int(wobble), int(y) + 5, 45, 110))

    many = [seen_at(10 + 2 * k, 10 + k, score=0.5 - 0.01 * k, wobble=0.4 * k) for k in range(25)]
    return pictures, {
        11: [
            seen_at(0, 0, score=0.9, wobble=2),
            seen_at(102, 1, score=0.6, wobble=3),
            seen_at(60, 90, score=0.7, wobble=2),
        ],
        12: [*many, seen_at(150, 20, score=0.95, wobble=2)],
        13: [seen_at(50, 50, score=0.3, wobble=1)],
    }


def judged_by_coco_alone(pictures: list[Picture], guesses: dict[int, list[Guess]], kind: Kind, folder: Path) -> Any:
    """Judge files with COCO's program as its demonstration does."""
    write_pictures(pictures, folder / "truth.json")
    rows = []
    for picture, found in guesses.items():
        for each in found:
            row: dict[str, Any] = {"image_id": picture, "category_id": 1, "score": each.score}
            if kind == "keypoints":
                row["keypoints"] = np.column_stack([each.pose.xy, each.pose.score]).ravel().tolist()
            elif kind == "bbox":
                row["bbox"] = each.box.tolist()
            else:
                row["segmentation"] = each.mask
            rows.append(row)
    (folder / "guesses.json").write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        judge = COCOeval(truth, truth.loadRes(str(folder / "guesses.json")), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


@pytest.mark.parametrize("kind", ["keypoints", "bbox", "segm"])
def test_the_figures_are_those_of_cocos_own_program_to_the_last_digit(kind: Kind, tmp_path: Path) -> None:
    pictures, guesses = scene(tmp_path)

    ours = coco_figures(pictures, guesses, kind)

    theirs = judged_by_coco_alone(pictures, guesses, kind, tmp_path)
    assert [-1 if value is None else value for value in ours.values()] == list(theirs)
    assert 0 < (ours["AP"] or 0) < 1
    assert ours["AP50"] == pytest.approx(theirs[1])
    assert ours["AR"] == pytest.approx(theirs[5] if kind == "keypoints" else theirs[8])


def test_only_the_surest_20_of_a_picture_count_for_joints(tmp_path: Path) -> None:
    picture = Picture(1, tmp_path / "a.jpg", 320, 240, (person(),))
    ghosts = [made_of(pose(x=500, score=0.9)) for _ in range(20)]

    crowded = coco_figures([picture], {1: [*ghosts, made_of(pose(score=0.5))]}, "keypoints")
    alone = coco_figures([picture], {1: [*ghosts[1:], made_of(pose(score=0.5))]}, "keypoints")

    assert crowded["AR"] == 0
    assert alone["AR"] == 1


def test_nobody_found_is_an_ap_of_0_and_nobody_there_is_none(tmp_path: Path) -> None:
    there, empty = (Picture(k, tmp_path / "a.jpg", 320, 240, people) for k, people in ((1, (person(),)), (2, ())))

    assert coco_figures([there], {}, "keypoints")["AP"] == 0
    assert coco_figures([empty], {2: [made_of(pose())]}, "keypoints")["AP"] is None


def test_guesses_with_outlines_are_judged_as_masks(tmp_path: Path) -> None:
    mine = person(mask=outline(25, 5, 50, 120))
    found = Guess(pose(), 0.9, mine.box, outline(25, 5, 50, 120))

    assert coco_figures([Picture(1, tmp_path / "a.jpg", 320, 240, (mine,))], {1: [found]}, "segm")[
        "AP50"
    ] == pytest.approx(1)


def test_masks_are_judged_only_where_everybody_has_one(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="everybody annotated has one"):
        coco_figures([Picture(1, tmp_path / "a.jpg", 320, 240, (person(),))], {}, "segm")


def test_without_cocos_program_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco_protocol, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"\.venv/bin/pip install -c constraints\.txt -e '\.\[evaluate\]'"):
        coco_figures([], {}, "keypoints")
