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
            help="What --pose takes; and num_poses=N, MediaPipe's own search for N people, to compare with.",
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
        if images is not None:
            raise ConfigError("--images is for annotated pictures: leave it out with --people.")
        evaluate_videos(
            estimators, people=people, data=data, limit=limit, max_people=max_people, report=report, json_file=json
        )
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
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="maskrcnn, hourglass, deeppose; or centernet, the detector of those.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="The bundle to write; must not exist.")],
    data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DATA...", help="Folders of `har synth scenes`, or COCO keypoint files beside images."),
    ] = None,
    teach: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Videos of your own cameras, for --teacher to label; repeatable."),
    ] = None,
    teacher: Annotated[
        str, typer.Option(metavar="NAME", help="The heavy estimator, as --pose of har run.")
    ] = "blazepose",
    detector: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="What finds people, for hourglass and deeppose.")
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DATA", help="Other pictures to judge the result by, or videos for --teacher; repeatable."
        ),
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option("--from", metavar="BUNDLE", help="Begin with the weights of one of the same kind.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Build it otherwise: channels=64, target=cauchy; repeatable."),
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

    With --teach DIR a heavy estimator labels frames of the videos there, and the model learns from what it is sure
    of; these frames are kept in a hidden folder beside the bundle until it is written.
    """
    from har.cli.pose_train import train as train_bundle

    train_bundle(
        kind,
        data or [],
        out=out,
        detector=detector,
        teach=teach or [],
        teacher=teacher,
        test=test or [],
        start_from=start_from,
        settings=settings or [],
        epochs=epochs,
        time_limit_min=time_limit,
        seed=seed,
        threads=threads,
        resume=resume,
        device=device,
        precision=precision,
        json_file=json,
    )


@app.command("preview", epilog="Example: har pose preview bundles/pose runs/scenes/images/00000*.jpg --out seen.png")
def preview(
    estimator: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="One of your own, or a name as --pose of har run.")
    ],
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="PNG or JPEG files.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="The picture to write.")],
) -> None:
    """Draw what an estimator sees: joints, or the boxes of a detector."""
    from har.cli.output import print_line
    from har.cli.pose_preview import MOST_PICTURES
    from har.cli.pose_preview import preview as draw

    n_people = draw(estimator, pictures, file=out)
    n_drawn = min(len(pictures), MOST_PICTURES)
    rest = f" of {len(pictures)}" if len(pictures) > n_drawn else ""
    print_line(f"{n_people} people in {n_drawn} pictures{rest}: {out}")
