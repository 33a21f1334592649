"""Falls found and false alarms on real video, on people that the model has not seen.

Of GMDCSA24, which the shipped model has learnt from, each subject is judged by a risk model fitted without that
subject. All other videos are judged by the shipped bundle, which has seen nothing of them.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from har.alerts import DangerSettings
from har.bench.machine import describe_machine, measure_yardstick
from har.clips import read_clips
from har.errors import ConfigError
from har.models.actions import ActionScorer
from har.models.bundle import Bundle, load_bundle
from har.models.risk import RiskModel
from har.models.shipped import find_bundle
from har.pose import open_estimator
from har.pose.weights import cache_folder
from har.records import ActionEvent, AlertEvent, DangerEvent, Event, Pose, PoseFrame
from har.service.pipeline import Pipeline, PipelineSettings
from har.sources import open_source
from har.synth.clips import simulate_clips
from har.training.extract import read_labels
from har.training.risk import cut_risk_windows, fit_risk

Say = Callable[[str], None]

SETS = Path(__file__).resolve().parent.parent / "training" / "sets"
N_SIMULATED, SIMULATED_SEED = 700, 0
"""The simulated clips of the shipped bundle's training; its card names them too."""
MAX_PEOPLE = 2
FOUND_WITHIN_S = 10.0
# What people do all through a daily-living video of UP-Fall, by its activity; the set is never trained on.
UPFALL_LABELS = {"A06": "walk", "A07": "stand", "A08": "sit", "A11": "lie"}


@dataclass(frozen=True, slots=True)
class Truth:
    """One row of a truth file.

    Attributes:
        source: path of the video below the data folder.
        start_s: where the fall begins, seconds; NaN for a video without one.
        ground_s: where the body is down; NaN likewise.
        end_s: length of the video.
        kind: "fall", "daily" or "lying".
    """

    source: str
    start_s: float
    ground_s: float
    end_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one video was judged.

    Attributes:
        source: the video.
        kind: as in the truth file.
        model: what it was judged by.
        found: the fall was found; None where there is none.
        delay_s: the alert's time minus `ground_s`; None without an alert of its own.
        by_end: the alert came only because the video ended.
        false_alerts: alerts of kind fall or risk that are not the fall's first.
        floor_alerts: alerts of kind floor.
        suspicions: suspicions of kind fall or risk that began outside a fall.
        label_share: share of the time in which the action label was the one expected; None where none is.
    """

    source: str
    kind: str
    model: str
    found: bool | None
    delay_s: float | None
    by_end: bool
    false_alerts: int
    floor_alerts: int
    suspicions: int
    label_share: float | None


def bench_falls(*, data: Path, say: Say) -> dict[str, Any]:
    """Run the whole danger path over every video of a data folder with a truth file.

    Args:
        data: the folder that holds `fall_times.csv`.
        say: called with a line of progress.

    Returns:
        A result with a row a video and the totals.

    Raises:
        ConfigError: the data are not there.
    """
    truths = read_truth(data / "fall_times.csv")
    yardstick = measure_yardstick()
    bundle = load_bundle(find_bundle())
    shipped = bundle.risk_model()
    if shipped is None:
        raise ConfigError(f"bundle {bundle.model_id} has no risk part. Use one trained on clips that tell of falls.")
    say("fitting one risk model for each person left out")
    folds = _fit_folds()
    verdicts = []
    for number, truth in enumerate(truths, 1):
        subject = _subject(truth.source)
        frames = _pose_frames(data / truth.source)
        model = folds.get(subject, shipped)
        name = f"without {subject}" if subject in folds else bundle.model_id
        verdicts.append(_judge_video(truth, frames, bundle=bundle, risk=model, model=name))
        say(f"{number}/{len(truths)} {_in_short(verdicts[-1])}")
    return {
        "name": "falls",
        "machine": describe_machine(),
        "yardstick_gflops": yardstick,
        "model": bundle.model_id,
        "rows": [asdict(verdict) for verdict in verdicts],
        "totals": _totals(verdicts, truths),
    }


def read_truth(path: Path) -> list[Truth]:
    """Read a truth file: CSV with `source,start_s,ground_s,end_s,kind`.

    Raises:
        ConfigError: it is missing or a row does not fit.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_read_row(row, f"{path}, row {number}") for number, row in enumerate(csv.DictReader(file), 2)]
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Give the folder of the data sets with --data or HAR_DATA."
        ) from None


def _read_row(row: dict[str, str], where: str) -> Truth:
    try:
        return Truth(
            row["source"], _seconds(row["start_s"]), _seconds(row["ground_s"]), float(row["end_s"]), row["kind"]
        )
    except (KeyError, ValueError, TypeError):
        raise ConfigError(f"{where}: needs source,start_s,ground_s,end_s,kind with times in seconds.") from None


def _seconds(text: str) -> float:
    return float(text) if text else math.nan


def judge_events(events: Sequence[Event], truth: Truth) -> tuple[AlertEvent | None, int, int, int]:
    """Hold events against the truth.

    Returns:
        The alert that found the fall or None; the number of false alerts, of floor alerts, and of suspicions that
        began outside a fall.
    """
    raised = [e for e in events if isinstance(e, AlertEvent) and e.state == "raised" and e.change == "state"]
    found, false = None, 0
    for alert in (alert for alert in raised if alert.kind in ("fall", "risk")):
        if found is None and truth.start_s <= alert.source_time_s <= truth.ground_s + FOUND_WITHIN_S:
            found = alert
        else:
            false += 1
    floor = sum(alert.kind == "floor" for alert in raised)
    begun = [e.source_time_s for e in events if isinstance(e, DangerEvent) and e.phase == "new" and e.kind != "floor"]
    outside = sum(not truth.start_s <= time_s <= truth.ground_s + FOUND_WITHIN_S for time_s in begun)
    return found, false, floor, outside


def _fit_folds() -> dict[str, RiskModel]:
    """Fit a risk model for each GMDCSA24 subject on everybody else, the simulated people included."""
    clips = [*simulate_clips(N_SIMULATED, seed=SIMULATED_SEED), *read_clips(SETS / "gmdcsa24")]
    windows = cut_risk_windows(clips)
    assert windows is not None
    subjects = sorted({row.subject for row in read_labels(SETS / "gmdcsa24.csv") if row.subject})
    return {subject: fit_risk(windows.without(subject)).model for subject in subjects}


def _subject(source: str) -> str:
    """Name the GMDCSA24 subject of a video; empty for any other video."""
    name = source.removeprefix("gmdcsa24_video/Subject ")
    return f"gmdcsa{name[0]}" if name != source else ""


def _judge_video(truth: Truth, frames: Sequence[PoseFrame], *, bundle: Bundle, risk: RiskModel, model: str) -> Verdict:
    danger = DangerSettings(threshold=risk.threshold)
    pipeline = Pipeline("bench", actions=ActionScorer(bundle), risk=risk, model_id=bundle.model_id,
                        settings=PipelineSettings(danger=danger))  # fmt: skip
    events = [event for frame in frames for event in pipeline.update(frame)] + pipeline.finish()
    found, false, floor, suspicions = judge_events(events, truth)
    by_end = found is not None and found.change_reason == "source_ended"
    return Verdict(
        source=truth.source,
        kind=truth.kind,
        model=model,
        found=found is not None if truth.kind == "fall" else None,
        delay_s=None if found is None or by_end else round(found.source_time_s - truth.ground_s, 2),
        by_end=by_end,
        false_alerts=false,
        floor_alerts=floor,
        suspicions=suspicions,
        label_share=_label_share(events, truth),
    )


def _label_share(events: Sequence[Event], truth: Truth) -> float | None:
    """Share of the labelled time of the person seen first in which the label is the expected one."""
    name = Path(truth.source).name
    expected = UPFALL_LABELS.get(name[:3]) if truth.source.startswith("upfall_video/") else None
    if expected is None:
        return None
    actions = [event for event in events if isinstance(event, ActionEvent)]
    if not actions:
        return 0.0
    actions = [event for event in actions if event.person == actions[0].person]
    times = [*(event.source_time_s for event in actions), truth.end_s]
    lengths = np.diff(times)
    right = sum(length for event, length in zip(actions, lengths, strict=True) if event.label == expected)
    return float(right / max(lengths.sum(), 1e-6))


def _pose_frames(video: Path) -> list[PoseFrame]:
    """Give the poses of every frame of a video; kept in the user's cache, since finding them takes most of the time."""
    stat = video.stat()
    key = hashlib.sha256(f"{video.absolute()}:{stat.st_size}:{stat.st_mtime_ns}:{MAX_PEOPLE}".encode()).hexdigest()
    cached = cache_folder() / "bench" / f"{key[:24]}.npz"
    if cached.is_file():
        with np.load(cached, allow_pickle=False) as file:
            return _unpack(file["time_s"], file["joints"], file["size"])
    estimator = open_estimator("blazepose", max_people=MAX_PEOPLE)
    times, joints, size = [], [], (0, 0)
    try:
        with open_source(str(video), camera="bench", paced=False) as source:
            for frame in source.frames():
                size = (frame.image.shape[1], frame.image.shape[0])
                row = np.full((MAX_PEOPLE, 17, 3), np.nan, np.float32)
                for m, pose in enumerate(estimator.estimate(frame)[:MAX_PEOPLE]):
                    row[m, :, :2], row[m, :, 2] = pose.xy, pose.score
                times.append(frame.source_time_s)
                joints.append(row)
    finally:
        estimator.close()
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_name(f"{cached.stem}.partial.npz")
    np.savez_compressed(partial, time_s=np.array(times), joints=np.stack(joints), size=np.array(size))
    partial.replace(cached)
    return _unpack(np.array(times), np.stack(joints), np.array(size))


def _unpack(time_s: Any, joints: Any, size: Any) -> list[PoseFrame]:
    frames = []
    for t, row in zip(time_s.tolist(), joints, strict=True):
        poses = tuple(Pose(one[:, :2], one[:, 2]) for one in row if np.isfinite(one[:, 2]).all())
        frames.append(PoseFrame("bench", t, t, int(size[0]), int(size[1]), poses))
    return frames


def _totals(verdicts: Sequence[Verdict], truths: Sequence[Truth]) -> dict[str, Any]:
    falls = [verdict for verdict in verdicts if verdict.kind == "fall"]
    delays = [verdict.delay_s for verdict in falls if verdict.delay_s is not None]
    shares: dict[str, list[float]] = {}
    for verdict in verdicts:
        if verdict.label_share is not None:
            shares.setdefault(UPFALL_LABELS[Path(verdict.source).name[:3]], []).append(verdict.label_share)
    return {
        "falls": len(falls),
        "found": sum(bool(verdict.found) for verdict in falls),
        "missed": sum(not verdict.found for verdict in falls),
        "found_by_end_of_video": sum(verdict.by_end for verdict in falls),
        "false_alerts": sum(verdict.false_alerts for verdict in verdicts),
        "false_alerts_in_daily_living": sum(v.false_alerts for v in verdicts if v.kind != "fall"),
        "minutes_of_daily_living": round(sum(t.end_s for t in truths if t.kind != "fall") / 60, 1),
        "floor_alerts": sum(verdict.floor_alerts for verdict in verdicts),
        "suspicions_in_daily_living": sum(v.suspicions for v in verdicts if v.kind != "fall"),
        "delay_median_s": float(np.median(delays)) if delays else None,
        "delay_max_s": max(delays, default=None),
        "label_share_upfall": {label: round(float(np.mean(each)), 3) for label, each in sorted(shares.items())},
    }


def _in_short(verdict: Verdict) -> str:
    what = {True: "fall found", False: "FALL MISSED", None: verdict.kind}[verdict.found]
    late = f" {verdict.delay_s:.1f} s after the ground" if verdict.delay_s is not None else ""
    late = " when the video ended" if verdict.by_end else late
    false = f", {verdict.false_alerts} FALSE" if verdict.false_alerts else ""
    return f"{verdict.source}: {what}{late}{false}"


def as_text(result: dict[str, Any]) -> str:
    """Write the totals for people."""
    total = result["totals"]
    median_s, longest_s = total["delay_median_s"], total["delay_max_s"]
    delay = "-" if median_s is None else f"median {median_s:.1f} s, longest {longest_s:.1f} s"
    by_end = f"({total['found_by_end_of_video']} only when the video ended)"
    daily = f"({total['false_alerts_in_daily_living']} in {total['minutes_of_daily_living']} min of daily living)"
    rows = {
        "falls found": f"{total['found']} of {total['falls']} {by_end}",
        "false alerts": f"{total['false_alerts']} {daily}",
        "floor alerts": total["floor_alerts"],
        "suspicions": f"{total['suspicions_in_daily_living']} in daily living, told as danger",
        "delay after ground": delay,
    }
    lines = [f"model {result['model']} on {result['machine']['processor']}"]
    lines += [f"{name:<20} {value}" for name, value in rows.items()]
    lines += [
        f"label on UP-Fall     {label}: right {share:.0%} of the time"
        for label, share in total["label_share_upfall"].items()
    ]
    return "\n".join(lines)
