"""An action model that remembers people: who is being watched, and a row of memory for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from har.errors import ShapeError

Rows: TypeAlias = slice | list[int]


@dataclass(frozen=True, slots=True, eq=False)
class PersonState:
    """All that a model remembers of one person, to be kept or moved elsewhere.

    Attributes:
        tensors: a row of each of the model's state tensors.
        start: the beat at which the person began.
        next: the frame that comes next, counted as `start` is.
    """

    tensors: tuple[Tensor, ...]
    start: int
    next: int


class PeopleModel(ABC):
    """An action model of a bundle, frame by frame; how a frame is taken in is up to its kinds.

    Not for several threads at once. People are told apart by any hashable key.

    Args:
        beat: frames between two answers, and between two moments at which somebody may begin.
        frames_ahead: frames that an answer lies behind the newest frame.
        n_joints: joints of a frame.
        dims: coordinates of a joint.
        n_classes: labels.

    Attributes:
        beat: as given.
        frames_ahead: as given.
        n_joints: as given.
    """

    def __init__(self, *, beat: int, frames_ahead: int, n_joints: int, dims: int, n_classes: int) -> None:
        self.beat, self.frames_ahead, self.n_joints = beat, frames_ahead, n_joints
        self._joints_shape, self._n_classes = (n_joints, dims + 1), n_classes
        self._people: list[Hashable] = []
        self._rows: dict[Hashable, int] = {}
        self._starts: list[int] = []
        self._next: list[int] = []
        self._clock = 0
        self._state = list[Tensor]()
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
        return sum(t[:1].numel() * t.element_size() for t in self._state)

    @property
    def n_rows(self) -> int:
        """People for whom there is room without asking for more memory."""
        return self._n_rows

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
            for tensor in self._state:
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
        return PersonState(tuple(t[row].clone() for t in self._state), self._starts[row], self._next[row])

    def restore(self, person: Hashable, state: PersonState) -> None:
        """Go on with somebody as if there had been no break.

        Raises:
            ShapeError: somebody of that name is being watched, or the state is of another model.
        """
        if [t.shape for t in state.tensors] != [t.shape[1:] for t in self._state]:
            raise ShapeError("the state is of another model. Begin with the person anew.")
        row = self._add(person, state.start, state.next)
        for tensor, kept in zip(self._state, state.tensors, strict=True):
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
        if joints.shape != (len(rows), *self._joints_shape):
            raise ShapeError(f"expected joints {(len(rows), *self._joints_shape)}, got {tuple(joints.shape)}.")
        if len(set(rows)) < len(rows):
            raise ShapeError("somebody is named twice in one step.")
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            self._catch_up(row)
            groups[self._next[row]].append(index)
        answered, logits = list[Hashable](), list[Tensor]()
        for now, indices in sorted(groups.items()):
            indices.sort(key=lambda index: rows[index])
            found = self._advance_together(now, [rows[index] for index in indices], joints[indices])
            answered += found[0]
            logits.append(found[1])
        return answered, torch.cat(logits) if logits else joints.new_zeros(0, self._n_classes)

    @abstractmethod
    def _advance(self, now: int, rows: list[int], joints: Tensor) -> tuple[list[int], Tensor]:
        """Take in frame `now` (P, V, D + 1) of people who are in step; `rows` ascend.

        Returns:
            Rows that have a new answer, and their logits (N, n_classes).
        """

    @abstractmethod
    def _turn(self, row: int, frames: int) -> None:
        """Change what is remembered of somebody as if they had begun so many frames, whole beats, later."""

    @abstractmethod
    def _make_tensors(self, n_rows: int) -> list[Tensor]:
        """Make the state tensors, zero everywhere; a row each belongs to one person."""

    def _advance_together(self, now: int, rows: list[int], joints: Tensor) -> tuple[list[Hashable], Tensor]:
        answered, logits = self._advance(now, rows, joints)
        for row in rows:
            self._next[row] = now + 1
        self._clock = max(self._clock, now + 1)
        return [self._people[row] for row in answered], logits

    def _add(self, person: Hashable, start: int, following: int) -> int:
        if person in self._rows:
            raise ShapeError(f"{person!r} is being watched already.")
        row = len(self._people)
        if row == self.n_rows:
            self._make(max(4, 2 * row))
        for tensor in self._state:
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
        self._turn(row, late)
        self._starts[row] += late
        self._next[row] += late

    def _make(self, n_rows: int) -> None:
        """Make room for so many people; those who are there stay."""
        kept = [tensor[: len(self._people)] for tensor in self._state] if self._people else []
        self._n_rows, self._state = n_rows, self._make_tensors(n_rows)
        for tensor, old in zip(self._state, kept, strict=bool(kept)):
            tensor[: len(old)] = old


def as_slice(rows: list[int]) -> Rows:
    """Give ascending rows as a slice where they lie side by side: what is read by it is not copied."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
