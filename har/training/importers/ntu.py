"""NTU RGB+D's `.skeleton` text: Kinect v2, 25 joints in metres, any number of bodies whose ids come and go.

A file is a number of frames; for each frame a number of bodies; for each body a line of ten values (the first is its
id), a number of joints, and a line of twelve values a joint: x y z, depth x y, colour x y, orientation w x y z, and
the tracking state (0 not tracked, 1 inferred, 2 tracked). The name S001C002P003R002A013 says setup, camera, performer,
replication and action (Shahroudy et al. 2016; Liu et al. 2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from har.clips import Clip
from har.errors import ClipError
from har.training.importers.ledger import ImportOptions, Ledger
from har.training.importers.making import (
    ClipFacts,
    Numbers,
    describe_set,
    find_files,
    known_layout,
    make_clip,
    name_of_file,
)
from har.training.importers.people import lay_out
from har.training.importers.tables import read_names, read_text

N_JOINTS = 25
N_BODY_VALUES, N_JOINT_VALUES = 10, 12
MAX_FRAMES, MAX_BODIES = 100_000, 64
SCORES = {0: 0.0, 1: 0.5, 2: 1.0}
RATE_HZ = 30.0

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
# Who is learnt from, of the 40 people of NTU60 and the 106 of NTU120; cameras and setups of the other two protocols.
_TRAIN_60 = frozenset((1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38))
_TRAIN_120 = _TRAIN_60 | frozenset(
    (
        *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93),
        *(94, 95, 97, 98, 100, 103),
    )
)
_TRAIN_CAMERAS = (2, 3)
LAST_SETUP_60, LAST_ACTION_60 = 17, 60


def read_ntu(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a `.skeleton` file or of all in a folder.

    Raises:
        ClipError: a file is damaged or has another number of joints; the text names file and line.
    """
    files = find_files(path, "*.skeleton")
    names = read_names(options.labels) if options.labels is not None else []
    found = known_layout("ntu25", n_joints=N_JOINTS, where=str(path))
    of_set = describe_set(found, options, units="m", up="+y", source="NTU RGB+D", rate_hz=RATE_HZ, labels=names)
    for number, file in enumerate(files):
        ledger.tell(number, len(files))
        bodies, n_frames = _read_file(file)
        joints = lay_out(bodies, n_frames=n_frames, clip_id=file.stem, ledger=ledger) if n_frames else None
        if joints is None:
            ledger.leave_out(file.stem, why="no body in any frame")
            continue
        facts = ClipFacts(
            id=file.stem, label=_label(file, names), **name_of_file(file.stem), splits=official_splits(file.stem)
        )
        clip = make_clip(joints, facts, of_set, ledger)
        if clip is not None:
            yield clip
    ledger.tell(len(files), len(files))


def _label(file: Path, names: list[str]) -> str | None:
    found = _NAME.search(file.stem)
    if found is None:
        return None
    action = int(found[5])
    if names and not 1 <= action <= len(names):
        raise ClipError(f"{file}: action {action} has no name, --labels holds {len(names)}, from number 1.")
    return names[action - 1] if names else f"A{action:03d}"


def official_splits(name: str) -> dict[str, str]:
    """Give the sides that a clip is on in the published protocols, by its name.

    `xsub` and `xview` are those of the first 60 actions, `xsub120` and `xset120` those of all 120.
    """
    found = _NAME.search(name)
    if found is None:
        return {}
    setup, camera, performer, _, action = map(int, found.groups())
    on_train = {"xsub120": performer in _TRAIN_120, "xset120": setup % 2 == 0}
    if setup <= LAST_SETUP_60 and action <= LAST_ACTION_60:
        on_train |= {"xsub": performer in _TRAIN_60, "xview": camera in _TRAIN_CAMERAS}
    return {split: "train" if is_train else "test" for split, is_train in on_train.items()}


class _Lines:
    """The lines of a file, each of which must hold so many numbers."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lines = read_text(file, what="NTU's .skeleton text").splitlines()
        self._next = 0

    def values(self, n_values: int, *, what: str) -> list[str]:
        """Give the values of the next line."""
        self._next += 1
        if self._next > len(self._lines):
            raise self.error(f"the file ends where {what} should stand. Fetch it again")
        values = self._lines[self._next - 1].split()
        if len(values) != n_values:
            raise self.error(f"{len(values)} values where {what} should stand ({n_values} values)")
        return values

    def count(self, *, what: str, most: int) -> int:
        """Give the number on the next line."""
        (text,) = self.values(1, what=what)
        if not text.isdecimal() or int(text) > most:
            raise self.error(f"{text[:20]!r} where {what} should stand, a number up to {most}")
        return int(text)

    def error(self, text: str) -> ClipError:
        """Give an error about this line."""
        return ClipError(f"{self._file}, line {self._next}: {text}.")


def _read_file(file: Path) -> tuple[list[dict[int, Numbers]], int]:
    """Give the bodies, joints by frame, and the number of frames."""
    lines = _Lines(file)
    bodies: dict[str, dict[int, Numbers]] = {}
    n_frames = lines.count(what="the number of frames", most=MAX_FRAMES)
    for frame in range(n_frames):
        for _ in range(lines.count(what="the number of bodies", most=MAX_BODIES)):
            body = lines.values(N_BODY_VALUES, what="a body")[0]
            n_joints = lines.count(what="the number of joints", most=1000)
            if n_joints != N_JOINTS:
                raise lines.error(f"{n_joints} joints, NTU's skeletons have {N_JOINTS}")
            place = bodies.setdefault(body, {})
            if frame in place:
                raise lines.error(f"body {body[:40]} comes twice in frame {frame}")
            place[frame] = np.array([_joint(lines) for _ in range(N_JOINTS)], dtype=np.float32)
    return list(bodies.values()), n_frames


def _joint(lines: _Lines) -> tuple[float, float, float, float]:
    values = lines.values(N_JOINT_VALUES, what="a joint")
    try:
        x, y, z = (float(value) for value in values[:3])
        state = int(float(values[-1]))
    except ValueError:
        raise lines.error("x, y, z and the tracking state must be numbers") from None
    if state not in SCORES:
        raise lines.error(f"tracking state {values[-1][:20]} is none of 0, 1, 2")
    nowhere = state == 0
    return (np.nan, np.nan, np.nan, np.nan) if nowhere else (x, y, z, SCORES[state])
