"""`har bench`: measured numbers for the README, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from har.cli.output import JsonFile, say, wants_text, write_json

app = typer.Typer(help="Measure the service on this machine.")


@app.command("falls", epilog="Example: har bench falls --data data --json falls.json")
def falls(
    data: Annotated[
        Path, typer.Option(metavar="DIR", envvar="HAR_DATA", help="The folder with the fall videos and fall_times.csv.")
    ],
    model: Annotated[str | None, typer.Option(metavar="BUNDLE", help="Name or path. Default: the shipped one.")] = None,
    train_on: Annotated[
        list[Path] | None,
        typer.Option(
            "--train-on",
            metavar="CLIPS",
            help="Clip sets that the risk models of the left-out people learn from, besides the others of GMDCSA24. "
            "Default: the shipped bundle's simulated people. Never UP-Fall.",
        ),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Run the service on videos of real falls and count falls found, missed, false alerts and delay."""
    from har.bench.falls import as_text, bench_falls

    result = bench_falls(data=data, say=say, model=model, train_on=train_on or ())
    write_json(result, file=json)
    if wants_text(json):
        typer.echo(as_text(result))


@app.command("pipeline", epilog="Example: har bench pipeline --cameras 2")
def pipeline(
    cameras: Annotated[int, typer.Option("--cameras", min=1, metavar="N", help="How many cameras at once.")] = 1,
    video: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the cameras show. Default: the sample clip of the project."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure the whole path from frame to MQTT: analysed frames a second, latency, memory."""
    from har.bench.pipeline import as_text, bench_pipeline

    result = bench_pipeline(cameras=cameras, say=say, video=video)
    write_json(result, file=json)
    if wants_text(json):
        typer.echo(as_text(result))
