"""Naming the actions of everybody in view of every camera, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import torch

from har.models.bundle import Bundle
from har.models.folded import FoldedModel
from har.models.online import OnlineModel
from har.models.running import RunningBody
from har.models.unknown import UNKNOWN
from har.records import ActionScores, FloatArray


@dataclass(slots=True, eq=False)
class _Watched:
    """One person: their body, and frames that the model has not seen yet."""

    body: RunningBody
    frames: deque[FloatArray] = field(default_factory=deque)


class ActionStream:
    """A bundle's action network, and what it remembers of everybody in view.

    Poses are shown to it as they come; `answers` then takes one step for all of them together. Somebody who is not
    seen for longer than a gap that can be bridged, or whose clock is set back, begins anew.

    Args:
        bundle: a verified bundle that can run live.

    Attributes:
        model_id: "name@sha".
        unknown_below: a best label with a lower probability is not named; 0 for a bundle without such a threshold.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.model_id = bundle.model_id
        self.unknown_below = bundle.unknown.threshold if bundle.unknown else 0.0
        self._labels, self._rate_hz, self._layout = bundle.labels, bundle.rate_hz, bundle.config.layout
        # A bundle that averages all outputs of a window averages as many of a stream.
        self._folded = FoldedModel(bundle.model, pool_at_most=bundle.window_frames // bundle.config.stride)
        self._model = OnlineModel(self._folded)
        self._people: dict[Hashable, _Watched] = {}

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
        new = watched is None
        if watched is None:
            watched = self._people[person] = _Watched(RunningBody(rate_hz=self._rate_hz, layout=self._layout))
        frames = watched.body.take(time_s, joints, width_px=width_px, height_px=height_px)
        if new:
            frames = frames[:1] * self._model.enter(person) + frames  # in step with everybody else from here on
        watched.frames.extend(frames)

    def forget(self, person: Hashable) -> None:
        """Forget somebody; nothing happens if nobody of that name is known."""
        if self._people.pop(person, None) is not None:
            self._model.leave(person)

    def answers(self) -> list[tuple[Hashable, ActionScores]]:
        """Show the model what has been seen since the last call, everybody together.

        Returns:
            Who, and what they do: one answer for each beat that somebody completed, in order of time. Where the label
            is "unknown", `score` and `top` are those of the labels it might have been.
        """
        answers = []
        while people := [person for person, watched in self._people.items() if watched.frames]:
            frames = np.stack([self._people[person].frames.popleft() for person in people])  # (P, V, 3)
            answered, logits = self._model.step(people, torch.from_numpy(frames))
            for person, scores in zip(answered, torch.softmax(logits, dim=-1).tolist(), strict=True):
                answers.append((person, self._name(scores)))
        return answers

    def reset(self) -> None:
        """Forget everybody."""
        self._people, self._model = {}, OnlineModel(self._folded)

    def _name(self, scores: list[float]) -> ActionScores:
        ranked = sorted(zip(self._labels, scores, strict=True), key=lambda item: -item[1])
        best, score = ranked[0]
        label = UNKNOWN if score < self.unknown_below else best
        return ActionScores(label, score, tuple(ranked), unknown_below=self.unknown_below)
