"""An ST-GCN as it is served: the norms folded into the weights beside them, each weight lying as its product reads it.

`FoldedModel` classifies whole windows as a trained model does in evaluation mode. Its parts also serve the stream, see
`har.models.online`: one set of weights, two calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from har.errors import ShapeError
from har.models.inputs import features
from har.models.stgcn import STGCN, Block
from har.models.streams import Streams


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A way around a convolution: a matrix, or the identity.

    Attributes:
        weight: (C, C'); None for the identity.
        bias: (C',).
    """

    weight: Tensor | None
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """Lead (..., C) around as (..., C')."""
        if self.weight is None or self.bias is None:
            return x
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


class FoldedBlock:
    """A block in evaluation mode, its norms folded away.

    Attributes:
        span: frames of its input that it sees.
        ahead: of these, those that it looks ahead.
        stride: frames of its input for one of its output.
        channels: (C, C') of its input and output.
        goes_around: whether a residual leads its input around it.
        dtype: what it computes in.
    """

    def __init__(self, block: Block, *, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        conv = block.time.conv
        self.span, self.ahead, self.stride = conv.kernel_size[0], block.time.ahead, block.stride
        self.before = self.span - 1 - self.ahead
        self.channels = block.space.linear.in_features // len(block.space.adjacency), conv.out_channels
        edges = block.space.importance if block.space.free else block.space.adjacency * block.space.importance
        self._edges = edges.detach().transpose(0, 1).flatten(0, 1).to(dtype).contiguous()  # (V*K, V)
        scale, offset = _fold(block.space_norm)
        linear = block.space.linear
        self._mix = _as_read(linear.weight.double() * scale[:, None], dtype)  # (K*C, C')
        self._mix_bias = (linear.bias.double() * scale + offset).detach().to(dtype)  # (C',)
        self._around_space = _way(block.space_shortcut, dtype) if block.has_space_residual else None
        scale, offset = _fold(block.time_norm)
        taps = (conv.weight.double()[..., 0] * scale[:, None, None]).detach().to(dtype)  # (C', C', span)
        assert conv.bias is not None
        self._taps_bias = (conv.bias.double() * scale + offset).detach().to(dtype)  # (C',)
        self._clip_taps = taps[..., None].contiguous(memory_format=torch.channels_last)  # (C', C', span, 1)
        # A ring is read as it lies, wherever its newest frame is: the weights are turned instead of the frames. They
        # are kept twice in a row, so that a turn is a slice.
        self._turning_taps = taps.permute(2, 1, 0).repeat(2, 1, 1).flatten(0, 1).contiguous()  # (2*span*C', C')
        self._around = _way(block.shortcut, dtype) if block.has_residual else None
        self.goes_around = block.has_residual

    def space(self, x: Tensor) -> Tensor:
        """Mix each joint with its neighbours: (P, V, C) of frames to (P, V, C')."""
        p, v, _ = x.shape
        near = torch.bmm(self._edges.expand(p, -1, -1), x)  # (P, V*K, C)
        mixed = torch.addmm(self._mix_bias, near.view(p * v, -1), self._mix).view(p, v, -1)  # (P, V, C')
        if self._around_space is not None:
            mixed += self._around_space(x)
        return mixed.relu_()

    def time(self, y: Tensor) -> Tensor:
        """Mix each joint with its past and its future: (N, T, V, C') to (N, ceil(T / stride), V, C')."""
        first, last = y[:, :1].expand(-1, self.before, -1, -1), y[:, -1:].expand(-1, self.ahead, -1, -1)
        return self.whole_time(torch.cat([first, y, last], dim=1))

    def whole_time(self, y: Tensor) -> Tensor:
        """Mix frames (N, T, V, C') wherever a whole span of them is there: (N, (T - span) // stride + 1, V, C')."""
        mixed = F.conv2d(y.permute(0, 3, 1, 2), self._clip_taps, self._taps_bias, stride=(self.stride, 1))
        return mixed.permute(0, 2, 3, 1)

    def ring_time(self, ring: Tensor, newest: int) -> Tensor:
        """Mix each joint with the frames of its ring.

        Args:
            ring: (P, V, span, C') the last frames, each where it was written.
            newest: where the last one was written.

        Returns:
            (P, V, C') for the frame `ahead` before the newest.
        """
        p, v, span, c = ring.shape
        turn = (span - 1 - newest) * c
        flat = ring.view(p * v, span * c)
        return torch.addmm(self._taps_bias, flat, self._turning_taps[turn : turn + span * c]).view(p, v, c)

    def finish(self, mixed: Tensor, x: Tensor) -> Tensor:
        """Add what the block's input (..., C) leads around and cut off below zero: (..., C'); `mixed` is changed."""
        if self._around is not None:
            mixed += self._around(x)
        return mixed.relu_()

    def __call__(self, x: Tensor) -> Tensor:
        """Turn windows (N, T, V, C) into (N, ceil(T / stride), V, C')."""
        n, t, v, c = x.shape
        y = self.space(x.reshape(n * t, v, c)).view(n, t, v, -1)  # (N, T, V, C')
        return self.finish(self.time(y), x[:, :: self.stride])


class FoldedSTGCN:
    """A trained network as it is served.

    Args:
        network: it; its weights are copied, so that later training changes nothing here.
        dtype: what its blocks compute in; the ends of the network always compute in float32.

    Attributes:
        config: what the network was built from.
        blocks: its nine blocks.
        n_joints: joints of its input.
    """

    def __init__(self, network: STGCN, *, dtype: torch.dtype = torch.float32) -> None:
        self.config, self._dtype = network.config, dtype
        self.blocks = [FoldedBlock(block, dtype=dtype) for block in network.blocks if isinstance(block, Block)]
        scale, offset = _fold(network.input_norm)
        self._scale = scale.float().view(-1, self.config.in_channels)  # (V, C)
        self._offset = offset.float().view(-1, self.config.in_channels)  # (V, C)
        self.n_joints = len(self._scale)
        self._head, self._head_bias = _as_read(network.head.weight, torch.float32), network.head.bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        """Classify windows.

        Args:
            x: (N, T, V, C) from `har.models.inputs.features`, T of 1 or more.

        Returns:
            Logits (N, n_classes), those of the network but for rounding.

        Raises:
            ShapeError: x does not fit the network.
        """
        if x.ndim != 4 or x.shape[2:] != self._scale.shape or not x.shape[1]:
            v, c = self._scale.shape
            raise ShapeError(f"the ST-GCN needs (N, T, {v}, {c}) with T > 0, got {tuple(x.shape)}.")
        n_whole = self.config.n_whole(x.shape[1])
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)  # (N, T', V, C')
        return self.answer(x[:, :n_whole][:, -self.config.pool_last :].float().mean(dim=(1, 2)))

    def enter(self, x: Tensor) -> Tensor:
        """Norm what the first block is shown, (..., V, C)."""
        return (x * self._scale + self._offset).to(self._dtype)

    def answer(self, pooled: Tensor) -> Tensor:
        """Turn features (N, C') that were averaged over joints and outputs into logits (N, n_classes)."""
        return torch.addmm(self._head_bias, pooled, self._head)


class FoldedModel:
    """A trained model as it is served: each of its networks folded, their logits averaged by weight.

    Args:
        model: it; its weights are copied.
        pool_at_most: outputs that are averaged where the model averages all of a window; None for all.
        dtype: what its blocks compute in.

    Attributes:
        parts: what each network is shown, and its weight.
        networks: one for each part.
        dims: coordinates of a joint.
        frames_ahead: frames that an answer looks ahead at most.
    """

    def __init__(self, model: Streams, *, pool_at_most: int | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.parts, self.dims, self.frames_ahead = model.streams, model.dims, model.frames_ahead
        self.networks = [FoldedSTGCN(network, dtype=dtype) for network in model.networks if isinstance(network, STGCN)]
        for network in self.networks:
            network.config = replace(network.config, pool_last=network.config.pool_last or pool_at_most or 0)

    def __call__(self, joints: Tensor) -> Tensor:
        """Classify windows (N, T, V, D + 1) of normalised joints; gives logits (N, n_classes)."""
        logits = torch.zeros(())
        for part, network in zip(self.parts, self.networks, strict=True):
            x = features(joints, layout_name=part.config.layout, kind=part.kind)  # (N, T, V, C)
            logits = logits + part.weight * network(x)  # (N, n_classes)
        return logits


def _fold(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Give factor and offset (C,) of a norm in evaluation mode, in double precision."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale.detach(), (norm.bias.double() - norm.running_mean.double() * scale).detach()


def _way(shortcut: nn.Sequential | None, dtype: torch.dtype) -> Way:
    if shortcut is None:
        return Way(None, None)
    linear, norm = shortcut
    assert isinstance(linear, nn.Linear)
    assert isinstance(norm, nn.BatchNorm1d)
    scale, offset = _fold(norm)
    return Way(_as_read(linear.weight.double() * scale[:, None], dtype), offset.to(dtype))


def _as_read(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Give the weight (C', C) of a linear layer as a product reads it, (C, C')."""
    return weight.detach().T.to(dtype).contiguous()
