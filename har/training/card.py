"""The model card: what a bundle was made of, how, and how far it may be trusted, in plain Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from har.clips import Clip
from har.models.risk import NO_RISK_PART
from har.models.streams import Streams
from har.training.dataset import labels_of
from har.training.recipe import Recipe


def write_card(
    *,
    name: str,
    version: str,
    created: datetime,
    command: str,
    clips: Sequence[Clip],
    n_windows: Mapping[str, int],
    model: Streams,
    recipe: Recipe,
    metrics: Mapping[str, Any],
    risk: Mapping[str, Any] | None = None,
) -> str:
    """Write the card of a bundle.

    Args:
        name: of the bundle.
        version: of the bundle.
        created: when.
        command: what made it.
        clips: all clips learnt from and chosen by.
        n_windows: windows per label, learnt from.
        model: the networks.
        recipe: how it was trained.
        metrics: what `train` measured: "validation" and "training".
        risk: what is known of the risk part; None for a bundle without one.
    """
    training = metrics["training"]
    parts = [
        f"# {name} {version}",
        "Names what a person is doing from the joints of the last seconds. Not a medical device.",
        _table(
            ("", ""),
            [
                ("made", created.strftime("%Y-%m-%d %H:%M UTC")),
                ("command", f"`{command}`" if command else "from Python"),
                ("skeleton", f"{model.config.layout}: {', '.join('xyz'[: model.dims])}, score"),
                ("window", _window(model, recipe)),
                *(_network(number, model, row) for number, row in enumerate(training["networks"])),
                ("time", f"{training['wall_min']:.1f} min, {training['cpu_min']:.1f} CPU-core min"),
                ("clips held out by", str(metrics["held_out_by"])),
            ],
        ),
        "## Data",
        _data_table(clips),
        _label_table(clips, n_windows),
        "## Measured",
        _measured(metrics["validation"]),
        "## Danger",
        _danger(risk),
        "## Limits",
        _limits(clips, metrics["validation"]),
    ]
    return "\n\n".join(parts) + "\n"


def _window(model: Streams, recipe: Recipe) -> str:
    stretched = ", trimmed clips stretched to it" if recipe.length == "stretch" else ""
    return f"{recipe.n_frames} frames at {recipe.rate_hz:g} Hz{stretched}, looks {model.frames_ahead} frames ahead"


def _network(number: int, model: Streams, row: Mapping[str, Any]) -> tuple[str, str]:
    channels = ", ".join(str(each) for each in model.streams[number].config.channels)
    share = f", counts {row['weight']:.0%}" if len(model.streams) > 1 else ""
    return (
        f"network on {row['inputs']}",
        f"ST-GCN, nine blocks of {channels} channels{share}; {row['epochs']} passes, pass {row['chosen_epoch']} chosen",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def _data_table(clips: Sequence[Clip]) -> str:
    counts = Counter((clip.source, clip.licence) for clip in clips)
    minutes = {key: sum(clip.duration_s for clip in clips if (clip.source, clip.licence) == key) / 60 for key in counts}
    people = {
        key: len({clip.subject for clip in clips if (clip.source, clip.licence) == key and clip.subject is not None})
        for key in counts
    }
    rows = [
        (source, licence, n, people[source, licence], f"{minutes[source, licence]:.1f}")
        for (source, licence), n in sorted(counts.items())
    ]
    return _table(("source", "licence", "clips", "people", "minutes"), rows)


def _label_table(clips: Sequence[Clip], n_windows: Mapping[str, int]) -> str:
    seen = dict.fromkeys(n_windows, 0)
    for clip in clips:
        for label in labels_of(clip):
            if label in seen:
                seen[label] += 1
    return _table(
        ("label", "clips", "windows learnt from"), [(label, seen[label], n) for label, n in n_windows.items()]
    )


def _danger(risk: Mapping[str, Any] | None) -> str:
    if risk is None:
        return f"This bundle has {NO_RISK_PART}."
    noticed, false = _percent(risk["unseen_falls_noticed"]), _percent(risk["unseen_false_windows"])
    return (
        f"Standardised features of {risk['window_s']:g} s of a skeleton, {risk['n_components']} principal components "
        f"({_percent(risk['explained_variance'])} of the variance), a linear classifier, calibrated, "
        f"learnt from {risk['windows']} windows and {risk['falls']} falls{_recordings(risk)}. "
        f"At a threshold of {risk['threshold']:.2f}, "
        f"models that had not seen the person noticed {noticed} of the falls and suspected one in {false} of the other "
        "windows; an alert also needs the person not to be up again."
        + _budget(risk)
        + " `har bench falls` measures alerts on real video."
    )


def _recordings(risk: Mapping[str, Any]) -> str:
    """Name the long recordings that the danger model learnt from."""
    told = [f"{row['source']}, {row['licence']}, {row['hours']:.1f} h of people" for row in risk.get("recordings", [])]
    return f" (also of recordings: {'; '.join(told)})" if told else ""


def _budget(risk: Mapping[str, Any]) -> str:
    """Tell what the alert rule did at the chosen thresholds, and how sure that is."""
    budget, confirm = risk.get("budget"), risk.get("confirm")
    if budget is None:
        return ""
    how = "Staying down is confirmation enough."
    if confirm is not None:
        how = (
            f"Boosted trees look at the last {confirm['window_s']:g} s, how they came down and how they lie, and "
            f"confirm from {confirm['threshold']:.2f} on."
        )
    low, high = budget["found_share_95"]
    most = budget["false_alerts_per_day_at_most"]
    bound = "" if most is None else f", so that up to {most:.0f} a day are not ruled out (95 %)"
    kept = "" if budget["met"] else " That is over the budget, which yields where it would cost more falls."
    return (
        f" {how} The thresholds were chosen for at most {budget['alerts_per_day']:g} false alerts per camera and day "
        f"of living like that of the clips: the alert rule, played in time order by models that had not seen the "
        f"person, found {budget['found']} of {budget['falls']} falls ({_percent(low)} to {_percent(high)}) and raised "
        f"{budget['false_alerts']} false alerts in {budget['daily_h']:.1f} h without a fall{bound}.{kept}"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def _measured(validation: Mapping[str, Any] | None) -> str:
    if validation is None:
        return "Nothing: no clips were held out. Run `har evaluate` on clips that it has not seen."
    text = (
        f"On {validation['n']} windows of clips held out of training, by which the pass was chosen: "
        f"top-1 {_percent(validation['top1'])}, macro F1 {_percent(validation['macro_f1'])}, calibration error "
        f"{_percent(validation['ece'])}. Stretch by stretch ({validation['clips']['n']}): top-1 "
        f"{_percent(validation['clips']['top1'])}."
    )
    rows = [
        (label, row["n"], _percent(row["precision"]), _percent(row["recall"]), _percent(row["f1"]))
        for label, row in validation["per_class"].items()
    ]
    return text + "\n\n" + _table(("label", "windows", "precision", "recall", "F1"), rows)


def _limits(clips: Sequence[Clip], validation: Mapping[str, Any] | None) -> str:
    limits = [
        "It knows its labels only: else it gives one of them, or `unknown` where it has a threshold.",
        "It sees joints, not things: a chair, a bed or a walking frame is known by the body alone.",
        "Numbers on clips of the same making as those learnt from say little about another room and another camera.",
    ]
    if any(not clip.rate_known for clip in clips):
        limits.append("The frame rate of some clips was assumed, so their speed may be wrong.")
    if validation is not None:
        weak = [label for label, row in validation["per_class"].items() if row["n"] and (row["f1"] or 0) < 0.6]
        if weak:
            limits.append(f"Weak on (F1 under 60 %): {', '.join(weak)}.")
    return "\n".join(f"- {each}" for each in limits)
