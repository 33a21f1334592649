"""The action model: a spatio-temporal graph convolutional network of nine blocks (Yan et al. 2018, ST-GCN).

Data stay (N, T, V, C) throughout. A block first mixes each joint with its neighbours (aggregate, then transform: one
matrix product per partition, learnable weight per edge), then mixes each joint with its own past and a bounded future.

In time a block sees `span - 1 - ahead` frames back and `ahead` frames forward. Before the first frame lies the first
frame, repeated; after the last frame lies the last one, repeated. Pooling leaves out the outputs that would need
frames after the end of the window (unless there are no others), so a window's answer never rests on repeated ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs.adjacency import adjacency, n_partitions
from graphs.layouts import layout
from har.errors import ShapeError
from har.models.inputs import features

N_BLOCKS = 9


@dataclass(frozen=True, slots=True)
class STGCNConfig:
    """What an ST-GCN is built from; the hyper-parameters of a bundle.

    Attributes:
        n_classes: number of labels, 1..1000.
        layout: joint layout, a key of `graphs.LAYOUTS`.
        partition: partition of the edges, a key of `graphs.PARTITIONS`.
        in_channels: channels of `features`: 6 for x, y, score.
        channels: output channels of the nine blocks. 64, 128, 256 is the paper's; half of that costs a third of the
            time and loses little on small data.
        strides: temporal strides of the nine blocks.
        look_ahead: frames each block may look ahead, counted at that block's own rate.
        kernel: frames a block sees, odd; one number for all blocks, unless `kernels` has nine.
        dropout: share of features dropped in a block while training.
        pool_last: how many of the last outputs are averaged; 0 for all.
        free_edges: learn every joint's weight for every other, beginning at the partitions' adjacency, as in ST-GCN++
            (Duan et al. 2022, PYSKL); else learn a factor for the edges that the partitions have.
        graph_residual: lead a way around the graph convolution of all blocks but the first, as in ST-GCN++.
        kernels: frames each of the nine blocks sees, odd. Empty for `kernel` everywhere. After two strides a frame is
            four, so later blocks can do with fewer.

    Raises:
        ShapeError: a value is out of range.
        GraphError: layout or partition is not known.
    """

    n_classes: int
    layout: str = "coco17"
    partition: str = "spatial"
    in_channels: int = 6
    channels: tuple[int, ...] = (32, 32, 32, 64, 64, 64, 128, 128, 128)
    strides: tuple[int, ...] = (1, 1, 1, 2, 1, 1, 2, 1, 1)
    look_ahead: tuple[int, ...] = (2, 2, 2, 1, 0, 0, 0, 0, 0)
    kernel: int = 9
    dropout: float = 0.0
    pool_last: int = 0
    free_edges: bool = False
    graph_residual: bool = False
    kernels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        layout(self.layout)
        n_partitions(self.partition)
        rules = (
            (1 <= self.n_classes <= 1000, f"n_classes must be 1..1000, got {self.n_classes}"),
            (1 <= self.in_channels <= 1024, f"in_channels must be 1..1024, got {self.in_channels}"),
            (self.kernel in range(1, 32, 2), f"kernel must be odd and 1..31, got {self.kernel}"),
            (0 <= self.dropout < 1, f"dropout must lie in [0, 1), got {self.dropout}"),
            (0 <= self.pool_last <= 1000, f"pool_last must be 0..1000, got {self.pool_last}"),
            (self._fits(self.channels, 1, 1024), f"channels must be nine numbers of 1..1024, got {self.channels}"),
            (self._fits(self.strides, 1, 4), f"strides must be nine numbers of 1..4, got {self.strides}"),
            (
                not self.kernels or (len(self.kernels) == N_BLOCKS and all(k in range(1, 32, 2) for k in self.kernels)),
                f"kernels must be nine odd numbers of 1..31 or none, got {self.kernels}",
            ),
            (
                len(self.look_ahead) == N_BLOCKS
                and all(0 <= ahead < span for ahead, span in zip(self.look_ahead, self.spans, strict=False)),
                f"look_ahead must be nine numbers from 0 to below the kernels {self.spans}, got {self.look_ahead}",
            ),
        )
        for fits, complaint in rules:
            if not fits:
                raise ShapeError(f"ST-GCN: {complaint}.")

    @staticmethod
    def _fits(values: tuple[int, ...], low: int, high: int) -> bool:
        return len(values) == N_BLOCKS and all(low <= value <= high for value in values)

    @property
    def spans(self) -> tuple[int, ...]:
        """Frames that each of the nine blocks sees, counted at its own rate."""
        return self.kernels or (self.kernel,) * N_BLOCKS

    @property
    def stride(self) -> int:
        """Input frames from one output to the next."""
        return prod(self.strides)

    @property
    def frames_ahead(self) -> int:
        """Input frames that an output looks ahead, all blocks together; a frame after a stride of 2 counts double."""
        return sum(ahead * prod(self.strides[:block]) for block, ahead in enumerate(self.look_ahead))

    def n_whole(self, n_frames: int) -> int:
        """Outputs of a window whose look-ahead lies within it; one at least, though it may not be whole."""
        return max((n_frames - 1 - self.frames_ahead) // self.stride + 1, 1)


class _ChannelNorm(nn.BatchNorm1d):
    """BatchNorm over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class GraphConv(nn.Module):
    """Mix each joint with its neighbours: aggregate by partition, then one matrix for all.

    Attributes:
        importance: (K, V, V) learnable: a factor of every edge, one at first; or the weight of every edge itself.
        linear: the partitions' matrices side by side, (out, K * in), and the bias (out,).
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, config: STGCNConfig) -> None:
        super().__init__()
        matrices = torch.from_numpy(adjacency(config.layout, config.partition))  # (K, V, V)
        self.register_buffer("adjacency", matrices, persistent=False)
        self.free = config.free_edges
        self.importance = nn.Parameter(matrices.clone() if self.free else torch.ones(matrices.shape))
        self.linear = nn.Linear(len(matrices) * in_channels, out_channels)
        nn.init.kaiming_normal_(self.linear.weight, mode="fan_out")
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, T, V, C) into (N, T, V, C')."""
        edges = self.importance if self.free else self.adjacency * self.importance  # (K, V, V)
        edges = edges.transpose(0, 1).flatten(0, 1)  # (V*K, V)
        n, t, v, c = x.shape
        x = torch.bmm(edges.expand(n * t, -1, -1), x.reshape(n * t, v, c))  # (N*T, V*K, C)
        x = x.reshape(
            n, t, v, len(self.adjacency) * c
        )  # (N, T, V, K*C): no copy, 1.3 times as fast as a broadcast matmul
        mixed: Tensor = self.linear(x)  # (N, T, V, C')
        return mixed


class TemporalConv(nn.Module):
    """Mix each joint with its own past and `ahead` frames of its future; the ends are repeated."""

    def __init__(self, channels: int, *, kernel: int, stride: int, ahead: int) -> None:
        super().__init__()
        self.before, self.ahead = kernel - 1 - ahead, ahead
        self.conv = nn.Conv2d(channels, channels, (kernel, 1), stride=(stride, 1))
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out")
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, T, V, C) into (N, ceil(T / stride), V, C)."""
        first = x[:, :1].expand(-1, self.before, -1, -1)  # (N, before, V, C)
        last = x[:, -1:].expand(-1, self.ahead, -1, -1)  # (N, ahead, V, C)
        x = torch.cat([first, x, last], dim=1)  # (N, before + T + ahead, V, C)
        x = x.permute(0, 3, 1, 2)  # (N, C, T'', V): channels last in memory, so nothing is copied
        x = self.conv(x)  # (N, C, T', V)
        return x.permute(0, 2, 3, 1)  # (N, T', V, C)


def _widen(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_channels, out_channels, bias=False), _ChannelNorm(out_channels))


class Block(nn.Module):
    """Graph convolution, temporal convolution and a residual way around both.

    Args:
        config: the network's.
        index: which of its blocks, from 0; the first has no residual.
    """

    def __init__(self, config: STGCNConfig, index: int) -> None:
        super().__init__()
        c_in = config.channels[index - 1] if index else config.in_channels
        c_out, stride = config.channels[index], config.strides[index]
        self.stride, self.has_residual, self.dropout = stride, index > 0, config.dropout
        self.space = GraphConv(c_in, c_out, config=config)
        self.space_norm = _ChannelNorm(c_out)
        self.has_space_residual = config.graph_residual and index > 0
        widens = self.has_space_residual and c_in != c_out
        self.space_shortcut = _widen(c_in, c_out) if widens else None
        self.time = TemporalConv(c_out, kernel=config.spans[index], stride=stride, ahead=config.look_ahead[index])
        self.time_norm = _ChannelNorm(c_out)
        changes = self.has_residual and (c_in != c_out or stride != 1)
        self.shortcut = _widen(c_in, c_out) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, T, V, C) into (N, ceil(T / stride), V, C')."""
        around = x[:, :: self.stride]  # (N, T', V, C)
        if self.shortcut is not None:
            around = self.shortcut(around)  # (N, T', V, C')
        mixed = self.space_norm(self.space(x))  # (N, T, V, C')
        if self.has_space_residual:
            mixed = mixed + (x if self.space_shortcut is None else self.space_shortcut(x))  # (N, T, V, C')
        x = F.relu(mixed)  # (N, T, V, C')
        x = self.time_norm(self.time(x))  # (N, T', V, C')
        x = F.dropout(x, self.dropout, self.training)
        return F.relu(x + around if self.has_residual else x)  # (N, T', V, C')


class STGCN(nn.Module):
    """Nine blocks, global pooling and a linear layer: joints in, one logit per label out.

    Attributes:
        config: what it was built from.
    """

    def __init__(self, config: STGCNConfig) -> None:
        super().__init__()
        self.config = config
        # Joints that hardly move would have their noise blown up to the size of a gesture; the inputs are in trunk
        # lengths, so an eps of 0.05 leaves anything that moves by a fifth of a trunk as it is.
        self.input_norm = nn.BatchNorm1d(layout(config.layout).n_joints * config.in_channels, eps=0.05)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(N_BLOCKS))
        self.head = nn.Linear(config.channels[-1], config.n_classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Classify windows.

        Args:
            x: (N, T, V, C) from `features`, T of 1 or more; N may be 0.

        Returns:
            Logits (N, n_classes).

        Raises:
            ShapeError: x does not fit the layout and channels of the network.
        """
        n, t = self._check(x)
        x = self.input_norm(x.reshape(n * t, x.shape[2] * x.shape[3])).reshape(x.shape)  # (N, T, V, C)
        for block in self.blocks:
            x = block(x)  # (N, T', V, C')
        x = x[:, : self.config.n_whole(t)]  # (N, T*, V, C'): outputs that needed no frame after the end
        x = x[:, -self.config.pool_last :].mean(dim=(1, 2))  # (N, C'); [-0:] is all of them
        logits: Tensor = self.head(x)  # (N, n_classes)
        return logits

    def scores(self, joints: Tensor) -> Tensor:
        """Classify windows of joints.

        Args:
            joints: (N, T, V, D + 1) as for `features`.

        Returns:
            Probabilities (N, n_classes); each row sums to one.

        Raises:
            ShapeError: joints do not fit the layout.
        """
        return torch.softmax(self(features(joints, layout_name=self.config.layout)), dim=-1)  # (N, n_classes)

    def _check(self, x: Tensor) -> tuple[int, int]:
        wanted = (layout(self.config.layout).n_joints, self.config.in_channels)
        if x.ndim != 4 or tuple(x.shape[2:]) != wanted or not x.shape[1]:
            raise ShapeError(f"the ST-GCN needs (N, T, {wanted[0]}, {wanted[1]}) with T > 0, got {tuple(x.shape)}.")
        return x.shape[0], x.shape[1]
