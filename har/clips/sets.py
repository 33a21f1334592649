"""Clip sets on disk: labelled skeleton clips as `clips.jsonl` beside npz files, read with suspicion."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from har.clips.arrays import read_clip_arrays
from har.clips.clip import UNITS, UPS, Clip
from har.clips.own_layouts import read_layouts, write_layouts
from har.errors import ClipError
from har.records import FloatArray

INDEX_NAME = "clips.jsonl"

MAX_INDEX_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 20

PX_STEP = 1 / 16  # an error of 0.03 px at most; a power of two, so that the dropped bits compress away
SCORE_STEP = 1 / 256


def write_clips(folder: str | Path, clips: Iterable[Clip], *, append: bool = False) -> int:
    """Write a clip set; nothing is seen in `folder` before all of it is written.

    Pixels are kept to 1/16 px and their scores to 1/256; everything else exactly.

    Args:
        folder: made if it is not there.
        clips: may be a generator; one clip is held at a time.
        append: add to the set that is there, under new ids.

    Returns:
        How many clips were written.

    Raises:
        ClipError: the folder holds something already, or an id comes twice.
    """
    target = Path(folder)
    if append and (target / INDEX_NAME).exists():
        return _append_clips(target, clips)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ClipError(f"{target}: is not an empty folder. Choose another one, or empty it first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        lines, layouts = _write_files(partial, clips, taken=set())
        write_layouts(partial, layouts)
        (partial / INDEX_NAME).write_text("".join(lines), encoding="utf-8")
        partial.chmod(0o755)
        partial.replace(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return len(lines)


def _append_clips(target: Path, clips: Iterable[Clip]) -> int:
    index = target / INDEX_NAME
    before = index.read_text(encoding="utf-8")
    taken = {str(entry["id"]) for _, entry in _read_index(index)}
    lines, layouts = _write_files(target, clips, taken=taken)
    write_layouts(target, layouts)
    partial = index.with_name(f".{INDEX_NAME}.partial")
    partial.write_text(
        before + ("" if not before or before.endswith("\n") else "\n") + "".join(lines), encoding="utf-8"
    )
    partial.replace(index)
    return len(lines)


def _write_files(folder: Path, clips: Iterable[Clip], *, taken: set[str]) -> tuple[list[str], set[str]]:
    """Write the npz files; give the lines of the index and the layouts used."""
    lines: list[str] = []
    layouts: set[str] = set()
    written: list[Path] = []
    try:
        for clip in clips:
            if clip.id in taken:
                raise ClipError(
                    f"{folder}: clip id {clip.id!r} comes twice. Give every clip of a set an id of its own."
                )
            taken.add(clip.id)
            path = folder / _file_name(clip.id)
            written.append(path)
            with path.open("wb") as file:
                np.savez_compressed(file, joints=_compact(clip), time_s=clip.time_s)
            layouts.add(clip.layout)
            lines.append(json.dumps(_entry(clip, path.name), ensure_ascii=False, allow_nan=False) + "\n")
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return lines, layouts


def _file_name(clip_id: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", clip_id).strip("-")[:80]
    if slug == clip_id:
        return f"{slug}.npz"
    return f"{slug}.{hashlib.sha256(clip_id.encode()).hexdigest()[:12]}.npz"  # the dot keeps it off every plain slug


def _compact(clip: Clip) -> FloatArray:
    if clip.units != "px":
        return np.ascontiguousarray(clip.joints)
    joints = np.round(clip.joints / PX_STEP) * np.float32(PX_STEP)
    joints[..., 2:] = np.round(clip.joints[..., 2:] / SCORE_STEP) * np.float32(SCORE_STEP)
    return np.ascontiguousarray(joints, dtype=np.float32)


_PLAIN_FIELDS = [
    *("label", "danger", "subject", "view", "camera", "rate_hz", "rate_known", "layout"),
    *("units", "up", "source", "licence", "consent", "width_px", "height_px"),
]


def _entry(clip: Clip, file_name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": clip.id, "file": file_name}
    entry |= {name: getattr(clip, name) for name in _PLAIN_FIELDS}
    return entry | {"spans": [list(span) for span in clip.spans], "splits": dict(clip.splits)}


def read_clips(folder: str | Path) -> list[Clip]:
    """Read a clip set, all of it.

    Raises:
        ClipError: something does not fit; the text names the file and, for the index, the line.
    """
    return list(iterate_clips(folder))


def iterate_clips(folder: str | Path) -> Iterator[Clip]:
    """Read a clip set one clip at a time, in the order of the index.

    Raises:
        ClipError: see `read_clips`.
    """
    index = Path(folder) / INDEX_NAME
    if not index.is_file():
        raise ClipError(
            f"{folder}: is no clip set, it has no {INDEX_NAME}. Make one with `har extract`, `har import` or "
            "`har synth clips`."
        )
    read_layouts(index.parent)
    seen: dict[str, int] = {}
    for number, entry in _read_index(index):
        where = f"{index}:{number}"
        clip = _clip_of(entry, folder=index.parent, where=where)
        if clip.id in seen:
            raise ClipError(f"{where}: id {clip.id!r} was used in line {seen[clip.id]} already. Give it another.")
        seen[clip.id] = number
        yield clip


def find_clip(path: str | Path) -> Clip | None:
    """Give the clip of one npz file with all that the index beside it says, or None if no index names the file.

    Raises:
        ClipError: the index or the file does not fit.
    """
    path = Path(path)
    index = path.parent / INDEX_NAME
    if not index.is_file():
        return None
    read_layouts(index.parent)
    for number, entry in _read_index(index):
        if entry.get("file") == path.name:
            return _clip_of(entry, folder=index.parent, where=f"{index}:{number}")
    return None


def _read_index(index: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if index.stat().st_size > MAX_INDEX_BYTES:
        raise ClipError(f"{index}: is larger than {MAX_INDEX_BYTES >> 20} MiB. Split the clip set.")
    with index.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
            where = f"{index}:{number}"
            if len(line) > MAX_LINE_BYTES:
                raise ClipError(f"{where}: the line is longer than {MAX_LINE_BYTES >> 20} MiB. One JSON object a line.")
            if not line.strip():
                continue
            try:
                entry = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                raise ClipError(f"{where}: is not JSON ({error}). One JSON object a line, in UTF-8.") from None
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
                raise ClipError(f'{where}: must be a JSON object with an "id" that is a string.')
            yield number, entry


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_spans(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(span, list)
        and len(span) == 3
        and _is_number(span[0])
        and _is_number(span[1])
        and isinstance(span[2], str)
        for span in value
    )


def _is_splits(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(side, str) for side in value.values())


_REQUIRED: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "id": (_is_string, "a string"),
    "file": (_is_string, "a file name beside the index"),
    "rate_hz": (_is_number, "a number (30 with rate_known false where nothing is known)"),
    "layout": (_is_string, "the name of a joint layout"),
    "units": (_is_string, "one of " + ", ".join(UNITS)),
    "up": (_is_string, "one of " + ", ".join(UPS)),
    "source": (_is_string, "a string that says where the clip comes from"),
    "licence": (_is_string, "a string ('unknown' where it is)"),
}
_OPTIONAL: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "label": (_is_string, "a string or null"),
    "danger": (_is_flag, "true, false or null"),
    "spans": (_is_spans, "a list of [start_s, end_s, label]"),
    "subject": (_is_string, "a string or null"),
    "view": (_is_string, "a string or null"),
    "camera": (_is_string, "a string or null"),
    "splits": (_is_splits, 'an object such as {"official": "train"}'),
    "rate_known": (_is_flag, "true or false"),
    "consent": (_is_string, "a string or null"),
    "width_px": (_is_count, "a whole number or null"),
    "height_px": (_is_count, "a whole number or null"),
}


def _clip_of(entry: Mapping[str, Any], *, folder: Path, where: str) -> Clip:
    for name, value in entry.items():
        if name not in _REQUIRED and name not in _OPTIONAL:
            known = ", ".join([*_REQUIRED, *_OPTIONAL])
            raise ClipError(f"{where}: unknown key {name!r}. Known: {known}.")
        fits, expected = _REQUIRED.get(name) or _OPTIONAL[name]
        if not fits(value) and not (value is None and name in _OPTIONAL):
            raise ClipError(f"{where}: {name} must be {expected}, got {json.dumps(value)[:80]}.")
    for name, (_, expected) in _REQUIRED.items():
        if name not in entry:
            raise ClipError(f"{where}: {name} is missing. Write {expected}.")
    fields = {name: value for name, value in entry.items() if value is not None and name not in ("file", "spans")}
    try:
        joints, time_s = read_clip_arrays(_file_in(folder, entry["file"]))
        fields["rate_hz"] = float(entry["rate_hz"])
        spans = tuple((float(start_s), float(end_s), label) for start_s, end_s, label in entry.get("spans") or ())
        return Clip(joints=joints, time_s=time_s, spans=spans, **fields)
    except (ClipError, OverflowError) as error:
        raise ClipError(f"{where}: {error}") from None


def _file_in(folder: Path, name: str) -> Path:
    if not name or "\0" in name or Path(name).name != name or name in (".", ".."):
        raise ClipError(f"file {name!r} is not a plain file name. Keep the npz files beside {INDEX_NAME}.")
    return folder / name
