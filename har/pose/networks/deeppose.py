"""DeepPose: one person's crop in, the places of the joints out, without a heat map.

A. Toshev, C. Szegedy, "DeepPose: Human Pose Estimation via Deep Neural Networks", CVPR 2014. A network names all joints
at once from the whole crop; then, stage by stage, another one looks closely at a small square round each joint and says
how far off it was. Three things differ from the paper: the squares are cut from the first features instead of from the
picture, so that the stages share them (as in Fast R-CNN, Girshick 2015); the error is absolute, not squared; and each
joint also gets a score. As there, a stage learns from squares round the true joints, moved by chance, as well as from
those that the stage before it left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from har.pose.networks.blocks import Block, conv
from har.records import FloatArray

N_JOINTS = 17
_CELLS = 8  # of a square's side


@dataclass(frozen=True, slots=True)
class DeepPoseSettings:
    """What a cascade of regressors is made of.

    Attributes:
        size_px: side of the crop it is shown, a multiple of 32.
        channels: features of every pixel in the first layers.
        stages: refinements after the first answer.
        look: side of the square round a joint, as a share of the crop; the same for all stages but halved after the
            first.
    """

    size_px: int = 128
    channels: int = 48
    stages: int = 2
    look: float = 0.3

    def __post_init__(self) -> None:
        if not (32 <= self.size_px <= 1024 and 2 <= self.channels <= 1024):
            raise ValueError("size_px must lie between 32 and 1024, channels between 2 and 1024")
        if not (0 <= self.stages <= 8 and 0.01 <= self.look <= 2):
            raise ValueError("stages must lie between 0 and 8, look between 0.01 and 2")


class DeepPose(nn.Module):
    """Crops (N, 3, S, S) in [0, 1] into (N, stages + 1, V, 3): x, y in the crop, and the logit of "seen"."""

    def __init__(self, settings: DeepPoseSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or DeepPoseSettings()
        wide = self.settings.channels
        self.stem = nn.Sequential(conv(3, wide // 2, 7, stride=2), conv(wide // 2, wide, 3, stride=2), Block(wide))
        self.trunk = nn.Sequential(
            *(conv(wide, 2 * wide, 3, stride=2), Block(2 * wide)),
            *(conv(2 * wide, 3 * wide, 3, stride=2), Block(3 * wide)),
            *(conv(3 * wide, 4 * wide, 3, stride=2), Block(4 * wide)),
        )
        n_cells = (self.settings.size_px // 32) ** 2
        self.whole = nn.Sequential(
            nn.Flatten(), nn.Linear(4 * wide * n_cells, 512), nn.ReLU(inplace=True), nn.Linear(512, N_JOINTS * 3)
        )
        self.stages = nn.ModuleList(_Stage(wide) for _ in range(self.settings.stages))

    def forward(self, crops: Tensor) -> Tensor:
        """Give every stage's answer, the last of them the best."""
        return self.answers(crops)[0]  # (N, stages + 1, V, 3)

    def answers(self, crops: Tensor, starts: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Give every stage's answer, and what each stage makes of given starts.

        Args:
            crops: (N, 3, S, S).
            starts: (N, V, 2) places in the crop for the stages to begin from; None for none.

        Returns:
            (N, stages + 1, V, 3), and (N, stages, V, 2) or None.
        """
        features = self.stem(crops - 0.5)  # (N, C, S/4, S/4)
        first = self.whole(self.trunk(features)).unflatten(1, (N_JOINTS, 3))  # (N, V, 3)
        rows, others = [first.float()], []
        for number, stage in enumerate(self.stages):
            look = self.settings.look / (1 if number == 0 else 2)
            before = rows[-1]  # (N, V, 3)
            found = stage(_cut(features, before[..., :2].detach(), look)).float()  # (N, V, 3)
            xy = before[..., :2].detach() + found[..., :2] * look  # (N, V, 2)
            rows.append(torch.cat([xy, found[..., 2:]], dim=-1))  # (N, V, 3)
            if starts is not None:
                others.append(starts + stage(_cut(features, starts, look)).float()[..., :2] * look)  # (N, V, 2)
        return torch.stack(rows, dim=1), torch.stack(others, dim=1) if others else None


class _Stage(nn.Module):
    """Squares of features (N, V, C, 8, 8) into how far off each joint was, in sides of its square, and its logit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(conv(channels, 64, 3, stride=2), conv(64, 64, 3, stride=2))
        n_features = 64 * (_CELLS // 4) ** 2
        self.first = nn.Parameter(torch.randn(N_JOINTS, n_features, 64) / n_features**0.5)
        self.last = nn.Parameter(torch.zeros(N_JOINTS, 64, 3))
        self.bias = nn.Parameter(torch.zeros(N_JOINTS, 3))

    def forward(self, squares: Tensor) -> Tensor:
        """Give (N, V, 3)."""
        x = self.shared(squares.flatten(0, 1))  # (N * V, 64, 2, 2)
        x = x.unflatten(0, (-1, N_JOINTS)).flatten(2)  # (N, V, F)
        x = F.relu(torch.einsum("nvf,vfh->nvh", x, self.first))  # (N, V, 64)
        return torch.einsum("nvh,vhk->nvk", x, self.last) + self.bias  # (N, V, 3)


def _cut(features: Tensor, places: Tensor, look: float) -> Tensor:
    """Cut a square of features round every place: (N, C, H, W) and (N, V, 2) give (N, V, C, 8, 8)."""
    n_joints = places.shape[1]
    ticks = (torch.arange(_CELLS, device=features.device) + 0.5) / _CELLS - 0.5  # (8,)
    square = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1) * look  # (8, 8, 2)
    grid = places[:, :, None, None] + square  # (N, V, 8, 8, 2)
    grid = grid.flatten(2, 3).to(features.dtype) * 2 - 1  # (N, V, 64, 2)
    squares = F.grid_sample(features, grid, align_corners=False)  # (N, C, V, 64)
    return squares.transpose(1, 2).reshape(-1, n_joints, features.shape[1], _CELLS, _CELLS)  # (N, V, C, 8, 8)


def unmirror(rows: FloatArray, mirror_order: Sequence[int]) -> FloatArray:
    """Turn the answer to a mirrored crop, (N, stages + 1, V, 3), into one to the crop itself, for the flip test."""
    turned: FloatArray = rows[:, :, list(mirror_order)] * np.array([-1, 1, 1], dtype=np.float32)
    turned[..., 0] += 1
    return turned


def read_joints(answer: FloatArray, settings: DeepPoseSettings) -> tuple[FloatArray, FloatArray]:
    """Read joints off the last stage's answer.

    Args:
        answer: (N, stages + 1, V, 3), as the network gives it.
        settings: the network's.

    Returns:
        (N, V, 2) places in the crop, (0, 0) its top left corner and (1, 1) the other, and (N, V) scores in [0, 1].
    """
    last = answer[:, -1]  # (N, V, 3)
    return last[..., :2], (1 / (1 + np.exp(-last[..., 2]))).astype(np.float32)


def deeppose_loss(
    rows: Tensor, others: Tensor | None, joints: Tensor, seen: Tensor, weights: Tensor
) -> dict[str, Tensor]:
    """Give how far all stages are off, and how wrong their scores are.

    Args:
        rows: (N, stages + 1, V, 3), as `answers` gives them.
        others: (N, stages, V, 2), likewise.
        joints: (N, V, 2), true places in the crop.
        seen: (N, V) in [0, 1]: what the score should be; nothing is asked of a place whose score should be 0.
        weights: (N, V); 0 for a joint of which nothing is known.
    """
    counted = weights * (seen > 0)  # (N, V)
    n_counted = counted.sum().clamp(min=1)
    losses = {}
    errors = (rows[..., :2] - joints[:, None]).abs().sum(dim=-1)  # (N, stages + 1, V)
    losses["place"] = (errors * counted[:, None]).sum(dim=(0, 2)).sum() / n_counted
    if others is not None:
        errors = (others - joints[:, None]).abs().sum(dim=-1)  # (N, stages, V)
        losses["refine"] = (errors * counted[:, None]).sum() / n_counted
    targets = seen[:, None].expand(rows.shape[:3])  # (N, stages + 1, V)
    wrong = F.binary_cross_entropy_with_logits(rows[..., 2], targets, reduction="none")
    losses["seen"] = 0.05 * (wrong * weights[:, None]).sum() / weights.sum().clamp(min=1)
    return losses
