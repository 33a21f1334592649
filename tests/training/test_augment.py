"""Augmentation: alike for the same seed, never a joint out of nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphs import LAYOUTS, mirror_joints
from har.training.augment import augment, body_parts, hide_joints
from har.training.dataset import cut_windows
from har.training.recipe import Recipe
from tests.training.builders import clip_set

STILL = Recipe(
    flip=0, rotate_deg=0, scale=0, shear=0, noise=0, score_fade=0, joint_drop=0, part_drop=0
)  # changes nothing


def windows() -> torch.Tensor:
    found = cut_windows(clip_set(n_subjects=8), Recipe(), names=("stand", "walk", "wave"))
    return torch.from_numpy(found.draw(np.arange(len(found))).joints)


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


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_layout_has_parts_to_hide(name: str) -> None:
    parts = body_parts(LAYOUTS[name])

    assert len(parts) == 7
    assert parts.any(axis=1).all()
    assert not parts.all(axis=1).any()
