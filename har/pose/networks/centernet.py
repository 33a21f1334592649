"""Objects as points: a picture in, a box round every person out.

X. Zhou, D. Wang, P. Krähenbühl, "Objects as Points", 2019 (CenterNet). A person is the middle of their box: a heat map
says where one is (penalty-reduced focal loss, section 3), and at that pixel stand the size of the box and what the
heat map's coarseness lost. No anchors and no suppression of overlaps: a peak among its eight neighbours is a person.

The network is a small residual one with a way back up to a quarter of the picture (in place of the paper's DLA-34), and
a target is as wide and high as the box (as in TTFNet, Liu et al. 2020), since lying people are wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from har.pose.networks.blocks import Block, conv
from har.records import FloatArray

STRIDE = 4
"""Pixels of the picture to one of the heat map."""
ALPHA, BETA = 2.0, 4.0  # of the focal loss, as in the paper
_SPREAD = 0.09  # standard deviation of a target, in sides of the box (TTFNet's 0.54 / 6)
_RARE = 0.01  # share of people among pixels that the heat map begins with
_SIZE_WEIGHT = 1.0  # the paper's 0.1 is for sizes in pixels of the map; here they are logarithms


@dataclass(frozen=True, slots=True)
class CenterNetSettings:
    """What the detector is made of.

    Attributes:
        width_px: of the picture it is shown, a multiple of 32.
        height_px: likewise.
        channels: features of every pixel at a quarter of the size.
        most: people it tells of at most.
    """

    width_px: int = 320
    height_px: int = 256
    channels: int = 32
    most: int = 50

    def __post_init__(self) -> None:
        if not all(32 <= side <= 4096 for side in (self.width_px, self.height_px)):
            raise ValueError("width_px and height_px must lie between 32 and 4096")
        if not (2 <= self.channels <= 1024 and 1 <= self.most <= 10_000):
            raise ValueError("channels must lie between 2 and 1024, most between 1 and 10000")


class CenterNet(nn.Module):
    """Pictures (N, 3, H, W) in [0, 1] into (N, 5, H / 4, W / 4).

    The five are the logit of a person's middle, the logarithms of width and height in pixels of the map, and where in
    its pixel the middle lies (x, y).
    """

    def __init__(self, settings: CenterNetSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or CenterNetSettings()
        wide = self.settings.channels
        widths = (wide, wide * 3 // 2, 3 * wide, 5 * wide)
        self.stem = nn.Sequential(conv(3, wide // 2, 5, stride=2), conv(wide // 2, wide, 3, stride=2), Block(wide))
        self.downs = nn.ModuleList(
            nn.Sequential(conv(a, b, 3, stride=2), Block(b), Block(b)) for a, b in pairwise(widths)
        )
        self.sides = nn.ModuleList(nn.Conv2d(each, wide, 1) for each in widths)
        self.ups = nn.ModuleList(conv(wide, wide, 3) for _ in widths[:-1])
        self.head = nn.Sequential(conv(wide, 2 * wide, 3), nn.Conv2d(2 * wide, 5, 1))
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.bias[0] = float(np.log(_RARE / (1 - _RARE)))
            last.bias[1:3] = 2.0  # e^2 * 4 = 30 pixels

    def forward(self, pictures: Tensor) -> Tensor:
        """Give the maps."""
        levels = [self.stem(pictures - 0.5)]  # (N, C, H/4, W/4)
        for down in self.downs:
            levels.append(down(levels[-1]))  # (N, 1.5C, H/8, W/8), (N, 3C, H/16, W/16), (N, 5C, H/32, W/32)
        x = self.sides[-1](levels[-1])  # (N, C, H/32, W/32)
        for level, side, up in zip(levels[-2::-1], list(self.sides)[-2::-1], self.ups, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") + side(level)  # (N, C, 2h, 2w)
            x = up(x)  # (N, C, 2h, 2w)
        return self.head(x)  # type: ignore[no-any-return]  # (N, 5, H/4, W/4)


def centre_targets(boxes: FloatArray, *, width: int, height: int) -> FloatArray:
    """Draw what the maps of one picture should be.

    Args:
        boxes: (P, 4) x, y, width, height of everybody, in pixels of the map.
        width: of the map, pixels.
        height: likewise.

    Returns:
        (6, height, width): heat, logarithms of width and height, offset x and y, and 1 where a middle is.
    """
    target = np.zeros((6, height, width), dtype=np.float32)
    across, down = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    for x, y, wide, high in boxes:
        middle_x, middle_y = x + wide / 2, y + high / 2
        column, row = int(middle_x), int(middle_y)
        if not (0 <= column < width and 0 <= row < height) or wide <= 0 or high <= 0:
            continue
        spread_x, spread_y = max(_SPREAD * wide, 0.4), max(_SPREAD * high, 0.4)
        bump = np.exp(-((down - row) ** 2)[:, None] / (2 * spread_y**2) - (across - column) ** 2 / (2 * spread_x**2))
        target[0] = np.maximum(target[0], bump)
        target[1:, row, column] = np.log(wide), np.log(high), middle_x - column, middle_y - row, 1
    return target


def centre_loss(maps: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Give the focal loss of the heat map, and the errors of sizes and offsets at the middles.

    Args:
        maps: (N, 5, H, W), as the network gives them.
        targets: (N, 6, H, W), as `centre_targets` gives them.
    """
    heat, sizes, offsets = maps[:, :1], maps[:, 1:3], maps[:, 3:]
    bump, true_sizes, true_offsets, is_middle = targets[:, :1], targets[:, 1:3], targets[:, 3:5], targets[:, 5:]
    n_people = is_middle.sum().clamp(min=1)
    chance = torch.sigmoid(heat)  # (N, 1, H, W)
    there = is_middle * (1 - chance) ** ALPHA * F.logsigmoid(heat)
    elsewhere = (1 - is_middle) * (1 - bump) ** BETA * chance**ALPHA * F.logsigmoid(-heat)
    return {
        "heat": -(there + elsewhere).sum() / n_people,
        "size": _SIZE_WEIGHT * ((sizes - true_sizes).abs() * is_middle).sum() / n_people,
        "offset": ((offsets - true_offsets).abs() * is_middle).sum() / n_people,
    }


def read_boxes(maps: FloatArray, *, threshold: float, most: int) -> list[FloatArray]:
    """Read people off the maps of pictures.

    Args:
        maps: (N, 5, H, W), as the network gives them.
        threshold: lowest score.
        most: people of a picture at most.

    Returns:
        For each picture (P, 5): x, y, width, height in pixels of the picture shown, and score; the surest first.
    """
    heat = torch.from_numpy(maps[:, :1])  # (N, 1, H, W)
    is_peak = (heat == F.max_pool2d(heat, 3, stride=1, padding=1)).numpy()[:, 0]  # (N, H, W)
    scores = 1 / (1 + np.exp(-maps[:, 0].astype(np.float64)))  # (N, H, W)
    found = []
    for number, each in enumerate(maps):
        rows, columns = np.nonzero(is_peak[number] & (scores[number] >= threshold))
        best = np.argsort(-scores[number, rows, columns], kind="stable")[:most]
        rows, columns = rows[best], columns[best]
        sizes = np.exp(np.minimum(each[1:3, rows, columns], 8.0)).T  # (P, 2)
        middles = np.stack([columns, rows], axis=1) + each[3:5, rows, columns].T  # (P, 2)
        boxes = STRIDE * np.concatenate([middles - sizes / 2, sizes], axis=1)  # (P, 4)
        found.append(np.column_stack([boxes, scores[number, rows, columns]]).astype(np.float32))
    return found
