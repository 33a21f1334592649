"""The plain ST-GCN that others train and run, to measure ours against.

Written here from the paper (Yan et al. 2018, section 3) and the layout of data that its users know: (N, C, T, V, M),
every clip filled up with zeros to one length and to two people.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs.adjacency import adjacency

WIDTHS = (64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 2, 1, 1, 2, 1, 1)
"""The paper's; what is compared is the way of computing, so all networks of a benchmark have them."""
KERNEL = 9


class ReferenceSpace(nn.Module):
    """A graph convolution as published: a matrix product for each partition, then the mean of neighbours."""

    adjacency: Tensor

    def __init__(self, c_in: int, c_out: int, layout: str) -> None:
        super().__init__()
        matrices = torch.from_numpy(adjacency(layout, "spatial"))
        self.register_buffer("adjacency", matrices, persistent=False)
        self.importance = nn.Parameter(torch.ones(matrices.shape))
        self.conv = nn.Conv2d(c_in, c_out * len(matrices), 1)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, T, V) into (N, C', T, V)."""
        x = self.conv(x)  # (N, K*C', T, V)
        n, kc, t, v = x.shape
        k = len(self.adjacency)
        x = torch.einsum("nkctv,kvw->nctw", x.view(n, k, kc // k, t, v), self.adjacency * self.importance)
        return F.relu(self.norm(x))


class _Block(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, layout: str, *, is_first: bool) -> None:
        super().__init__()
        self.space = ReferenceSpace(c_in, c_out, layout)
        self.time = nn.Conv2d(c_out, c_out, (KERNEL, 1), (stride, 1), (KERNEL // 2, 0))
        self.norm = nn.BatchNorm2d(c_out)
        self.is_first = is_first
        changes = not is_first and (c_in != c_out or stride != 1)
        widen = [nn.Conv2d(c_in, c_out, 1, (stride, 1)), nn.BatchNorm2d(c_out)] if changes else []
        self.around = nn.Sequential(*widen)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.time(self.space(x)))
        return F.relu(y if self.is_first else y + self.around(x))


class ReferenceSTGCN(nn.Module):
    """The ST-GCN of the paper, (N, C, T, V, M) in, logits (N, n_classes) out."""

    def __init__(self, *, in_channels: int, n_classes: int, layout: str) -> None:
        super().__init__()
        n_joints = adjacency(layout, "spatial").shape[-1]
        self.norm = nn.BatchNorm1d(in_channels * n_joints)
        sizes = zip((in_channels, *WIDTHS[:-1]), WIDTHS, STRIDES, strict=True)
        self.blocks = nn.Sequential(*(_Block(*each, layout, is_first=index == 0) for index, each in enumerate(sizes)))
        self.head = nn.Linear(WIDTHS[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify clips, all people of all clips computed, whether anybody is there or not."""
        n, c, t, v, m = x.shape
        x = self.norm(x.permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t))
        x = x.view(n * m, v, c, t).permute(0, 2, 3, 1)  # (N*M, C, T, V)
        x = self.blocks(x).mean(dim=(2, 3)).view(n, m, -1).mean(dim=1)
        logits: Tensor = self.head(x)
        return logits
