"""What the light networks are built of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv(n_in: int, n_out: int, size: int, *, stride: int = 1) -> nn.Sequential:
    """Give a convolution that keeps the picture's size but for its stride, with batch norm and ReLU."""
    layer = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two convolutions with a way round them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            conv(channels, channels, 3),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Give (N, C, H, W)."""
        return F.relu(x + self.way(x))  # (N, C, H, W)
