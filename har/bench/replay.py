"""Recordings through the very pipeline of the service, once for each model, held against the truth.

What is measured is what `har run --once` would tell of the same files: the same poses, pipeline and settings.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from har.bench.poses import find_poses
from har.bench.recordings import CAMERA, PoseSettings, Recording, load_frames
from har.config import Config
from har.errors import ConfigError
from har.models.actions import ActionStream
from har.models.bundle import Bundle
from har.models.risk import RiskModel
from har.records import Event, PoseFrame
from har.service.pipeline import Pipeline, PipelineSettings, Polygons
from har.training.replay import Moment, Verdict, as_alert, as_row, compare, gather_alerts, judge, total
from har.training.truth import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A model that recordings are replayed with.

    Attributes:
        name: what it is called in results.
        address: what `har run --model` calls it.
        bundle: names the actions.
        risk: the risk model; None for a bundle without one: then only the floor timer raises alerts.
        config: what a user may have set of danger.
        names_actions: False leaves the action network out.
    """

    name: str
    address: str
    bundle: Bundle
    risk: RiskModel | None
    config: Config
    names_actions: bool = True

    def pipeline(self, *, rest_zones: Polygons = ()) -> Pipeline:
        """Open a pipeline as the service does for one camera."""
        floor_after_s = self.config.danger.floor_after_s
        settings = PipelineSettings.of(self.config, risk=self.risk, floor_after_s=floor_after_s, rest_zones=rest_zones)
        return Pipeline(
            CAMERA,
            actions=ActionStream(self.bundle) if self.names_actions else None,
            risk=self.risk,
            model_id=self.bundle.model_id,
            settings=settings,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """One recording as one model saw it.

    Attributes:
        events: everything the service would have told.
        moments: everybody in view, frame by frame.
        verdict: against the truth; None where there is none.
    """

    events: tuple[Event, ...]
    moments: tuple[Moment, ...]
    verdict: Verdict | None


def watch(frames: Iterable[PoseFrame], pipeline: Pipeline) -> tuple[list[Event], list[Moment]]:
    """Run a recording through a pipeline to its end; give the events, and everybody in view at each frame."""
    events, moments = list[Event](), list[Moment]()
    for frame in frames:
        events += pipeline.update(frame)
        danger = pipeline.dangers()
        people = tuple((person, label, danger[person]) for person, _, label, _ in pipeline.people())
        moments.append(Moment(frame.source_time_s, people))
    return events + pipeline.finish(), moments


def replay_frames(frames: Sequence[PoseFrame], judge_: Judge, *, name: str, truth: Truth | None) -> Replayed:
    """Replay one recording with one model."""
    events, moments = watch(frames, judge_.pipeline())
    verdict = None
    if truth is not None:
        verdict = judge(events, truth, recording=name, model=judge_.name, duration_s=length_s(frames), moments=moments)
    return Replayed(tuple(events), tuple(moments), verdict)


def length_s(frames: Sequence[PoseFrame]) -> float:
    """Seconds from the first frame to the last."""
    return frames[-1].time_s - frames[0].time_s if frames else 0.0


Hear = Callable[[Recording, Sequence[PoseFrame], Sequence[Replayed]], None]
"""Called with each recording, its frames, and what each model made of it."""


def replay(
    recordings: Sequence[Recording],
    judges: Sequence[Judge],
    truths: Sequence[Truth] | None,
    *,
    pose: PoseSettings,
    jobs: int = 1,
    hear: Hear = lambda recording, frames, seen: None,
    tell: Callable[[Recording, float], None] = lambda recording, done_s: None,
) -> dict[str, Any]:
    """Replay recordings with one model or two.

    Args:
        recordings: what to replay.
        judges: the model, and the one to hold it against.
        truths: what happened in each recording; None where that is not known: then alerts are only listed.
        pose: how bodies are found in videos; done once for all models.
        jobs: videos whose poses are found at once, in processes of their own.
        hear: called after each recording.
        tell: called with a recording and how much of it is done, seconds.

    Returns:
        `models` with the totals of each, `rows` with a row for each recording and model, and `compare` for two.

    Raises:
        ConfigError: falls are to be counted with a model that has no risk part.
        SourceError: a recording cannot be read.
    """
    for judge_ in judges:
        if judge_.risk is None and truths is not None and any(truth.falls for truth in truths):
            raise ConfigError(
                f"{judge_.name} has no risk part, so it finds no falls: it was trained on clips that do not tell of "
                "danger. Give a model with one, or leave --truth out to see its labels and floor alerts."
            )
    find_poses(recordings, pose=pose, jobs=jobs, tell=tell)
    seen: list[list[Replayed]] = []
    lengths_s = []
    for number, recording in enumerate(recordings):
        frames = load_frames(recording, pose=pose, tell=lambda done_s, of=recording: tell(of, done_s))  # type: ignore[misc]
        truth = truths[number] if truths is not None else None
        seen.append([replay_frames(frames, judge_, name=recording.name, truth=truth) for judge_ in judges])
        lengths_s.append(length_s(frames))
        hear(recording, frames, seen[-1])
        tell(recording, lengths_s[-1])
    if truths is None:
        return {"models": {}, "rows": _event_rows(recordings, judges, seen, lengths_s)}
    columns = [[row[i].verdict for row in seen] for i in range(len(judges))]
    verdicts = [[verdict for verdict in column if verdict is not None] for column in columns]
    result: dict[str, Any] = {
        "models": {j.name: total(mine, known_labels=j.bundle.labels) for j, mine in zip(judges, verdicts, strict=True)},
        "rows": [as_row(verdict) for pair in zip(*verdicts, strict=True) for verdict in pair],
        "look_at": [
            line for judge_, mine in zip(judges, verdicts, strict=True) for line in _look_at(recordings, mine, judge_)
        ],
    }
    if len(judges) == 2:
        result["compare"] = compare(*verdicts)
    return result


def _event_rows(
    recordings: Sequence[Recording], judges: Sequence[Judge], seen: Sequence[Sequence[Replayed]],
    lengths_s: Sequence[float],
) -> list[dict[str, Any]]:  # fmt: skip
    return [
        {
            "recording": recording.name,
            "model": judge_.name,
            "duration_s": round(duration_s, 3),
            "alerts": [as_alert(alert) for alert in gather_alerts(one.events)],
        }
        for recording, each, duration_s in zip(recordings, seen, lengths_s, strict=True)
        for judge_, one in zip(judges, each, strict=True)
    ]


def _look_at(recordings: Sequence[Recording], verdicts: Sequence[Verdict], judge_: Judge) -> list[dict[str, Any]]:
    """List every miss and false alert of one model, with a command that shows it."""
    found = []
    for recording, verdict in zip(recordings, verdicts, strict=True):
        wrong = [("missed", fall.fall.ground_s, fall.fall.kind) for fall in verdict.falls if fall.alert is None]
        wrong += [("false alert", alert.at_s, alert.reason) for alert in verdict.false_alerts]
        for what, at_s, why in wrong:
            found.append(
                {"model": verdict.model, "what": what, "recording": recording.name, "at_s": round(at_s, 2), "why": why,
                 "command": command_to_look(recording, model=judge_.address)}
            )  # fmt: skip
    return found


def command_to_look(recording: Recording, *, model: str) -> str:
    """Give the command that shows what the service makes of a recording; nothing for a clip of a clip set."""
    if recording.clip is not None:
        return ""
    overlay = ["--overlay", f"{recording.path.stem}-seen.mp4"] if recording.is_video else []
    words = ["har", "run", "--once", "--source", str(recording.path), "--model", model, *overlay]
    return shlex.join(words)
