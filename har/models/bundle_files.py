"""The files of a model bundle on disk: a folder, or one uncompressed zip.

Reading trusts nothing: only known names, no links, no folders within, no file over its limit. Every file is read once,
so the bytes that are checked are the bytes that are used. Writing gives the whole bundle or nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from har.errors import BundleError

_MIB = 2**20
SIZE_LIMITS = {
    "manifest.json": _MIB,
    "labels.json": _MIB,
    "skeleton.json": _MIB,
    "norm.json": _MIB,
    "metrics.json": 4 * _MIB,
    "card.md": _MIB,
    "stgcn.safetensors": 256 * _MIB,
    "risk.safetensors": 16 * _MIB,
    "golden.safetensors": 64 * _MIB,
}
"""Every file a bundle may hold, with its largest size in bytes."""
OPTIONAL = frozenset({"risk.safetensors"})


def read_files(path: Path) -> dict[str, bytes]:
    """Read all files of a bundle.

    Args:
        path: a bundle's folder or zip.

    Raises:
        BundleError: there is no such bundle, or its files are not exactly those that a bundle has.
    """
    try:
        files = _read_folder(path) if path.is_dir() else _read_zip(path)
    except FileNotFoundError:
        raise BundleError(f"{path}: there is no such bundle. Check the path, or see `har models list`.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BundleError(
            f"{path}: neither a bundle's folder nor a whole zip of one ({error}). Fetch it again."
        ) from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error}). Check the file's rights.") from error
    missing = sorted(set(SIZE_LIMITS) - OPTIONAL - set(files))
    if missing:
        raise BundleError(f"{path}: {missing[0]} is missing. Fetch the bundle again.")
    return files


def _read_folder(path: Path) -> dict[str, bytes]:
    entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    _check_names(path, (entry.name for entry in entries))
    for entry in entries:
        if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
            raise BundleError(f"{path}: {entry.name} is a link or no plain file. Put the file itself there.")
    return {entry.name: _read_plain(path, entry.name) for entry in entries}


def _read_plain(path: Path, name: str) -> bytes:
    handle = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _check_size(path, name, os.fstat(file.fileno()).st_size)
        blob = file.read(SIZE_LIMITS[name] + 1)
    _check_size(path, name, len(blob))
    return blob


def _read_zip(path: Path) -> dict[str, bytes]:
    if path.exists() and not path.is_file():
        raise BundleError(f"{path}: neither a folder nor a file.")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_names(path, (member.filename for member in members))
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise BundleError(f"{path}: {member.filename} is a link. Put the file itself there.")
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise BundleError(
                    f"{path}: {member.filename} is compressed. Make the zip without compression (zip -0)."
                )
            _check_size(path, member.filename, member.file_size)
        return {member.filename: archive.read(member) for member in members}


def _check_names(path: Path, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name not in SIZE_LIMITS:
            raise BundleError(f"{path}: {name!r} does not belong in a bundle. Remove it, or fetch the bundle again.")
        if name in seen:
            raise BundleError(f"{path}: {name} is there twice. Fetch the bundle again.")
        seen.add(name)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > SIZE_LIMITS[name]:
        raise BundleError(f"{path}: {name} has {size} bytes; at most {SIZE_LIMITS[name]} are allowed.")


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's folder, whole or not at all: a temporary folder beside it, synced, read back, then renamed.

    Raises:
        BundleError: something has that name already, or the folder cannot be written.
    """
    refuse_existing(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
        for name, blob in files.items():
            _write_synced(temporary / name, blob)
        if read_files(temporary) != files:
            raise BundleError(f"{path}: what was written does not read back the same. Check the disk.")
        temporary.chmod(0o755)
        _sync_folder(temporary)
        temporary.rename(path)  # fails if another process has put a bundle there meanwhile
        _sync_folder(path.parent)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle as one uncompressed zip; the same files give the same bytes.

    Raises:
        BundleError: something has that name already, or the file cannot be written.
    """
    refuse_existing(path)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with zipfile.ZipFile(temporary, "x", zipfile.ZIP_STORED) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name)  # dated 1980, so that the archive depends on nothing but the files
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, files[name])
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, never replaces what is there
        _sync_folder(path.parent)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        temporary.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Refuse a name that is taken.

    Raises:
        BundleError: something is there.
    """
    if os.path.lexists(path):
        raise BundleError(f"{path}: exists already, and a bundle never changes under its name. Choose another name.")


def _write_synced(path: Path, blob: bytes) -> None:
    with path.open("xb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
