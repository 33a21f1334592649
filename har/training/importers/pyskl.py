"""The pickle of pyskl and mmaction2: `split` (lists of clip names) and `annotations` (one dict a clip).

Of an annotation are read `frame_dir` (its name), `label` (a number), `keypoint` (M, T, V, C), `keypoint_score`
(M, T, V), `img_shape` or `original_shape` (height, width) and `total_frames`. A list of annotations without splits is
read too. Nothing of the pickle is ever run: see `unpickling`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from har.clips import Clip
from har.errors import ClipError
from har.training.importers.ledger import ImportOptions, Ledger
from har.training.importers.making import ClipFacts, Numbers, describe_set, known_layout, make_clip, name_of_file
from har.training.importers.tables import read_names
from har.training.importers.unpickling import read_pickle

LAYOUT_OF = {17: "coco17", 18: "openpose18", 25: "ntu25", 20: "kinect20", 33: "blazepose33"}
_HOLDS = "Give a pickle of pyskl or mmaction2: a dict of split and annotations."


def read_pyskl(path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a pyskl pickle.

    Raises:
        ClipError: the pickle holds anything but plain data, or an annotation does not fit; the text names the clip.
    """
    content = read_pickle(path)
    annotations = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        raise ClipError(f"{path}: holds no list of annotations. {_HOLDS}")
    splits = _read_splits(content.get("split") if isinstance(content, dict) else None, path)
    names = read_names(options.labels) if options.labels is not None else []
    arrays = [_array(each, "keypoint", 4, _where(path, number, each)) for number, each in enumerate(annotations)]
    if not arrays:
        raise ClipError(f"{path}: has no annotation. {_HOLDS}")
    n_joints, n_coordinates = arrays[0].shape[2:]
    layout = options.layout or LAYOUT_OF.get(n_joints, "")
    found = known_layout(layout or f"of {n_joints} joints", n_joints=n_joints, where=str(path))
    if n_coordinates == 3:
        units, up = "m", "+y" if found.layout.y_axis == "up" else "-y"
    else:
        units, up = "px", "-y"
    of_set = describe_set(found, options, units=units, up=up, source=path.stem, labels=names)
    for number, (annotation, array) in enumerate(zip(annotations, arrays, strict=True)):
        ledger.tell(number, len(annotations))
        where = _where(path, number, annotation)
        raw = _with_score(array, annotation, where)  # (T, M, V, C)
        size = _size(annotation) if units == "px" else (None, None)
        name = str(annotation.get("frame_dir") or f"{path.stem}-{number:05d}")
        facts = ClipFacts(
            id=name,
            label=_label(annotation, names, where),
            **name_of_file(name),
            splits=splits.get(name, {}),
            width_px=size[1],
            height_px=size[0],
        )
        if not len(raw):
            ledger.leave_out(name, why="it has no frame")
        elif (clip := make_clip(raw, facts, of_set, ledger)) is not None:
            yield clip
    ledger.tell(len(annotations), len(annotations))


def _where(path: Path, number: int, annotation: Mapping[Any, Any]) -> str:
    return f"{path}: annotation {number} ({str(annotation.get('frame_dir'))[:60]})"


def _array(annotation: Mapping[Any, Any], name: str, n_axes: int, where: str) -> Numbers:
    array = annotation.get(name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim != n_axes:
        what = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ClipError(f"{where}: {name} must be an array with {n_axes} axes (M, T, V, ...), it is {what}. {_HOLDS}")
    return array


def _with_score(array: Numbers, annotation: Mapping[Any, Any], where: str) -> Numbers:
    """Give (T, M, V, C) with the score behind the coordinates, where there is one."""
    joints = array.astype(np.float32).transpose(1, 0, 2, 3)
    if "keypoint_score" not in annotation:
        return joints
    score = _array(annotation, "keypoint_score", 3, where).astype(np.float32).transpose(1, 0, 2)
    if score.shape != joints.shape[:3]:
        raise ClipError(
            f"{where}: keypoint_score is {score.shape}, keypoint {joints.shape} (frame first). One score a joint."
        )
    return np.concatenate([joints, score[..., None]], axis=-1) if joints.shape[3] < 4 else joints


def _size(annotation: Mapping[Any, Any]) -> tuple[int | None, int | None]:
    for name in ("img_shape", "original_shape"):
        size = annotation.get(name)
        if isinstance(size, Sequence) and len(size) >= 2 and all(isinstance(each, int) for each in size[:2]):
            height_px, width_px = size[:2]
            if height_px > 0 and width_px > 0:
                return height_px, width_px
    return None, None


def _label(annotation: Mapping[Any, Any], names: Sequence[str], where: str) -> str | None:
    label = annotation.get("label")
    if label is None or isinstance(label, str):
        return label or None
    if not isinstance(label, int) or isinstance(label, bool):
        raise ClipError(f"{where}: label must be a number or text, it is {type(label).__name__}.")
    if names and not 0 <= label < len(names):
        raise ClipError(f"{where}: label {label} has no name, --labels holds {len(names)}, from number 0.")
    return names[label] if names else str(label)


def _read_splits(split: object, path: Path) -> dict[str, dict[str, str]]:
    """Give each clip's sides: lists called "xsub_train" and "xsub_val" are the split "xsub", "train" alone "official".

    A list that is called neither train nor val nor test is a split whose side cannot be told, and is left alone.
    """
    if split is None:
        return {}
    if not isinstance(split, dict) or not all(isinstance(names, list | tuple) for names in split.values()):
        raise ClipError(f"{path}: split must be a dict of lists of clip names. {_HOLDS}")
    sides: dict[str, dict[str, str]] = {}
    for key, names in split.items():
        parts = re.fullmatch(r"(.*?)_?(train|val|test)_?(\d*)", str(key))
        if parts is None:
            continue
        name = parts[1] + parts[3] or "official"
        name = f"split{name}" if name.isdigit() else name
        for clip in names:
            sides.setdefault(str(clip), {})[name] = "train" if parts[2] == "train" else "test"
    return sides
