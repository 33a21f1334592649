"""Make one window many: other people, other cameras, worse estimators.

Joints are hidden in numpy before a window is normalised, since what is seen decides origin and scale; the rest is done
in torch on normalised joints. All of it by the batch.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphs.layouts import Layout, layout
from har.training.recipe import Recipe

BoolArray = npt.NDArray[np.bool_]

_LIMBS = {"arm": ("elbow", "wrist", "hand"), "leg": ("knee", "ankle", "foot", "heel")}


def augment(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Change windows at random, each in a way of its own.

    Args:
        joints: (N, T, V, 3) from `har.windows.normalise`.
        recipe: how much of everything; its layout is that of the joints.
        generator: the only source of chance.

    Returns:
        (N, T, V, 3), a new tensor; joints not seen keep their score of 0.
    """
    joints = _flip(joints, recipe, generator)
    joints = _turn_and_stretch(joints, recipe, generator)
    return _blur(joints, recipe, generator)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator)


def _flip(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    chosen = _uniform((len(joints), 1, 1, 1), generator) < recipe.flip
    mirrored = joints[:, :, list(layout(recipe.layout).mirror_order)] * torch.tensor([-1.0, 1.0, 1.0])
    return torch.where(chosen, mirrored, joints)


def _turn_and_stretch(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    n = len(joints)
    angle = torch.randn(n, generator=generator) * math.radians(recipe.rotate_deg)
    size = torch.exp(torch.randn(n, generator=generator) * recipe.scale)
    shear = torch.exp(torch.randn(n, generator=generator) * recipe.shear / 2)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    rows = [torch.stack([cos * shear, sin * shear], dim=-1), torch.stack([-sin / shear, cos / shear], dim=-1)]
    matrix = torch.stack(rows, dim=-1)  # (N, 2, 2)
    xy = torch.einsum("ntvc,ndc->ntvd", joints[..., :2], matrix)
    return torch.cat([xy, joints[..., 2:]], dim=-1)


def _blur(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Shake every joint in every frame, misplace it a little for the whole window, and fade the scores."""
    n, t, v, _ = joints.shape
    shaken = torch.randn((n, t, v, 2), generator=generator) + torch.randn((n, 1, v, 2), generator=generator)
    how_bad = _uniform((n, 1, 1, 1), generator) * 2 * (joints[..., 2:] > 0)  # some estimators are good
    faded = joints[..., 2:] * (1 - recipe.score_fade * _uniform((n, 1, 1, 1), generator))
    return torch.cat([joints[..., :2] + shaken * how_bad * recipe.noise, faded], dim=-1)


def hide_joints(n_windows: int, n_frames: int, recipe: Recipe, rng: np.random.Generator) -> BoolArray:
    """Choose joints that the estimator loses for a while: single ones, and parts that furniture hides.

    Args:
        n_windows: N.
        n_frames: T.
        recipe: how many, and of which layout.
        rng: the only source of chance.

    Returns:
        (N, T, V), True where a joint is to be hidden.
    """
    parts = body_parts(layout(recipe.layout))  # (P, V)
    loses_any = rng.random((n_windows, 1)) < 0.5
    single = loses_any & (rng.random((n_windows, parts.shape[1])) < recipe.joint_drop)
    part = (rng.random((n_windows, 1)) < recipe.part_drop) & parts[rng.integers(len(parts), size=n_windows)]
    stretches = [_stretch_of_frames(n_windows, n_frames, rng)[:, :, None] for _ in range(2)]
    hidden: BoolArray = (stretches[0] & single[:, None]) | (stretches[1] & part[:, None])
    return hidden


def _stretch_of_frames(n_windows: int, n_frames: int, rng: np.random.Generator) -> BoolArray:
    """Choose a stretch of a quarter of the frames at least, (N, T), for each window."""
    length = rng.uniform(0.25, 1, (n_windows, 1)) * n_frames
    start = rng.random((n_windows, 1)) * (n_frames - length)
    frame = np.arange(n_frames)
    return (frame >= start) & (frame < start + length)


def body_parts(which: Layout) -> BoolArray:
    """Give the parts that furniture or the body itself hides at once, (P, V): limbs, both of a kind, the lower half."""
    parts: list[BoolArray] = []
    for names in _LIMBS.values():
        sides = [_joints_named(which, names, side) for side in ("left", "right")]
        parts += [*sides, sides[0] | sides[1]]
    return np.stack([*parts, parts[-1] | _joints_named(which, ("hip",), "")])


def _joints_named(which: Layout, names: tuple[str, ...], side: str) -> BoolArray:
    return np.array([side in joint and any(name in joint for name in names) for joint in which.joints])
