"""`har pose`: how good estimators are, and one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from har.cli.output import JsonFile
from har.errors import ConfigError

app = typer.Typer(help="Judge pose estimators, and train one's own.")


@app.command("evaluate", epilog="Example: har pose evaluate blazepose num_poses=4 --data annotations.json --report out")
def evaluate(
    estimators: Annotated[
        list[str],
        typer.Argument(
            metavar="ESTIMATOR...",
            help="blazepose, blazepose-fast, a .task file; num_poses=N is MediaPipe's own search for N people.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(metavar="FILE.json|DIR", help="COCO keypoint annotations; with --people the folder of videos."),
    ],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures' names start from. Default: near the file.")
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Instead of pictures: who is where in the videos of --data, rows of "
            "video,frame,person,who,state,x,y,w,h.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N pictures or videos.")] = None,
    max_people: Annotated[
        int | None, typer.Option(min=1, max=10, metavar="N", help="Most people in a picture. Default: as the service.")
    ] = None,
    shows: Annotated[
        int, typer.Option(min=1, metavar="N", help="How often estimators that remember are shown each picture.")
    ] = 4,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page there, with the worst failures drawn.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure pose estimators side by side, on annotated pictures or on videos in which people were marked."""
    from har.cli.pose_evaluate import evaluate_pictures, evaluate_videos

    if people is not None:
        if images is not None or report is not None:
            raise ConfigError("--people measures on videos: leave --images and --report out.")
        evaluate_videos(estimators, people=people, data=data, limit=limit, max_people=max_people, json_file=json)
        return
    evaluate_pictures(
        estimators,
        data=data,
        images=images,
        limit=limit,
        max_people=max_people,
        shows=shows,
        report=report,
        json_file=json,
    )


@app.command("train", epilog="Example: har pose train hourglass runs/scenes --detector bundles/eye --out bundles/pose")
def train(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="hourglass, deeppose, or centernet: the detector.")],
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="Folders of `har synth scenes`, or COCO keypoint files beside images."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="The bundle to write; must not exist.")],
    detector: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="What finds people, for hourglass and deeppose.")
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(metavar="DATA", help="Other pictures to judge the result by; repeatable.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option("--from", metavar="BUNDLE", help="Begin with the weights of one of the same kind.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Passes over the data.")] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="MIN", min=0.1, help="Minutes until the bundle is on disk.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same model.")] = 0,
    threads: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processor threads.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a broken-off run stopped.")] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto takes bf16 where the hardware multiplies it.")
    ] = "auto",
    json: JsonFile = None,
) -> None:
    """Train a pose estimator of your own on annotated or simulated pictures and write it as a bundle.

    First a detector (centernet), then with it a model of one person's crop; `har run --pose BUNDLE` uses both. A tenth
    of the scenes is held out to choose the best pass by. Ctrl-C keeps what was learnt for --resume.
    """
    from har.cli.pose_train import train as train_bundle

    train_bundle(
        kind,
        data,
        out=out,
        detector=detector,
        test=test or [],
        start_from=start_from,
        epochs=epochs,
        time_limit_min=time_limit,
        seed=seed,
        threads=threads,
        resume=resume,
        device=device,
        precision=precision,
        json_file=json,
    )
