"""The `har` command: what it can do, and how its failures look.

Rooms are imported inside the commands, so that `har --help` answers at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from har import __version__
from har.cli import bench, clips, config, models, pose, synth
from har.cli.output import JsonFile, say, wants_text, write_json
from har.cli.state import state_folder
from har.errors import HarError, UserError

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="har",
    help="Watch camera feeds for actions and danger, and tell it over MQTT. Not a medical device.",
    epilog="Example: har run --source rtsp://10.0.0.7/main=hall",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(clips.app, name="clips")
app.add_typer(models.app, name="models")
app.add_typer(pose.app, name="pose")
app.add_typer(synth.app, name="synth")
app.add_typer(bench.app, name="bench")
app.add_typer(config.app, name="config")

State = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Database and broker address. Default: $XDG_STATE_HOME/har.")
]
POSE_HELP = "mediapipe, blazepose, maskrcnn (maskrcnn:480 for smaller pictures), a .task file or a trained folder."
Broker = Annotated[str | None, typer.Option(metavar="URL", help="mqtt://HOST:1883 or mqtts://HOST:8883.")]


@app.callback(invoke_without_command=True)
def begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every change of state inside.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and every log line.")] = False,
) -> None:
    """Answer `har` and `har --version`; `-v` and `--debug` are read by `main` before anything can go wrong."""
    if version:
        typer.echo(f"har {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: har run --source fall.mp4=hall --once --events events.jsonl")
def run(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG.toml", help="See `har config init`.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL[=CAMERA]",
            help="Video file, folder, rtsp(s)://..., webcam:0 or skeleton clip .npz; may be given several times. "
            "For a URL with a `?`, write URL#camera=NAME.",
        ),
    ] = None,
    state: State = None,
    model: Annotated[str | None, typer.Option(metavar="BUNDLE", help="Name or path. Default: the shipped one.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What computes the actions: torch (default), torch-bf16 or onnxruntime."),
    ] = None,
    pose: Annotated[str | None, typer.Option(metavar="NAME", help=POSE_HELP)] = None,
    broker: Broker = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add every event as a JSON line, as on MQTT.")
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.mp4", help="Draw skeletons, labels and danger on the video; OUT.png: on one picture."
        ),
    ] = None,
    silhouette: Annotated[
        bool,
        typer.Option(
            "--silhouette",
            help="In the overlay, people are flat shapes; with masks, before a blurred still of the room.",
        ),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Files only: read to the end, dropping nothing, then print a summary.")
    ] = False,
    json: JsonFile = None,
) -> None:
    """Run the service: cameras in, action labels, danger and alerts out over MQTT."""
    from har.cli.run import run as run_service

    run_service(
        config_file=config,
        sources=source or [],
        state=state,
        model=model,
        engine=engine,
        pose=pose,
        broker=broker,
        events=events,
        overlay=overlay,
        silhouette=silhouette,
        once=once,
        json_file=json,
    )


@app.command(epilog="Example: har watch --broker mqtt://192.168.1.10:1883")
def watch(
    broker: Annotated[
        str | None, typer.Option(metavar="URL", help="Default: the broker of the `har run` on this machine.")
    ] = None,
    site: Annotated[str | None, typer.Option(metavar="NAME", help="One site only. Default: all on the broker.")] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificates to trust for mqtts://.")] = None,
    receipts: Annotated[
        bool, typer.Option("--receipts/--no-receipts", help="Tell the service that an alert was seen here.")
    ] = True,
    state: State = None,
    json: Annotated[bool, typer.Option("--json", help="Print the bodies as they came, one a line.")] = False,
) -> None:
    """Subscribe: a readable line for each event, and a receipt for each alert. Ends with Ctrl-C."""
    import threading

    from har.cli.watch import watch as watch_broker
    from har.mqtt.address import read_address
    from har.mqtt.broker import read_broker_url

    url = broker or read_broker_url(state_folder(state))
    say(f"watching {read_address(url).shown}; end with Ctrl-C")
    stop = threading.Event()
    watch_broker(broker_url=url, site=site, as_json=json, receipts=receipts, out=sys.stdout, stop=stop, ca=ca)


@app.command(epilog="Example: har extract walk1.mp4 walk2.mp4 --label walk --licence 'own recording' --out clips/walk")
def extract(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Video files.")],
    out: Annotated[Path, typer.Option("--out", metavar="CLIPS", help="The clip set to write.")],
    pose: Annotated[str, typer.Option(metavar="NAME", help=POSE_HELP)] = "mediapipe",
    label: Annotated[str | None, typer.Option(metavar="L", help="One label for all videos.")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Rows of file,start_s,end_s,label,subject,view.")
    ] = None,
    untrimmed: Annotated[
        bool, typer.Option("--untrimmed", help="One clip a video, the rows of --labels being stretches of it.")
    ] = False,
    origin: Annotated[str, typer.Option(metavar="TEXT", help="Where the videos come from.")] = "own recording",
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Under which terms.")] = "unknown",
    json: JsonFile = None,
) -> None:
    """Turn videos into a set of skeleton clips, with the estimator and tracking of the service."""
    from har.cli.extract import extract as extract_videos

    extract_videos(
        videos,
        out=out,
        pose=pose,
        label=label,
        labels=labels,
        untrimmed=untrimmed,
        origin=origin,
        licence=licence,
        json_file=json,
    )


@app.command("import", epilog="Example: har import npz kard.npz --out clips/kard")
def import_(
    kind: Annotated[str, typer.Argument(metavar="FORMAT", help="npz, pyskl, ntu, kinetics, coco, etri or csv.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or folder in that format.")],
    out: Annotated[Path, typer.Option("--out", metavar="CLIPS", help="The clip set to write; must not exist.")],
    rate_hz: Annotated[
        float | None, typer.Option("--rate-hz", metavar="R", help="Frames a second, where the files do not say.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(metavar="NAME", help="Joint layout of files that do not name their joints.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of the labels, one a line, or a table clip,label.")
    ] = None,
    danger: Annotated[
        list[str] | None, typer.Option(metavar="LABEL", help="A label of danger. Default: those that speak of a fall.")
    ] = None,
    origin: Annotated[str | None, typer.Option(metavar="TEXT", help="Where the set comes from.")] = None,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Under which terms.")] = "unknown",
    json: JsonFile = None,
) -> None:
    """Turn a public skeleton set into a clip set; docs/formats.md says what is read of each format."""
    from har.cli.importing import import_clips
    from har.training.importers import ImportOptions

    options = ImportOptions(
        rate_hz=rate_hz, layout=layout, labels=labels, danger=tuple(danger or ()), origin=origin, licence=licence
    )
    import_clips(kind, path, out=out, options=options, json_file=json)


@app.command(epilog="Example: har train clips/synth --out bundles/mine --split subject:odd/even --time-limit 30")
def train(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIPS...", help="One or more clip sets.")],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="The bundle to write; must not exist.")],
    recordings: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Long recordings that only tell where people fall, for the danger model; repeatable. "
            "Such as `har synth life` and `har synth falls` write.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="`stream` (runs live), `clip` (best on trimmed clips), or a file with what differs from them. "
            "Default: what suits the clips, or the recipe of --from.",
        ),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="BUNDLE",
            help="Begin with the weights of a shipped bundle or of your own; labels, layout and inputs may differ.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="A stored split, or a rule such as subject:1-5/6-10.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="MIN", min=0.1, help="Minutes until the bundle is on disk.")
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processor threads of a step.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Processes that read clips for the danger model. Default: one for each core."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same model.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a broken-off run stopped.")] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto takes bf16 where the hardware multiplies it.")
    ] = "auto",
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write curves there; needs `pip install tensorboard`.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Train the action and danger models on a clip set and write them as a bundle.

    Part of the clips, by person where there are several, is held out to choose the best pass by. Ctrl-C keeps what was
    learnt for --resume, and so does a crash. With few clips of your own, begin with a bundle that knows how people
    move: har train clips/mine --from care-5 --out bundles/mine. On several GPUs: torchrun --nproc_per_node 2 -m
    har.cli.main train clips/mine --out bundles/mine.
    """
    from har.cli.train import train as train_bundle

    train_bundle(
        clips,
        out=out,
        recordings=recordings or (),
        recipe=recipe,
        parent=parent,
        split=split,
        time_limit_min=time_limit,
        threads=threads,
        jobs=jobs,
        seed=seed,
        resume=resume,
        device=device,
        precision=precision,
        tensorboard=tensorboard,
        json_file=json,
    )


@app.command(epilog="Example: har evaluate bundles/mine clips/test --split subject:odd/even --report report")
def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Name or path of a bundle.")],
    clips: Annotated[Path, typer.Argument(metavar="CLIPS", help="A clip set.")],
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="As in `har train`; its right side is used.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page to read there, with pictures and all numbers.")
    ] = None,
    unknown_classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Train a second model without these labels and tell how many of them it calls unknown; needs --split.",
        ),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure a bundle on clips that it was not trained on."""
    from har.cli.evaluate import evaluate as evaluate_bundle

    evaluate_bundle(bundle, clips, split=split, unknown_classes=unknown_classes, report=report, json_file=json)


@app.command(
    epilog="Example: har replay falls/ --truth falls/truth.csv --model care-5 --against bundles/mine --report out"
)
def replay(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Videos, skeleton clips .npz, folders of them, clip sets.")
    ],
    model: Annotated[str, typer.Option("--model", metavar="A", help="Name or path of a bundle.")],
    against: Annotated[
        str | None, typer.Option("--against", metavar="B", help="Another bundle, on the very same poses.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Rows of source,start_s,ground_s,end_s,kind. Without it: what clip sets say of themselves, else "
            "alerts are only listed.",
        ),
    ] = None,
    pose: Annotated[str | None, typer.Option(metavar="NAME", help=POSE_HELP)] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Videos whose poses are found at once. Default: one for each core."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="CONFIG.toml", help="Take [danger] and [pose] from there, as `har run` does.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page with a timeline of each recording there.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Run a model on recordings as the service would: falls found, missed, false alerts, delay; A against B."""
    from har.cli.replay import run_replay

    run_replay(
        sources,
        model=model,
        against=against,
        truth_file=truth,
        pose=pose,
        jobs=jobs,
        config_file=config,
        report=report,
        json_file=json,
    )


@app.command(epilog="Example: har doctor --json -")
def doctor(state: State = None, json: JsonFile = None) -> None:
    """Show what this machine has and lacks, with the command that mends it; exit code 1 if it cannot run."""
    from har.cli.doctor import as_json, as_text, examine, is_fit

    findings = examine(state=state)
    write_json(as_json(findings), file=json)
    if wants_text(json):
        typer.echo(as_text(findings))
    if not is_fit(findings):
        raise typer.Exit(FAILED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_debug, is_verbose = "--debug" in words, "-v" in words or "--verbose" in words
    words = [word for word in words if word not in ("--debug", "-v", "--verbose")]
    _start_logging(level=logging.DEBUG if is_debug else logging.INFO if is_verbose else logging.WARNING)
    try:
        code = app(args=words, prog_name="har", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the last place where any failure can become one line
        if is_debug:
            logging.getLogger(__name__).exception("command failed")
        return _tell(error)
    return code if isinstance(code, int) else DONE


def _tell(error: Exception) -> int:
    """Print a failure as one line on stderr and give the exit code it means."""
    if isinstance(error, HarError):
        line, code = str(error), MISTAKE if isinstance(error, UserError) else FAILED
    elif isinstance(error, typer.TyperException):
        context: typer.Context | None = getattr(error, "ctx", None)
        path = context.command_path if context else "har"
        line = error.format_message()
        line, code = f"{line}{'' if line.endswith(('.', '?', ')')) else '.'} See `{path} --help`.", error.exit_code
    elif isinstance(error, typer.Abort):
        return INTERRUPTED
    elif isinstance(error, OSError) and error.filename:
        line, code = f"{error.filename}: {error.strerror}. Mend that and run the command again.", FAILED
    else:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        line, code = f"this is a bug in har ({what}). Run it again with --debug to see where.", FAILED
    typer.echo(f"har: {' '.join(line.split())}", err=True)
    return code


def _start_logging(*, level: int) -> None:
    """Send the log to stderr: ours from this level on, of other libraries only warnings."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    for room in ("har", "graphs"):
        logging.getLogger(room).setLevel(level)


if __name__ == "__main__":
    sys.exit(main())
