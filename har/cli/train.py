"""What `har train` does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from har.bench.machine import physical_cores
from har.cli.output import command_to_resume, say, wants_text, write_json
from har.clips import iterate_clips, read_clips
from har.models.bundle import Bundle
from har.models.shipped import find_bundle
from har.training.conditions import Progress
from har.training.devices import DeviceName, Precision
from har.training.job import Machinery
from har.training.progress import keep_curves, show_progress
from har.training.recipe import read_recipe
from har.training.train import train as train_bundle
from har.training.workers import find_workers


def train(
    clips: Sequence[Path],
    *,
    out: Path,
    recordings: Sequence[Path],
    recipe: str | None,
    parent: str | None,
    split: str | None,
    time_limit_min: float | None,
    threads: int | None,
    jobs: int | None,
    seed: int,
    resume: bool,
    device: DeviceName,
    precision: Precision,
    tensorboard: Path | None,
    json_file: Path | None,
) -> None:
    """Train a bundle on one or more clip sets and say what it can do.

    Raises:
        KeyboardInterrupt: it was stopped; how to go on has been said.
    """
    workers = find_workers()
    chosen = read_recipe(recipe) if recipe else None
    start_from = find_bundle(parent) if parent else None
    found = [clip for folder in clips for clip in read_clips(folder)]
    recorded = (clip for folder in recordings for clip in iterate_clips(folder))
    with show_progress() as show, keep_curves(tensorboard if workers.is_first else None) as keep:

        def report(progress: Progress) -> None:
            show(progress)
            keep(progress)

        try:
            bundle = train_bundle(
                found,
                out_bundle=out,
                recordings=recorded,
                recipe=chosen,
                split=split,
                seed=seed,
                start_from=start_from,
                command=shlex.join(["har", *sys.argv[1:]]),
                machinery=Machinery(
                    device=device,
                    precision=precision,
                    threads=threads,
                    jobs=jobs or physical_cores(),
                    time_limit_min=time_limit_min,
                    resume=resume,
                    report=report,
                    say=say,
                ),
            )
        except KeyboardInterrupt:
            say(f"stopped; nothing is lost. Go on with: {command_to_resume()}")
            raise
    if workers.is_first:
        _tell(bundle, clips, out=out, split=split, json_file=json_file)


def _tell(bundle: Bundle, clips: Sequence[Path], *, out: Path, split: str | None, json_file: Path | None) -> None:
    metrics = dict(bundle.metrics)
    about = {"model": bundle.model_id, "path": str(out), "labels": list(bundle.labels), "metrics": metrics}
    write_json(about, file=json_file)
    if not wants_text(json_file):
        return
    training, validation = metrics["training"], metrics["validation"]
    typer.echo(f"{bundle.model_id}: {len(bundle.labels)} labels, written to {out}")
    for row in training["networks"]:
        share = f", counts {row['weight']:.0%}" if len(training["networks"]) > 1 else ""
        typer.echo(f"network on {row['inputs']}: pass {row['chosen_epoch']} of {row['epochs']} chosen{share}")
    if validation is None:
        typer.echo("validation: nothing was held out, so the last pass was taken")
    else:
        typer.echo(
            f"validation: {_percent(validation['top1'])} of {validation['n']} windows right, held out by "
            f"{metrics['held_out_by']}; the pass was chosen by them, so the next figure may be lower"
        )
    typer.echo(f"time: {training['wall_min']:.1f} min, {training['cpu_min']:.1f} core min on {training['device']}")
    if problem := bundle.live_problem():
        typer.echo(f"note: {problem}")
    side = f" --split {shlex.quote(split)}" if split else ""
    typer.echo(
        f"next: har evaluate {shlex.quote(str(out))} {shlex.quote(str(clips[0]) if split else 'OTHER_CLIPS')}{side}"
    )


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"
