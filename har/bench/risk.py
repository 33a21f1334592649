"""The risk model against plainer and richer ones, all judged alike on people they have not seen.

Compared are the model that is served (principal components and a linear classifier), the same without components, a
support vector machine with a radial kernel, and the action network's own "fall" label. Each is judged window by window
(log loss, calibration, AUC) and through the alert rule in time order: falls found while no false alert is raised, and
suspicions an hour at equal recall. Nothing of UP-Fall or Le2i is ever learnt from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from har.bench.machine import describe_machine, measure_yardstick
from har.bench.risk_sets import LE2I_FILE, le2i_clips, upfall_clips
from har.clips import Clip, read_clips
from har.errors import ConfigError
from har.models.bundle import Bundle, load_bundle
from har.models.folded import FoldedModel
from har.models.risk import fit_with_folds, split_by_subject
from har.models.risk_features import Array
from har.models.shipped import find_bundle
from har.synth.clips import simulate_clips
from har.training.bounds import share_interval
from har.training.metrics import calibration_error
from har.training.report import charts
from har.training.risk import RiskWindows, Stream, cut_risk_windows
from har.training.risk.budget import Tally, count, play
from har.training.risk.components import choose_components
from har.training.risk.pictures import draw_components, draw_curves
from har.training.risk.streams import read_streams
from har.training.risk.windows import window_truth
from har.windows import normalise, resample

Say = Callable[[str], None]
Judge = Callable[[Array], Array]

SETS = Path(__file__).resolve().parent.parent / "training" / "sets"
N_LEARN, LEARN_SEED = 200, 0
N_UNSEEN, UNSEEN_SEED = 100, 5_000_001
SVM_ROWS = 5_000
"""Windows that the support vector machine learns from: its cost grows with their square."""
RECALL = 0.9
_N_THRESHOLDS = 24
_PENALTY = 0.3
_MIN_CHANCE = 1e-6

SERVED, PLAIN, KERNEL, NETWORK = "PCA + linear", "linear, no PCA", "RBF-SVM", "action network's fall label"


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Streams with a probability of danger for each reading."""

    streams: Sequence[Stream]
    probability: Sequence[Array]


def bench_risk(
    *, say: Say, data: Path | None = None, model: str | None = None, n_learn: int = N_LEARN, n_unseen: int = N_UNSEEN
) -> dict[str, Any]:
    """Compare classifiers of danger on people that they have not seen.

    Args:
        say: called with a line of progress.
        data: the folder of the data sets, for UP-Fall and Le2i; None leaves them out.
        model: the bundle whose action network is compared; None for the shipped one.
        n_learn: simulated clips to learn from, beside GMDCSA24.
        n_unseen: simulated clips of other people to judge by.

    Returns:
        A result with a row for each set and classifier.

    Raises:
        ConfigError: the bundle cannot be found.
    """
    bundle = load_bundle(find_bundle(model))
    say(f"simulating and cutting {n_learn} clips to learn from")
    learnt = _cut([*simulate_clips(n_learn, seed=LEARN_SEED), *read_clips(SETS / "gmdcsa24")])
    sets = _sets_to_judge(learnt, data=data, n_unseen=n_unseen, say=say)
    rows: list[dict[str, Any]] = []
    for name, judged, learners in sets:
        for method in (SERVED, PLAIN, KERNEL):
            say(f"{name}: {method}")
            rows.append(_row(name, method, _judge_streams(judged, learners, method)))
        knows = _is_known(bundle, judged)
        if not knows:
            say(f"{name}: {NETWORK}")
            rows.append(_row(name, f"{NETWORK} ({bundle.model_id})", _ask_network(bundle, judged)))
    weight = learnt.weight
    n_components, trials = choose_components(learnt.features, learnt.danger, learnt.subject, weight, c=_PENALTY)
    result = {
        "name": "risk",
        "machine": describe_machine(),
        "yardstick_gflops": measure_yardstick(),
        "model": bundle.model_id,
        "recall": RECALL,
        "n_components": n_components,
        "components_tried": [asdict(trial) for trial in trials],
        "rows": rows,
    }
    if data is not None and (data / LE2I_FILE).is_file():
        say("Le2i windows")
        result["le2i"] = _judge_le2i(learnt, data)
    return result


Learner = tuple[RiskWindows, int | None]
"""What is learnt from, and the number of the person it is for; None for everybody."""


def _sets_to_judge(
    learnt: RiskWindows, *, data: Path | None, n_unseen: int, say: Say
) -> list[tuple[str, list[Stream], list[Learner]]]:
    """Give each set to be judged with what is learnt from for whom of it."""
    folds: list[Learner] = []
    real = [stream for stream in learnt.streams if not _is_simulated(stream)]
    for subject in sorted({stream.subject for stream in real}):
        folds.append((learnt.without(learnt.subjects[subject]), subject))
    sets = [("GMDCSA24, person left out", real, folds)]
    everybody: list[Learner] = [(learnt, None)]
    say(f"simulating {n_unseen} clips of other people")
    unseen = read_streams(list(simulate_clips(n_unseen, seed=UNSEEN_SEED)))
    sets.append(("simulated people of another seed", unseen, everybody))
    if data is not None and (data / "fall_times.csv").is_file():
        say("UP-Fall: reading poses")
        sets.append(("UP-Fall, set left out", read_streams(upfall_clips(data)), everybody))
    return sets


def _cut(clips: Sequence[Clip]) -> RiskWindows:
    windows = cut_risk_windows(clips)
    if windows is None:
        raise ConfigError("the clips hold no falls and daily living of two people each. Give more clips.")
    return windows


def _is_simulated(stream: Stream) -> bool:
    return stream.clip.id.startswith("sim-")


def _is_known(bundle: Bundle, streams: Sequence[Stream]) -> bool:
    """Say whether the bundle's network has learnt from these very clips: GMDCSA24 is in every shipped bundle."""
    return (
        any("gmdcsa" in (stream.clip.subject or "").lower() for stream in streams) and "gmdcsa" in bundle.card.lower()
    )


def _judge_streams(streams: Sequence[Stream], learners: Sequence[Learner], method: str) -> _Judged:
    """Judge every reading by a classifier that saw nothing of the person."""
    probability: dict[int, Array] = {}
    for windows, subject in learners:
        judge = _learn(windows, method)
        for number, stream in enumerate(streams):
            if subject is None or stream.subject == subject:
                probability[number] = _ask(stream, judge)
    return _Judged(streams, [probability[number] for number in range(len(streams))])


def _ask(stream: Stream, judge: Judge) -> Array:
    rows = [reading.features for reading in stream.readings]
    known = [number for number, row in enumerate(rows) if row is not None]
    answer = np.full(len(rows), np.nan)
    if known:
        answer[known] = judge(np.stack([row for row in rows if row is not None]))
    return answer


def _learn(windows: RiskWindows, method: str) -> Judge:
    """Fit a classifier whose probability is calibrated on people it did not see."""
    features, danger, subject, weight = windows.features, windows.danger, windows.subject, windows.weight
    if method == KERNEL:
        return _learn_kernel(windows)
    n_components = features.shape[1]
    if method == SERVED:
        n_components = choose_components(features, danger, subject, weight, c=_PENALTY)[0]
    fit = fit_with_folds(features, danger, subject, n_components=n_components, c=_PENALTY, weight=weight)
    return fit.model.probability


def _learn_kernel(windows: RiskWindows) -> Judge:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    others = np.flatnonzero(~windows.danger)
    every = max(int(np.ceil(len(others) / max(SVM_ROWS - int(windows.danger.sum()), 1))), 1)
    rows = np.sort(np.concatenate([np.flatnonzero(windows.danger), others[::every]]))
    features, danger, subject = windows.features[rows], windows.danger[rows], windows.subject[rows]
    weight = windows.weight[rows] * np.where(danger, 1.0, float(every))

    def fit(part: npt.NDArray[np.intp]) -> Any:
        machine = make_pipeline(StandardScaler(), SVC(C=1.0, class_weight="balanced"))
        return machine.fit(features[part], danger[part], svc__sample_weight=weight[part])

    margin = np.full(len(rows), np.nan)
    for train, test in split_by_subject(danger, subject, at_most=3):
        margin[test] = fit(train).decision_function(features[test])
    known = np.isfinite(margin)
    sigmoid = LogisticRegression(C=1e4).fit(margin[known, None], danger[known], sample_weight=weight[known])
    final = fit(np.arange(len(rows)))
    return lambda asked: np.asarray(sigmoid.predict_proba(final.decision_function(asked)[:, None])[:, 1])


def _ask_network(bundle: Bundle, streams: Sequence[Stream]) -> _Judged:
    """Take the action network's probability of "fall" for danger."""
    if "fall" not in bundle.labels:
        raise ConfigError(f"{bundle.model_id} knows no label 'fall': {', '.join(bundle.labels)}. Name another bundle.")
    model, fall = FoldedModel(bundle.model), bundle.labels.index("fall")
    answers = []
    for stream in streams:
        answer = np.full(len(stream.readings), np.nan)
        known = [number for number, reading in enumerate(stream.readings) if reading.features is not None]
        if known:
            windows = np.stack([_action_window(stream, stream.readings[number].time_s, bundle) for number in known])
            with torch.inference_mode():
                logits = model(torch.from_numpy(normalise(windows, layout=bundle.config.layout)))
            answer[known] = torch.softmax(logits, dim=-1)[:, fall].numpy()
        answers.append(answer)
    return _Judged(streams, answers)


def _action_window(stream: Stream, end_s: float, bundle: Bundle) -> Any:
    clip, n_frames, rate_hz = stream.clip, bundle.window_frames, bundle.rate_hz
    inside = (clip.time_s <= end_s) & (clip.time_s >= end_s - n_frames / rate_hz - 0.5)
    return resample(clip.time_s[inside], clip.joints[inside, stream.person], rate_hz=rate_hz, end_s=end_s,
                    n_frames=n_frames, width_px=clip.width_px, height_px=clip.height_px)  # fmt: skip


def _row(name: str, method: str, judged: _Judged) -> dict[str, Any]:
    """Judge a classifier window by window and through the alert rule."""
    from sklearn.metrics import log_loss, roc_auc_score

    chance, danger = _windows_of(judged)
    two = np.stack([1 - chance, chance], axis=1)
    tallies = _sweep(judged, chance)
    quiet = max((t for t in tallies if not t.false_alerts), key=lambda t: (t.found, -t.suspicions), default=None)
    enough = [t for t in tallies if t.found >= RECALL * t.falls]
    steady = min(enough, key=lambda t: (t.suspicions, t.false_alerts), default=None)
    hours = tallies[0].daily_h
    return {
        "set": name,
        "classifier": method,
        "windows": len(danger),
        "falls": tallies[0].falls,
        "daily_h": round(hours, 3),
        "log_loss": float(log_loss(danger, chance, labels=[False, True])),
        "auc": float(roc_auc_score(danger, chance)),
        "ece": calibration_error(two, danger.astype(np.int64)),
        "found_without_false_alert": None if quiet is None else quiet.found,
        "found_without_false_alert_95": None if quiet is None else list(share_interval(quiet.found, quiet.falls)),
        "suspicions_per_h_at_recall": None if steady is None else steady.suspicions / max(hours, 1e-9),
        "curve": sorted([t.suspicions / max(hours, 1e-9), t.found / max(t.falls, 1)] for t in tallies),
        "false_alerts_per_h_at_recall": None if steady is None else steady.false_alerts / max(hours, 1e-9),
    }


def _windows_of(judged: _Judged) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Give the probabilities and the truth of all windows that are clearly the one or the other."""
    chances, truths = [], []
    for stream, answers in zip(judged.streams, judged.probability, strict=True):
        for reading, chance in zip(stream.readings, answers.tolist(), strict=True):
            truth = window_truth(reading.time_s, stream.falls)
            if truth is not None and chance == chance:  # not NaN
                chances.append(chance)
                truths.append(truth >= 0)
    return np.clip(np.array(chances), _MIN_CHANCE, 1 - _MIN_CHANCE), np.array(truths)


def _sweep(judged: _Judged, chance: Array) -> list[Tally]:
    """Play the alert rule, confirmed by staying down alone, at thresholds spread over what the classifier says."""
    shares = 1 - np.geomspace(0.5, 0.001, _N_THRESHOLDS)
    tallies = []
    for threshold in np.unique(np.clip(np.quantile(chance, shares), 1e-6, 1 - 1e-6)).tolist():
        suspicions = [
            play(stream, answers, threshold=threshold)
            for stream, answers in zip(judged.streams, judged.probability, strict=True)
        ]
        tallies.append(count(judged.streams, suspicions))
    return tallies


def _judge_le2i(learnt: RiskWindows, data: Path) -> dict[str, Any]:
    """Tell falls from daily living in windows of another set: the highest danger in each."""
    from sklearn.metrics import roc_auc_score

    clips = le2i_clips(data)
    streams = read_streams([clip for clip, _ in clips])
    fell = {clip.id: is_fall for clip, is_fall in clips}
    result: dict[str, Any] = {"windows": len(clips), "falls": sum(fell.values()), "auc": {}}
    for method in (SERVED, PLAIN, KERNEL):
        judge = _learn(learnt, method)
        highest = {stream.clip.id: float(np.nanmax(_ask(stream, judge), initial=0.0)) for stream in streams}
        order = sorted(highest)
        result["auc"][method] = float(roc_auc_score([fell[i] for i in order], [highest[i] for i in order]))
    return result


def as_page(result: Mapping[str, Any]) -> str:
    """Write the comparison as a page: a picture for each set, the components of the served model, and the table."""
    style = (Path(charts.__file__).parent / "style.css").read_text(encoding="utf-8")
    parts = [f"<!doctype html><meta charset=utf-8><title>Risk models compared</title><style>{style}</style>"]
    parts.append("<h1>Risk models compared</h1>")
    for name in dict.fromkeys(row["set"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["set"] == name]
        parts.append(f"<h2>{escape(name)}</h2>{draw_curves(rows, title=name)}")
    if components := draw_components(result):
        parts.append(f"<h2>Principal components of the served model</h2>{components}")
    return "".join([*parts, f"<h2>Table</h2><pre>{escape(as_text(result))}</pre>"])


def as_text(result: Mapping[str, Any]) -> str:
    """Write the comparison for people."""
    lines = [
        f"{'classifier':<44}{'log loss':>9}{'ECE':>7}{'AUC':>7}{'found, no false':>17}{'susp./h':>9}{'false/h':>9}"
    ]
    for name in dict.fromkeys(row["set"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["set"] == name]
        first = rows[0]
        lines.append(f"{name}: {first['falls']} falls, {first['daily_h'] * 60:.0f} min of daily living")
        lines += [_line(row) for row in rows]
    if le2i := result.get("le2i"):
        aucs = ", ".join(f"{method} {auc:.3f}" for method, auc in le2i["auc"].items())
        lines.append(f"Le2i, {le2i['windows']} windows of 3 s, {le2i['falls']} falls: AUC {aucs}")
    lines.append(
        f"found, no false: falls found at the threshold with most of them and no false alert; susp./h and false/h: "
        f"at a recall of {result['recall']:.0%}. All confirmed by staying down alone."
    )
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    found = "-" if row["found_without_false_alert"] is None else f"{row['found_without_false_alert']} of {row['falls']}"
    rates = [row["suspicions_per_h_at_recall"], row["false_alerts_per_h_at_recall"]]
    shown = "".join(f"{'-' if rate is None else f'{rate:.0f}':>9}" for rate in rates)
    return f"  {row['classifier']:<42}{row['log_loss']:>9.3f}{row['ece']:>7.3f}{row['auc']:>7.3f}{found:>17}{shown}"
