"""The action model a beat at a time: state in, frames in; state out, answers out.

`OnlineModel` reads rings where they lie and takes a frame at a time, which no exported graph can do. Here each
convolution in time gets its last frames as an input and gives those to keep as an output, and a step takes in as many
frames as lie between two answers: one graph without branches, the same for everybody, whenever they began. It waits
for nothing, because a beat ends with the frame that completes an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from har.errors import ShapeError
from har.models.folded import FoldedBlock, FoldedModel, FoldedSTGCN
from har.models.inputs import features
from har.models.people import PeopleModel, as_slice


@dataclass(frozen=True, slots=True)
class Shape:
    """One tensor of a person's state.

    Attributes:
        name: of it, as an input of the graph.
        size: of it, without the axis of people.
    """

    name: str
    size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BeatFacts:
    """What one has to know of a graph to run it.

    Attributes:
        beat: frames of a beat.
        lead: frames of somebody's first beat that lie before their first frame; these repeat the first frame.
        frames_ahead: frames that an answer lies behind the last frame of its beat.
        n_joints: joints of a frame.
        dims: coordinates of a joint.
        n_classes: labels.
        state: what is remembered of a person; all begin at zero but the first, which begins with the first frame.
    """

    beat: int
    lead: int
    frames_ahead: int
    n_joints: int
    dims: int
    n_classes: int
    state: tuple[Shape, ...]


class BeatGraph(Protocol):
    """A graph of one beat, on whatever runs it."""

    @property
    def facts(self) -> BeatFacts:
        """What it needs."""
        ...

    def run(self, frames: Tensor, beats: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Do what `BeatModel.forward` does."""
        ...


class BeatwiseModel(PeopleModel):
    """The action model of a bundle as a graph of one beat.

    Args:
        graph: it.
    """

    def __init__(self, graph: BeatGraph) -> None:
        self._graph, self._facts = graph, graph.facts
        facts = graph.facts
        super().__init__(
            beat=facts.beat,
            frames_ahead=facts.frames_ahead,
            n_joints=facts.n_joints,
            dims=facts.dims,
            n_classes=facts.n_classes,
        )

    def _advance(self, now: int, rows: list[int], joints: Tensor) -> tuple[list[int], Tensor]:
        frames, before, *_ = self._state
        place = (now + self._facts.lead) % self.beat
        for row, frame in zip(rows, joints, strict=True):
            if self._starts[row] == now:
                frames[row], before[row] = frame, frame
        frames[as_slice(rows), place] = joints
        if place < self.beat - 1:
            return [], joints.new_zeros(0, self._n_classes)
        logits = self._run(now, rows)
        has_answer = [now - self._starts[row] >= self.frames_ahead for row in rows]
        return [row for row, has in zip(rows, has_answer, strict=True) if has], logits[has_answer]

    def _run(self, now: int, rows: list[int]) -> Tensor:
        """Take in the beat that ends now; gives logits (P, n_classes)."""
        at = as_slice(rows)
        beats = torch.tensor([(now - self._starts[row] + self._facts.lead) // self.beat for row in rows])  # (P,)
        frames, *state = (tensor[at] for tensor in self._state)
        logits, new = self._graph.run(frames, beats, state)
        for tensor, kept in zip(self._state[1:], new, strict=True):
            tensor[at] = kept
        return logits

    def _turn(self, row: int, frames: int) -> None:
        """Nothing has to be turned: a graph counts beats from the person's own first one."""

    def _make_tensors(self, n_rows: int) -> list[Tensor]:
        frames = torch.zeros(n_rows, self.beat, *self._joints_shape)
        return [frames, *(torch.zeros(n_rows, *each.size) for each in self._facts.state)]


class BeatModel(nn.Module):
    """An action model as a graph of one beat.

    Args:
        model: the model, folded.

    Attributes:
        facts: what it needs.

    Raises:
        ShapeError: the model's networks answer at different rates.
    """

    def __init__(self, model: FoldedModel) -> None:
        super().__init__()
        strides = sorted({network.config.stride for network in model.networks})
        if len(strides) > 1:
            raise ShapeError(
                f"the networks answer every {' and every '.join(map(str, strides))} frames; only networks that answer "
                "together can be taken a beat at a time."
            )
        beat, n_joints = strides[0], model.networks[0].n_joints
        lead = beat - 1 - model.frames_ahead % beat
        networks = [_BeatNetwork(network, beat=beat, lead=lead) for network in model.networks]
        state = [Shape("before", (n_joints, model.dims + 1))]
        for number, network in enumerate(networks):
            state += [Shape(f"network{number}_{each.name}", each.size) for each in network.state]
        self.facts = BeatFacts(
            beat=beat,
            lead=lead,
            frames_ahead=model.frames_ahead,
            n_joints=n_joints,
            dims=model.dims,
            n_classes=model.networks[0].config.n_classes,
            state=tuple(state),
        )
        self._parts, self._networks = model.parts, nn.ModuleList(networks)

    def forward(self, frames: Tensor, beats: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Take in a beat of some people.

        Args:
            frames: (P, beat, V, D + 1) normalised as for the clip model.
            beats: (P,) how many beats of each person have been taken in, whole numbers.
            *state: (P, ...) each, as `facts` names them.

        Returns:
            Logits (P, n_classes) of the clip model on all frames so far, which mean nothing before somebody has more
            than `frames_ahead` frames; then the state after this beat.
        """
        shown = torch.cat([state[0][:, None], frames], dim=1)  # (P, 1 + beat, V, D+1)
        logits, kept = torch.zeros(()), [frames[:, -1]]
        for part, network in zip(self._parts, self._networks, strict=True):
            assert isinstance(network, _BeatNetwork)
            x = features(shown, layout_name=part.config.layout, kind=part.kind)[:, 1:]  # (P, beat, V, C)
            n = len(network.state)
            found, new = network(x, beats, state[len(kept) : len(kept) + n])
            logits = logits + part.weight * found
            kept += new
        return logits, *kept

    def run(self, frames: Tensor, beats: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Run it on torch."""
        logits, *kept = self(frames, beats, *state)
        return logits, kept


class _BeatNetwork(nn.Module):
    """One network; frames are counted from the person's first one."""

    def __init__(self, network: FoldedSTGCN, *, beat: int, lead: int) -> None:
        super().__init__()
        first = -lead
        blocks = list[_BeatBlock]()
        self.state = list[Shape]()
        for number, block in enumerate(network.blocks):
            blocks.append(_BeatBlock(block, n_frames=beat, first=first))
            self.state += [
                Shape(f"block{number}_{name}", (n, network.n_joints, c)) for name, n, c in blocks[-1].keeps if n
            ]
            beat, first = beat // block.stride, blocks[-1].first_output
        self._blocks = nn.ModuleList(blocks)
        assert beat == 1
        self._first = first  # the number of beat 0's output
        self._n_pooled = network.config.pool_last
        c = network.config.channels[-1]
        self.state.append(Shape("outputs", (self._n_pooled or 1, c)))
        self._network = network

    def forward(self, x: Tensor, beats: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Take in (P, beat, V, C) and give logits (P, n_classes) and the new state."""
        x = self._network.enter(x)
        kept = list[Tensor]()
        for block in self._blocks:
            assert isinstance(block, _BeatBlock)
            n = sum(bool(n) for _, n, _ in block.keeps)
            x, new = block(x, beats, state[len(kept) : len(kept) + n])
            kept += new
        have = (beats + (self._first + 1)).clamp(min=0)[:, None].to(x.dtype)  # (P, 1) outputs, this one included
        output = torch.where(have > 0, x[:, 0].mean(dim=1), 0.0)  # (P, C')
        if not self._n_pooled:
            total = state[-1][:, 0] + output
            return self._network.answer(total / have.clamp(min=1)), [*kept, total[:, None]]
        outputs = torch.cat([state[-1][:, 1:], output[:, None]], dim=1)  # (P, n, C'), zero where there was none
        mean = outputs.sum(dim=1) / have.clamp(min=1, max=self._n_pooled)
        return self._network.answer(mean), [*kept, outputs]


class _BeatBlock(nn.Module):
    """One block.

    Attributes:
        keeps: name, frames and channels of what it remembers.
        first_output: the number of the first output of beat 0.
    """

    def __init__(self, block: FoldedBlock, *, n_frames: int, first: int) -> None:
        super().__init__()
        c_in, c_out = block.channels
        self._block, self._n, self._first = block, n_frames, first
        self._past = block.span - 1
        self._at = (block.ahead - first) % block.stride  # the first frame of a beat that completes an output
        self.first_output = (first + self._at - block.ahead) // block.stride
        self.keeps = (("past", self._past, c_out), ("ahead", block.ahead if block.goes_around else 0, c_in))

    def forward(self, x: Tensor, beats: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Take in (P, n, V, C) and give (P, n / stride, V, C') and the new state."""
        kept = list[Tensor]()
        p, n, v, c = x.shape
        y = self._block.space(x.reshape(p * n, v, c)).view(p, n, v, -1)  # (P, n, V, C')
        if self._past:
            y = self._begin(torch.cat([state[0], y], dim=1), y, beats)  # (P, past + n, V, C')
            kept.append(y[:, self._n :])
        if self.keeps[1][1]:
            x = torch.cat([state[-1], x], dim=1)  # (P, ahead + n, V, C)
            kept.append(x[:, self._n :])
        mixed = self._block.whole_time(y[:, self._at :])  # (P, n / stride, V, C')
        around = x[:, self._at :: self._block.stride][:, : mixed.shape[1]]
        return self._block.finish(mixed, around), kept

    def _begin(self, y: Tensor, new: Tensor, beats: Tensor) -> Tensor:
        """Repeat somebody's first frame into the past, in the beat that brings it."""
        first = -self._first - self._n * beats  # (P,) where it lies among the new frames
        places = torch.arange(self._n)
        is_first = (places == first[:, None]).to(new.dtype)[:, :, None, None]  # (P, n, 1, 1)
        frame = (new * is_first).sum(dim=1, keepdim=True) if self._n > 1 else new  # (P, 1, V, C')
        begins = (first >= 0) & (first < self._n)  # (P,)
        earlier = torch.arange(y.shape[1]) < self._past + first[:, None]  # (P, past + n)
        return torch.where((begins[:, None] & earlier)[:, :, None, None], frame, y)
