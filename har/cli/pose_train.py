"""What `har pose train` does."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from har.cli.output import command_to_resume, say, wants_text, write_json
from har.errors import ConfigError
from har.models.bundle_files import refuse_existing
from har.pose import check_estimator
from har.pose.bundle import CENTERNET, MASKRCNN, PoseBundle
from har.pose.coco import Picture
from har.training.devices import DeviceName, Precision, choose_device
from har.training.pose.pictures import ANNOTATIONS, read_data
from har.training.pose.progress import show_progress
from har.training.pose.teaching import label_videos
from har.training.pose.train import Machinery, check_kind, read_settings, state_folder, train_pose


def train(
    kind: str,
    data: Sequence[Path],
    *,
    out: Path,
    detector: Path | None,
    teach: Sequence[Path],
    teacher: str,
    test: Sequence[Path],
    start_from: Path | None,
    settings: Sequence[str],
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
    refuse_existing(out)
    if not data and not teach:
        raise ConfigError("there is nothing to learn from. Give DATA, or videos for a teacher to label with --teach.")
    if settings and start_from:
        raise ConfigError("--set and --from: a network that goes on learning stays as it is. Leave one of them out.")
    built_from = read_settings(kind, settings)
    if teach:
        check_estimator(teacher)
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
                read_data(data) if data else (),
                out=out,
                detector=detector,
                taught=_label(teach, teacher, out),
                test=_read_test(test, teacher, out),
                start_from=start_from,
                settings=built_from,
                epochs=epochs,
                seed=seed,
                command=shlex.join(["har", *sys.argv[1:]]),
                machinery=machinery,
            )
        except KeyboardInterrupt:
            say(f"stopped; nothing is lost. Go on with: {command_to_resume()}")
            raise
    _tell(bundle, out=out, json_file=json_file)


def _label(videos: Sequence[Path], teacher: str, out: Path) -> list[Picture]:
    folder = state_folder(out) / "labels"
    return [picture for path in videos for picture in label_videos(path, teacher=teacher, folder=folder, tell=say)]


def _read_test(paths: Sequence[Path], teacher: str, out: Path) -> list[Picture]:
    """Read annotated pictures; videos are labelled by the teacher."""
    videos = [path for path in paths if path.is_dir() and not (path / ANNOTATIONS).is_file()]
    annotated = [path for path in paths if path not in videos]
    return [*(read_data(annotated) if annotated else []), *_label(videos, teacher, out)]


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
    if bundle.onnx is None and bundle.kind != MASKRCNN:
        typer.echo("note: not exported to ONNX; install what that needs with: .venv/bin/pip install -e '.[onnx]'")
    where = shlex.quote(str(out))
    if bundle.kind == CENTERNET:
        typer.echo(f"next: har pose train hourglass DATA --detector {where} --out BUNDLE")
    else:
        typer.echo(f"next: har run --pose {where} --source VIDEO")
