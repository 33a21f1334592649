"""Naming the actions of windows with a bundle's network."""

from __future__ import annotations

import torch

from har.models.bundle import Bundle
from har.models.folded import FoldedModel
from har.models.unknown import UNKNOWN
from har.records import ActionScores, FloatArray
from har.windows import normalise


class ActionScorer:
    """A bundle's action network, ready for the windows of everybody in view.

    Args:
        bundle: a verified bundle.

    Attributes:
        n_frames: frames of a window.
        rate_hz: frames per second of a window.
        model_id: "name@sha".
        unknown_below: a best label with a lower probability is not named; 0 for a bundle without such a threshold.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.n_frames = bundle.window_frames
        self.rate_hz = bundle.rate_hz
        self.model_id = bundle.model_id
        self.unknown_below = bundle.unknown.threshold if bundle.unknown else 0.0
        self._labels = bundle.labels
        self._layout = bundle.config.layout
        self._model = FoldedModel(bundle.model)

    def score(self, joints: FloatArray) -> list[ActionScores]:
        """Name the action of each window.

        Args:
            joints: (N, T, V, 3) x, y in pixels and score, NaN where nothing is known.

        Returns:
            N answers; where the label is "unknown", `score` and `top` are those of the labels it might have been.
        """
        with torch.inference_mode():
            logits = self._model(torch.from_numpy(normalise(joints, layout=self._layout)))  # (N, n_labels)
            scores = torch.softmax(logits, dim=-1)
        answers = []
        for row in scores.tolist():
            ranked = sorted(zip(self._labels, row, strict=True), key=lambda item: -item[1])
            best, score = ranked[0]
            label = UNKNOWN if score < self.unknown_below else best
            answers.append(ActionScores(label, score, tuple(ranked), unknown_below=self.unknown_below))
        return answers
