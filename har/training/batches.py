"""Which windows are learnt from in which step, and what is made of them before a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from har.training.augment import augment, mix_windows
from har.training.dataset import IntArray, WindowSet
from har.training.recipe import Recipe
from har.training.workers import Workers


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One process's part of a step.

    Attributes:
        joints: (P, T, V, D + 1) of one person each, augmented.
        owner: (P,) the window that each is in; None if each is a window of its own.
        targets: (B, K) what is done in each window; rows sum to one.
        labels: (B,) the labels before windows were mixed.
        weights: (B,) how much each counts; 0 for those that only fill up a part that would be empty.
        indices: (B,) which windows of the set.
        n_windows: of the whole step, in all processes.
        seed: for what is random in the network.
    """

    joints: Tensor
    owner: Tensor | None
    targets: Tensor
    labels: Tensor
    weights: Tensor
    indices: IntArray
    n_windows: int
    seed: int


def draw_order(learn: WindowSet, recipe: Recipe, *, rng: np.random.Generator) -> IntArray:
    """Draw the windows of one pass: labels and sources balanced as told, windows as evenly as that allows."""
    counts = np.bincount(learn.labels, minlength=len(learn.names))
    weights = counts[learn.labels].astype(np.float64) ** -recipe.balance
    sources = learn.sources()
    weights *= np.bincount(sources)[sources].astype(np.float64) ** -recipe.source_balance
    n_windows = recipe.windows_in_pass(len(learn))
    edges = np.cumsum(weights[shuffled := rng.permutation(len(learn))] / weights.sum()) * n_windows
    picks = np.searchsorted(edges, np.arange(n_windows) + rng.uniform(), side="right")
    return rng.permutation(shuffled[np.minimum(picks, len(learn) - 1)])


def make_batch(
    learn: WindowSet, indices: IntArray, recipe: Recipe, *, seed: Sequence[int], workers: Workers, device: torch.device
) -> Batch:
    """Draw this process's part of a step's windows, and change them as the recipe says.

    Args:
        learn: the windows.
        indices: (B,) those of the step; each process takes every so-manieth.
        recipe: how they are changed.
        seed: of this step.
        workers: which process this is.
        device: where the network is.
    """
    part = indices[workers.rank :: workers.size]
    weights = np.ones(max(len(part), 1), dtype=np.float32)
    if not len(part):  # every process must take the step
        part, weights[:] = indices[:1], 0
    rng = np.random.default_rng([*seed, workers.rank])
    packed = learn.draw(part, rng=rng)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    labels = torch.from_numpy(learn.labels[part]).to(device)
    owner = torch.from_numpy(packed.owner).to(device)
    joints = augment(
        torch.from_numpy(packed.joints).to(device),
        recipe,
        generator,
        owner=owner,
        habits=learn.habits,
        labels=labels,
    )
    targets = F.one_hot(labels, len(learn.names)).to(joints.dtype)
    joints, targets = mix_windows(joints, targets, recipe, generator, owner=owner)
    return Batch(
        joints=joints,
        owner=owner if len(owner) > packed.n_windows else None,
        targets=targets,
        labels=labels,
        weights=torch.from_numpy(weights).to(device),
        indices=part,
        n_windows=len(indices),
        seed=int(rng.integers(2**62)),
    )
