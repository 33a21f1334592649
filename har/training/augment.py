"""Make one window many: other people, other cameras, worse estimators. Batched, in torch, on normalised joints."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphs.layouts import Layout, layout
from har.training.recipe import Recipe

_LIMBS = {"arm": ("elbow", "wrist", "hand"), "leg": ("knee", "ankle", "foot", "heel")}


def augment(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Change windows at random, each in a way of its own.

    Args:
        joints: (N, T, V, 3) from `har.windows.normalise`; joints not seen are zero.
        recipe: how much of everything; its layout is that of the joints.
        generator: the only source of chance.

    Returns:
        (N, T, V, 3), a new tensor; joints not seen stay zero.
    """
    joints = _flip(joints, recipe, generator)
    joints = _turn_and_stretch(joints, recipe, generator)
    joints = _blur(joints, recipe, generator)
    hidden = _lost_joints(joints, recipe, generator) | _lost_parts(joints, recipe, generator)
    return torch.where(((joints[..., 2] > 0) & ~hidden)[..., None], joints, 0.0)


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
    how_bad = _uniform((n, 1, 1, 1), generator) * 2  # some estimators are good
    faded = joints[..., 2:] * (1 - recipe.score_fade * _uniform((n, 1, 1, 1), generator))
    return torch.cat([joints[..., :2] + shaken * how_bad * recipe.noise, faded], dim=-1)


def _stretch_of_frames(n: int, t: int, generator: torch.Generator) -> Tensor:
    """Choose a stretch of a quarter of the frames at least, (N, T) bool, for each window."""
    length = (0.25 + 0.75 * _uniform((n, 1), generator)) * t
    start = _uniform((n, 1), generator) * (t - length)
    frame = torch.arange(t)
    return (frame >= start) & (frame < start + length)


def _lost_joints(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    n, t, v, _ = joints.shape
    loses_any = _uniform((n, 1), generator) < 0.5
    lost = loses_any & (_uniform((n, v), generator) < recipe.joint_drop)
    return _stretch_of_frames(n, t, generator)[:, :, None] & lost[:, None]


def _lost_parts(joints: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    n, t, _, _ = joints.shape
    parts = body_parts(layout(recipe.layout))  # (P, V)
    which = torch.randint(len(parts), (n,), generator=generator)
    lost = (_uniform((n, 1), generator) < recipe.part_drop) & parts[which]
    return _stretch_of_frames(n, t, generator)[:, :, None] & lost[:, None]


def body_parts(which: Layout) -> Tensor:
    """Give the parts that furniture or the body itself hides at once, (P, V) bool: limbs, both legs, the lower half."""
    parts: list[Tensor] = []
    for names in _LIMBS.values():
        sides = [_joints_named(which, names, side) for side in ("left", "right")]
        parts += [*sides, sides[0] | sides[1]]
    parts.append(parts[-1] | _joints_named(which, ("hip",), ""))
    parts = [part for part in parts if part.any()] or [torch.zeros(which.n_joints, dtype=torch.bool)]
    return torch.stack(parts)


def _joints_named(which: Layout, names: tuple[str, ...], side: str) -> Tensor:
    return torch.tensor([side in joint and any(name in joint for name in names) for joint in which.joints])
