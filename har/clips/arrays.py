"""Arrays out of npz files that may be damaged or hostile: every size is checked before anything is allocated."""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from har.clips.clip import TimeArray
from har.errors import ClipError
from har.records import FloatArray

MAX_MEMBER_BYTES = 512 << 20  # more than two hours of four people at 30 Hz
MAX_MEMBERS = 64
MAX_RATIO = 200  # deflate reaches 1000; skeletons with many missing joints stay far below this
RATIO_FREE_BYTES = 16 << 20  # so small that even a bomb does no harm
MAX_NPY_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What one array of an npz file may be.

    Attributes:
        n_axes: how many axes it may have.
        types: pattern of the npy types it may have, such as "<f[48]".
        is_needed: whether it must be there.
        max_bytes: largest size, unpacked.
        max_ratio: how many times its packed size it may unpack to, if it is large.
    """

    n_axes: tuple[int, ...]
    types: str = "<f[48]"
    is_needed: bool = True
    max_bytes: int = MAX_MEMBER_BYTES
    max_ratio: int = MAX_RATIO


_CLIP = {"joints": Member(n_axes=(3, 4)), "time_s": Member(n_axes=(1,))}


def read_clip_arrays(path: str | Path) -> tuple[FloatArray, TimeArray]:
    """Read the joints and times of one npz file, checking every size before anything is allocated.

    Args:
        path: an npz file with `joints` (T, M, V, C) or (T, V, C) of one person, and `time_s` (T,).

    Returns:
        joints (T, M, V, C) float32, NaN where missing, and time_s (T,) float64, seconds.

    Raises:
        ClipError: no such file, no npz, a member is missing, too large, packed too tightly, or of a wrong type.
    """
    arrays = read_arrays(path, _CLIP, holds="A clip's npz holds joints (T, M, V, C) and time_s (T,).")
    joints, time_s = arrays["joints"], arrays["time_s"]
    if joints.ndim == 3:
        joints = joints[:, None]
    return joints.astype(np.float32, copy=False), time_s.astype(np.float64, copy=False)


def read_arrays(path: str | Path, wanted: Mapping[str, Member], *, holds: str) -> dict[str, npt.NDArray[Any]]:
    """Read some arrays of an npz file, checking every size before anything is allocated; objects are never read.

    Args:
        path: an npz file; what it holds besides is not looked at.
        wanted: the arrays by name.
        holds: what such a file holds, in words, for the error.

    Returns:
        Those that are there.

    Raises:
        ClipError: no such file, no npz, a member is missing, too large, packed too tightly, or of a wrong type.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such file. Check the path, or make the file again.")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _check_archive(archive, path)
            there = {member.filename for member in archive.infolist()}
            for name, member in wanted.items():
                if member.is_needed and f"{name}.npy" not in there:
                    raise ClipError(f"{path}: {name} is missing. {holds}")
            return {
                name: _read_member(archive, f"{path}: {name}", archive.getinfo(f"{name}.npy"), member, holds=holds)
                for name, member in wanted.items()
                if f"{name}.npy" in there
            }
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ClipError(f"{path}: is not a readable npz file ({error}). Write it again.") from None
    except zlib.error as error:
        raise ClipError(f"{path}: is damaged ({error}). Write it again.") from None


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(members) > MAX_MEMBERS or len(set(names)) != len(names):
        raise ClipError(f"{path}: holds {len(members)} members or one twice. A clip holds joints and time_s.")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise ClipError(f"{path}: {member.filename} is encrypted or packed in a way that npz does not use.")


def _read_member(
    archive: zipfile.ZipFile, where: str, member: zipfile.ZipInfo, wanted: Member, *, holds: str
) -> npt.NDArray[Any]:
    if member.file_size > wanted.max_bytes:
        raise ClipError(
            f"{where} has {member.file_size >> 20} MiB, the limit is {wanted.max_bytes >> 20}. Cut it into several."
        )
    if member.file_size > RATIO_FREE_BYTES and member.file_size > wanted.max_ratio * max(1, member.compress_size):
        raise ClipError(
            f"{where} unpacks to more than {wanted.max_ratio} times its size; it is refused as a decompression bomb."
        )
    with archive.open(member) as stream:
        dtype, order, shape, n_header_bytes = _read_npy_header(stream, where, types=wanted.types)
        if len(shape) not in wanted.n_axes:
            raise ClipError(f"{where} has {len(shape)} axes. {holds}")
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_header_bytes + n_bytes != member.file_size:
            raise ClipError(f"{where} says it is {shape} but has {member.file_size} bytes. Write the file again.")
        data = stream.read(n_bytes)
    if len(data) != n_bytes:
        raise ClipError(f"{where} ends after {len(data)} of {n_bytes} bytes. Write the file again.")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)


def _read_npy_header(
    stream: IO[bytes], where: str, *, types: str
) -> tuple[np.dtype[Any], Literal["C", "F"], tuple[int, ...], int]:
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
            if not re.fullmatch(types, descr):
                raise ClipError(f"{where} is of type {descr[:20]!r}, which it must not be ({types}).")
            if all(type(size) is int and size >= 0 for size in shape):
                return np.dtype(descr), "F" if fortran else "C", shape, 8 + n_length_bytes + n_text_bytes
    raise ClipError(f"{where} has a header that is not one of plain numbers: {text[:60]!r}. Write the file again.")
