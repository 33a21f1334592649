"""Naming the actions of everybody in view of every camera, frame by frame."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch

from har.models.bundle import Bundle
from har.models.engines import Engine, torch_engine
from har.models.running import RunningBody
from har.models.unknown import UNKNOWN
from har.records import ActionScores, FloatArray

ANSWER_AFTER_S = 0.7
"""Less of somebody than this is too little to name an action from."""


@dataclass(slots=True, eq=False)
class _Watched:
    """One person: their body, and frames that the model has not seen yet.

    With each frame stands when it was complete, and how often answers had been asked for when it came.
    """

    body: RunningBody
    frames: deque[tuple[float, FloatArray, int]] = field(default_factory=deque)


Answer: TypeAlias = tuple[Hashable, float, ActionScores]
"""Who, at what capture time, and what they do."""


class ActionStream:
    """A bundle's action network, and what it remembers of everybody in view.

    Poses are shown to it as they come; `answers` then takes one step for all of them together. Somebody who is not
    seen for longer than a gap that can be bridged, or whose clock is set back, begins anew.

    Args:
        bundle: a verified bundle that can run live.
        engine: the bundle on what computes it; None for torch.
    """

    def __init__(self, bundle: Bundle, *, engine: Engine | None = None) -> None:
        # A best label with a lower probability is not named.
        self._unknown_below = bundle.unknown.threshold if bundle.unknown else 0.0
        self._labels, self._rate_hz, self._layout = bundle.labels, bundle.rate_hz, bundle.config.layout
        self._engine = engine or torch_engine(bundle)
        self._people: dict[Hashable, _Watched] = {}
        self._n_calls = 0  # of `answers`
        self._model = self._engine()

    def __len__(self) -> int:
        return len(self._people)

    def see(
        self, person: Hashable, joints: FloatArray, *, time_s: float, width_px: int | None, height_px: int | None
    ) -> None:
        """Take in one pose of somebody.

        Args:
            person: who, among all cameras.
            joints: (V, 3) x, y in pixels and score; NaN or score 0 where not seen.
            time_s: capture time.
            width_px: width of the picture.
            height_px: its height.
        """
        watched = self._people.get(person)
        if watched is not None and watched.body.breaks_at(time_s):
            self.forget(person)
            watched = None
        repeated = 0
        if watched is None:
            watched = _Watched(RunningBody(rate_hz=self._rate_hz, layout=self._layout))
            repeated = self._model.enter(person)  # times, so that they are in step with everybody else
            self._people[person] = watched
        frames = watched.body.take(time_s, joints, width_px=width_px, height_px=height_px)
        watched.frames.extend((time_s, frame, self._n_calls) for frame in frames[:1] * repeated + frames)

    def forget(self, person: Hashable) -> None:
        """Forget somebody; nothing happens if nobody of that name is known."""
        self._people.pop(person, None)
        if person in self._model:
            self._model.leave(person)

    def answers(self, *, wait: bool = False) -> list[Answer]:
        """Show the model what has been seen since the last call, everybody who is in step together.

        Args:
            wait: keep back, until the next call at most, what those who are in step have not all shown yet. People of
                cameras whose frames do not come at the same moment then share their steps.

        Returns:
            An answer for each beat that somebody completed, each person's in order of time. Where the label is
            "unknown", `score` and `top` are those of the labels it might have been.
        """
        answers: list[Answer] = []
        while people := self._ready(wait=wait):
            taken = {person: self._people[person].frames.popleft() for person in people}
            frames = np.stack([frame for _, frame, _ in taken.values()])  # (P, V, 3)
            answered, logits = self._model.step(people, torch.from_numpy(frames))
            for person, scores in zip(answered, torch.softmax(logits, dim=-1).tolist(), strict=True):
                if self._model.seen(person) >= ANSWER_AFTER_S * self._rate_hz:
                    answers.append((person, taken[person][0], self._name(scores)))
        self._n_calls += 1
        return answers

    @property
    def keeps_back(self) -> bool:
        """Whether there is something to be shown to the model."""
        return any(watched.frames for watched in self._people.values())

    def _ready(self, *, wait: bool) -> list[Hashable]:
        """Give people who are in step and whose next frame is to be shown to the model now."""
        in_step, shown = Counter[int](), defaultdict[int, list[Hashable]](list)
        for person, watched in self._people.items():
            now = self._model.next_frame(person)
            in_step[now] += 1
            if watched.frames:
                shown[now].append(person)
        for now, people in sorted(shown.items()):
            has_waited = any(self._people[person].frames[0][2] < self._n_calls for person in people)
            if not wait or has_waited or len(people) == in_step[now]:
                return people
        return []

    def reset(self) -> None:
        """Forget everybody."""
        self._people, self._model = {}, self._engine()

    def _name(self, scores: list[float]) -> ActionScores:
        ranked = sorted(zip(self._labels, scores, strict=True), key=lambda item: -item[1])
        best, score = ranked[0]
        label = UNKNOWN if score < self._unknown_below else best
        return ActionScores(label, score, tuple(ranked), unknown_below=self._unknown_below)
