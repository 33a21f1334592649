"""What the pipeline tells of a person whose action the model is not sure of."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from har.models.unknown import UNKNOWN
from har.records import ActionEvent, ActionScores, FloatArray
from har.service.pipeline import Pipeline
from tests.builders import frames_of, standing_body

SURE, UNSURE = (("walk", 0.9), ("sit", 0.1)), (("walk", 0.45), ("sit", 0.4))


class Doubting:
    """An action model that is as sure as it is told to be, call by call; the last answer stays."""

    def __init__(self, answers: Iterable[tuple[tuple[str, float], ...]], *, unknown_below: float) -> None:
        self._answers, self._unknown_below = list(answers), unknown_below
        self._n_seen, self._due = 0, list[tuple[Hashable, float]]()

    def see(self, person: Hashable, joints: FloatArray, *, time_s: float, **size_px: int | None) -> None:
        self._n_seen += 1
        self._due += [(person, time_s)] if self._n_seen % 4 == 0 else []

    def forget(self, person: Hashable) -> None:
        raise AssertionError("nobody leaves")

    def answers(self) -> list[tuple[Hashable, float, ActionScores]]:
        due, self._due = self._due, []
        if not due:
            return []
        top = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        label = UNKNOWN if top[0][1] < self._unknown_below else top[0][0]
        scores = ActionScores(label, top[0][1], top, unknown_below=self._unknown_below)
        return [(person, time_s, scores) for person, time_s in due]


def told(model: Doubting, *, duration_s: float = 12.0) -> list[ActionEvent]:
    pipeline = Pipeline("hall", actions=model, risk=None, model_id="test@0")
    frames = frames_of(lambda at_s: standing_body(x_px=300.0), duration_s=duration_s)
    events = [event for frame in frames for event in pipeline.update(frame)]
    return [event for event in events if isinstance(event, ActionEvent)]


def test_unknown_is_told_like_any_label_with_what_it_might_be() -> None:
    events = told(Doubting([SURE] * 8 + [UNSURE] * 12 + [SURE], unknown_below=0.6))

    assert [event.label for event in events] == ["walk", UNKNOWN, "walk"]
    assert events[1].score < 0.6
    assert events[1].top[0][0] == "walk"


def test_one_doubtful_window_among_sure_ones_is_not_told() -> None:
    events = told(Doubting([SURE] * 8 + [UNSURE] + [SURE], unknown_below=0.6))

    assert [event.label for event in events] == ["walk"]


def test_a_bundle_without_a_threshold_names_a_label_whatever_it_sees() -> None:
    events = told(Doubting([SURE] * 8 + [UNSURE], unknown_below=0.0))

    assert [event.label for event in events] == ["walk"]
