"""How well a bundle names the actions of clips it has not learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from har.clips import Clip
from har.errors import ClipError
from har.models.bundle import Bundle, load_bundle
from har.training.answers import score_windows
from har.training.dataset import WindowSet, cut_windows, labels_of
from har.training.metrics import (
    calibration_curve,
    refusal,
    risk_coverage,
    score_metrics,
    separation,
    wilson_interval,
)
from har.training.recipe import Recipe
from har.training.splits import find_copied, split_clips, split_notes

Scores = npt.NDArray[np.floating[Any]]

CUT_BY = ("label_delay_s", "max_gap_s", "min_pose_share", "length", "persons", "facing")
"""What norm.json of a bundle tells of how its windows are cut: fields of a recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a bundle answered, window by window.

    Attributes:
        windows: what it was asked.
        scores: (N, K) probabilities.
    """

    windows: WindowSet
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """The same answers, the windows of one stretch of one label in one clip taken together.

    Attributes:
        scores: (S, K) mean probabilities.
        labels: (S,) true labels, index into the windows' names.
        clip: (S,) index into the windows' clip ids.
        segment: (S,) number of the stretch.
    """

    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    clip: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]


def evaluate(bundle: Bundle | Path | str, clips: Sequence[Clip], *, split: str | None = None) -> dict[str, Any]:
    """Judge a bundle on the right side of a split.

    Args:
        bundle: a bundle or its path.
        clips: a clip set.
        split: a stored split's name or a rule, see `split_clips`; None judges all clips.

    Returns:
        The keys of `describe`, "notes": what a person should know of the split, and "without_copies": {n, top1} of the
        clips whose very joints do not stand on the left side of the split too, None where there are no such.

    Raises:
        ConfigError: the split does not fit the clips.
        ClipError: there is nothing to judge.
        BundleError: the bundle does not verify.
    """
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    judged = judged_clips(clips, split)
    answers = answer(bundle, judged)
    return describe(bundle, judged, answers, split=split) | describe_split(clips, split, answers)


def describe_split(clips: Sequence[Clip], split: str | None, answers: Answers) -> dict[str, Any]:
    """Say what a person should know of a split, and what the accuracy is without its copies.

    Args:
        clips: both sides.
        split: see `split_clips`.
        answers: to the clips on the right side.

    Returns:
        "notes" and "without_copies" of `evaluate`.
    """
    if split is None:
        return {"notes": [], "without_copies": None}
    notes, copied = split_notes(clips, split), find_copied(clips, split)
    ids = np.array(answers.windows.clip_ids)[answers.windows.clip]
    own = ~np.isin(ids, sorted(copied))
    if not copied or not own.any():
        return {"notes": notes, "without_copies": None}
    top1 = float((answers.scores.argmax(axis=1) == answers.windows.labels)[own].mean())
    notes.append(f"without these copies: {top1:.1%} of {own.sum()} right.")
    return {"notes": notes, "without_copies": {"n": int(own.sum()), "top1": top1}}


def judged_clips(clips: Sequence[Clip], split: str | None) -> list[Clip]:
    """Give the clips to judge by: the right side of a split, or all.

    Raises:
        ConfigError: the split does not fit the clips.
        ClipError: there is no clip, or none with a label.
    """
    if not clips:
        raise ClipError("the clip set is empty, there is nothing to judge by. Give one with labelled clips.")
    judged = list(clips) if split is None else split_clips(clips, split)[1]
    if not any(map(labels_of, judged)):
        raise ClipError(
            f"none of the {len(judged)} clips bears a label, so no answer can be judged. Write `label` or `spans` into "
            "clips.jsonl (or give --label to `har extract`)."
        )
    return judged


def answer(bundle: Bundle, clips: Sequence[Clip], *, names: Sequence[str] | None = None) -> Answers:
    """Ask a bundle what is done in clips.

    Args:
        bundle: the bundle.
        clips: the clips.
        names: labels whose windows are asked for; the bundle's own if None.
    """
    windows = cut_windows(clips, bundle_recipe(bundle), names=bundle.labels if names is None else names)
    if not len(windows):
        return Answers(windows, np.zeros((0, len(bundle.labels)), dtype=np.float32))
    return Answers(windows, score_windows(bundle.model, windows))


def describe(bundle: Bundle, clips: Sequence[Clip], answers: Answers, *, split: str | None) -> dict[str, Any]:
    """Put the answers of a bundle into numbers.

    Returns:
        The keys of `judge`; "model", "split" and "n_clips"; "calibration" (curve and temperature), "risk_coverage",
        "unknown" (see `describe_unknown`) and "left_out": how many clips gave no window, each with the reason, and how
        many clips bear each label that the bundle does not know. All for single windows; fractions in 0..1.

    Raises:
        ClipError: there is not one window to judge.
    """
    windows, scores = answers.windows, answers.scores
    left_out = describe_left_out(bundle, clips, windows)
    if not len(windows):
        raise ClipError(_nothing_to_judge(bundle, clips, left_out))
    result = judge(scores, windows)
    return {
        "model": bundle.model_id,
        "split": split,
        "n_clips": len(clips),
        **result,
        "calibration": {
            "curve": calibration_curve(scores, windows.labels),
            "temperature": bundle.metrics.get("training", {}).get("temperature"),
        },
        "risk_coverage": risk_coverage(scores, windows.labels),
        "unknown": describe_unknown(bundle, clips, answers),
        "left_out": left_out,
    }


def describe_left_out(bundle: Bundle, clips: Sequence[Clip], windows: WindowSet) -> dict[str, Any]:
    """Say which clips could not be judged and why."""
    known = set(bundle.labels)
    judged = {windows.clip_ids[each] for each in windows.clip.tolist()}
    reasons = {clip.id: _why_left_out(clip, known) for clip in clips if clip.id not in judged}
    strange = Counter(label for clip in clips for label in labels_of(clip) - known)
    return {"n": len(reasons), "clips": reasons, "labels": dict(sorted(strange.items()))}


def _why_left_out(clip: Clip, known: set[str]) -> str:
    labels = labels_of(clip)
    if not labels:
        return "it bears no label"
    if not labels & known:
        return f"the bundle does not know {', '.join(sorted(labels))}"
    return "it shows too little of a body where it is labelled"


def _nothing_to_judge(bundle: Bundle, clips: Sequence[Clip], left_out: dict[str, Any]) -> str:
    found = ", ".join(sorted({label for clip in clips for label in labels_of(clip)}))
    reasons = Counter(left_out["clips"].values()).most_common(2)
    told = "; ".join(f"{reason} ({n} clips)" for reason, n in reasons)
    return (
        f"no window to judge {bundle.name} by: {told}. It knows {', '.join(bundle.labels)}; labels in the clips: "
        f"{found}. Rename the labels in clips.jsonl, or judge another bundle."
    )


def describe_unknown(bundle: Bundle, clips: Sequence[Clip], answers: Answers) -> dict[str, Any]:
    """Say what answering "unknown" does on clips.

    Returns:
        "rule": the bundle's own, or None; "known": see `refusal`, for windows whose label the bundle knows; and
        "strange": n windows of labels that the bundle has never learnt, the share of them refused, and how well
        confidence tells them from the known ones (separation, 0.5..1). None where there is nothing to tell.
    """
    rule = bundle.unknown
    names = sorted({label for clip in clips for label in labels_of(clip)} - set(bundle.labels))
    strange = answer(bundle, clips, names=names) if names else None
    result: dict[str, Any] = {
        "rule": rule.as_dict() if rule else None,
        "known": refusal(answers.scores, answers.windows.labels, threshold=rule.threshold) if rule else None,
        "strange": None,
    }
    if strange is not None and len(strange.windows):
        counts = np.bincount(strange.windows.labels, minlength=len(names)).tolist()
        result["strange"] = {
            "n": len(strange.windows),
            "labels": {name: n for name, n in zip(names, counts, strict=True) if n},
            "refused": float((strange.scores.max(axis=1) < rule.threshold).mean()) if rule else None,
            "separation": separation(answers.scores, strange.scores),
        }
    return result


def bundle_recipe(bundle: Bundle) -> Recipe:
    """Give the recipe that cuts windows as the bundle wants them; older bundles say less, and mean the defaults."""
    told = {name: bundle.norm[name] for name in CUT_BY if name in bundle.norm}
    return replace(
        Recipe(),
        layout=bundle.config.layout,
        dims=bundle.model.dims,
        n_frames=bundle.window_frames,
        rate_hz=bundle.rate_hz,
        speed=0.0,
        **told,
    )


def judge(scores: Scores, windows: WindowSet) -> dict[str, Any]:
    """Give the metrics of single windows, and under "clips" those of whole stretches of one label.

    "top1_interval" is the 95 % interval of each top1; the windows of one stretch are much alike, so they count once.
    """
    stretches = by_stretch(scores, windows)
    n = len(stretches.labels)
    single = score_metrics(scores, windows.labels, names=windows.names)
    whole = score_metrics(stretches.scores, stretches.labels, names=windows.names)
    for figures in (single, whole):
        top1 = figures["top1"]
        figures["top1_interval"] = None if top1 is None else list(wilson_interval(top1, n))
    return single | {"clips": whole}


def by_stretch(scores: Scores, windows: WindowSet) -> Stretches:
    """Average the scores of all windows of one stretch."""
    segments, first, inverse = np.unique(windows.segment, return_index=True, return_inverse=True)
    means = np.zeros((len(segments), scores.shape[1]))
    np.add.at(means, inverse, scores)
    means /= np.bincount(inverse, minlength=len(segments))[:, None]
    return Stretches(means, windows.labels[first], windows.clip[first], segments)
