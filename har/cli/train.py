"""What `har train` and `har evaluate` do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from har.cli.output import wants_text, write_json
from har.clips import read_clips
from har.errors import ConfigError
from har.models.shipped import find_bundle
from har.training.evaluate import evaluate as judge_bundle
from har.training.progress import show_progress
from har.training.recipe import read_recipe
from har.training.train import train as train_bundle


def train(
    clips: Sequence[Path],
    *,
    out: Path,
    recipe: Path | None,
    parent: str | None,
    split: str | None,
    time_limit_min: float | None,
    threads: int | None,
    seed: int,
    resume: bool,
    json_file: Path | None,
) -> None:
    """Train a bundle on one or more clip sets and say what it can do."""
    chosen = read_recipe(recipe) if recipe else None
    start_from = find_bundle(parent) if parent else None
    found = [clip for folder in clips for clip in read_clips(folder)]
    with show_progress() as report:
        bundle = train_bundle(
            found,
            out_bundle=out,
            recipe=chosen,
            split=split,
            seed=seed,
            start_from=start_from,
            threads=threads,
            time_limit_min=time_limit_min,
            resume=resume,
            command=shlex.join(["har", *sys.argv[1:]]),
            report=report,
        )
    about = {"model": bundle.model_id, "path": str(out), "labels": list(bundle.labels), "metrics": dict(bundle.metrics)}
    write_json(about, file=json_file)
    if wants_text(json_file):
        typer.echo(f"{bundle.model_id}: {len(bundle.labels)} labels, written to {out}")
        typer.echo(f"look at it: har models show {out}")


def evaluate(bundle: str, clips: Path, *, split: str | None, report: Path | None, json_file: Path | None) -> None:
    """Measure a bundle on the right side of a split and print the figures.

    Raises:
        ConfigError: the report cannot be written.
    """
    path = find_bundle(bundle)
    result = judge_bundle(path, read_clips(clips), split=split)
    text = as_text(result)
    write_json(result, file=json_file)
    if report is not None:
        try:
            report.mkdir(parents=True, exist_ok=True)
            (report / "report.txt").write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{report}: cannot be written ({error.strerror}). Give --report another folder."
            ) from None
        write_json(result, file=report / "scores.json")
    if wants_text(json_file):
        typer.echo(text)


def as_text(result: dict[str, Any]) -> str:
    """Give the figures of `har evaluate` for people: in percent, each label with what it is mostly taken for."""
    lines = [_overall("windows", result), _overall("stretches", result["clips"]), ""]
    labels, matrix = result["confusion"]["labels"], result["confusion"]["matrix"]
    width = max(len(label) for label in labels)
    lines.append(f"{'label':<{width}}      n  recall  precision  mostly taken for")
    for index, label in enumerate(labels):
        row = result["per_class"][label]
        wrong = {other: n for other, n in zip(labels, matrix[index], strict=True) if other != label and n}
        taken = max(wrong, key=lambda other: wrong[other]) if wrong else "-"
        lines.append(
            f"{label:<{width}} {row['n']:>6}  {_percent(row['recall']):>6}  {_percent(row['precision']):>9}  {taken}"
        )
    left_out = result["left_out"]
    if left_out["labels"]:
        told = ", ".join(f"{label} ({n} clips)" for label, n in left_out["labels"].items())
        lines.append(f"labels that the bundle does not know: {told}")
    if left_out["clips"]:
        lines.append(f"clips without a usable window: {len(left_out['clips'])}")
    return "\n".join(lines)


def _overall(what: str, figures: dict[str, Any]) -> str:
    return (
        f"{figures['n']} {what}: top 1 {_percent(figures['top1'])}, top 5 {_percent(figures['top5'])}, "
        f"macro F1 {_percent(figures['macro_f1'])}, calibration error {_percent(figures['ece'])}"
    )


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"
