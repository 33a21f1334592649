"""Bundles of trained pose estimators: a folder with manifest.json, weights.safetensors and, if exported, model.onnx.

A model that sees one person at a time brings the detector that finds people along, a bundle of its own in `detector/`.
Reading trusts nothing: only known names, no links, no file over its limit; each file is read once, so the bytes that
are checked are the bytes that are used. Nothing here loads torch unless it is handed a network.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from safetensors import SafetensorError

from har.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT, FORMAT_VERSION = "har-pose", 1
MASKRCNN, HOURGLASS, DEEPPOSE, CENTERNET = "maskrcnn", "hourglass", "deeppose", "centernet"
KINDS = (MASKRCNN, HOURGLASS, DEEPPOSE, CENTERNET)
CROP_KINDS = (HOURGLASS, DEEPPOSE)
"""These see one person at a time, so that they need a detector beside them."""

_MANIFEST, _WEIGHTS, _ONNX, _DETECTOR = "manifest.json", "weights.safetensors", "model.onnx", "detector"
_MIB = 2**20
SIZE_LIMITS = {_MANIFEST: _MIB, _WEIGHTS: 512 * _MIB, _ONNX: 512 * _MIB}
"""Every file a bundle may hold, with its largest size in bytes."""
_AGAIN = "Make or copy the bundle again."

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Settings = TypeVar("Settings")
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _File(_Strict):
    sha256: Digest
    size: Annotated[int, Field(ge=0)]


class _Manifest(_Strict):
    format: Literal["har-pose"]
    format_version: Literal[1]
    kind: Literal["maskrcnn", "hourglass", "deeppose", "centernet"]
    layout: Literal["coco17"]
    settings: dict[str, Any]
    trained: dict[str, Any]
    files: dict[str, _File]
    detector: Digest | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PoseBundle:
    """A verified bundle of a trained pose estimator.

    Attributes:
        folder: where it was read from.
        kind: one of `KINDS`.
        layout: the joints it gives, a key of `graphs.LAYOUTS`.
        settings: what the network is built from.
        trained: on what it was trained and how well it does.
        sha256: digest of the manifest, which itself holds the digests of all other files.
        arrays: the network's weights by name; finite.
        onnx: the exported network; None if it was not exported.
        detector: what finds the people whom it is to look at; None if it finds them itself.
    """

    folder: Path
    kind: str
    layout: str
    settings: Mapping[str, Any]
    trained: Mapping[str, Any]
    sha256: str
    arrays: Arrays
    onnx: bytes | None
    detector: PoseBundle | None

    def settings_as(self, wanted: type[Settings]) -> Settings:
        """Give the settings as a frozen dataclass: exactly its fields, each of its type.

        Raises:
            BundleError: a field is missing, not known or of another type, or its value is refused (ValueError).
        """
        names = {field.name for field in fields(wanted)}  # type: ignore[arg-type]
        for name in sorted(names ^ set(self.settings)):
            _refuse(self.folder, _MANIFEST, f"setting {name!r} is {'missing' if name in names else 'not known'}")
        try:
            return TypeAdapter(wanted).validate_json(json.dumps(dict(self.settings)), strict=True)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in detail["loc"])
            _refuse(self.folder, _MANIFEST, f"settings: {where}: {detail['msg']}".replace(": :", ":"))

    def fill(self, network: nn.Module) -> None:
        """Put the weights into a network built from `settings`, and set it to evaluation mode.

        Raises:
            BundleError: the weights are not exactly those of the network: a name, shape or type differs.
        """
        import torch

        wanted = network.state_dict()
        for name in sorted(set(wanted) ^ set(self.arrays)):
            _refuse(self.folder, _WEIGHTS, f"tensor {name} is {'missing' if name in wanted else 'not of the network'}")
        tensors = {name: torch.from_numpy(array.copy()) for name, array in self.arrays.items()}
        for name, tensor in tensors.items():
            found = f"{tuple(tensor.shape)} {tensor.dtype}"
            needed = f"{tuple(wanted[name].shape)} {wanted[name].dtype}"
            if found != needed:
                _refuse(self.folder, _WEIGHTS, f"tensor {name} is {found}, the network needs {needed}")
        network.load_state_dict(tensors, strict=True)
        network.eval()


def pose_bundle_kind(folder: Path) -> str:
    """Give the kind of a bundle after a quick look: its manifest, and whether each file has the size that stands there.

    Raises:
        BundleError: it is none, or a file is missing or cut short.
    """
    return _look(folder).kind


def pose_bundle_settings(folder: Path) -> Mapping[str, Any]:
    """Give the settings of a bundle after the same quick look.

    Raises:
        BundleError: it is none, or a file is missing or cut short.
    """
    return _look(folder).settings


def _look(folder: Path) -> _Manifest:
    try:
        with (folder / _MANIFEST).open("rb") as file:
            manifest = _read_manifest(folder, file.read(SIZE_LIMITS[_MANIFEST]))
    except OSError:
        raise BundleError(
            f"{folder}: is no bundle of a pose estimator: it has no {_MANIFEST}. Check the path."
        ) from None
    for name, entry in manifest.files.items():
        path = folder / name
        if name not in SIZE_LIMITS or not path.is_file() or path.stat().st_size != entry.size:
            _refuse(folder, repr(name), f"is not a file of {entry.size} bytes, as manifest.json says")
    return manifest


def load_pose_bundle(folder: Path) -> PoseBundle:
    """Read a bundle and verify it: names, sizes, digests, JSON, tensors, finite weights, in this order.

    Raises:
        BundleError: anything about it is wrong; the text names the file, what was found and what to do.
    """
    return _load(folder, is_detector=False)


def save_pose_bundle(
    folder: Path,
    *,
    kind: str,
    settings: Mapping[str, Any],
    state: Mapping[str, Tensor],
    trained: Mapping[str, Any],
    onnx: bytes | None = None,
    detector: Path | None = None,
) -> PoseBundle:
    """Write a bundle to a new folder, whole or not at all.

    Args:
        folder: must not exist.
        kind: one of `KINDS`.
        settings: what the network is built from, as JSON can hold it.
        state: the network's `state_dict()`.
        trained: on what it was trained (data, seed, minutes) and how well it does (figures), as JSON can hold it.
        onnx: the exported network.
        detector: the bundle of the detector, for kinds in `CROP_KINDS`; it is copied.

    Returns:
        The bundle as it was read back.

    Raises:
        BundleError: the folder exists or cannot be written, or the parts do not make a valid bundle.
    """
    if os.path.lexists(folder):
        raise BundleError(f"{folder}: exists already, and a bundle never changes under its name. Choose another name.")
    files = {_WEIGHTS: _pack(state)} | ({} if onnx is None else {_ONNX: onnx})
    found_by = None if detector is None else _load(detector, is_detector=True)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "layout": "coco17",
        "settings": dict(settings),
        "trained": dict(trained),
        "files": {name: {"sha256": _digest(blob), "size": len(blob)} for name, blob in files.items()},
        "detector": None if found_by is None else found_by.sha256,
    }
    files[_MANIFEST] = _to_json(folder, manifest)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        for name, blob in files.items():
            _write_synced(temporary / name, blob)
        if detector is not None:
            shutil.copytree(detector, temporary / _DETECTOR)
        load_pose_bundle(temporary)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return load_pose_bundle(folder)


def _load(folder: Path, *, is_detector: bool) -> PoseBundle:
    files, has_detector = _read_files(folder)
    manifest = _read_manifest(folder, files[_MANIFEST])
    _check_digests(folder, files, manifest)
    if is_detector and (manifest.kind != CENTERNET or has_detector):
        _refuse(folder, _MANIFEST, f"kind {manifest.kind!r} cannot be the detector of another", f"Give a {CENTERNET}.")
    if has_detector != (manifest.detector is not None):
        _refuse(folder, _DETECTOR, "is there but not in the manifest" if has_detector else "is missing")
    if has_detector != (manifest.kind in CROP_KINDS):
        needs = "needs a detector beside it" if manifest.kind in CROP_KINDS else "takes no detector"
        _refuse(folder, _MANIFEST, f"a bundle of kind {manifest.kind!r} {needs}")
    detector = _load(folder / _DETECTOR, is_detector=True) if has_detector else None
    if detector is not None and detector.sha256 != manifest.detector:
        _refuse(folder, _DETECTOR, "is another one than the manifest says")
    return PoseBundle(
        folder=folder,
        kind=manifest.kind,
        layout=manifest.layout,
        settings=MappingProxyType(manifest.settings),
        trained=MappingProxyType(manifest.trained),
        sha256=_digest(files[_MANIFEST]),
        arrays=_unpack(folder, files[_WEIGHTS]),
        onnx=files.get(_ONNX),
        detector=detector,
    )


# -- files -----------------------------------------------------------------------------------------------------------


def _read_files(folder: Path) -> tuple[dict[str, bytes], bool]:
    """Read the files of a bundle, and say whether there is a detector beside them."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        files = {entry.name: _read(folder, entry) for entry in entries if entry.name != _DETECTOR}
    except FileNotFoundError:
        raise BundleError(f"{folder}: there is no such bundle of a pose estimator. Check the path.") from None
    except NotADirectoryError:
        raise BundleError(f"{folder}: is a file. Give the folder of a trained pose estimator.") from None
    except OSError as error:
        raise BundleError(f"{folder}: cannot be read ({error.strerror or error}). Check its rights.") from None
    for name in (_MANIFEST, _WEIGHTS):
        if name not in files:
            _refuse(folder, name, "is missing")
    detectors = [entry for entry in entries if entry.name == _DETECTOR]
    if any(entry.is_symlink() or not entry.is_dir() for entry in detectors):
        _refuse(folder, _DETECTOR, "is a link or no folder", "Put the folder itself there.")
    return files, bool(detectors)


def _read(folder: Path, entry: os.DirEntry[str]) -> bytes:
    """Read one file, if it is one that belongs there."""
    if entry.name not in SIZE_LIMITS:
        _refuse(folder, repr(entry.name), "does not belong in a bundle", "Remove it.")
    if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
        _refuse(folder, entry.name, "is a link or no plain file", "Put the file itself there.")
    limit = SIZE_LIMITS[entry.name]
    handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        blob = file.read(limit + 1)
    if len(blob) > limit:
        _refuse(folder, entry.name, f"has more than the {limit} bytes that are allowed")
    return blob


def _write_synced(path: Path, blob: bytes) -> None:
    with path.open("xb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())


# -- what the files hold ---------------------------------------------------------------------------------------------


def _read_manifest(folder: Path, blob: bytes) -> _Manifest:
    """Read manifest.json, telling a format or kind that is not known here from a broken file."""

    def finite(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise ValueError(f"the number {text[:20]} is not finite")
        return value

    try:
        raw = json.loads(blob.decode(), parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as error:
        _refuse(folder, _MANIFEST, f"no valid JSON ({error})")
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        _refuse(folder, _MANIFEST, "is not that of a pose estimator", "Give the folder of a trained pose estimator.")
    if raw.get("format_version") != FORMAT_VERSION:
        found = f"format_version {raw.get('format_version')!r} is not {FORMAT_VERSION}, the one known here"
        _refuse(folder, _MANIFEST, found, "Upgrade har, or train the estimator again.")
    if raw.get("kind") not in KINDS:
        _refuse(folder, _MANIFEST, f"kind {raw.get('kind')!r} is not known", f"Known kinds: {', '.join(KINDS)}.")
    try:
        return _Manifest.model_validate(raw)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        _refuse(folder, _MANIFEST, f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}")


def _check_digests(folder: Path, files: Mapping[str, bytes], manifest: _Manifest) -> None:
    """Compare every file but the manifest with the size and digest that stand there."""
    present = set(files) - {_MANIFEST}
    for name in sorted(present ^ set(manifest.files)):
        found = "is there but not in manifest.json" if name in present else "is in manifest.json but not there"
        _refuse(folder, repr(name), found)
    for name in sorted(present):
        entry, blob = manifest.files[name], files[name]
        if len(blob) != entry.size:
            _refuse(folder, name, f"{len(blob)} bytes, manifest.json says {entry.size}")
        if _digest(blob) != entry.sha256:
            _refuse(folder, name, "its sha256 is not the one in manifest.json: the file has changed")


def _pack(state: Mapping[str, Tensor]) -> bytes:
    """Write tensors as safetensors, which takes the memory of an array for its content, whatever its strides."""
    arrays = {name: np.ascontiguousarray(tensor.detach().cpu().numpy()) for name, tensor in state.items()}
    # A lone number would come out of `ascontiguousarray` with an axis.
    blob: bytes = safetensors.numpy.save({name: array.reshape(state[name].shape) for name, array in arrays.items()})
    return blob


def _unpack(folder: Path, blob: bytes) -> Arrays:
    """Parse weights.safetensors; the numbers must be finite."""
    try:
        arrays: Arrays = safetensors.numpy.load(blob)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        _refuse(folder, _WEIGHTS, f"not a safetensors file ({error})")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            _refuse(folder, _WEIGHTS, f"tensor {name} holds NaN or infinity")
    return arrays


def _to_json(folder: Path, value: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        _refuse(folder, _MANIFEST, f"cannot be written as JSON ({error})", "Give finite numbers, text and lists only.")


def _digest(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def _refuse(folder: Path, file: str, found: str, cure: str = _AGAIN) -> NoReturn:
    """Raise the one line that a bundle is refused with."""
    raise BundleError(f"{folder}: {file}: {' '.join(found.split())}. {cure}") from None
