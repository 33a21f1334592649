"""What is usual in a clip set: which side people use, and how far they stand turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphs.layouts import LAYOUTS, Layout
from har.training.augment import augment
from har.training.habits import Habits, find_habits
from har.training.recipe import Recipe
from tests.training.test_augment import DEEP, chance, deep_windows

KINECT = LAYOUTS["kinect20"]
SHAPE = (12, KINECT.n_joints, 4)


def body(*, turned_deg: float = 0.0, left: float = 0.0, right: float = 0.0) -> np.ndarray:
    """Somebody as wide as tall whose hands shake by so much, turned about the vertical."""
    joints = np.zeros(SHAPE, dtype=np.float32)
    joints[..., 3] = 1
    for number, name in enumerate(KINECT.joints):
        joints[:, number, 0] = {"l": -1, "r": 1}.get(name.split("_")[-1][0], 0)
    shake = np.resize([1, -1], len(joints))
    joints[:, KINECT.joints.index("hand_left"), 1] += left * shake
    joints[:, KINECT.joints.index("hand_right"), 1] += right * shake
    angle = np.radians(turned_deg)
    x = joints[..., 0].copy()
    joints[..., 0], joints[..., 2] = x * np.cos(angle), x * np.sin(angle)
    return joints


def habits_of(bodies: list[np.ndarray], labels: list[int], layout: Layout = KINECT) -> Habits:
    return find_habits(bodies, np.array(labels), n_labels=3, layout=layout)


def test_a_label_done_with_one_hand_by_all_is_told_from_one_done_with_either_and_with_both() -> None:
    one_hand = [body(right=1.0) for _ in range(4)]
    either = [body(right=1.0), body(left=1.0), body(left=1.0), body(left=1.0)]
    both = [body(left=1.0, right=1.05)] * 2

    found = habits_of([*one_hand, *either, *both], [0] * 4 + [1] * 4 + [2] * 2)

    assert found.other_side.tolist() == [0.0, 0.25, 0.5]


def test_people_are_turned_as_far_as_nearly_all_stand_turned_whatever_the_commonest_direction() -> None:
    for straight in (0.0, 170.0):
        bodies = [body(turned_deg=straight + turn) for turn in np.linspace(-40, 40, 41)]

        assert habits_of(bodies, [0] * 41).turn_deg == pytest.approx(38.0, abs=1.0)


def test_joints_never_seen_and_layouts_without_sides_or_depth_leave_the_recipe_as_it_is() -> None:
    unseen = np.full(SHAPE, np.nan, dtype=np.float32)
    no_sides = Layout("rope", ("a", "b"), ((1, 0),), (0,))

    assert habits_of([unseen], [0]).turn_deg == 180.0
    assert habits_of([np.zeros((1, 2, 4), dtype=np.float32)], [0], no_sides).other_side.tolist() == [0.5] * 3
    assert habits_of([body()[..., [0, 1, 3]]], [0]).turn_deg == 180.0
    assert habits_of([body(right=1.0)[:1]], [0]).other_side.tolist() == [0.5] * 3


def test_windows_are_mirrored_as_often_as_their_label_is_done_with_the_other_side() -> None:
    joints, labels = deep_windows(400), torch.arange(400) % 2
    habits = Habits(180.0, np.array([0.0, 0.25]))

    changed = augment(joints, replace(DEEP, flip=0.5), chance(), habits=habits, labels=labels)

    mirrored = (changed != joints).flatten(1).any(dim=1)
    assert not mirrored[labels == 0].any()
    assert 0.17 < float(mirrored[labels == 1].float().mean()) < 0.33


@pytest.mark.parametrize(("seen_deg", "wanted_deg"), [(40.0, 40.0), (2.0, 15.0), (180.0, 60.0)])
def test_windows_are_turned_no_farther_than_people_stand_turned(seen_deg: float, wanted_deg: float) -> None:
    joints = torch.zeros(500, 1, 20, 4)
    joints[..., 0] = joints[..., 3] = 1
    recipe: Recipe = replace(DEEP, yaw_deg=60.0)

    turned = augment(joints, recipe, chance(), habits=Habits(seen_deg, np.ones(1)), labels=torch.zeros(500).long())

    angles = torch.rad2deg(torch.atan2(turned[:, 0, 0, 2], turned[:, 0, 0, 0])).abs()
    assert wanted_deg * 0.95 < float(angles.max()) <= wanted_deg + 1e-3
