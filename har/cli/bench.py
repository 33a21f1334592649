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


@app.command("life", epilog="Example: har bench life --hours 24 --falls 500 --json life.json")
def life(
    hours: Annotated[float, typer.Option(min=0.0, metavar="H", help="Hours of daily living without a fall.")] = 24.0,
    falls: Annotated[int, typer.Option(min=0, metavar="N", help="Scenes with a fall.")] = 500,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another seed is other people in other rooms.")] = 0,
    model: Annotated[str | None, typer.Option(metavar="BUNDLE", help="Name or path. Default: the shipped one.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes at once. Default: one for each core.")
    ] = None,
    rest_zones: Annotated[
        bool, typer.Option("--rest-zones", help="Tell the service where beds and sofas are, as its config may.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Where rows are kept, so that a run goes on. Default: the cache."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Run the danger path on simulated life never learnt from: falls found, false alerts in 24 h, delay."""
    from har.cli.life import run_bench_life

    run_bench_life(
        hours=hours,
        falls=falls,
        seed=seed,
        model=model,
        jobs=jobs,
        rest_zones=rest_zones,
        table=table,
        json_file=json,
    )
