"""Skeleton clips (.npz) played like a camera: `PoseFrame` instead of `Frame`, no estimator needed."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from graphs.errors import GraphError
from graphs.layouts import map_joints
from har.clips import find_clip
from har.errors import ClipError, SourceError
from har.records import FloatArray, Pose, PoseFrame
from har.redaction import redact
from har.sources.source import Clock, Counts, Pacer, Source, SourceItem, run_start_s
from har.sources.video import check_file

MAX_MEMBERS = 64
MAX_BYTES = 512 * 2**20
"""Unpacked; an hour of two people at 30 Hz is 44 MB."""
MAX_FRAMES = 5_000_000
MAX_PEOPLE = 64
_WANTED = ("joints", "time_s", "layout", "width_px", "height_px", "width", "height", "units")


@dataclass(frozen=True, slots=True, eq=False)
class SkeletonClip:
    """A clip ready to be replayed.

    Attributes:
        joints: (T, M, 17, 3) float32: x, y in pixels and score; x, y NaN and score 0 where nothing is known.
        time_s: (T,) float64, strictly increasing.
        width_px: width of the picture the joints lie in.
        height_px: its height.
    """

    joints: FloatArray
    time_s: npt.NDArray[np.float64]
    width_px: int
    height_px: int


def open_replay(path: Path, *, camera: str, paced: bool, clock: Clock) -> Source:
    """Replay a skeleton clip.

    Raises:
        SourceError: it cannot be read, is too large, or does not hold what a clip holds.
    """
    clip = read_clip(path)
    counts = Counts()
    items = _play(clip, camera=camera, pacer=Pacer(clock, counts) if paced else None, clock=clock)
    return Source(items, counts=counts, close=items.close)


def read_clip(path: Path) -> SkeletonClip:
    """Read a clip, checking every size before any data.

    Raises:
        SourceError: it cannot be read, is too large, or does not hold what a clip holds.
    """
    check_file(path)
    shown = redact(str(path))
    try:
        arrays = _read_of_set(path) or _read_arrays(path)
    except ClipError as e:
        raise SourceError(f"{shown} is no readable skeleton clip: {_one_line(e)}") from None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise SourceError(f"{shown} is no readable skeleton clip: {_one_line(e)}. Write it with numpy.savez.") from None
    try:
        return _checked_clip(arrays)
    except (ValueError, GraphError) as e:
        raise SourceError(f"{shown} cannot be replayed: {_one_line(e)}") from None


def _read_of_set(path: Path) -> dict[str, npt.NDArray[np.generic]] | None:
    """Read a clip that the index beside it names, with the layout, units and picture size that stand there."""
    clip = find_clip(path)
    if clip is None:
        return None
    sizes = {name: size for name, size in (("width_px", clip.width_px), ("height_px", clip.height_px)) if size}
    joints, units = clip.joints, clip.units
    if units == "norm" and len(sizes) == 2:
        scale = np.ones(joints.shape[3], dtype=np.float32)
        scale[:2] = sizes["width_px"], sizes["height_px"]
        joints, units = joints * scale, "px"
    told: dict[str, npt.NDArray[np.generic]] = {"layout": np.array(clip.layout), "units": np.array(units)}
    return told | {"joints": joints, "time_s": clip.time_s} | {name: np.array(size) for name, size in sizes.items()}


def _read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise ValueError(f"it has {len(members)} members, at most {MAX_MEMBERS} are allowed")
        sizes = {m.filename.removesuffix(".npy"): m for m in members}
        wanted = [name for name in _WANTED if name in sizes]
        if sum(sizes[name].file_size for name in wanted) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES // 2**20} MB")
        return {name: _read_member(archive, sizes[name]) for name in wanted}


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[np.generic]:
    """Read one array whose header promises exactly what its member holds; no objects."""
    with archive.open(member) as file:
        version = npy_format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"member {member.filename[:40]!r} has npy version {version}")
        read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
        n_bytes = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.kind not in "fiubU" or len(shape) > 4:
            raise ValueError(f"member {member.filename[:40]!r} has type {dtype} and {len(shape)} axes")
        if n_bytes > MAX_BYTES or n_bytes > member.file_size:
            raise ValueError(f"member {member.filename[:40]!r} promises {n_bytes} bytes and holds {member.file_size}")
        data = file.read(n_bytes)
    if len(data) != n_bytes:
        raise ValueError(f"member {member.filename[:40]!r} is cut short")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _checked_clip(arrays: dict[str, npt.NDArray[np.generic]]) -> SkeletonClip:
    missing = {"joints", "time_s"} - set(arrays)
    if missing:
        raise ValueError(f"it lacks {' and '.join(sorted(missing))}. A clip holds joints (T, M, V, C) and time_s (T).")
    joints, time_s = arrays["joints"], arrays["time_s"]
    if joints.ndim != 4 or joints.dtype.kind != "f" or joints.shape[3] not in (2, 3):
        raise ValueError(f"joints must be (T, M, V, 2 or 3) float, got {joints.shape} {joints.dtype}.")
    if time_s.shape != joints.shape[:1] or time_s.dtype.kind not in "fiu":
        raise ValueError(f"time_s must be ({joints.shape[0]},) numbers, got {time_s.shape} {time_s.dtype}.")
    if not 0 < joints.shape[0] <= MAX_FRAMES or joints.shape[1] > MAX_PEOPLE:
        raise ValueError(
            f"it has {joints.shape[0]} frames of {joints.shape[1]} people; allowed: 1 to {MAX_FRAMES} of {MAX_PEOPLE}."
        )
    times = time_s.astype(np.float64)
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError("time_s must be finite and strictly increasing.")
    units = _text(arrays, "units") or "px"
    if units not in ("px", "pixel", "pixels"):
        raise ValueError(f"its joints are in {units[:20]!r}; only joints in pixels can be replayed as a camera.")
    coco = _as_coco17(joints, _text(arrays, "layout"))
    width_px, height_px = (_size(arrays, coco[..., axis], axis) for axis in (0, 1))
    return SkeletonClip(joints=coco, time_s=times, width_px=width_px, height_px=height_px)


def _as_coco17(joints: npt.NDArray[np.generic], layout: str) -> FloatArray:
    """Map to (T, M, 17, 3) with a score; a joint without a finite place or score has score 0 and NaN x, y."""
    scored = np.ones((*joints.shape[:3], 3), dtype=np.float32)
    scored[..., : joints.shape[3]] = joints
    if not layout and joints.shape[2] != 17:
        raise ValueError(f"it has {joints.shape[2]} joints a body and states no layout. Store layout='...' with it.")
    coco = map_joints(scored, layout or "coco17", "coco17")
    known = np.isfinite(coco).all(axis=-1)
    coco[~known] = (np.nan, np.nan, 0.0)
    coco[..., 2] = coco[..., 2].clip(0.0, 1.0)
    return coco


def _play(clip: SkeletonClip, *, camera: str, pacer: Pacer | None, clock: Clock) -> Generator[SourceItem, None, None]:
    start_s = run_start_s(clock)
    for joints, pts_s in zip(clip.joints, clip.time_s.tolist(), strict=True):
        at_s = pts_s - float(clip.time_s[0])
        if pacer is not None:
            yield from pacer.hold(at_s)
            if pacer.is_late(at_s):
                continue
        poses = tuple(Pose(xy=body[:, :2].copy(), score=body[:, 2].copy()) for body in joints if (body[:, 2] > 0).any())
        yield PoseFrame(
            camera=camera,
            time_s=start_s + at_s,
            source_time_s=pts_s,
            width_px=clip.width_px,
            height_px=clip.height_px,
            poses=poses,
        )
        if pacer is not None:
            pacer.delivered()


def _size(arrays: dict[str, npt.NDArray[np.generic]], values: FloatArray, axis: int) -> int:
    """Width or height: as stored, else as far as the joints reach."""
    for name in (("width_px", "width"), ("height_px", "height"))[axis]:
        if name in arrays and arrays[name].size == 1 and arrays[name].dtype.kind in "iuf":
            size = float(arrays[name].astype(np.float64).item())
            if 1 <= size <= 100_000:
                return round(size)
            raise ValueError(f"{name} is {size:g}; it must lie in 1..100000.")
    reach = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    return max(1, min(math.ceil(reach) + 1, 100_000))


def _text(arrays: dict[str, npt.NDArray[np.generic]], name: str) -> str:
    if name not in arrays:
        return ""
    if arrays[name].dtype.kind != "U" or arrays[name].size != 1:
        raise ValueError(f"{name} must be one text.")
    return str(arrays[name].item())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
