"""What `har extract` does: videos in, a clip set out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from har.cli.output import say, wants_text, write_json
from har.clips import write_clips
from har.errors import ConfigError, SourceError
from har.sources.address import VIDEO_SUFFIXES
from har.training.extract import Origin, extract_clips, read_labels

SAY_EVERY_S = 10.0  # of video


def extract(
    videos: list[Path],
    *,
    out: Path,
    pose: str,
    label: str | None,
    labels: Path | None,
    untrimmed: bool,
    origin: str,
    licence: str,
    json_file: Path | None,
) -> None:
    """Find the skeletons in videos and write them as a clip set.

    Raises:
        ConfigError: both one label and a file of labels are given.
        SourceError: a video is not there.
    """
    if label is not None and labels is not None:
        raise ConfigError("--label and --labels exclude each other: one label for all, or a file with a row a clip.")
    rows = read_labels(labels) if labels else []
    clips = extract_clips(
        _find_videos(videos),
        origin=Origin(source=origin, licence=licence),
        pose=pose,
        label=label,
        rows=rows,
        untrimmed=untrimmed,
        tell=_tell_progress(),
    )
    n_clips = write_clips(out, clips)
    write_json({"n": n_clips, "path": str(out)}, file=json_file)
    if wants_text(json_file):
        typer.echo(f"wrote {n_clips} clips to {out}; look at them with: har clips show {out} --preview clips.png")


def _find_videos(given: list[Path]) -> list[Path]:
    """Give the files themselves and the videos in folders, in order."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES)
            if not inside:
                raise SourceError(f"{path}: no video in this folder. Give video files or a folder that holds some.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise SourceError(f"{path}: no such file. Check the spelling.")
    return found


def _tell_progress() -> Callable[[str, float], None]:
    """Give what to call with a video's name and the seconds done: it says each new video and every few seconds."""
    last: dict[str, float] = {}

    def tell(name: str, done_s: float) -> None:
        if name not in last or done_s - last[name] >= SAY_EVERY_S:
            last[name] = done_s
            say(f"{name}: {done_s:.0f} s")

    return tell
