"""Falls found and false alarms on real video, on people that the model has not seen.

Of GMDCSA24, which the shipped model has learnt from, each subject is judged by a risk model fitted without that
subject: one of those by which the fit itself judges people it has not seen. All other videos are judged by the bundle
itself, which has seen nothing of them: UP-Fall is never learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from har.bench.bounds_text import falls_text, rate_text
from har.bench.machine import describe_machine, measure_yardstick, physical_cores
from har.bench.recordings import PoseSettings, video_frames
from har.bench.replay import Judge, replay_frames
from har.clips import Clip, iterate_clips, read_clips
from har.config import Config
from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.models.risk import RiskModel
from har.models.shipped import find_bundle
from har.pose import BLAZEPOSE
from har.synth.clips import simulate_clips
from har.synth.life import simulate_fall_scenes, simulate_life
from har.synth.record_files import as_clip
from har.training.bounds import rate_interval
from har.training.extract import read_labels
from har.training.replay import Verdict, total
from har.training.risk import cut_risk_windows, fit_risk
from har.training.truth import Truth, TruthRow, read_truth, truth_of_rows

Say = Callable[[str], None]

SETS = Path(__file__).resolve().parent.parent / "training" / "sets"
N_SIMULATED, SIMULATED_SEED = 1600, 0
LIFE_HOURS, N_SCENES, RECORDED_SEED = 64.0, 1920, 1
"""The simulated clips and recordings of the shipped bundle's training; its card names them too."""
# What people do all through a daily-living video of UP-Fall, by its activity; the set is never trained on.
UPFALL_LABELS = {"A06": "walk", "A07": "stand", "A08": "sit", "A11": "lie"}


def bench_falls(
    *,
    data: Path,
    say: Say,
    model: str | None = None,
    train_on: Sequence[Path] = (),
    recordings: Sequence[Path] = (),
    rows: Sequence[TruthRow] = (),
    pose: str = BLAZEPOSE,
) -> dict[str, Any]:
    """Run the whole danger path over every video of a data folder with a truth file.

    Args:
        data: the folder that holds `fall_times.csv`.
        say: called with a line of progress.
        model: the bundle; None for the shipped one.
        train_on: clip sets that the folds learn from besides GMDCSA24.
        recordings: sets of long recordings that they learn from too, as `har train --recordings`; without either, they
            learn from the shipped bundle's simulated people.
        rows: only these rows of the truth file; all if empty.
        pose: the estimator.

    Returns:
        A result with a row a video and the totals.

    Raises:
        ConfigError: the data are not there, the bundle has no risk part, or a clip set is of UP-Fall.
    """
    rows = rows or read_truth(data / "fall_times.csv")
    yardstick = measure_yardstick()
    address = model or str(find_bundle().name)
    bundle = load_bundle(find_bundle(model))
    own = bundle.risk_model
    if own is None:
        raise ConfigError(f"bundle {bundle.model_id} has no risk part. Use one trained on clips that tell of falls.")
    say("fitting one risk model for each person left out")
    folds = _fit_folds(train_on, recordings, say=say) if any(_subject(row.source) for row in rows) else {}
    verdicts = []
    for number, row in enumerate(rows, 1):
        subject = _subject(row.source)
        name = f"without {subject}" if subject in folds else bundle.model_id
        judge = Judge(name, address, bundle, folds.get(subject, own), Config())
        frames = video_frames(data / row.source, pose=PoseSettings(name=pose))
        verdict = replay_frames(frames, judge, name=row.source, truth=_truth(row)).verdict
        assert verdict is not None
        verdicts.append(verdict)
        say(f"{number}/{len(rows)} {_in_short(row, verdict)}")
    return {
        "name": "falls",
        "machine": describe_machine(),
        "yardstick_gflops": yardstick,
        "model": bundle.model_id,
        "pose": pose,
        "rows": [_as_row(row, verdict) for row, verdict in zip(rows, verdicts, strict=True)],
        "totals": _totals(rows, verdicts, labels=bundle.labels),
    }


def _truth(row: TruthRow) -> Truth:
    """Give a row's truth; a daily-living video of UP-Fall is all of one label."""
    truth = truth_of_rows([row])
    expected = UPFALL_LABELS.get(Path(row.source).name[:3]) if row.source.startswith("upfall_video/") else None
    return truth if expected is None else Truth(truth.falls, ((0.0, row.end_s, expected),))


def _fit_folds(train_on: Sequence[Path], recordings: Sequence[Path], *, say: Say) -> dict[str, RiskModel]:
    """Fit risk models without each GMDCSA24 subject, on people of all sets; thresholds are chosen on all of them."""
    others: Iterable[Clip] = (clip for folder in train_on for clip in read_clips(folder))
    recorded: Iterable[Clip] = (clip for folder in recordings for clip in iterate_clips(folder))
    if not train_on and not recordings:
        others, recorded = simulate_clips(N_SIMULATED, seed=SIMULATED_SEED), _simulate_recordings()
    clips = [*_without_upfall(others), *read_clips(SETS / "gmdcsa24")]
    windows = cut_risk_windows(
        clips,
        _without_upfall(recorded),
        jobs=physical_cores(),
        tell=lambda hours: say(f"read {hours:.1f} h of recordings"),
    )
    assert windows is not None
    say("fitting risk models that each leave some people out")
    fit = fit_risk(windows)
    subjects = sorted({row.subject for row in read_labels(SETS / "gmdcsa24.csv") if row.subject})
    return {subject: fit.without(windows.subjects.index(subject)) for subject in subjects}


def _without_upfall(clips: Iterable[Clip]) -> Iterator[Clip]:
    for clip in clips:
        if "upfall" in f"{clip.id} {clip.source}".lower().replace("-", "").replace("_", "").replace(" ", ""):
            raise ConfigError(f"clip {clip.id!r} is of UP-Fall, which is measured on. Leave it out of --train-on.")
        yield clip


def _simulate_recordings() -> Iterator[Clip]:
    for recording in simulate_life(hours=LIFE_HOURS, seed=RECORDED_SEED):
        yield as_clip(recording, source=f"har synth life, seed {RECORDED_SEED}")
    for recording in simulate_fall_scenes(N_SCENES, seed=RECORDED_SEED):
        yield as_clip(recording, source=f"har synth falls, seed {RECORDED_SEED}")


def _subject(source: str) -> str:
    """Name the GMDCSA24 subject of a video; empty for any other video."""
    name = source.removeprefix("gmdcsa24_video/Subject ")
    return f"gmdcsa{name[0]}" if name != source else ""


def _as_row(row: TruthRow, verdict: Verdict) -> dict[str, Any]:
    found = verdict.falls[0] if verdict.falls else None
    share = [right_s / lasted_s for lasted_s, right_s in verdict.labels.values()] if not row.is_fall else []
    is_labelled = row.source.startswith("upfall_video/") and Path(row.source).name[:3] in UPFALL_LABELS
    delay_s = found.delay_s if found else None
    return {
        "source": row.source,
        "kind": row.kind,
        "model": verdict.model,
        "found": found.alert is not None if found else None,
        "delay_s": None if delay_s is None else round(delay_s, 2),
        "by_end": bool(found and found.alert and found.alert.by_end),
        "false_alerts": len(verdict.false_alerts),
        "false_alerts_at_s": [round(alert.at_s, 2) for alert in verdict.false_alerts],
        "floor_alerts": len(verdict.floor_alerts),
        "suspicions": verdict.suspicions,
        "label_share": (share[0] if share else 0.0) if is_labelled else None,
    }


def _totals(rows: Sequence[TruthRow], verdicts: Sequence[Verdict], *, labels: Sequence[str]) -> dict[str, Any]:
    daily = [verdict for row, verdict in zip(rows, verdicts, strict=True) if not row.is_fall]
    n_false = sum(len(verdict.false_alerts) for verdict in daily)
    hours = sum(verdict.duration_s for verdict in daily) / 3600.0
    figures = total(verdicts, known_labels=labels)
    figures["false_alerts_in_daily_living"] = n_false
    figures["minutes_of_daily_living"] = round(hours * 60, 1)
    figures["false_per_hour_of_daily_living_95"] = list(rate_interval(n_false, exposure=hours))
    figures["suspicions_in_daily_living"] = sum(verdict.suspicions for verdict in daily)
    figures["label_share_upfall"] = {label: share["right"] for label, share in figures.pop("label_share").items()}
    return figures


def _in_short(row: TruthRow, verdict: Verdict) -> str:
    what, late = row.kind, ""
    if verdict.falls:
        found = verdict.falls[0]
        what = "FALL MISSED" if found.alert is None else "fall found"
        late = " when the video ended" if found.alert is not None else ""
        late = f" {found.delay_s:.1f} s after the ground" if found.delay_s is not None else late
    false = f", {len(verdict.false_alerts)} FALSE" if verdict.false_alerts else ""
    return f"{row.source}: {what}{late}{false}"


def as_text(result: dict[str, Any]) -> str:
    """Write the totals for people."""
    figures = result["totals"]
    median_s, longest_s = figures["delay_median_s"], figures["delay_max_s"]
    delay = "-" if median_s is None else f"median {median_s:.1f} s, longest {longest_s:.1f} s"
    daily = f"{figures['false_alerts_in_daily_living']} in {figures['minutes_of_daily_living']} min of daily living"
    bounds = rate_text(figures["false_per_hour_of_daily_living_95"], per="hour")
    rows = {
        "falls found": falls_text(figures),
        "false alerts": f"{figures['false_alerts']}; {daily} ({bounds})",
        "floor alerts": figures["floor_alerts"],
        "suspicions": f"{figures['suspicions_in_daily_living']} in daily living, told as danger",
        "delay after ground": delay,
    }
    lines = [f"model {result['model']} on {result['machine']['processor']}"]
    lines += [f"{name:<20} {value}" for name, value in rows.items()]
    lines += [
        f"label on UP-Fall     {label}: right {share:.0%} of the time"
        for label, share in figures["label_share_upfall"].items()
    ]
    return "\n".join(lines)
