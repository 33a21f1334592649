"""What the figures of a report mean, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TRUSTED_SHARE = 0.95
"""How often answers that nobody looks at again should be right."""
LEAST_OF_A_LABEL = 5
"""Clips of a label below which nothing is said of it in words."""
LEAST_OF_A_PERSON = 5
MANY = 1000
"""Clips from which on a tenth of a percent means something."""
NO_BREAK = "\u00a0"
NOTABLE_LOSS = 0.03

Figures = Mapping[str, Any]


def percent(share: float | None, digits: int = 0) -> str:
    """Write a fraction for people; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f}{NO_BREAK}%"


def unit(result: Figures, n: int | None = None) -> str:
    """Name what is counted: whole clips, or the stretches of one action in untrimmed ones."""
    word = "stretch of one action" if result["about"]["untrimmed"] else "clip"
    plural = "stretches of one action" if result["about"]["untrimmed"] else "clips"
    return word if n == 1 else plural


def headline(result: Figures) -> str:
    """Say in a sentence how good it is."""
    whole = result["clips"]
    n, right = whole["n"], round(whole["top1"] * whole["n"])
    low, high = whole["top1_interval"]
    are = "is" if right == 1 else "are"
    told = f"Of {n} {unit(result, n)}, {right} {are} labelled right: {percent(whole['top1'], 1 if n >= MANY else 0)}"
    if n < MANY:
        return f"{told}. With so few, the truth may lie anywhere from {percent(low)} to {percent(high)}."
    return f"{told} (95{NO_BREAK}% interval {percent(low, 1)} to {percent(high, 1)})."


def findings(result: Figures) -> list[str]:
    """Say what stands out, the most useful first."""
    found = [*_mixed_up(result), *_weak_labels(result), *_when_to_ask(result), *_honesty(result)]
    return [*found, *_people(result), *_conditions(result), *_strange(result)]


def confused_with(confusion: Figures) -> dict[str, list[tuple[str, int]]]:
    """Give for each label what it was wrongly taken for and how often, most often first."""
    labels = confusion["labels"]
    return {
        label: sorted(
            ((other, n) for other, n in zip(labels, row, strict=True) if n and other != label),
            key=lambda each: -each[1],
        )
        for label, row in zip(labels, confusion["matrix"], strict=True)
    }


def _mixed_up(result: Figures) -> list[str]:
    whole = result["clips"]
    taken = confused_with(whole["confusion"])
    wrong = sum(n for others in taken.values() for _, n in others)
    if not wrong:
        return ["It mixed up nothing here."]
    pairs: dict[tuple[str, str], int] = {}
    for label, others in taken.items():
        for other, n in others:
            key = (label, other) if label < other else (other, label)
            pairs[key] = pairs.get(key, 0) + n
    worst = sorted(pairs.items(), key=lambda each: -each[1])[:3]
    told = ", ".join(f"“{a}” with “{b}” ({n})" for (a, b), n in worst)
    share = sum(n for _, n in worst) / wrong
    return [f"It mixes up {told}: {percent(share)} of its {wrong} mistakes."]


def _weak_labels(result: Figures) -> list[str]:
    rows = {
        label: row
        for label, row in result["clips"]["per_class"].items()
        if row["n"] >= LEAST_OF_A_LABEL and row["recall"] is not None
    }
    if len(rows) < 2:
        return ["All clips bear one label, so they say only how often it is found, not what is wrongly taken for it."]
    weakest = sorted(rows.items(), key=lambda each: each[1]["recall"])[:3]
    weak = [f"“{label}” {percent(row['recall'])}" for label, row in weakest if row["recall"] < result["clips"]["top1"]]
    return [f"Found least often: {', '.join(weak)}."] if weak else []


def _when_to_ask(result: Figures) -> list[str]:
    point = trusted_point(result["risk_coverage"])
    if point is None:
        return [f"No confidence makes its answers {percent(TRUSTED_SHARE)} right: let a person look at all of them."]
    if point["coverage"] >= 1:
        return []
    told = (
        f"Answers it is at least {percent(point['threshold'])} sure of are right {percent(point['accuracy'])} of the "
    )
    return [told + f"time; those are {percent(point['coverage'])} of all. Below that, ask a person."]


def trusted_point(curve: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """Give the point of a risk-coverage curve that answers most while being right often enough; None without any."""
    good = [point for point in curve if point["accuracy"] >= TRUSTED_SHARE]
    return max(good, key=lambda point: point["coverage"]) if good else None


def _honesty(result: Figures) -> list[str]:
    curve = result["calibration"]["curve"]
    n = sum(row["n"] for row in curve)
    gap = sum((row["confidence"] - row["accuracy"]) * row["n"] for row in curve) / n
    if abs(gap) < NOTABLE_LOSS:
        return [f"Its confidence can be believed: on average it is off by {percent(result['ece'], 1)}."]
    how = "more sure than it should be" if gap > 0 else "less sure than it could be"
    return [f"It is {how}: by {percent(abs(gap))} on average."]


def _people(result: Figures) -> list[str]:
    told = []
    for key, what in (("by_subject", "person"), ("by_view", "view")):
        rows = {name: row for name, row in result[key].items() if row["n"] >= LEAST_OF_A_PERSON}
        if len(rows) < 2:
            continue
        worst, best = (pick(rows, key=lambda each: rows[each]["top1"]) for pick in (min, max))
        if rows[best]["top1"] - rows[worst]["top1"] > NOTABLE_LOSS:
            told.append(
                f"It depends on the {what}: from {percent(rows[worst]['top1'])} ({worst}) to "
                f"{percent(rows[best]['top1'])} ({best})."
            )
    return told


def _conditions(result: Figures) -> list[str]:
    conditions = result.get("conditions")
    if not conditions:
        return []
    told = []
    rates = sorted((row for row in conditions["frame_rate"] if row["top1"] is not None), key=lambda row: row["top1"])
    if rates and rates[-1]["top1"] - rates[0]["top1"] > NOTABLE_LOSS:
        low, top = (f"{row['at']:g} frames a second {percent(row['top1'])}" for row in (rates[0], rates[-1]))
        told.append(f"At {low} are right, at {top}.")
    elif rates:
        told.append("10, 15 or 30 frames a second make little difference.")
    lost = [row for row in conditions["lost_joints"] if row["top1"] is not None]
    if len(lost) > 1:
        third = min(lost, key=lambda row: abs(row["at"] - 0.3))
        told.append(
            f"With {percent(third['at'])} of the joints lost {percent(third['top1'])} are right, "
            f"with none lost {percent(lost[0]['top1'])}."
        )
    angles = conditions["camera_angle"]
    if angles:
        worst = min(angles, key=lambda row: row["top1"] or 0)
        told.append(f"Turned by {worst['at']:g}° it is worst: {percent(worst['top1'])}.")
    return told


def _strange(result: Figures) -> list[str]:
    strange = result["unknown"]["strange"]
    if not strange or strange["refused"] is None:
        return []
    told = (
        f"Of actions that it has never learnt ({', '.join(strange['labels'])}) it calls {percent(strange['refused'])} "
    )
    return [told + "“unknown”; the rest get a wrong name."]


def cautions(result: Figures, metrics: Figures, *, same_data: bool) -> list[str]:
    """Say what makes the figures look better, or mean less, than they seem.

    Args:
        result: as of `measure`.
        metrics: the bundle's own.
        same_data: whether these are exactly the clips that it learnt from.
    """
    told = list(result.get("notes", ()))
    learnt_by = metrics.get("split")
    if same_data:
        told.append("These are the very clips that the model learnt from: the figures say nothing about new ones.")
    elif result["split"] != learnt_by and (result["split"] or learnt_by):
        told.append(
            f"The model learnt {_side(learnt_by, 'left')} and is judged {_side(result['split'], 'right')}. If both "
            "come from one set, clips or people may be on both sides, and the figures are too good."
        )
    if result["about"]["mapped_to"]:
        others = ", ".join(each for each in result["about"]["layouts"] if each != result["about"]["mapped_to"])
        told.append(
            f"Skeletons of layout {others} were turned into {result['about']['mapped_to']}, which the model wants; "
            "joints that they lack are guessed from their neighbours."
        )
    if not result["about"]["rates_known"]:
        told.append(f"The frame rate of some clips was assumed ({result['about']['rate_hz']:g} Hz), not recorded.")
    if result["about"]["subjects"] == 1:
        told.append("All clips show one person: what holds for others is not known.")
    return told


def _side(split: str | None, side: str) -> str:
    return f"on the {side} side of “{split}”" if split else "on all clips of a set"
