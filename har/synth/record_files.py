"""Simulated recordings on disk: a clip set that `har replay` plays, the truth about it, and where the beds are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from har.clips import Clip, write_clips
from har.synth.clips import LICENCE
from har.synth.kinds import DAILY
from har.synth.recording import Recording

TRUTH, ZONES = "truth.csv", "rest_zones.json"


def write_recordings(
    out: str | Path, recordings: Iterable[Recording], *, source: str, progress: Callable[[float], None] | None = None
) -> int:
    """Write recordings as a clip set with `truth.csv` and `rest_zones.json` beside them.

    Args:
        out: a folder that is not there yet, or empty.
        recordings: may be a generator; one is held at a time.
        source: how they were made.
        progress: called with the seconds of each recording written.

    Returns:
        How many were written.

    Raises:
        ClipError: the folder holds something already.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    zones: dict[str, object] = {}

    def clips() -> Iterator[Clip]:
        for recording in recordings:
            yield as_clip(recording, source=source)
            rows.extend(_truth_rows(recording))
            zones[recording.id] = recording.rest_zones
            if progress is not None:
                progress(recording.duration_s)

    n_written = write_clips(out, clips())
    folder = Path(out)
    with (folder / TRUTH).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("source", "start_s", "ground_s", "end_s", "kind"))
        table.writerows(rows)
    (folder / ZONES).write_text(json.dumps(zones, indent=1) + "\n", encoding="utf-8")
    return n_written


def as_clip(recording: Recording, *, source: str) -> Clip:
    """Give a recording as a clip without labels of actions."""
    return Clip(
        id=recording.id,
        joints=recording.joints,
        time_s=recording.time_s,
        danger=bool(recording.falls),
        spans=tuple((fall.start_s, fall.ground_s, "fall") for fall in recording.falls),
        subject=recording.id,
        camera="simulated",
        rate_hz=recording.rate_hz,
        rate_known=True,
        source=source,
        licence=LICENCE,
        width_px=recording.width_px,
        height_px=recording.height_px,
    )


def _truth_rows(recording: Recording) -> list[tuple[str, str, str, str, str]]:
    """Give the rows of a truth file: falls, and what the first person did beside daily life."""
    rows = [
        (recording.id, f"{fall.start_s:.2f}", f"{fall.ground_s:.2f}", f"{fall.end_s:.2f}", fall.kind)
        for fall in recording.falls
    ]
    if not rows:
        rows = [
            (recording.id, f"{episode.start_s:.2f}", "", f"{episode.end_s:.2f}", episode.kind)
            for episode in recording.episodes
            if episode.person == 0 and episode.kind != DAILY
        ]
    return rows or [(recording.id, "", "", f"{recording.duration_s:.2f}", DAILY)]
