"""ETRI-Activity3D's CSV: Kinect v2, 25 joints in metres, a row for each frame and body.

Columns are `frameNum`, `bodyindexID` and for each joint from 1 to 25 `joint1_3dX`, `joint1_3dY`, `joint1_3dZ`, more
that is not read, and `joint1_trackingState` (0 not tracked, 1 inferred, 2 tracked). Files are called
A001_P002_G001_C003.csv: action, person, repetition, camera (Jang et al. 2020). Every third person (3, 6, ..., 99) is
tested on.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from har.clips import Clip
from har.errors import ClipError
from har.training.importers.ledger import ImportOptions, Ledger
from har.training.importers.making import ClipFacts, Numbers, describe_set, find_files, known_layout, make_clip
from har.training.importers.ntu import SCORES
from har.training.importers.people import lay_out
from har.training.importers.tables import read_names, read_text

N_JOINTS = 25
MAX_FRAMES = 100_000
TEST_EVERY = 3  # people
_NAME = re.compile(r"A(\d{3})_?P(\d{3})_?G(\d{3})_?C(\d{3})")
_STATES = {"nottracked": 0, "inferred": 1, "tracked": 2}


def read_etri(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of an ETRI-Activity3D file or of all in a folder.

    Raises:
        ClipError: a file does not fit; the text names file and line.
    """
    files = find_files(path, "*.csv")
    names = read_names(options.labels) if options.labels is not None else []
    found = known_layout("ntu25", n_joints=N_JOINTS, where=str(path))
    of_set = describe_set(found, options, units="m", up="+y", source="ETRI-Activity3D", labels=names)
    for number, file in enumerate(files):
        ledger.tell(number, len(files))
        bodies, n_frames = _read_file(file)
        joints = lay_out(bodies, n_frames=n_frames, clip_id=file.stem, ledger=ledger)
        if joints is None:
            ledger.leave_out(file.stem, why="no body in any frame")
            continue
        clip = make_clip(joints, _facts(file, names), of_set, ledger)
        if clip is not None:
            yield clip
    ledger.tell(len(files), len(files))


def _facts(file: Path, names: list[str]) -> ClipFacts:
    found = _NAME.fullmatch(file.stem)
    if found is None:
        return ClipFacts(id=file.stem)
    action, person = int(found[1]), int(found[2])
    if names and not 1 <= action <= len(names):
        raise ClipError(f"{file}: action {action} has no name, --labels holds {len(names)}, from number 1.")
    return ClipFacts(
        id=file.stem,
        label=names[action - 1] if names else f"A{action:03d}",
        subject=f"P{found[2]}",
        view=f"C{found[4]}",
        splits={"official": "test" if person % TEST_EVERY == 0 else "train"},
    )


def _read_file(file: Path) -> tuple[list[dict[int, Numbers]], int]:
    """Give the bodies, joints (V, 4) by frame from 0, and the number of frames."""
    reader = csv.DictReader(read_text(file, what="a CSV file of ETRI-Activity3D").splitlines())
    bodies: dict[str, dict[int, Numbers]] = {}
    frames: set[int] = set()
    try:
        _check_header(list(reader.fieldnames or ()), file)
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ClipError(f"{where}: its values are not as many as the columns of line 1. Fetch the file again.")
            frame = _frame(row["frameNum"], where)
            frames.add(frame)
            body = row["bodyindexID"].strip()
            if body in ("", "nan"):  # a frame in which the sensor saw nobody
                continue
            place = bodies.setdefault(body, {})
            if frame in place:
                raise ClipError(f"{where}: body {body[:40]} comes twice in frame {frame}. Leave one out.")
            place[frame] = np.array([_joint(row, joint, where) for joint in range(1, N_JOINTS + 1)], dtype=np.float32)
    except csv.Error as error:
        raise ClipError(f"{file}, line {reader.line_num}: is no CSV ({error}).") from None
    first = min(frames, default=0)
    moved = [{frame - first: joints for frame, joints in body.items()} for body in bodies.values()]
    return moved, max(frames, default=first - 1) - first + 1


def _check_header(header: list[str], file: Path) -> None:
    axes = [f"joint{joint}_3d{axis}" for joint in range(1, N_JOINTS + 1) for axis in "XYZ"]
    for name in ("frameNum", "bodyindexID", *axes):
        if name not in header:
            raise ClipError(f"{file}, line 1: no column {name}. Give the skeleton CSV files of ETRI-Activity3D.")


def _frame(text: str, where: str) -> int:
    try:
        frame = int(float(text))
    except (ValueError, OverflowError):
        frame = -1
    if not 0 <= frame <= MAX_FRAMES:
        raise ClipError(f"{where}: frameNum must be a whole number up to {MAX_FRAMES}, found {text[:40]!r}.")
    return frame


def _joint(row: Mapping[str, str], joint: int, where: str) -> tuple[float, float, float, float]:
    try:
        x, y, z = (float(row[f"joint{joint}_3d{axis}"] or "nan") for axis in "XYZ")
        text = (row.get(f"joint{joint}_trackingState") or "2").strip()
        state = _STATES[text.lower()] if text.lower() in _STATES else int(float(text))
    except (ValueError, OverflowError):
        raise ClipError(f"{where}: joint {joint}: 3dX, 3dY, 3dZ and trackingState must be numbers.") from None
    if state not in SCORES:
        raise ClipError(f"{where}: joint {joint}: trackingState {text[:20]!r} is none of 0, 1, 2.")
    if state == 0 or not all(map(math.isfinite, (x, y, z))):
        return (math.nan,) * 4
    return x, y, z, SCORES[state]
