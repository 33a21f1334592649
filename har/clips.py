"""Clip sets on disk: labelled skeleton clips as `clips.jsonl` beside npz files, read with suspicion."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from graphs.layouts import LAYOUTS
from har.errors import ClipError
from har.records import FloatArray

TimeArray: TypeAlias = npt.NDArray[np.float64]
Span: TypeAlias = tuple[float, float, str]

INDEX_NAME = "clips.jsonl"
UNITS = ("px", "norm", "m", "mm", "body")
"""Of the coordinates: pixels, 0..1 of the picture, metres, millimetres, lengths of the body."""
UPS = ("-y", "+y", "+z")
"""The axis that points away from the floor: "-y" in pictures (y runs down), "+y" or "+z" in most 3D sets."""

MAX_INDEX_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 20
MAX_MEMBER_BYTES = 512 << 20  # more than two hours of four people at 30 Hz
MAX_MEMBERS = 64
MAX_RATIO = 200  # deflate reaches 1000; skeletons with many missing joints stay far below this
RATIO_FREE_BYTES = 16 << 20  # so small that even a bomb does no harm
MAX_NPY_HEADER_BYTES = 4096
NPY_TYPES = ("<f4", "<f8")  # anything else, Python objects above all, is never read

PX_STEP = 1 / 16  # an error of 0.03 px at most; a power of two, so that the dropped bits compress away
SCORE_STEP = 1 / 256


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Clip:
    """One recording of skeletons with what is known of it.

    Attributes:
        id: unique in its set.
        joints: (T, M, V, C) float32: frame by person by joint by coordinate; NaN where missing. In "px" and "norm"
            the channels are x, y and, if there is a third, the score in [0, 1]; in "m", "mm" and "body" they
            are x, y, and if there are more z and the score.
        time_s: (T,) float64, seconds, rising; the clock is the clip's own.
        label: what is done, if it is one thing all through; None if unknown or told by `spans`.
        danger: whether somebody is in danger in it; None if unknown.
        spans: (start_s, end_s, label) on the clip's clock, in order, without overlap: an untrimmed clip's labels.
        subject: who is seen; a name that only tells people apart.
        view: from where it is seen, where one action was recorded from several sides.
        camera: the camera's name.
        splits: named splits and the side this clip is on, e.g. {"official": "train"}.
        rate_hz: frames per second.
        rate_known: False where the rate was assumed.
        layout: joint layout, a key of `graphs.LAYOUTS`.
        units: one of `UNITS`.
        up: one of `UPS`.
        source: where the clip comes from.
        licence: under which terms.
        consent: reference to the consent of the person seen, where there is one.
        width_px: width of the picture that the joints were found in.
        height_px: its height.

    Raises:
        ClipError: a field does not fit; the text names the clip and the field.
    """

    id: str
    joints: FloatArray
    time_s: TimeArray
    label: str | None = None
    danger: bool | None = None
    spans: tuple[Span, ...] = ()
    subject: str | None = None
    view: str | None = None
    camera: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    rate_hz: float
    rate_known: bool = False
    layout: str = "coco17"
    units: str = "px"
    up: str = "-y"
    source: str
    licence: str
    consent: str | None = None
    width_px: int | None = None
    height_px: int | None = None

    def __post_init__(self) -> None:
        problem = _array_problem(self) or _field_problem(self) or _span_problem(self)
        if problem:
            raise ClipError(f"clip {self.id!r}: {problem}")

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return float(self.time_s[-1] - self.time_s[0])


def _array_problem(clip: Clip) -> str | None:
    if clip.layout not in LAYOUTS:
        return f"unknown layout {clip.layout!r}. Known: {', '.join(sorted(LAYOUTS))}."
    n_joints = LAYOUTS[clip.layout].n_joints
    joints, time_s = clip.joints, clip.time_s
    if joints.dtype != np.float32 or joints.ndim != 4:
        return f"joints must be (T, M, V, C) float32, got {joints.shape} {joints.dtype}."
    n_frames, n_persons, n_found, n_channels = joints.shape
    if n_frames == 0 or n_persons == 0 or n_found != n_joints or not 2 <= n_channels <= 4:
        return (
            f"layout {clip.layout!r} needs joints (T >= 1, M >= 1, {n_joints}, 2 to 4), got {joints.shape}. "
            "Choose the layout that the joints were written in."
        )
    if bool(np.isinf(joints).any()):
        return "joints hold infinite numbers. Write NaN where a joint is missing."
    if time_s.dtype != np.float64 or time_s.shape != (n_frames,):
        return f"time_s must be ({n_frames},) float64, one time a frame, got {time_s.shape} {time_s.dtype}."
    if not bool(np.isfinite(time_s).all()) or bool((np.diff(time_s) <= 0).any()):
        return "time_s must be finite and rising. Sort the frames by time and drop doubles."
    return None


def _field_problem(clip: Clip) -> str | None:
    if not clip.id or len(clip.id) > 200 or not clip.id.isprintable():
        return "an id is 1 to 200 printable characters."
    if not (math.isfinite(clip.rate_hz) and 0 < clip.rate_hz <= 1000):
        return f"rate_hz must be above 0 and at most 1000, got {clip.rate_hz}."
    if clip.units not in UNITS:
        return f"unknown units {clip.units!r}. Known: {', '.join(UNITS)}."
    if clip.up not in UPS:
        return f"unknown up {clip.up!r}. Known: {', '.join(UPS)} ('-y' for pictures)."
    if clip.label is not None and not clip.label.strip():
        return "label is empty. Leave it out (null) where nothing is known."
    for name, size in (("width_px", clip.width_px), ("height_px", clip.height_px)):
        if size is not None and not 0 < size <= 100_000:
            return f"{name} must be between 1 and 100000, got {size}."
    return None


def _span_problem(clip: Clip) -> str | None:
    before_s = -math.inf
    for start_s, end_s, label in clip.spans:
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
            return f"span [{start_s}, {end_s}, {label!r}] must start before it ends."
        if not label.strip():
            return f"the span from {start_s} to {end_s} s has no label. Leave the span out where nothing is known."
        if start_s < before_s - 1e-6:
            return f"the span from {start_s} s overlaps the one before. Sort spans and end each where the next begins."
        before_s = end_s
    return None


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
        lines = _write_files(partial, clips, taken=set())
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
    lines = _write_files(target, clips, taken=taken)
    partial = index.with_name(f".{INDEX_NAME}.partial")
    partial.write_text(
        before + ("" if not before or before.endswith("\n") else "\n") + "".join(lines), encoding="utf-8"
    )
    partial.replace(index)
    return len(lines)


def _write_files(folder: Path, clips: Iterable[Clip], *, taken: set[str]) -> list[str]:
    lines: list[str] = []
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
            lines.append(json.dumps(_entry(clip, path.name), ensure_ascii=False, allow_nan=False) + "\n")
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return lines


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
            f"{folder}: is no clip set, it has no {INDEX_NAME}. Make one with `har extract` or `har synth clips`."
        )
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


def read_clip_arrays(path: str | Path) -> tuple[FloatArray, TimeArray]:
    """Read the joints and times of one npz file, checking every size before anything is allocated.

    Args:
        path: an npz file with `joints` (T, M, V, C) or (T, V, C) of one person, and `time_s` (T,).

    Returns:
        joints (T, M, V, C) float32, NaN where missing, and time_s (T,) float64, seconds.

    Raises:
        ClipError: no such file, no npz, a member is missing, too large, packed too tightly, or of a wrong type.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such file. Check the path, or extract the clip again.")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _check_archive(archive, path)
            joints = _read_member(archive, path, "joints", n_axes=(3, 4))
            time_s = _read_member(archive, path, "time_s", n_axes=(1,))
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ClipError(f"{path}: is not a readable npz file ({error}). Write it again.") from None
    except zlib.error as error:
        raise ClipError(f"{path}: is damaged ({error}). Write it again.") from None
    if joints.ndim == 3:
        joints = joints[:, None]
    return joints.astype(np.float32, copy=False), time_s.astype(np.float64, copy=False)


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(members) > MAX_MEMBERS or len(set(names)) != len(names):
        raise ClipError(f"{path}: holds {len(members)} members or one twice. A clip holds joints and time_s.")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise ClipError(f"{path}: {member.filename} is encrypted or packed in a way that npz does not use.")


def _read_member(archive: zipfile.ZipFile, path: Path, name: str, *, n_axes: tuple[int, ...]) -> npt.NDArray[Any]:
    where = f"{path}: {name}"
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ClipError(f"{where} is missing. A clip's npz holds joints (T, M, V, C) and time_s (T,).") from None
    if member.file_size > MAX_MEMBER_BYTES:
        raise ClipError(
            f"{where} has {member.file_size >> 20} MiB, the limit is {MAX_MEMBER_BYTES >> 20}. Cut the clip."
        )
    if member.file_size > RATIO_FREE_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size):
        raise ClipError(
            f"{where} unpacks to more than {MAX_RATIO} times its size; it is refused as a decompression bomb."
        )
    with archive.open(member) as stream:
        dtype, order, shape, n_header_bytes = _read_npy_header(stream, where)
        if len(shape) not in n_axes:
            raise ClipError(f"{where} has {len(shape)} axes. A clip holds joints (T, M, V, C) and time_s (T,).")
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_header_bytes + n_bytes != member.file_size:
            raise ClipError(f"{where} says it is {shape} but has {member.file_size} bytes. Write the file again.")
        data = stream.read(n_bytes)
    if len(data) != n_bytes:
        raise ClipError(f"{where} ends after {len(data)} of {n_bytes} bytes. Write the file again.")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)


def _read_npy_header(stream: IO[bytes], where: str) -> tuple[np.dtype[Any], Literal["C", "F"], tuple[int, ...], int]:
    """Read a npy header: type, order and shape of the array, and the header's own length in bytes."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ClipError(f"{where} is npy version {version}. Write it with numpy's savez_compressed.")
    n_length_bytes = 2 if version == (1, 0) else 4
    n_text_bytes = int.from_bytes(stream.read(n_length_bytes), "little")
    if n_text_bytes > MAX_NPY_HEADER_BYTES:
        raise ClipError(f"{where} has a header of {n_text_bytes} bytes, the limit is {MAX_NPY_HEADER_BYTES}.")
    text = stream.read(n_text_bytes).decode("latin1")
    try:
        header = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        header = None
    match header:
        case {"descr": str(descr), "fortran_order": bool(fortran), "shape": tuple(shape)}:
            if descr not in NPY_TYPES:
                raise ClipError(f"{where} is of type {descr!r}. Write one of {', '.join(NPY_TYPES)}.")
            if all(type(size) is int and size >= 0 for size in shape):
                return np.dtype(descr), "F" if fortran else "C", shape, 8 + n_length_bytes + n_text_bytes
    raise ClipError(f"{where} has a header that is not one of plain numbers: {text[:60]!r}. Write the file again.")
