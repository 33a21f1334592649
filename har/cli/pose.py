"""`har pose`: how good estimators are, and one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from har.cli.output import JsonFile

app = typer.Typer(help="Judge pose estimators.")


@app.callback()
def _pose() -> None:
    """Keep `evaluate` a command of its own while it is the only one."""


@app.command("evaluate", epilog="Example: har pose evaluate blazepose num_poses=4 --data annotations.json --report out")
def evaluate(
    estimators: Annotated[
        list[str],
        typer.Argument(
            metavar="ESTIMATOR...",
            help="blazepose, blazepose-fast, a .task file; num_poses=N is MediaPipe's own search for N people.",
        ),
    ],
    data: Annotated[Path, typer.Option(metavar="FILE.json", help="COCO keypoint annotations.")],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures' names start from. Default: near the file.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N pictures.")] = None,
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
    """Measure pose estimators on annotated pictures, side by side."""
    from har.cli.pose_evaluate import evaluate_pictures

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
