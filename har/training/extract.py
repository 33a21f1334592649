"""Videos into a clip set: the same estimator and the same tracking that the service runs."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from har.clips import Clip
from har.errors import ClipError
from har.pose import open_estimator, usual_people
from har.records import Frame, PoseFrame
from har.sources import open_source
from har.track import Sighting, follow

Tell = Callable[[str, float], None]
"""Called with the video's name and the seconds of it that are done."""

FALL_LABEL = "fall"
_COLUMNS = ("file", "start_s", "end_s", "label")
_MIN_POSES = 5


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of a labels file.

    Attributes:
        file: the end of the video's path, with `/` between its parts.
        start_s: where the label begins, seconds of the video's pts.
        end_s: where it ends.
        label: what is done.
        subject: who does it; None if not told.
        view: from where it is seen; None if not told.
    """

    file: str
    start_s: float
    end_s: float
    label: str
    subject: str | None
    view: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where videos come from; written into every clip.

    Attributes:
        source: the recording's origin.
        licence: under which terms.
        consent: reference to the consent of the people seen.
    """

    source: str
    licence: str
    consent: str | None = None


def read_labels(path: Path) -> list[LabelRow]:
    """Read a labels file: CSV with `file,start_s,end_s,label` and, if known, `subject` and `view`.

    Raises:
        ClipError: the file or a row of it does not fit; the text names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise ClipError(f"{path}: no column {missing[0]!r}. The first line must be {','.join(_COLUMNS)},...")
            return [_read_row(row, f"{path}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ClipError(f"{path}: cannot be read as CSV ({error}). Give a UTF-8 text file.") from None


def _read_row(row: Mapping[str, str | None], where: str) -> LabelRow:
    text = {key: (value or "").strip() for key, value in row.items() if key}
    try:
        start_s, end_s = float(text["start_s"] or 0.0), float(text["end_s"] or "inf")
    except ValueError:
        raise ClipError(f"{where}: start_s and end_s must be seconds, found {row}.") from None
    if not text["file"] or not text["label"] or not start_s < end_s or start_s < 0 or math.isnan(end_s):
        raise ClipError(f"{where}: needs a file, a label, and a start_s before its end_s.")
    return LabelRow(text["file"], start_s, end_s, text["label"], text.get("subject") or None, text.get("view") or None)


def extract_clips(videos: Sequence[Path], *, origin: Origin, pose: str = "mediapipe", max_people: int | None = None,
                  label: str | None = None, rows: Sequence[LabelRow] = (), untrimmed: bool = False,
                  tell: Tell = lambda name, done_s: None) -> Iterator[Clip]:  # fmt: skip
    """Run the pose estimator over videos and give their skeletons as clips, video by video.

    Args:
        videos: video files.
        origin: where they come from.
        pose: the estimator, as in `har.pose.open_estimator`.
        max_people: most people looked for in a frame; None for as many as the service looks for.
        label: one label for all.
        rows: labels by file and time; a video without any is left out.
        untrimmed: give one clip a video, the rows being its spans; otherwise one clip a row.
        tell: called as the work goes on.

    Raises:
        ClipError: no row names any of the videos, or nobody is seen in a labelled stretch.
        SourceError: a video cannot be read.
    """
    if rows and not any(_rows_of(video, rows) for video in videos):
        raise ClipError(f"the labels name {rows[0].file!r} and others, but none of the {len(videos)} videos is among "
                        "them. The column `file` must be the end of a video's path.")  # fmt: skip
    for video in videos:
        mine = _rows_of(video, rows)
        if rows and not mine:
            continue
        clip = _extract_video(video, origin=origin, pose=pose, max_people=max_people, tell=tell)
        if clip is None:
            continue
        if not mine:
            yield replace(clip, label=label, danger=None if label is None else label == FALL_LABEL)
        elif untrimmed:
            yield _with_spans(clip, mine)
        else:
            yield from (_cut(clip, row, number) for number, row in enumerate(mine, 1))


def _rows_of(video: Path, rows: Sequence[LabelRow]) -> list[LabelRow]:
    path = "/" + video.absolute().as_posix()
    return sorted((row for row in rows if path.endswith("/" + row.file)), key=lambda row: row.start_s)


def _extract_video(video: Path, *, origin: Origin, pose: str, max_people: int | None, tell: Tell) -> Clip | None:
    """Follow everybody through one video; None if nobody was seen."""
    times: list[float] = []
    size = (0, 0)
    estimator = open_estimator(pose, max_people=max_people or usual_people(pose))

    def look(frames: Iterable[Frame]) -> Iterator[PoseFrame]:
        nonlocal size
        for frame in frames:
            size = (frame.image.shape[1], frame.image.shape[0])
            times.append(frame.source_time_s)
            yield PoseFrame(frame.camera, frame.time_s, frame.source_time_s, *size, estimator.estimate(frame))
            tell(video.name, frame.source_time_s)

    try:
        with open_source(str(video), camera="extract", paced=False) as source:
            people = follow(look(source.frames()))
    finally:
        estimator.close()
    slots = _slots([person.sightings for person in people if len(person.sightings) >= _MIN_POSES])
    if not slots:
        return None
    joints = np.full((len(times), len(slots), 17, 3), np.nan, dtype=np.float32)
    for m, sightings in enumerate(slots):
        for number, found in sightings.items():
            joints[number, m, :, :2], joints[number, m, :, 2] = found.pose.xy, found.pose.score
    name = "-".join(video.absolute().with_suffix("").parts[-3:])
    rate_hz = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 1.0
    return Clip(
        id=re.sub(r"[^A-Za-z0-9_.-]+", "_", name),
        joints=joints,
        time_s=np.array(times, dtype=np.float64),
        rate_hz=round(rate_hz, 3),
        rate_known=True,
        source=origin.source,
        licence=origin.licence,
        consent=origin.consent,
        width_px=size[0],
        height_px=size[1],
    )


def _slots(people: Sequence[dict[int, Sighting]]) -> list[dict[int, Sighting]]:
    """Put people who were never seen at once into one slot, those seen longest first: mostly one person found again."""
    slots: list[dict[int, Sighting]] = []
    for frames in sorted(people, key=len, reverse=True):
        for slot in slots:
            if not slot.keys() & frames.keys():
                slot.update(frames)
                break
        else:
            slots.append(dict(frames))
    return slots


def _with_spans(clip: Clip, rows: Sequence[LabelRow]) -> Clip:
    last_s = float(clip.time_s[-1]) + 1.0 / clip.rate_hz
    spans = tuple((row.start_s, min(row.end_s, last_s), row.label) for row in rows if row.start_s < last_s)
    danger = any(row.label == FALL_LABEL for row in rows)
    return replace(clip, spans=spans, danger=danger, subject=rows[0].subject, view=rows[0].view)


def _cut(clip: Clip, row: LabelRow, number: int) -> Clip:
    inside = (clip.time_s >= row.start_s) & (clip.time_s <= row.end_s)
    if not np.isfinite(clip.joints[inside]).any():
        raise ClipError(
            f"{row.file}: nobody is seen from {row.start_s:g} to {row.end_s:g} s. Leave that row out of the labels."
        )
    return replace(
        clip,
        id=f"{clip.id}-{number:03d}",
        joints=clip.joints[inside],
        time_s=clip.time_s[inside],
        label=row.label,
        danger=row.label == FALL_LABEL,
        subject=row.subject,
        view=row.view,
    )
