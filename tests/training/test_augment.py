"""Augmentation: alike for the same seed, never a joint out of nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphs import LAYOUTS, find_layout, is_own, layout, mirror_joints
from har.training.augment import augment, body_parts, hide_joints, mix_windows
from har.training.dataset import cut_windows
from har.training.recipe import RECIPES, Recipe
from tests.training.builders import clip_set

STILL = Recipe(
    flip=0, rotate_deg=0, scale=0, shear=0, noise=0, score_fade=0, joint_drop=0, part_drop=0
)  # changes nothing


def windows() -> torch.Tensor:
    found = cut_windows(clip_set(n_subjects=8), Recipe(), names=("stand", "walk", "wave"))
    return torch.from_numpy(found.draw(np.arange(len(found))).joints)


def deep_windows(n_people: int = 60) -> torch.Tensor:
    """Bodies with depth (P, 16, 20, 4) that move at random, every seventh joint of them unseen."""
    rng = np.random.default_rng(5)
    joints = rng.normal(size=(n_people, 16, 20, 4)).astype(np.float32)
    joints[..., 3] = rng.uniform(0.3, 1, joints.shape[:-1]) * (np.arange(20) % 7 > 0)
    return torch.from_numpy(joints)


DEEP = replace(STILL, layout="kinect20", dims=3)


def bones(joints: torch.Tensor, name: str) -> torch.Tensor:
    which = layout(name)
    return (joints[..., :-1] - joints[:, :, list(which.parents), :-1]).norm(dim=-1)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_recipe_of_zeros_changes_nothing() -> None:
    joints = windows()

    torch.testing.assert_close(augment(joints, STILL, chance()), joints)


def test_the_same_seed_gives_the_same_and_another_something_else() -> None:
    joints = windows()

    once, again, other = (augment(joints, Recipe(), chance(seed)) for seed in (1, 1, 2))

    assert torch.equal(once, again)
    assert not torch.allclose(once, other, atol=0.01)
    assert torch.isfinite(once).all()


def test_a_flip_is_the_mirror_of_the_layout() -> None:
    joints = windows()

    flipped = augment(joints, replace(STILL, flip=1.0), chance())

    torch.testing.assert_close(flipped, torch.from_numpy(mirror_joints(joints.numpy(), "coco17")))


def test_turns_and_stretches_keep_the_body_about_its_size() -> None:
    joints = windows()

    turned = augment(joints, replace(STILL, rotate_deg=10.0, scale=0.05), chance())

    ratio = turned[..., :2].norm(dim=-1) / joints[..., :2].norm(dim=-1).clamp_min(1e-6)
    per_window = ratio.flatten(1).median(dim=1).values
    assert (ratio.flatten(1) - per_window[:, None]).abs().max() < 1e-3
    assert 0.02 < per_window.std() < 0.1


def test_joints_not_seen_stay_not_seen() -> None:
    joints = windows()
    joints[:, :, 9, 2] = 0

    changed = augment(joints, replace(Recipe(), flip=0.0), chance())

    assert ((changed[..., 2] == 0) == (joints[..., 2] == 0)).all()


def test_as_many_joints_are_hidden_as_the_recipe_says() -> None:
    hide = {"joint_drop": 0.0, "part_drop": 0.0}
    rng = np.random.default_rng(0)

    nothing = hide_joints(500, 32, replace(Recipe(), **hide), rng)
    parts = hide_joints(500, 32, replace(Recipe(), **(hide | {"part_drop": 0.3})), rng)
    joints = hide_joints(500, 32, replace(Recipe(), **(hide | {"joint_drop": 0.2})), rng)

    assert not nothing.any()
    assert parts.any(axis=(1, 2)).mean() == pytest.approx(0.3, abs=0.06)
    assert joints.any(axis=1).mean() == pytest.approx(0.1, abs=0.02)
    assert joints.any(axis=2).sum(axis=1)[joints.any(axis=(1, 2))].min() >= 7


@pytest.mark.parametrize("name", sorted(name for name in LAYOUTS if not is_own(name)))
def test_every_layout_has_parts_to_hide(name: str) -> None:
    parts = body_parts(LAYOUTS[name])

    assert len(parts) == 7
    assert parts.any(axis=1).all()
    assert not parts.all(axis=1).any()


def test_mirrored_twice_is_the_same() -> None:
    joints, recipe = deep_windows(), replace(DEEP, flip=1.0)

    once = augment(joints, recipe, chance())
    twice = augment(once, recipe, chance())

    assert not torch.allclose(once, joints, atol=0.1)
    torch.testing.assert_close(twice, joints)


def test_about_the_share_asked_for_is_mirrored_whole_windows_at_a_time() -> None:
    joints = deep_windows(600)

    mirrored = (augment(joints, replace(DEEP, flip=0.3), chance()) != joints).flatten(1).any(dim=1)

    assert mirrored.float().mean() == pytest.approx(0.3, abs=0.06)


def test_turns_of_bodies_with_depth_keep_the_length_of_every_bone_and_the_score() -> None:
    joints = deep_windows()

    turned = augment(joints, replace(DEEP, yaw_deg=60.0, pitch_deg=30.0), chance())

    torch.testing.assert_close(bones(turned, "kinect20"), bones(joints, "kinect20"))
    assert torch.equal(turned[..., 3], joints[..., 3])
    assert not torch.allclose(turned, joints, atol=0.1)


@pytest.mark.parametrize("deep", [False, True])
def test_other_people_have_longer_or_shorter_bones_left_and_right_alike(deep: bool) -> None:
    recipe = replace(DEEP if deep else STILL, bone_stretch=0.2, bone_turn_deg=10.0)
    joints = deep_windows() if deep else windows()
    which = layout(recipe.layout)

    changed = augment(joints, recipe, chance())

    torch.testing.assert_close(changed[:, :, which.root], joints[:, :, which.root])
    assert torch.equal(changed[..., -1], joints[..., -1])
    there = bones(joints, recipe.layout) > 0.05
    stretch = bones(changed, recipe.layout) / bones(joints, recipe.layout).clamp_min(0.05)  # (P, T, V)
    for person in range(len(joints)):
        for left, right in which.pairs:
            both = torch.cat([stretch[person, there[person, :, side], side] for side in (left, right)])
            if len(both):
                torch.testing.assert_close(both, both[:1].expand_as(both), atol=1e-3, rtol=1e-3)
    assert 0.1 < float(stretch[there].log().std()) < 0.3


def test_a_turned_bone_is_turned_by_about_the_angle_asked_for_and_alike_in_all_frames() -> None:
    joints = deep_windows()

    changed = augment(joints, replace(DEEP, bone_turn_deg=5.0), chance())

    parents = list(layout("kinect20").parents)
    before, after = (each[..., :-1] - each[:, :, parents, :-1] for each in (joints, changed))
    cosine = torch.cosine_similarity(before, after, dim=-1)[:, :, [v for v, up in enumerate(parents) if up != v]]
    angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    assert 4.0 < float(angle.square().mean().sqrt()) < 10.0  # each of the two axes across a bone adds to it
    matrix = torch.linalg.lstsq(before[:, :, 1], after[:, :, 1]).solution  # one matrix for all frames of a window
    torch.testing.assert_close(before[:, :, 1] @ matrix, after[:, :, 1], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(len(joints)), atol=1e-3, rtol=1e-3)


def test_a_larger_amplitude_leaves_the_mean_pose_and_keeps_the_paths() -> None:
    joints = windows()

    changed = augment(joints, replace(STILL, amplitude=0.5), chance())

    mean, mean_after = (each[..., :-1].mean(dim=1, keepdim=True) for each in (joints, changed))
    torch.testing.assert_close(mean_after, mean, atol=1e-4, rtol=1e-4)
    size = (changed[..., :-1] - mean_after).flatten(1).norm(dim=1) / (joints[..., :-1] - mean).flatten(1).norm(dim=1)
    assert 0.3 < float(size.log().std()) < 0.7
    expected = mean + (joints[..., :-1] - mean) * size[:, None, None, None]
    torch.testing.assert_close(changed[..., :-1], expected, atol=1e-3, rtol=1e-3)


def test_a_turn_about_the_vertical_keeps_all_heights_and_stays_within_its_bounds() -> None:
    joints = deep_windows(2000)
    joints[..., 0, :3] = torch.tensor([1.0, 0.5, 0.0])

    turned = augment(joints, replace(DEEP, yaw_deg=45.0), chance())

    torch.testing.assert_close(turned[..., 1], joints[..., 1])
    angles_deg = torch.rad2deg(torch.atan2(-turned[:, 0, 0, 2], turned[:, 0, 0, 0]))
    assert 43 < angles_deg.max() <= 45.001
    assert -45.001 <= angles_deg.min() < -43
    assert angles_deg.std() == pytest.approx(45 / 3**0.5, rel=0.05)  # evenly spread


def test_a_turn_about_the_horizontal_keeps_what_lies_along_it() -> None:
    joints = deep_windows()

    turned = augment(joints, replace(DEEP, pitch_deg=30.0), chance())

    torch.testing.assert_close(turned[..., 0], joints[..., 0])
    assert not torch.allclose(turned[..., 1], joints[..., 1], atol=0.1)


@pytest.mark.parametrize("deep", [False, True])
def test_joints_not_seen_stay_not_seen_whatever_is_done(deep: bool) -> None:
    joints = deep_windows() if deep else windows()
    joints[:, :, 3, -1] = 0
    recipe = replace(RECIPES["clip"], layout="kinect20" if deep else "coco17", flip=0.0, score_fade=0.3)

    changed = augment(joints, recipe, chance())

    assert changed.shape == joints.shape
    assert ((changed[..., -1] == 0) == (joints[..., -1] == 0)).all()
    assert (changed[..., -1] <= joints[..., -1]).all()


def test_everybody_in_a_window_is_turned_alike() -> None:
    joints = deep_windows(6)
    joints[1::2] = joints[::2]
    owner = torch.tensor([0, 0, 1, 1, 2, 2])

    changed = augment(joints, replace(DEEP, yaw_deg=60.0, scale=0.2, flip=0.5), chance(), owner=owner)

    torch.testing.assert_close(changed[1::2], changed[::2])
    assert not torch.allclose(changed[0], changed[2], atol=0.1)


def test_no_windows_are_changed_into_no_windows() -> None:
    assert augment(deep_windows(4)[:0], replace(DEEP, yaw_deg=60.0), chance()).shape == (0, 16, 20, 4)


def test_mixed_windows_keep_their_joints_and_labels_in_step() -> None:
    joints = torch.ones(40, 8, 20, 4) * torch.arange(40.0)[:, None, None, None]
    joints[..., 3] = 1
    targets = torch.eye(40)

    mixed, labels = mix_windows(joints, targets, replace(DEEP, mixup=1.0), chance())

    torch.testing.assert_close(labels.sum(dim=1), torch.ones(40))
    torch.testing.assert_close(mixed[:, 0, 0, 0], labels @ torch.arange(40.0), rtol=1e-4, atol=1e-4)
    assert (labels.max(dim=1).values < 0.95).sum() > 20


def test_only_windows_of_as_many_people_are_mixed() -> None:
    joints, owner = deep_windows(5), torch.tensor([0, 1, 1, 2, 3])  # the second window alone shows two people
    targets = torch.eye(4)

    mixed, labels = mix_windows(joints, targets, replace(DEEP, mixup=1.0), chance(), owner=owner)

    torch.testing.assert_close(mixed[1:3], joints[1:3])
    torch.testing.assert_close(labels[1], targets[1])
    assert labels[[0, 2, 3], 1].abs().max() == 0
    assert ((mixed[..., 3] > 0) <= (joints[..., 3] > 0)).all()


def test_without_mixing_everything_stays() -> None:
    joints, targets = deep_windows(4), torch.eye(4)

    mixed = mix_windows(joints, targets, DEEP, chance())

    assert mixed[0] is joints
    assert mixed[1] is targets


def test_a_skeleton_of_any_shape_has_its_branches_for_parts() -> None:
    dog = find_layout(
        ["nose", "withers", "tail_base", "ear", "paw_a", "paw_b", "paw_c", "shin_c"],
        [(0, 1), (1, 2), (0, 3), (1, 4), (2, 5), (2, 6), (6, 7)],
    ).layout

    parts = body_parts(dog)

    names = [{dog.joints[joint] for joint in np.flatnonzero(part)} for part in parts]
    assert sorted(names, key=sorted) == [{"ear", "nose"}, {"paw_a"}, {"paw_b"}, {"paw_c", "shin_c"}]
    assert hide_joints(50, 16, replace(STILL, layout=dog.name, part_drop=1.0), np.random.default_rng(0)).any()


@pytest.mark.gpu
def test_windows_are_changed_where_they_are() -> None:
    joints = deep_windows()

    here, there = (augment(each, replace(DEEP, yaw_deg=60.0, noise=0.1), chance()) for each in (joints, joints.cuda()))

    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-4)
