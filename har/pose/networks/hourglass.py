"""The stacked hourglass: one person's crop in, a heat map of every joint out.

A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016. An hourglass goes down
to a few pixels, where it sees the whole body, and up again to where joints are told apart; the next one corrects the
first. Each is taught (intermediate supervision), the last one answers. Here it is narrow enough for a CPU.

Targets are Gaussian (Tompson et al. 2014) or Cauchy: 1 / (1 + d^2 / s^2), whose long tails still pull where a joint is
far off. Joints are read off between pixels as in DARK (F. Zhang et al., CVPR 2020): the second-order Taylor expansion
of the logarithm of the smoothed map at its highest pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from har.pose.networks.blocks import conv
from har.records import FloatArray

N_JOINTS = 17
STRIDE = 4
"""Pixels of the crop to one of a heat map."""
_SMALLEST = 1e-6
_NEAR = 9.0  # more weight of a pixel at a joint: without it the first passes only learn that most pixels are empty


@dataclass(frozen=True, slots=True)
class HourglassSettings:
    """What a stacked hourglass is made of.

    Attributes:
        size_px: side of the crop it is shown, a multiple of 4 * 2^depth.
        channels: features of every pixel; a multiple of 2.
        stacks: hourglasses one after another.
        depth: times each of them halves the map.
        target: shape of a joint's target.
        sigma: width of the target, pixels of the heat map.
    """

    size_px: int = 128
    channels: int = 96
    stacks: int = 2
    depth: int = 3
    target: Literal["gaussian", "cauchy"] = "gaussian"
    sigma: float = 1.5

    def __post_init__(self) -> None:
        if not (16 <= self.size_px <= 1024 and 2 <= self.channels <= 1024):
            raise ValueError("size_px must lie between 16 and 1024, channels between 2 and 1024")
        if not (1 <= self.stacks <= 16 and 1 <= self.depth <= 6 and 0.3 <= self.sigma <= 100):
            raise ValueError("stacks must lie between 1 and 16, depth between 1 and 6, sigma between 0.3 and 100")


class Hourglass(nn.Module):
    """Crops (N, 3, S, S) in [0, 1] into heat maps (N, stacks, V, S / 4, S / 4), the last of them the best."""

    def __init__(self, settings: HourglassSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or HourglassSettings()
        wide, n_stacks = self.settings.channels, self.settings.stacks
        self.stem = nn.Sequential(
            conv(3, wide // 2, 7, stride=2), Residual(wide // 2, wide // 2), nn.MaxPool2d(2), Residual(wide // 2, wide)
        )
        self.glasses = nn.ModuleList(_Glass(wide, self.settings.depth) for _ in range(n_stacks))
        self.features = nn.ModuleList(nn.Sequential(Residual(wide, wide), conv(wide, wide, 1)) for _ in range(n_stacks))
        self.heads = nn.ModuleList(nn.Conv2d(wide, N_JOINTS, 1) for _ in range(n_stacks))
        self.back = nn.ModuleList(nn.Conv2d(wide, wide, 1) for _ in range(n_stacks - 1))
        self.back_maps = nn.ModuleList(nn.Conv2d(N_JOINTS, wide, 1) for _ in range(n_stacks - 1))

    def forward(self, crops: Tensor) -> Tensor:
        """Give the heat maps of every stack."""
        x = self.stem(crops - 0.5)  # (N, C, S/4, S/4)
        maps = []
        for number, glass in enumerate(self.glasses):
            y = self.features[number](glass(x))  # (N, C, S/4, S/4)
            maps.append(self.heads[number](y))  # (N, V, S/4, S/4)
            if number < len(self.back):
                x = x + self.back[number](y) + self.back_maps[number](maps[-1])  # (N, C, S/4, S/4)
        return torch.stack(maps, dim=1)  # (N, stacks, V, S/4, S/4)


class Residual(nn.Module):
    """A bottleneck with a way round it."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        half = n_out // 2
        self.way = nn.Sequential(conv(n_in, half, 1), conv(half, half, 3), nn.Conv2d(half, n_out, 1, bias=False))
        self.norm = nn.BatchNorm2d(n_out)
        self.round = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Give (N, C_out, H, W)."""
        y = self.norm(self.way(x))  # (N, C_out, H, W)
        return F.relu(y + self.round(x))  # (N, C_out, H, W)


class _Glass(nn.Module):
    """One hourglass: half the size, through a smaller one, and back, added to what stayed as large as it was."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.beside = Residual(channels, channels)
        self.down = Residual(channels, channels)
        self.inner: nn.Module = _Glass(channels, depth - 1) if depth > 1 else Residual(channels, channels)
        self.up = Residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Give (N, C, H, W)."""
        y = self.down(F.max_pool2d(x, 2))  # (N, C, H/2, W/2)
        y = self.up(self.inner(y))  # (N, C, H/2, W/2)
        y = F.interpolate(y, scale_factor=2.0, mode="nearest")  # (N, C, H, W)
        beside: Tensor = self.beside(x)  # (N, C, H, W)
        return y + beside  # (N, C, H, W)


def heat_targets(joints: Tensor, settings: HourglassSettings) -> Tensor:
    """Draw what the heat maps should be.

    Args:
        joints: (N, V, 2) places in the crop, (0, 0) its top left corner and (1, 1) the other.
        settings: size of the crop, and shape and width of the target.

    Returns:
        (N, V, S / 4, S / 4), 1 where the joint is.
    """
    n_cells = settings.size_px // STRIDE
    middles = torch.arange(n_cells, device=joints.device) + 0.5  # (S/4,)
    across, down = (joints * n_cells).unbind(-1)  # (N, V) each
    x_squares, y_squares = ((middles - each[..., None]).square() for each in (across, down))  # (N, V, S/4) each
    squares: Tensor = x_squares[..., None, :] + y_squares[..., None]  # (N, V, S/4, S/4)
    if settings.target == "cauchy":
        return 1 / (1 + squares / settings.sigma**2)  # (N, V, S/4, S/4)
    return torch.exp(squares / (-2 * settings.sigma**2))  # (N, V, S/4, S/4)


def hourglass_loss(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Give the squared error of all stacks.

    Args:
        maps: (N, stacks, V, H, W).
        targets: (N, V, H, W).
        weights: (N, V); 0 for a joint of which nothing is known.
    """
    nearness = 1 + _NEAR * targets[:, None]  # (N, 1, V, H, W)
    errors = (nearness * (maps - targets[:, None]).square()).sum(dim=(-1, -2)).mean(dim=1)  # (N, V)
    return (errors * weights).sum() / weights.sum().clamp(min=1)


def unmirror(maps: FloatArray, mirror_order: Sequence[int]) -> FloatArray:
    """Turn the answer to a mirrored crop, (N, stacks, V, H, W), into one to the crop itself, for the flip test."""
    turned: FloatArray = maps[:, :, list(mirror_order), :, ::-1]
    return turned


def read_joints(answer: FloatArray, settings: HourglassSettings) -> tuple[FloatArray, FloatArray]:
    """Read joints off the last stack's heat maps, between the pixels.

    Args:
        answer: (N, stacks, V, H, W), as the network gives it.
        settings: the network's.

    Returns:
        (N, V, 2) places in the crop as in `heat_targets`, and (N, V) scores in [0, 1]: how high the map is there.
    """
    maps = answer[:, -1]
    n, n_joints, height, width = maps.shape
    top = maps.reshape(n, n_joints, -1).argmax(axis=-1)  # (N, V)
    score = np.clip(np.take_along_axis(maps.reshape(n, n_joints, -1), top[..., None], -1)[..., 0], 0, 1)
    y, x = np.divmod(top, width)
    smooth = gaussian_filter(maps, sigma=(0, 0, settings.sigma / 2, settings.sigma / 2), mode="nearest", truncate=2.0)
    logs = np.log(np.maximum(smooth, _SMALLEST))
    rows, columns = np.clip(y, 1, height - 2), np.clip(x, 1, width - 2)  # (N, V)
    near = [[_at(logs, rows + dy, columns + dx) for dx in (-1, 0, 1)] for dy in (-1, 0, 1)]
    step = _newton(near)  # (N, V, 2)
    places = np.stack([columns, rows], axis=-1) + 0.5 + step
    return (places / (width, height)).astype(np.float32), score.astype(np.float32)


def _at(maps: FloatArray, rows: np.ndarray, columns: np.ndarray) -> FloatArray:
    n, n_joints = rows.shape
    found: FloatArray = maps[np.arange(n)[:, None], np.arange(n_joints), rows, columns]
    return found


def _newton(near: list[list[FloatArray]]) -> FloatArray:
    """Give the way (N, V, 2) from the middle of nine logarithms to their peak, at most a pixel and a half."""
    (a, b, c), (d, e, f), (g, h, i) = near
    dx, dy = (f - d) / 2, (h - b) / 2
    dxx, dyy, dxy = f - 2 * e + d, h - 2 * e + b, (a - c - g + i) / 4
    det = dxx * dyy - dxy**2
    is_peak = (det > _SMALLEST) & (dxx < 0)
    det = np.where(is_peak, det, 1)
    step = -np.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], axis=-1) / det[..., None]
    return np.where(is_peak[..., None], np.clip(step, -1.5, 1.5), 0).astype(np.float32)
