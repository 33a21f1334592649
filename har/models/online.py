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

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import lcm

import torch
from torch import Tensor

from har.errors import ShapeError
from har.models.folded import FoldedModel, FoldedSTGCN
from har.models.inputs import features

_Rows = slice | list[int]


@dataclass(frozen=True, slots=True, eq=False)
class PersonState:
    """All that an online model remembers of one person, to be kept or moved elsewhere.

    Attributes:
        tensors: a row of each of the model's state tensors.
        start: the beat at which the person began.
        next: the frame that comes next, counted as `start` is.
    """

    tensors: tuple[Tensor, ...]
    start: int
    next: int


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
            self.rings.append(torch.zeros(n_rows, v, block.span, c_out))
            self.holds.append(torch.zeros(n_rows, v, kept, c_in))
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

    def advance(self, rows: _Rows, x: Tensor, *, now: int, starts: Sequence[int], young: bool) -> bool:
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
        pooled = self._pooled(rows, x.mean(dim=1), now, [start // stride for start in starts])  # (P, C')
        self.logits[rows] = network.answer(pooled)
        return True

    @staticmethod
    def _fill_first(ring: Tensor, rows: _Rows, y: Tensor, first: list[int]) -> None:
        """Repeat into the past the frames (V, C') of those of whom it is the first."""
        for index in first:
            row = rows.start + index if isinstance(rows, slice) else rows[index]
            ring[row] = y[index][:, None]

    def _pooled(self, rows: _Rows, output: Tensor, now: int, starts: Sequence[int]) -> Tensor:
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


class OnlineModel:
    """The action model of a bundle, frame by frame.

    Not for several threads at once. People are told apart by any hashable key.

    Args:
        model: the model, folded.

    Attributes:
        beat: frames between two answers, and between two moments at which somebody may begin.
        frames_ahead: frames that an answer lies behind the newest frame.
        n_joints: joints of a frame.
    """

    def __init__(self, model: FoldedModel) -> None:
        self._model = model
        self.beat = lcm(*(network.config.stride for network in model.networks))
        self.frames_ahead, self._n_classes = model.frames_ahead, model.networks[0].config.n_classes
        self.n_joints = model.networks[0].n_joints
        self._sees_motion = any("motion" in part.kind for part in model.parts)
        self._people: list[Hashable] = []
        self._rows: dict[Hashable, int] = {}
        self._starts: list[int] = []
        self._next: list[int] = []
        self._clock = 0
        self._make(0)

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, person: Hashable) -> bool:
        return person in self._rows

    @property
    def people(self) -> list[Hashable]:
        """Everybody who is being watched."""
        return list(self._people)

    @property
    def state_bytes(self) -> int:
        """Bytes of state that one person costs."""
        return sum(t[:1].numel() * t.element_size() for t in self._tensors())

    @property
    def n_rows(self) -> int:
        """People for whom there is room without asking for more memory."""
        return len(self._before)

    def enter(self, person: Hashable) -> int:
        """Begin to watch somebody, on the last beat.

        Returns:
            Frames by which the newcomer is behind the others. Whoever is given the first frame so many times more is in
            step with them.

        Raises:
            ShapeError: somebody of that name is being watched.
        """
        start = self._clock - self._clock % self.beat
        self._add(person, start, start)
        return self._clock - start

    def leave(self, person: Hashable) -> None:
        """Forget somebody.

        Raises:
            KeyError: nobody of that name is being watched.
        """
        row, last = self._rows.pop(person), len(self._people) - 1
        if row != last:
            for tensor in self._tensors():
                tensor[row] = tensor[last]
            self._people[row], self._starts[row], self._next[row] = (
                self._people[last],
                self._starts[last],
                self._next[last],
            )
            self._rows[self._people[row]] = row
        del self._people[last], self._starts[last], self._next[last]
        if len(self._people) < self.n_rows // 4:
            self._make(self.n_rows // 2)

    def seen(self, person: Hashable) -> int:
        """Give how many frames of somebody have been taken in."""
        row = self._rows[person]
        return self._next[row] - self._starts[row]

    def next_frame(self, person: Hashable) -> int:
        """Give the number of the frame that comes next for somebody; people with the same number are in step."""
        return self._next[self._rows[person]]

    def save(self, person: Hashable) -> PersonState:
        """Give what is remembered of somebody, as a copy."""
        row = self._rows[person]
        return PersonState(tuple(t[row].clone() for t in self._tensors()), self._starts[row], self._next[row])

    def restore(self, person: Hashable, state: PersonState) -> None:
        """Go on with somebody as if there had been no break.

        Raises:
            ShapeError: somebody of that name is being watched, or the state is of another model.
        """
        if [t.shape for t in state.tensors] != [t.shape[1:] for t in self._tensors()]:
            raise ShapeError("the state is of another model. Begin with the person anew.")
        row = self._add(person, state.start, state.next)
        for tensor, kept in zip(self._tensors(), state.tensors, strict=True):
            tensor[row] = kept
        self._catch_up(row)

    @torch.inference_mode()
    def step(self, people: Sequence[Hashable], joints: Tensor) -> tuple[list[Hashable], Tensor]:
        """Take in one frame of some people.

        Args:
            people: who, each once; the others are left as they are.
            joints: (P, V, D + 1) of them, normalised as for the clip model.

        Returns:
            Those for whom this frame completes an answer, and their logits (N, n_classes): those of the clip model on
            all of their frames so far.

        Raises:
            ShapeError: joints do not fit the model, or somebody is named twice.
            KeyError: somebody is not being watched.
        """
        rows = [self._rows[person] for person in people]
        if joints.shape != (len(rows), *self._before.shape[1:]):
            raise ShapeError(f"expected joints {(len(rows), *self._before.shape[1:])}, got {tuple(joints.shape)}.")
        if len(set(rows)) < len(rows):
            raise ShapeError("somebody is named twice in one step.")
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            self._catch_up(row)
            groups[self._next[row]].append(index)
        answered, logits = list[Hashable](), list[Tensor]()
        for now, indices in sorted(groups.items()):
            indices.sort(key=lambda index: rows[index])
            who, found = self._advance(now, [rows[index] for index in indices], joints[indices])
            answered += who
            logits.append(found)
        return answered, torch.cat(logits) if logits else joints.new_zeros(0, self._n_classes)

    def _advance(self, now: int, rows: list[int], joints: Tensor) -> tuple[list[Hashable], Tensor]:
        """Take in frame `now` (P, V, D + 1) of people who are in step; `rows` ascend."""
        at: _Rows = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
        starts = [self._starts[row] for row in rows]
        young = now - max(starts) <= self.frames_ahead
        shown = self._shown(at, joints, is_first=[start == now for start in starts])  # (P, 1 or 2, V, D+1)
        answers = False
        for part, memory in zip(self._model.parts, self._memories, strict=True):
            x = features(shown, layout_name=part.config.layout, kind=part.kind)[:, -1]  # (P, V, C)
            new = memory.advance(at, x, now=now, starts=starts, young=young)
            answers |= new and part.config.frames_ahead == self.frames_ahead
        for row in rows:
            self._next[row] = now + 1
        self._clock = max(self._clock, now + 1)
        answered = [row for row in rows if answers and now - self._starts[row] >= self.frames_ahead]
        logits = joints.new_zeros(len(answered), self._n_classes)
        if answered:
            for part, memory in zip(self._model.parts, self._memories, strict=True):
                logits += part.weight * memory.logits[answered]
        return [self._people[row] for row in answered], logits

    def _shown(self, at: _Rows, joints: Tensor, *, is_first: list[bool]) -> Tensor:
        """Give what features are made of: the frame (P, 1, V, D + 1), and before it the last one if motion counts."""
        if not self._sees_motion:
            return joints[:, None]
        before = torch.where(torch.tensor(is_first)[:, None, None], joints, self._before[at])  # (P, V, D+1)
        self._before[at] = joints
        return torch.stack([before, joints], dim=1)

    def _add(self, person: Hashable, start: int, following: int) -> int:
        if person in self._rows:
            raise ShapeError(f"{person!r} is being watched already.")
        row = len(self._people)
        if row == self.n_rows:
            self._make(max(4, 2 * row))
        for tensor in self._tensors():
            tensor[row] = 0
        self._rows[person] = row
        self._people.append(person)
        self._starts.append(start)
        self._next.append(following)
        return row

    def _catch_up(self, row: int) -> None:
        """Count somebody who missed frames as if they had begun so much later, as far as whole beats go."""
        missed = self._clock - self._next[row]
        late = missed - missed % self.beat
        if not late:
            return
        for memory in self._memories:
            tensors = memory.tensors()
            for tensor, moved in zip(tensors, memory.turned([t[row] for t in tensors], late), strict=True):
                tensor[row] = moved
        self._starts[row] += late
        self._next[row] += late

    def _tensors(self) -> list[Tensor]:
        return [self._before, *(tensor for memory in self._memories for tensor in memory.tensors())]

    def _make(self, n_rows: int) -> None:
        """Make room for so many people; those who are there stay."""
        kept = [tensor[: len(self._people)] for tensor in self._tensors()] if self._people else []
        self._before = torch.zeros(n_rows, self.n_joints, self._model.dims + 1)
        self._memories = [_Memory(network, n_rows) for network in self._model.networks]
        for tensor, old in zip(self._tensors(), kept, strict=bool(kept)):
            tensor[: len(old)] = old
