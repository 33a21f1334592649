"""`har bench`: measured numbers for the README, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from har.cli.output import JsonFile, say, show_result
from har.errors import ConfigError

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
    recordings: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Recordings that they learn from too, as given to `har train`."),
    ] = None,
    pose: Annotated[str, typer.Option(metavar="NAME", help="The pose estimator.")] = "mediapipe",
    json: JsonFile = None,
) -> None:
    """Run the service on videos of real falls and count falls found, missed, false alerts and delay."""
    from har.bench.falls import as_text, bench_falls

    result = bench_falls(
        data=data, say=say, model=model, train_on=train_on or (), recordings=recordings or (), pose=pose
    )
    show_result(result, as_text, file=json)


@app.command("pipeline", epilog="Example: har bench pipeline --cameras 2")
def pipeline(
    cameras: Annotated[int, typer.Option("--cameras", min=1, metavar="N", help="How many cameras at once.")] = 1,
    video: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the cameras show. Default: the sample clip of the project."),
    ] = None,
    pose: Annotated[str, typer.Option(metavar="NAME", help="The pose estimator.")] = "mediapipe",
    rate: Annotated[int, typer.Option(min=1, metavar="HZ", help="Frames a second of each camera.")] = 30,
    engine: Annotated[str, typer.Option(metavar="NAME", help="What computes the actions, as in `har run`.")] = "torch",
    json: JsonFile = None,
) -> None:
    """Measure the whole path from frame to MQTT: analysed frames a second, latency, memory."""
    from har.bench.pipeline import as_text, bench_pipeline

    result = bench_pipeline(cameras=cameras, say=say, video=video, pose=pose, rate_hz=rate, engine=engine)
    show_result(result, as_text, file=json)


@app.command("clip", epilog="Example: har bench clip --frames 64 --batch 1,8")
def clip(
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Length of a window.")] = 64,
    batch: Annotated[str, typer.Option("--batch", metavar="N,N...", help="Windows at once, rows for each.")] = "1,8",
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Repetitions; everything takes turns.")] = 15,
    json: JsonFile = None,
) -> None:
    """Measure the action network on whole windows, against the plain ST-GCN."""
    from har.bench.clip import as_text, bench_clip

    result = bench_clip(frames=frames, batches=_numbers("--batch", batch), rounds=rounds, say=say)
    show_result(result, as_text, file=json)


@app.command("stream", epilog="Example: har bench stream --persons 1,16,64")
def stream(
    persons: Annotated[
        str, typer.Option("--persons", metavar="N,N...", help="How many people at once, a row each.")
    ] = "1,4,16,64,256",
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Repetitions; everything takes turns.")] = 7,
    soak: Annotated[
        int | None,
        typer.Option(min=10, metavar="STEPS", help="Instead: so many frames while people come and go, and the memory."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure the action stage frame by frame, against running a clip again at every frame."""
    from har.bench.stream import as_text, bench_soak, bench_stream, soak_as_text

    if soak is not None:
        result, text = bench_soak(steps=soak, say=say), soak_as_text
    else:
        result, text = bench_stream(persons=_numbers("--persons", persons), rounds=rounds, say=say), as_text
    show_result(result, text, file=json)


@app.command("pose", epilog="Example: har bench pose sample_clips --frames 200")
def pose(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Video files, or folders with videos.")],
    frames: Annotated[int, typer.Option(min=0, metavar="N", help="Of each video; 0 for all.")] = 150,
    json: JsonFile = None,
) -> None:
    """Measure the pose estimators on videos: time a frame, and how alike their poses are."""
    from har.bench.pose import as_text, bench_pose

    result = bench_pose(videos=videos, frames=frames, say=say)
    show_result(result, as_text, file=json)


@app.command("tracking", epilog="Example: har bench tracking --scenes 100 --preview tracks.png")
def tracking(
    scenes: Annotated[int, typer.Option(min=1, metavar="N", help="Simulated scenes of 13 s; kinds take turns.")] = 100,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another seed is other people in other rooms.")] = 0,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the scenes with the lowest scores: truth and tracks.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure who is who when people cross, hide each other, leave and fall: IDF1, HOTA, id switches."""
    from har.bench.tracking import as_text, bench_tracking
    from har.bench.tracking_preview import draw_scenes

    if preview is not None and (preview.suffix.lower() != ".png" or not preview.absolute().parent.is_dir()):
        raise ConfigError(f"--preview {preview}: must be a .png file in a folder that exists.")
    result, judged = bench_tracking(scenes=scenes, seed=seed, say=say)
    if preview is not None:
        draw_scenes(judged, [each["idf1"] for each in result["each"]], file=preview)
    show_result(result, as_text, file=json)


@app.command("labels", epilog="Example: har bench labels --clips 120")
def labels(
    clips: Annotated[int, typer.Option(min=1, metavar="N", help="Simulated clips of people never learnt from.")] = 120,
    model: Annotated[str | None, typer.Option(metavar="BUNDLE", help="Name or path. Default: the shipped one.")] = None,
    engine: Annotated[str, typer.Option(metavar="NAME", help="What computes the stream, as in `har run`.")] = "torch",
    json: JsonFile = None,
) -> None:
    """Measure how right labels are in motion: the service's stream against windows of their own."""
    from har.bench.labels import as_text, bench_labels

    result = bench_labels(n_clips=clips, model=model, engine=engine, say=say)
    show_result(result, as_text, file=json)


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


@app.command("risk", epilog="Example: har bench risk --data data --json risk.json --page risk.html")
def risk(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", envvar="HAR_DATA", help="The folder of the data sets, for UP-Fall and Le2i."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="BUNDLE", help="Name or path. Default: the shipped one.")] = None,
    clips: Annotated[int, typer.Option(min=20, metavar="N", help="Simulated clips to learn from.")] = 200,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Draw the comparison and the components on a page.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Compare the risk model with plainer and richer ones on people that none has seen."""
    from har.bench.risk import as_page, as_text, bench_risk

    if page is not None and not page.absolute().parent.is_dir():
        raise ConfigError(f"--page {page}: the folder {page.absolute().parent} does not exist. Make it first.")
    result = bench_risk(say=say, data=data, model=model, n_learn=clips)
    if page is not None:
        page.write_text(as_page(result), encoding="utf-8")
    show_result(result, as_text, file=json)


@app.command("train", epilog="Example: har bench train --data data --figure nw_ucla --seeds 1")
def train(
    data: Annotated[
        Path, typer.Option(metavar="DIR", envvar="HAR_DATA", help="The folder of the public sets, NAME/NAME.npz each.")
    ],
    everything: Annotated[bool, typer.Option("--all", help="All figures; hours of work.")] = False,
    figure: Annotated[
        list[str] | None, typer.Option("--figure", metavar="NAME", help="This line of the table; repeatable.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs a figure. Default: what the figure says.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Processor threads.")] = 1,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Table and unfinished runs, so that a run goes on. Default: the cache."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Train on public sets and write down how well it does; goes on where it stopped. Without names: the speed."""
    from har.cli.accuracy import run_bench_train

    names = [] if everything else figure or []
    run_bench_train(names, everything=everything, data=data, seeds=seeds, threads=threads, work=work, json_file=json)


@app.command("few-clips", epilog="Example: har bench few-clips --data data --seeds 3 --json few.json")
def few_clips(
    data: Annotated[
        Path, typer.Option(metavar="DIR", envvar="HAR_DATA", help="The folder of the public sets; kard/kard.npz.")
    ],
    model: Annotated[
        str | None, typer.Option("--from", metavar="BUNDLE", help="To begin with. Default: the shipped one.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Draws of clips for each number of them.")] = 3,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Processor threads.")] = 1,
    work: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where rows are kept, so that a run goes on. Default: the cache.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Train on 5, 10 and more clips a label, from nothing and from a bundle, and judge by people never seen."""
    from har.cli.accuracy import run_bench_few_clips

    run_bench_few_clips(data=data, model=model, seeds=seeds, threads=threads, work=work, json_file=json)


def _numbers(option: str, text: str) -> list[int]:
    """Read "1,4,16"."""
    try:
        numbers = [int(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"{option} {text}: must be whole numbers from 1 on, such as 1,16,64.")
    return numbers
