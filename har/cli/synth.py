"""`har synth`: simulated people, as skeleton clips or as rendered videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from har.cli.output import count_up

Out: TypeAlias = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same people.")]

app = typer.Typer(help="Simulate people: skeleton clips and rendered videos, each with its labels.")


@app.command("clips", epilog="Example: har synth clips --out clips/synth --n 2000")
def clips(
    out: Out,
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="How many clips.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Write labelled skeleton clips of simulated people, seen by simulated cameras."""
    from har.synth.clips import write_synth_clips

    n_written = write_synth_clips(out, n=n, seed=seed, progress=count_up("simulated"))
    typer.echo(f"wrote {n_written} clips to {out}; look at them with: har clips show {out} --preview clips.png")


@app.command("video", epilog="Example: har synth video --out sample_clips")
def video(out: Out, seed: Seed = 0) -> None:
    """Render the sample videos: a simulated person in a room who walks, sits, stands, falls and lies."""
    from har.synth.video import write_sample_videos

    write_sample_videos(out, seed=seed, progress=count_up("rendered"))
    typer.echo(f"wrote {out}; run the service on it with: har run --source {out} --once")
