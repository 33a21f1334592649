"""Who is where in the frames of videos, marked by eye: `video,frame,person,who,state,x,y,w,h`.

A row is one person in one frame, with the box round their body in pixels of the video; frames are numbered from 0. A
frame in which nobody is has one row with the state `empty` and nothing else.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from har.errors import AnnotationError
from har.track import Box

COLUMNS = ("video", "frame", "person", "who", "state", "x", "y", "w", "h")
RESIDENT, BYSTANDER = "resident", "bystander"
LYING, EMPTY = "lying", "empty"
STATES = ("upright", "bending", "sitting", "falling", LYING, EMPTY)
_HEADER = ",".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Marked:
    """One person in one frame.

    Attributes:
        person: their number in the video.
        who: "resident" (whom the video is about) or "bystander".
        state: one of STATES, but never "empty".
        box: round the body, pixels of the video.
    """

    person: str
    who: str
    state: str
    box: Box


def read_people(path: Path) -> dict[str, dict[int, tuple[Marked, ...]]]:
    """Read who is where: by video, then by frame in rising order; nobody in a frame is an empty tuple.

    Raises:
        AnnotationError: the file cannot be read, or a row does not fit; the text names the line.
    """
    videos: dict[str, dict[int, tuple[Marked, ...]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or [])]:
                raise AnnotationError(f"{path}: no column {missing[0]!r}. The first line must name {_HEADER}.")
            for row in reader:
                _add(videos, row, f"{path}, line {reader.line_num}")
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}). Give a CSV file: {_HEADER}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{path}: cannot be read as CSV ({error}). Give a UTF-8 text file: {_HEADER}.") from None
    if not videos:
        raise AnnotationError(f"{path}: holds no row. Write one for each person and frame: {_HEADER}.")
    return {video: dict(sorted(frames.items())) for video, frames in videos.items()}


def _add(videos: dict[str, dict[int, tuple[Marked, ...]]], row: Mapping[str | None, str | None], where: str) -> None:
    text = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if not text["video"] or not text["frame"].isdecimal():
        raise AnnotationError(f"{where}: video is empty, or frame {text['frame']!r} is no number from 0 on.")
    if text["state"] not in STATES:
        raise AnnotationError(f"{where}: state is {text['state']!r}. Known: {', '.join(STATES)}.")
    frames = videos.setdefault(text["video"], {})
    frame = int(text["frame"])
    if text["state"] == EMPTY:
        if frames.setdefault(frame, ()):
            raise AnnotationError(f"{where}: frame {frame} is empty, but another row puts somebody there.")
        return
    if text["who"] not in (RESIDENT, BYSTANDER):
        raise AnnotationError(f"{where}: who is {text['who']!r}. Write {RESIDENT} or {BYSTANDER}.")
    before = frames.get(frame)
    if before == () or any(each.person == text["person"] for each in before or ()):
        raise AnnotationError(f"{where}: frame {frame} is empty in another row, or has person {text['person']} twice.")
    marked = Marked(text["person"], text["who"], text["state"], _box(text, where))
    frames[frame] = (*(before or ()), marked)


def _box(text: Mapping[str, str], where: str) -> Box:
    try:
        x, y, width, height = (float(text[name]) for name in ("x", "y", "w", "h"))
    except ValueError:
        raise AnnotationError(f"{where}: x, y, w, h must be numbers of pixels.") from None
    if not all(map(math.isfinite, (x, y))) or not (0 < width < math.inf and 0 < height < math.inf):
        raise AnnotationError(f"{where}: the box has no area. Give w and h in pixels, or leave the row out.")
    return Box(x, y, x + width, y + height)


def find_videos(videos: Sequence[str], folder: Path) -> list[Path]:
    """Give the files that a table's videos are, from the folder that their names start from.

    Raises:
        AnnotationError: one is not there.
    """
    files = [folder / video for video in videos]
    if missing := [file for file in files if not file.is_file()]:
        raise AnnotationError(
            f"{len(missing)} of {len(files)} videos are not there, the first is {missing[0]}. Give with --data the "
            "folder that the names in the column video start from."
        )
    return files
