"""Kinetics-skeleton's JSON: one file a video, OpenPose's 18 joints, x and y as shares of a 340 x 256 picture, 30 Hz.

A file holds `data`, a list of frames with `frame_index` (from 1) and `skeleton`, a list of `pose` (x1, y1, x2, ...)
and `score`; and `label`. A file `<folder>_label.json` beside a folder (or --labels FILE.json) gives labels by name
instead (Yan et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from har.clips import Clip
from har.errors import ClipError
from har.training.importers.ledger import ImportOptions, Ledger
from har.training.importers.making import ClipFacts, Numbers, describe_set, find_files, known_layout, make_clip
from har.training.importers.people import follow, lay_out
from har.training.importers.tables import read_json

N_JOINTS = 18
WIDTH_PX, HEIGHT_PX, RATE_HZ = 340, 256, 30.0
MAX_FRAMES, MAX_BODIES = 100_000, 64
_WHAT = "a JSON file of Kinetics-skeleton"


def read_kinetics(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a Kinetics-skeleton file or of all in a folder.

    Raises:
        ClipError: a file does not fit; the text names file, frame and person.
    """
    files = [file for file in find_files(path, "*.json") if not file.stem.endswith("_label")]
    tables = [options.labels] if options.labels is not None else sorted({_table_of(file) for file in files})
    labels: dict[str, Any] = {}
    for table in tables:
        if table.is_file() or options.labels is not None:
            labels |= _read_labels(table)
    found = known_layout("openpose18", n_joints=N_JOINTS, where=str(path))
    names = [each.get("label") if isinstance(each, Mapping) else None for each in labels.values()]
    of_set = describe_set(
        found, options, units="norm", up="-y", source="Kinetics-skeleton", rate_hz=RATE_HZ, labels=names
    )
    for number, file in enumerate(files):
        ledger.tell(number, len(files))
        content = read_json(file, what=_WHAT)
        frames = _read_frames(content, file)
        joints = lay_out(follow(frames), n_frames=len(frames), clip_id=file.stem, ledger=ledger)
        if joints is None:
            ledger.leave_out(file.stem, why="nobody in any frame")
            continue
        facts = ClipFacts(
            id=file.stem,
            label=_label(labels.get(file.stem), content, file),
            splits=_split(file),
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
        )
        clip = make_clip(joints, facts, of_set, ledger)
        if clip is not None:
            yield clip
    ledger.tell(len(files), len(files))


def _table_of(file: Path) -> Path:
    return file.parent.with_name(f"{file.parent.name}_label.json")


def _read_labels(table: Path) -> dict[str, Any]:
    labels = read_json(table, what="a JSON object of labels by clip")
    if not isinstance(labels, dict):
        raise ClipError(f"{table}: must be a JSON object of labels by clip, as Kinetics-skeleton's are.")
    return labels


def _label(entry: Any, content: Mapping[str, Any], file: Path) -> str | None:
    label = entry.get("label") if isinstance(entry, Mapping) else entry if isinstance(entry, str) else None
    label = label if label is not None else content.get("label")
    if label is not None and not isinstance(label, str):
        raise ClipError(f"{file}: label must be text, it is {type(label).__name__}.")
    return label or None


def _split(file: Path) -> dict[str, str]:
    folder = file.parent.name.lower()
    if "train" in folder:
        return {"official": "train"}
    return {"official": "test"} if "val" in folder or "test" in folder else {}


def _read_frames(content: Any, file: Path) -> list[list[Numbers]]:
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list) or not all(isinstance(frame, dict) for frame in data):
        raise ClipError(f"{file}: must be an object with a list of frames called data. Give {_WHAT}.")
    found: dict[int, list[Numbers]] = {}
    for position, frame in enumerate(data):
        index = frame.get("frame_index", position + 1)
        if type(index) is not int or not 1 <= index <= MAX_FRAMES or index - 1 in found:
            raise ClipError(f"{file}: frame {position}: frame_index must be 1 to {MAX_FRAMES} and come once.")
        skeletons = frame.get("skeleton")
        if not isinstance(skeletons, list) or len(skeletons) > MAX_BODIES:
            raise ClipError(f"{file}: frame {index}: skeleton must be a list of at most {MAX_BODIES} people.")
        found[index - 1] = [_read_body(body, f"{file}: frame {index}, person {n}") for n, body in enumerate(skeletons)]
    return [found.get(frame, []) for frame in range(max(found, default=-1) + 1)]


def _read_body(body: Any, where: str) -> Numbers:
    pose, score = (body.get(name) if isinstance(body, dict) else None for name in ("pose", "score"))
    for name, values, n_values in (("pose", pose, 2 * N_JOINTS), ("score", score, N_JOINTS)):
        if not isinstance(values, list) or len(values) != n_values:
            n_found = len(values) if isinstance(values, list) else "no"
            raise ClipError(f"{where}: {name} has {n_found} values, {N_JOINTS} joints need {n_values}.")
    try:
        xy = np.array(pose, dtype=np.float32).reshape(N_JOINTS, 2)
        return np.concatenate([xy, np.array(score, dtype=np.float32)[:, None]], axis=1)
    except (TypeError, ValueError, OverflowError):
        raise ClipError(f"{where}: pose and score must be lists of numbers.") from None
