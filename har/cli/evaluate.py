"""What `har evaluate` does."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from har.cli.output import say, wants_text, write_json
from har.clips import Clip, read_clips
from har.models.bundle import Bundle, load_bundle
from har.models.risk import NO_RISK_PART
from har.models.shipped import find_bundle
from har.training.evaluate import answer, describe_split, judged_clips
from har.training.evaluate import evaluate as judge_bundle
from har.training.job import Machinery, data_digest
from har.training.progress import show_progress
from har.training.report import measure
from har.training.report.strangers import measure_strangers, refuse_bad_names
from har.training.report.write import check_folder, write_report


def evaluate(
    bundle: str,
    clips: Path,
    *,
    split: str | None,
    unknown_classes: str | None,
    report: Path | None,
    json_file: Path | None,
) -> None:
    """Measure a bundle on the right side of a split, print the figures and write the report asked for.

    Raises:
        ConfigError: the split does not fit the clips, or the report cannot be written.
        ClipError: there is nothing to judge by.
        BundleError: the bundle does not verify.
    """
    judged_by = load_bundle(find_bundle(bundle))
    found = read_clips(clips)
    names = None if unknown_classes is None else [name.strip() for name in unknown_classes.split(",") if name.strip()]
    if names is not None:
        refuse_bad_names(judged_by, names, split=split)
    if report is None:
        result = judge_bundle(judged_by, found, split=split)
    else:
        check_folder(report)
        result = _measure(judged_by, found, split=split)
    if names and split:
        result["unknown"]["experiment"] = _try_strangers(judged_by, found, names, split=split)
    page = None if report is None else _write(report, result, judged_by, judged_clips(found, split))
    write_json(result, file=json_file)
    if wants_text(json_file):
        typer.echo(as_text(result))
        if judged_by.risk is None:
            typer.echo(f"{judged_by.model_id} has {NO_RISK_PART}.")
        if page is not None:
            typer.echo(f"report: {page}")


def _measure(bundle: Bundle, clips: Sequence[Clip], *, split: str | None) -> dict[str, Any]:
    judged = judged_clips(clips, split)
    with _show_progress() as tell:
        tell("the clips as they are", 0, 1)
        answers = answer(bundle, judged)
        result = measure.measure(bundle, judged, split=split, answers=answers, progress=tell)
        return result | describe_split(clips, split, answers)


def _try_strangers(bundle: Bundle, clips: Sequence[Clip], names: Sequence[str], *, split: str) -> dict[str, Any]:
    say(f"training a second model without {', '.join(names)}; this takes about as long as the first did")
    with show_progress() as tell:
        return measure_strangers(bundle, clips, names, split=split, machinery=Machinery(report=tell, say=say))


def _write(folder: Path, result: Mapping[str, Any], bundle: Bundle, judged: Sequence[Clip]) -> Path:
    command = shlex.join(["har", *sys.argv[1:]])
    same_data = data_digest(judged) == bundle.data_digest
    return write_report(folder, result, bundle=bundle, clips=judged, command=command, same_data=same_data)


@contextmanager
def _show_progress() -> Iterator[measure.Progress]:
    """Draw a bar on stderr; give what to call before and after every step."""
    columns = (
        TextColumn("judging"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell


def as_text(result: Mapping[str, Any]) -> str:
    """Give the figures of `har evaluate` for people: in percent, each label with what it is mostly taken for."""
    is_trimmed = result["n"] == result["clips"]["n"]
    lines = [_overall("clips" if is_trimmed else "windows", result)]
    lines += [] if is_trimmed else [_overall("stretches of one action", result["clips"])]
    lines.append("")
    labels, matrix = result["confusion"]["labels"], result["confusion"]["matrix"]
    width = max(len(label) for label in [*labels, "label"])
    lines.append(f"{'label':<{width}}      n  recall  precision  mostly taken for")
    for index, label in enumerate(labels):
        row = result["per_class"][label]
        wrong = {other: n for other, n in zip(labels, matrix[index], strict=True) if other != label and n}
        taken = max(wrong, key=lambda other: wrong[other]) if wrong else "-"
        lines.append(
            f"{label:<{width}} {row['n']:>6}  {_percent(row['recall']):>6}  {_percent(row['precision']):>9}  {taken}"
        )
    notes = [f"note: {note}" for note in result["notes"]]
    return "\n".join([*lines, "", *_unknown(result["unknown"]), *_tried(result["unknown"]), *_left_out(result), *notes])


def _overall(what: str, figures: Mapping[str, Any]) -> str:
    low, high = figures["top1_interval"]
    interval = f"95 % interval {_percent(low)} to {_percent(high)}"
    return (
        f"{figures['n']} {what}: top 1 {_percent(figures['top1'])} ({interval}), top 5 {_percent(figures['top5'])}, "
        f"macro F1 {_percent(figures['macro_f1'])}, calibration error {_percent(figures['ece'])}"
    )


def _unknown(unknown: Mapping[str, Any]) -> list[str]:
    """Tell the operating point of the answer "unknown"."""
    rule, known, strange = unknown["rule"], unknown["known"], unknown["strange"]
    if rule is None:
        return ["unknown: never answered, the bundle has no threshold"]
    told = (
        f"unknown: answered below {rule['threshold']:.2f}; keeps {_percent(known['right_kept'])} of the right answers "
        f"(chosen to keep {rule['keeps']:.0%}), refuses {_percent(known['wrong_refused'])} of the wrong ones"
    )
    lines = [told]
    if strange:
        refused = _percent(strange["refused"])
        lines.append(f"unknown: refuses {refused} of {strange['n']} windows of actions never learnt")
    return lines


def _tried(unknown: Mapping[str, Any]) -> list[str]:
    """Tell what a second model, trained without some labels, makes of them."""
    found = unknown.get("experiment")
    if not found or not found["strange"]:
        return []
    names, strange = ", ".join(found["left_out"]), found["strange"]
    threshold = f"below {found['rule']['threshold']:.2f}" if found["rule"] else "without a threshold"
    told = (
        f"tried out: a model trained without {names} refuses {_percent(strange['refused'])} of {strange['n']} windows "
        f"of these ({threshold}); confidence tells them from known ones {_percent(strange['separation'])} of the time"
    )
    return [told]


def _left_out(result: Mapping[str, Any]) -> list[str]:
    left_out = result["left_out"]
    lines = []
    if left_out["labels"]:
        told = ", ".join(f"{label} ({n} clips)" for label, n in left_out["labels"].items())
        lines.append(f"labels that the bundle does not know: {told}")
    if left_out["n"]:
        reasons = Counter(left_out["clips"].values()).most_common()
        told = "; ".join(f"{n} because {why}" for why, n in reasons)
        lines.append(f"left out: {left_out['n']} of {result['n_clips']} clips: {told}")
    return lines


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"
