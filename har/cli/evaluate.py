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

from har.cli.output import wants_text, write_json
from har.clips import Clip, read_clips
from har.models.bundle import Bundle, load_bundle
from har.models.shipped import find_bundle
from har.training.evaluate import evaluate as judge_bundle
from har.training.evaluate import judged_clips
from har.training.job import data_digest
from har.training.report import measure
from har.training.report.write import check_folder, write_report


def evaluate(bundle: str, clips: Path, *, split: str | None, report: Path | None, json_file: Path | None) -> None:
    """Measure a bundle on the right side of a split, print the figures and write the report asked for.

    Raises:
        ConfigError: the split does not fit the clips, or the report cannot be written.
        ClipError: there is nothing to judge by.
        BundleError: the bundle does not verify.
    """
    judged_by = load_bundle(find_bundle(bundle))
    found = read_clips(clips)
    if report is None:
        result, page = judge_bundle(judged_by, found, split=split), None
    else:
        result, page = _report(judged_by, found, split=split, folder=report)
    write_json(result, file=json_file)
    if wants_text(json_file):
        typer.echo(as_text(result))
        if page is not None:
            typer.echo(f"report: {page}")


def _report(bundle: Bundle, clips: Sequence[Clip], *, split: str | None, folder: Path) -> tuple[dict[str, Any], Path]:
    judged = judged_clips(clips, split)
    check_folder(folder)
    with _show_progress() as tell:
        result = measure.measure(bundle, judged, split=split, progress=tell)
    page = write_report(
        folder,
        result,
        bundle=bundle,
        clips=judged,
        command=shlex.join(["har", *sys.argv[1:]]),
        same_data=data_digest(judged) == bundle.data_digest,
    )
    return result, page


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
    return "\n".join([*lines, "", *_unknown(result["unknown"]), *_left_out(result)])


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
    if not strange:
        return [told]
    return [told, f"unknown: refuses {_percent(strange['refused'])} of {strange['n']} windows of actions never learnt"]


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
