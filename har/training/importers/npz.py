"""The neutral npz: one file for a whole set, arrays padded to the longest clip, no pickle inside.

Read are `keypoints` (N, M, T, V, C), `length`, `labels` (numbers or names), `label_names`, `joint_names`, `edges`,
`layout`, `units`, `clip_ids`, `subject`, `view`, `repetition`, `split` and `split1`, `split2`, ...; only `keypoints`
must be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import psutil

from graphs.layouts import LAYOUTS
from graphs.own_layouts import FoundLayout
from har.clips import Clip
from har.clips.arrays import Member, read_arrays
from har.errors import ClipError
from har.training.importers.ledger import ImportOptions, Ledger
from har.training.importers.making import ClipFacts, SetFacts, describe_set, known_layout, layout_of_names, make_clip
from har.training.importers.tables import read_names
from har.training.importers.units import read_units, read_up

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

MAX_SPLITS = 9
SAMPLE_CLIPS = 200
_NUMBER, _TEXT, _EITHER = r"<[fiu][248]|[|][iu]1", r"<U\d+", r"<[iu][248]|[|][iu]1|<U\d+"
_HOLDS = "A set's npz holds at least keypoints (N, M, T, V, C); write it with numpy.savez_compressed."
_SPLIT_SIDES = {"train": "train", "training": "train", "test": "test", "val": "test", "validation": "test"}


def read_npz(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a neutral npz.

    Raises:
        ClipError: the file does not hold what it should; the text names the array and the clip.
    """
    arrays = _read(path)
    keypoints = arrays["keypoints"]
    lengths = _lengths(arrays, path)
    labels = _labels(arrays, path, options)
    of_set = _describe(path, arrays, lengths, labels, options, ledger)
    columns = {name: _texts(arrays, name, path) for name in ("clip_ids", "subject", "view")}
    splits = {
        "official" if name == "split" else name: _sides(arrays, name, path)
        for name in ("split", *(f"split{i}" for i in range(1, MAX_SPLITS + 1)))
        if name in arrays
    }
    for number in range(len(keypoints)):
        ledger.tell(number, len(keypoints))
        facts = ClipFacts(
            id=columns["clip_ids"][number] or f"{path.stem}-{number:05d}",
            label=labels[number],
            subject=columns["subject"][number],
            view=columns["view"][number],
            splits={name: side for name, sides in splits.items() if (side := sides[number]) is not None},
        )
        if lengths[number] == 0:
            ledger.leave_out(facts.id, why="it has no frame")
            continue
        clip = make_clip(keypoints[number, :, : lengths[number]].swapaxes(0, 1), facts, of_set, ledger)
        if clip is not None:
            yield clip
    ledger.tell(len(keypoints), len(keypoints))


def _read(path: Path) -> Arrays:
    most = psutil.virtual_memory().available // 2
    optional: dict[str, tuple[tuple[int, ...], str]] = {
        "length": ((1,), _NUMBER), "labels": ((1,), _EITHER), "label_names": ((1,), _TEXT), "edges": ((2,), _NUMBER),
        "joint_names": ((1,), _TEXT), "layout": ((0,), _TEXT), "units": ((0,), _TEXT), "clip_ids": ((1,), _EITHER),
        "subject": ((1,), _EITHER), "view": ((1,), _EITHER), "repetition": ((1,), _EITHER), "split": ((1,), _TEXT),
    }  # fmt: skip
    optional |= {f"split{i}": ((1,), _TEXT) for i in range(1, MAX_SPLITS + 1)}
    wanted = {name: Member(n_axes=n_axes, types=types, is_needed=False) for name, (n_axes, types) in optional.items()}
    # Padding packs a thousand times tighter than joints; how much memory there is bounds it instead.
    wanted["keypoints"] = Member(n_axes=(5,), types="<f[248]", max_bytes=most, max_ratio=1100)
    arrays = read_arrays(path, wanted, holds=_HOLDS)
    n_clips = len(arrays["keypoints"])
    if not arrays["keypoints"].size:
        raise ClipError(f"{path}: keypoints are {arrays['keypoints'].shape}, there is nothing in them. {_HOLDS}")
    for name in set(arrays) - {"keypoints", "label_names", "joint_names", "edges", "layout", "units"}:
        if len(arrays[name]) != n_clips:
            raise ClipError(f"{path}: {name} has {len(arrays[name])} entries for {n_clips} clips. Give each clip one.")
    return arrays


def _lengths(arrays: Arrays, path: Path) -> npt.NDArray[np.int64]:
    keypoints = arrays["keypoints"]
    n_clips, n_frames = len(keypoints), keypoints.shape[2]
    if "length" not in arrays:
        known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(keypoints).any(axis=(1, 3, 4)))  # (N, T)
        return np.where(known.any(axis=1), n_frames - known[:, ::-1].argmax(axis=1), 0)
    lengths = arrays["length"].astype(np.int64)
    wrong = np.flatnonzero((lengths < 0) | (lengths > n_frames))
    if len(wrong):
        raise ClipError(
            f"{path}: length of clip {wrong[0]} is {lengths[wrong[0]]}, keypoints have {n_frames} frames ({n_clips} "
            "clips). Write the frames that each clip has."
        )
    return lengths


def _describe(
    path: Path,
    arrays: Arrays,
    lengths: npt.NDArray[np.int64],
    labels: Sequence[str | None],
    options: ImportOptions,
    ledger: Ledger,
) -> SetFacts:
    keypoints = arrays["keypoints"]
    every = max(1, len(keypoints) // SAMPLE_CLIPS)
    some = keypoints[::every].astype(np.float64)  # (n, M, T, V, C)
    some[~(np.arange(keypoints.shape[2]) < lengths[::every, None])[:, None].repeat(keypoints.shape[1], axis=1)] = np.nan
    some[(some[..., :2] == 0).all(axis=-1)] = np.nan
    n_joints = keypoints.shape[3]
    names = [str(name) for name in arrays["joint_names"]] if "joint_names" in arrays else []
    text = str(arrays["units"]) if "units" in arrays else ""
    units, unit_note = read_units(text, some)
    if names and len(names) != n_joints:
        raise ClipError(f"{path}: joint_names has {len(names)} names for {n_joints} joints. Name each joint once.")
    if names and options.layout is None:
        up, up_note = read_up(text, some, names, units=units)
        edges = [(int(a), int(b)) for a, b in _edges(arrays, path)]
        found = layout_of_names(names, edges, some, up=up, where=str(path), ledger=ledger)
    else:
        found = _layout_by_name(path, arrays, options, n_joints=n_joints)
        up, up_note = read_up(text, some, found.layout.joints, units=units)
    for each in (unit_note, up_note):
        if each is not None:
            ledger.note(each)
    return describe_set(found, options, units=units, up=up, source=path.stem, labels=labels)


def _edges(arrays: Arrays, path: Path) -> npt.NDArray[Any]:
    edges = arrays.get("edges", np.zeros((0, 2), dtype=np.int64))
    if edges.shape[1] != 2:
        raise ClipError(f"{path}: edges are {edges.shape}, they must be (E, 2), pairs of joints.")
    return edges


def _layout_by_name(path: Path, arrays: Arrays, options: ImportOptions, *, n_joints: int) -> FoundLayout:
    name = options.layout or re.sub(r"[^a-z0-9]", "", str(arrays.get("layout", "")).lower())
    if name not in LAYOUTS and options.layout is None:
        raise ClipError(
            f"{path}: has no joint_names, and its layout {name or 'is not named'!r} is none of "
            f"{', '.join(sorted(LAYOUTS))}. Store joint_names and edges with it, or give --layout."
        )
    return known_layout(name, n_joints=n_joints, where=str(path))


def _labels(arrays: Arrays, path: Path, options: ImportOptions) -> list[str | None]:
    n_clips = len(arrays["keypoints"])
    if "labels" not in arrays:
        return [None] * n_clips
    labels = arrays["labels"]
    if labels.dtype.kind == "U":
        return [str(label) or None for label in labels]
    names = [str(name) for name in arrays.get("label_names", ())]
    if options.labels is not None:
        names = read_names(options.labels)
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if names and len(wrong):
        raise ClipError(
            f"{path}: label {labels[wrong[0]]} of clip {wrong[0]} has no name, there are {len(names)} label_names. "
            "Name every label, from number 0."
        )
    return [names[int(label)] if names else str(int(label)) for label in labels]


def _texts(arrays: Arrays, name: str, path: Path) -> list[str | None]:
    if name not in arrays:
        return [None] * len(arrays["keypoints"])
    return [str(value) or None for value in arrays[name]]


def _sides(arrays: Arrays, name: str, path: Path) -> list[str | None]:
    """Give train, test or None; validation parts that a set publishes as its test part are called test."""
    sides = [str(side).strip().lower() for side in arrays[name]]
    for number, side in enumerate(sides):
        if side and side not in _SPLIT_SIDES:
            raise ClipError(
                f"{path}: {name} of clip {number} is {side[:40]!r}. Write train or test, or leave it empty."
            )
    return [_SPLIT_SIDES.get(side) for side in sides]
