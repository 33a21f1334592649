"""The action model frame by frame: everybody in view of every camera in one batch, each product computed once.

A clip network that is shown its last seconds again at every frame computes nearly everything again. `OnlineModel` keeps
what later answers need instead and takes one frame of everybody at a time. Its answers are those of the clip model on
all frames since the person came, but for rounding (Hedegaard et al. 2022, "Continual spatio-temporal graph
convolutional networks", has the idea; their steps delay the residuals and form products with zeros, these do neither).

A convolution in time keeps its last frames in a ring and reads the ring as it lies, see `FoldedBlock.ring_time`. That
wants the rings of a batch in step: people begin on a beat, every `beat` frames, and whoever misses frames is computed
apart until the ring has been turned again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

import torch
from torch import Tensor

from har.models.folded import FoldedModel, FoldedSTGCN
from har.models.inputs import features
from har.models.people import PeopleModel, Rows, as_slice


class _Memory:
    """What one network remembers of everybody: rows of tensors, one row a person.

    Attributes:
        rings: of each block (rows, V, span, C'), its last frames after the graph convolution.
        holds: of each block (rows, V, ahead + 1, C), its last inputs, for the way around a look-ahead; or nothing.
        pool: (rows, n, C') the last outputs to be averaged; or (rows, 1, C') the sum of all, in double precision.
        logits: (rows, n_classes) the last answers.
        strides: input frames for one of each block's, and for one output.
    """

    def __init__(self, network: FoldedSTGCN, n_rows: int) -> None:
        self._network, config = network, network.config
        v = network.n_joints
        self.rings, self.holds = list[Tensor](), list[Tensor]()
        self.strides = list[int]()
        stride = 1
        for block in network.blocks:
            c_in, c_out = block.channels
            kept = block.ahead + 1 if block.ahead and block.goes_around else 0
            self.rings.append(torch.zeros(n_rows, v, block.span, c_out, dtype=block.dtype))
            self.holds.append(torch.zeros(n_rows, v, kept, c_in, dtype=block.dtype))
            self.strides.append(stride)
            stride *= block.stride
        self.strides.append(stride)
        dtype = torch.float32 if config.pool_last else torch.float64
        self.pool = torch.zeros(n_rows, config.pool_last or 1, config.channels[-1], dtype=dtype)
        self.logits = torch.zeros(n_rows, config.n_classes)

    def tensors(self) -> list[Tensor]:
        """Give all tensors; a row each belongs to one person."""
        return [*self.rings, *self.holds, self.pool, self.logits]

    def turned(self, tensors: Sequence[Tensor], frames: int) -> list[Tensor]:
        """Give somebody's rows (...) of `tensors()` as they would be, had the person begun `frames` later.

        Args:
            tensors: rows, without the axis of rows.
            frames: a multiple of the network's stride.
        """
        *by_block, pool, logits = tensors
        turns = [frames // stride for stride in (*self.strides[:-1], *self.strides[:-1])]
        moved = [torch.roll(tensor, turn, dims=1) for tensor, turn in zip(by_block, turns, strict=True)]
        return [*moved, torch.roll(pool, frames // self.strides[-1], dims=0), logits]

    def advance(self, rows: Rows, x: Tensor, *, now: int, starts: Sequence[int], young: bool) -> bool:
        """Take in one frame of some people.

        Args:
            rows: theirs.
            x: (P, V, C) from `features`.
            now: the frame's number.
            starts: the number of each person's first frame.
            young: whether anybody began so lately that a ring has yet to be filled with their first frame.

        Returns:
            Whether this frame completes an output: `logits` are new, and mean nothing for those without an output yet.
        """
        network = self._network
        x = network.enter(x)
        stride = 1
        for block, ring, hold in zip(network.blocks, self.rings, self.holds, strict=True):
            y = block.space(x)  # (P, V, C')
            ring[rows, :, now % block.span] = y
            if young:
                self._fill_first(ring, rows, y, [index for index, start in enumerate(starts) if start // stride == now])
            if hold.shape[2]:
                hold[rows, :, now % hold.shape[2]] = x
            centre = now - block.ahead
            if centre % block.stride:
                return False
            mixed = block.ring_time(ring[rows], now % block.span)  # (P, V, C')
            x = block.finish(mixed, hold[rows][:, :, centre % hold.shape[2]] if hold.shape[2] else x)  # (P, V, C')
            now, stride = centre // block.stride, stride * block.stride
        pooled = self._pooled(rows, x.float().mean(dim=1), now, [start // stride for start in starts])  # (P, C')
        self.logits[rows] = network.answer(pooled)
        return True

    @staticmethod
    def _fill_first(ring: Tensor, rows: Rows, y: Tensor, first: list[int]) -> None:
        """Repeat into the past the frames (V, C') of those of whom it is the first."""
        for index in first:
            row = rows.start + index if isinstance(rows, slice) else rows[index]
            ring[row] = y[index][:, None]

    def _pooled(self, rows: Rows, output: Tensor, now: int, starts: Sequence[int]) -> Tensor:
        """Take in an output (P, C') and give the mean (P, C') of the last ones that each person has."""
        have = torch.tensor([[now - start + 1] for start in starts])  # (P, 1), below 1 without any
        n = self._network.config.pool_last
        if not n:
            self.pool[rows, 0] += torch.where(have > 0, output, 0)
            return (self.pool[rows][:, 0] / have.clamp(min=1)).float()
        self.pool[rows, now % n] = output
        if all(now - start >= n - 1 for start in starts):
            return self.pool[rows].mean(dim=1)
        age = (now - torch.arange(n)) % n  # (n,)
        counts = (age < have.clamp(min=1)).float()  # (P, n)
        return torch.einsum("pnc,pn->pc", self.pool[rows], counts) / counts.sum(dim=1, keepdim=True)


class OnlineModel(PeopleModel):
    """The action model of a bundle on torch, each frame as it comes.

    Args:
        model: the model, folded.
    """

    def __init__(self, model: FoldedModel) -> None:
        self._model = model
        self._sees_motion = any("motion" in part.kind for part in model.parts)
        first = model.networks[0]
        super().__init__(
            beat=lcm(*(network.config.stride for network in model.networks)),
            frames_ahead=model.frames_ahead,
            n_joints=first.n_joints,
            dims=model.dims,
            n_classes=first.config.n_classes,
        )

    def _advance(self, now: int, rows: list[int], joints: Tensor) -> tuple[list[int], Tensor]:
        at = as_slice(rows)
        starts = [self._starts[row] for row in rows]
        young = now - max(starts) <= self.frames_ahead
        shown = self._shown(at, joints, is_first=[start == now for start in starts])  # (P, 1 or 2, V, D+1)
        answers = False
        for part, memory in zip(self._model.parts, self._memories, strict=True):
            x = features(shown, layout_name=part.config.layout, kind=part.kind)[:, -1]  # (P, V, C)
            new = memory.advance(at, x, now=now, starts=starts, young=young)
            answers |= new and part.config.frames_ahead == self.frames_ahead
        answered = [row for row in rows if answers and now - self._starts[row] >= self.frames_ahead]
        logits = joints.new_zeros(len(answered), self._n_classes)
        if answered:
            for part, memory in zip(self._model.parts, self._memories, strict=True):
                logits += part.weight * memory.logits[answered]
        return answered, logits

    def _shown(self, at: Rows, joints: Tensor, *, is_first: list[bool]) -> Tensor:
        """Give what features are made of: the frame (P, 1, V, D + 1), and before it the last one if motion counts."""
        if not self._sees_motion:
            return joints[:, None]
        before = torch.where(torch.tensor(is_first)[:, None, None], joints, self._before[at])  # (P, V, D+1)
        self._before[at] = joints
        return torch.stack([before, joints], dim=1)

    def _turn(self, row: int, frames: int) -> None:
        for memory in self._memories:
            tensors = memory.tensors()
            for tensor, moved in zip(tensors, memory.turned([t[row] for t in tensors], frames), strict=True):
                tensor[row] = moved

    def _make_tensors(self, n_rows: int) -> list[Tensor]:
        self._before = torch.zeros(n_rows, *self._joints_shape)
        self._memories = [_Memory(network, n_rows) for network in self._model.networks]
        return [self._before, *(tensor for memory in self._memories for tensor in memory.tensors())]
