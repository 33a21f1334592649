"""What `har train` does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from har.cli.output import wants_text, write_json
from har.clips import read_clips
from har.models.shipped import find_bundle
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
