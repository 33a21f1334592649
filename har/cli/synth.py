"""`har synth`: simulated people, as skeleton clips, long recordings, annotated pictures or rendered videos."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from har.cli.output import JsonFile, command_to_resume, count_up, print_line, say, wants_text, write_json
from har.errors import ConfigError

Out: TypeAlias = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same people.")]

SIDE_PX = (64, 1280)
"""The smallest and largest side of a simulated picture."""

app = typer.Typer(
    help="Simulate people: skeleton clips, long recordings, pictures and rendered videos, each with the truth."
)


@app.command("clips", epilog="Example: har synth clips --out clips/synth --n 2000 --preview clips.png")
def clips(
    out: Out,
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="How many clips.")] = 1000,
    seed: Seed = 0,
    kinds: Annotated[
        str | None,
        typer.Option("--kinds", metavar="KIND,KIND", help="Only these, in turn; `list` names all."),
    ] = None,
    falls_only: Annotated[bool, typer.Option("--falls-only", help="Only falls, every kind in turn.")] = False,
    preview: Annotated[
        Path | None, typer.Option("--preview", metavar="FILE.png", help="Draw the first clips, as the camera saw them.")
    ] = None,
) -> None:
    """Write labelled skeleton clips of simulated people, seen by simulated cameras; each id ends in its kind."""
    from har.clips import iterate_clips
    from har.synth.clips import write_synth_clips
    from har.synth.kinds import KINDS
    from har.synth.sheet import MOST_CLIPS, draw_sheet

    if kinds == "list":
        print_line("\n".join(KINDS))
        return
    chosen = _kinds(kinds, falls_only=falls_only)
    with _bar("simulating clips", total=n) as advance:
        n_written = write_synth_clips(out, n=n, seed=seed, kinds=chosen, progress=lambda done, of: advance(1))
    if preview is not None:
        draw_sheet(list(islice(iterate_clips(out), MOST_CLIPS)), file=preview)
    print_line(f"wrote {n_written} clips to {out}; look at them with: har clips show {out} --preview clips.png")


def _kinds(text: str | None, *, falls_only: bool) -> tuple[str, ...] | None:
    """Read `--kinds` and `--falls-only`.

    Raises:
        ConfigError: a kind is not known, or both were given.
    """
    from har.synth.kinds import FALLS, KINDS

    if text is None:
        return FALLS if falls_only else None
    if falls_only:
        raise ConfigError("--falls-only and --kinds exclude each other. Give one of them.")
    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"--kinds: there is no {kind!r}. Known: {', '.join(KINDS)}.")
    if not kinds:
        raise ConfigError("--kinds is empty. Name one or more, or leave it out for all.")
    return kinds


@app.command("life", epilog="Example: har synth life --out runs/life --hours 2")
def life(
    out: Out,
    hours: Annotated[float, typer.Option("--hours", min=0.01, metavar="H", help="How much, in all.")] = 1.0,
    seed: Seed = 0,
    dense: Annotated[bool, typer.Option("--dense", help="Hard negatives one after another.")] = False,
) -> None:
    """Write long recordings of residents in varied rooms, without a fall: what false alarms are counted on."""
    from har.synth.life import simulate_life
    from har.synth.record_files import write_recordings

    source = f"har synth life, seed {seed}{', dense' if dense else ''}"
    with _bar("simulating life", total=hours * 3600.0) as advance:
        recordings = simulate_life(hours=hours, seed=seed, dense=dense)
        n_written = write_recordings(out, recordings, source=source, progress=advance)
    print_line(f"wrote {n_written} recordings to {out}; replay them with: har replay {out} --model BUNDLE")


@app.command("falls", epilog="Example: har synth falls --out runs/falls --n 100")
def falls(
    out: Out,
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="How many recordings.")] = 100,
    seed: Seed = 0,
) -> None:
    """Write recordings of 20 to 40 s with one fall each, every kind in turn: what missed falls are counted on."""
    from har.synth.life import simulate_fall_scenes
    from har.synth.record_files import write_recordings

    with _bar("simulating falls", total=n) as advance:
        recordings = simulate_fall_scenes(n, seed=seed)
        write_recordings(out, recordings, source=f"har synth falls, seed {seed}", progress=lambda _: advance(1))
    print_line(
        f"wrote {n} recordings to {out}; replay them with: har replay {out} --model BUNDLE --truth {out}/truth.csv"
    )


@app.command("scenes", epilog="Example: har synth scenes --out runs/scenes --n 10000 --seed 0 --preview scenes.png")
def scenes(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write; must not exist.")],
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="How many pictures.")] = 1000,
    seed: Seed = 0,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Of the pictures, in pixels.")] = "320x240",
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, metavar="N", help="Processes.")] = 2,
    depth: Annotated[bool, typer.Option("--depth", help="Also depth: 16-bit PNG in millimetres.")] = False,
    sequences: Annotated[
        bool, typer.Option("--sequences", help="Moving scenes of 4 s at 10 Hz instead, each person with a track id.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option("--preview", metavar="FILE.png", help="Draw the first pictures with their truth.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a broken-off run stopped.")] = False,
    json: JsonFile = None,
) -> None:
    """Write pictures of furnished rooms with up to four people, and exact COCO annotations: what estimators learn from.

    The same seed gives the same files whatever --jobs is; a larger set begins with the pictures of a smaller one.
    """
    from har.synth.scenes.preview import draw_preview
    from har.synth.scenes.write import Plan, write_scenes

    width_px, height_px = _size(size)
    plan = Plan(n=n, seed=seed, width_px=width_px, height_px=height_px, depth=depth, sequences=sequences)
    try:
        with _bar("simulating scenes", total=n) as advance:
            counts = write_scenes(out, plan, jobs=jobs, resume=resume, progress=advance)
    except KeyboardInterrupt:
        say(f"stopped; nothing is lost. Go on with: {command_to_resume()}")
        raise
    if preview is not None:
        draw_preview(out, file=preview)
    write_json({"out": str(out), **counts}, file=json)
    if wants_text(json):
        print_line(f"wrote {n} pictures to {out}: {counts['people']} people, nobody in {counts['empty']} pictures")


def _size(text: str) -> tuple[int, int]:
    """Read `--size`.

    Raises:
        ConfigError: it is no size, or one that cannot be drawn.
    """
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size {text!r} is no size. Write width x height in pixels, such as 320x240.")
    width_px, height_px = int(width), int(height)
    if not (SIDE_PX[0] <= min(width_px, height_px) and max(width_px, height_px) <= SIDE_PX[1]):
        raise ConfigError(f"--size {text}: each side has to be {SIDE_PX[0]} to {SIDE_PX[1]} pixels.")
    return width_px, height_px


@app.command("video", epilog="Example: har synth video --out sample_clips")
def video(out: Out, seed: Seed = 0) -> None:
    """Render the sample videos: a simulated person in a room who walks, sits, stands, falls and lies."""
    from har.synth.video import write_sample_videos

    write_sample_videos(out, seed=seed, progress=count_up("rendered"))
    typer.echo(f"wrote {out}; run the service on it with: har run --source {out} --once")


@contextmanager
def _bar(what: str, *, total: float) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr; gives what to call with the work done since the last call."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
