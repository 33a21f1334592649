"""What `har pose train` does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from har.cli.output import say, wants_text, write_json
from har.pose.bundle import CROP_KINDS, PoseBundle
from har.training.devices import DeviceName, Precision, choose_device
from har.training.pose.pictures import read_data
from har.training.pose.progress import show_progress
from har.training.pose.train import Machinery, check_kind, train_pose


def train(
    kind: str,
    data: Sequence[Path],
    *,
    out: Path,
    detector: Path | None,
    test: Sequence[Path],
    start_from: Path | None,
    epochs: int | None,
    time_limit_min: float | None,
    seed: int,
    threads: int | None,
    resume: bool,
    device: DeviceName,
    precision: Precision,
    json_file: Path | None,
) -> None:
    """Train a pose estimator and say what it can do.

    Raises:
        KeyboardInterrupt: it was stopped; how to go on has been said.
    """
    check_kind(kind, detector)
    with show_progress() as report:
        machinery = Machinery(
            device=choose_device(device, precision=precision),
            threads=threads,
            time_limit_min=time_limit_min,
            resume=resume,
            report=report,
            say=say,
        )
        try:
            bundle = train_pose(
                kind,
                read_data(data),
                out=out,
                detector=detector,
                test=read_data(test) if test else (),
                start_from=start_from,
                epochs=epochs,
                seed=seed,
                command=shlex.join(["har", *sys.argv[1:]]),
                machinery=machinery,
            )
        except KeyboardInterrupt:
            say(f"stopped; nothing is lost. Go on with: {_again()}")
            raise
    _tell(bundle, out=out, json_file=json_file)


def _again() -> str:
    words = [word for word in sys.argv[1:] if word != "--resume"]
    return shlex.join(["har", *words, "--resume"])


def _tell(bundle: PoseBundle, *, out: Path, json_file: Path | None) -> None:
    trained = dict(bundle.trained)
    write_json({"kind": bundle.kind, "path": str(out), "sha256": bundle.sha256, **trained}, file=json_file)
    if not wants_text(json_file):
        return
    typer.echo(f"{bundle.kind}, written to {out}; pass {trained['epoch']} of {trained['epochs']} chosen")
    for name, figures in (("validation", trained["validation"]), ("test", trained["test"])):
        if figures:
            typer.echo(f"{name}: {', '.join(f'{figure} {value:.3f}' for figure, value in figures.items())}")
    typer.echo(f"time: {trained['wall_min']:.1f} min, {trained['cpu_min']:.1f} core min on {trained['device']}")
    if bundle.onnx is None:
        typer.echo("note: not exported to ONNX; install what that needs with: .venv/bin/pip install -e '.[onnx]'")
    where = shlex.quote(str(out))
    if bundle.kind in CROP_KINDS:
        typer.echo(f"next: har run --pose {where} --source VIDEO")
    else:
        typer.echo(f"next: har pose train hourglass DATA --detector {where} --out BUNDLE")
