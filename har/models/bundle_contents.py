"""What the files of a bundle must hold: JSON by schema, tensors by exact name, shape and type, golden answers.

Each function takes the files already read, and refuses with one line: bundle, file, what was found, what to do.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from graphs.errors import LayoutError
from graphs.layouts import LAYOUTS
from graphs.own_layouts import describe_layout, is_own, read_layout
from har.errors import BundleError, HarError, ShapeError
from har.models.confirm import CONFIRM_PREFIX, CONFIRM_TENSORS
from har.models.confirm_features import CONFIRM_FEATURES
from har.models.inputs import JOINT_AND_BONE
from har.models.risk import RISK_TENSORS, RiskModel
from har.models.risk_features import FEATURES
from har.models.stgcn import STGCNConfig
from har.models.streams import MAX_STREAMS, Stream, Streams
from har.models.unknown import UnknownRule

FORMAT = "har-bundle"
FORMAT_VERSION = 2
"""2 since a model may have several streams; a lone network on joints and bones is still written as 1."""
GOLDEN_TOLERANCE = 1e-4
ARCHITECTURES: dict[str, type[STGCNConfig]] = {"stgcn": STGCNConfig}
FIRST = (
    *("n_classes", "layout", "partition", "in_channels", "channels", "strides", "look_ahead", "kernel", "dropout"),
    "pool_last",
)
YOUNGER = {name: field.default for name, field in STGCNConfig.__dataclass_fields__.items() if name not in FIRST}
"""Hyper-parameters that older bundles lack, with the value that leaves the network as it was before they came."""

AGAIN = "Fetch or make the bundle again."
Files = Mapping[str, bytes]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Schema = TypeVar("Schema", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileEntry(_Strict):
    """Digest and size of one file."""

    sha256: Digest
    size: Annotated[int, Field(ge=0)]


class StreamEntry(_Strict):
    """One network of several: what it is shown, its share in the answer, its hyper-parameters."""

    inputs: str
    weight: Annotated[float, Field(ge=0, le=1)]
    hyper_parameters: dict[str, Any]


class Architecture(_Strict):
    """A network by name and hyper-parameters (version 1), or several of them (version 2)."""

    name: str
    hyper_parameters: dict[str, Any] | None = None
    streams: Annotated[list[StreamEntry], Field(min_length=1, max_length=MAX_STREAMS)] | None = None


class ConfirmMeta(_Strict):
    """What the arrays of the model mean that confirms suspicions; further keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    features: list[str]
    threshold: Annotated[float, Field(gt=0, lt=1)]


class RiskMeta(_Strict):
    """What the risk arrays mean; further keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    features: list[str]
    threshold: Annotated[float, Field(gt=0, lt=1)]
    confirm: ConfirmMeta | None = None


class Manifest(_Strict):
    """manifest.json."""

    format: Literal["har-bundle"]
    format_version: int
    name: Name
    version: Name
    created: str
    architecture: Architecture
    parent: str | None
    data_digest: str
    risk: RiskMeta | None
    files: dict[str, FileEntry]


class Skeleton(_Strict):
    """skeleton.json."""

    layout: str
    joints: list[str]
    edges: list[list[int]]
    partition: str
    window_frames: Annotated[int, Field(ge=1, le=4096)]
    rate_hz: Annotated[float, Field(ge=1, le=240)]
    own_layout: dict[str, Any] | None = None


class Unknown(_Strict):
    """When "unknown" is answered, in labels.json."""

    score: Literal["max_probability"]
    threshold: Annotated[float, Field(gt=0, lt=1)]
    keeps: Annotated[float, Field(gt=0, le=1)]
    n: Annotated[int, Field(ge=1)]


class Labels(_Strict):
    """labels.json."""

    labels: list[Label]
    unknown: Unknown | None = None


def refuse(path: Path, file: str, found: str, cure: str = AGAIN) -> NoReturn:
    """Raise the one line that a bundle is refused with."""
    raise BundleError(f"{path}: {file}: {' '.join(found.split())}. {cure}") from None


def read_text(files: Files, path: Path, file: str) -> str:
    """Decode a text file."""
    try:
        return files[file].decode()
    except UnicodeDecodeError as error:
        refuse(path, file, f"not UTF-8 ({error.reason} at byte {error.start})")


def read_json(files: Files, path: Path, file: str) -> dict[str, Any]:
    """Parse a JSON object: finite numbers, no key twice."""

    def finite(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise ValueError(f"the number {text[:20]} is not finite")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands there twice")
        return dict(pairs)

    text = read_text(files, path, file)
    try:
        value = json.loads(text, parse_float=finite, parse_constant=finite, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        refuse(path, file, f"no valid JSON ({error})")
    if not isinstance(value, dict):
        refuse(path, file, "not a JSON object")
    return value


def to_json(path: Path, file: str, value: Mapping[str, Any]) -> bytes:
    """Write a JSON object; the same value gives the same bytes."""
    try:
        return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        refuse(
            path, file, f"cannot be written as JSON ({error})", "Give finite numbers, text, lists and mappings only."
        )


def check_schema(schema: type[Schema], value: Mapping[str, Any], path: Path, file: str) -> Schema:
    """Check a parsed object against its schema."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        refuse(path, file, _first(error))


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in detail["loc"]) or "the object"
    return f"{where}: {detail['msg']}"


def read_manifest(files: Files, path: Path) -> Manifest:
    """Read manifest.json, telling a newer format from a broken one."""
    raw = read_json(files, path, "manifest.json")
    version = raw.get("format_version")
    if raw.get("format") != FORMAT or isinstance(version, bool) or not isinstance(version, int):
        refuse(path, "manifest.json", f"format is {raw.get('format')!r} {version!r}, not {FORMAT!r} {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        refuse(
            path,
            "manifest.json",
            f"format_version {version} is newer than {FORMAT_VERSION}, the newest known here",
            "Upgrade har, or use an older bundle.",
        )
    if version < 1:
        refuse(path, "manifest.json", f"format_version {version} does not exist")
    return check_schema(Manifest, raw, path, "manifest.json")


def check_digests(files: Files, manifest: Manifest, path: Path) -> None:
    """Compare every file but the manifest with the size and digest that stand there."""
    present = set(files) - {"manifest.json"}
    for name in sorted(present ^ set(manifest.files)):
        found = "is there but not in manifest.json" if name in present else "is in manifest.json but not there"
        refuse(path, name, found)
    for name in sorted(present):
        entry, blob = manifest.files[name], files[name]
        if len(blob) != entry.size:
            refuse(path, name, f"{len(blob)} bytes, manifest.json says {entry.size}")
        if hashlib.sha256(blob).hexdigest() != entry.sha256:
            refuse(path, name, "its sha256 is not the one in manifest.json: the file has changed")


def describe_architecture(model: Streams) -> tuple[int, dict[str, Any]]:
    """Give the format version and the architecture of manifest.json."""
    if is_plain(model.streams):
        known = {name: value for name, value in asdict(model.config).items() if name in FIRST}
        return 1, {"name": "stgcn", "hyper_parameters": known}
    entries = [
        {"inputs": each.kind, "weight": each.weight, "hyper_parameters": asdict(each.config)} for each in model.streams
    ]
    return 2, {"name": "stgcn", "streams": entries}


def is_plain(streams: Sequence[Stream]) -> bool:
    """Say whether a model is what version 1 of the format knows: one network of the first kind, on joints and bones."""
    as_first = all(getattr(streams[0].config, name) == value for name, value in YOUNGER.items())
    return len(streams) == 1 and streams[0].kind == JOINT_AND_BONE and as_first


def read_streams(manifest: Manifest, path: Path) -> tuple[Stream, ...]:
    """Read what the networks are built from; all hyper-parameters must be there and none else."""
    file, architecture = "manifest.json", manifest.architecture
    if architecture.name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        refuse(path, file, f"architecture {architecture.name!r} is not known", f"Known architectures: {known}.")
    if (architecture.hyper_parameters is None) == (architecture.streams is None):
        refuse(path, file, "architecture must have either hyper_parameters or streams")
    if architecture.hyper_parameters is not None:
        return (Stream(JOINT_AND_BONE, _read_config(architecture.name, architecture.hyper_parameters, path)),)
    return tuple(
        Stream(each.inputs, _read_config(architecture.name, each.hyper_parameters, path), each.weight)
        for each in architecture.streams or []
    )


def _read_config(name: str, given: Mapping[str, Any], path: Path) -> STGCNConfig:
    wanted = set(ARCHITECTURES[name].__dataclass_fields__)
    for key in sorted(wanted ^ set(given)):
        if key not in YOUNGER or key not in wanted:
            refuse(path, "manifest.json", f"hyper-parameter {key!r} is {'missing' if key in wanted else 'not known'}")
    try:
        return TypeAdapter(ARCHITECTURES[name]).validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        refuse(path, "manifest.json", f"hyper-parameters: {_first(error)}")
    except HarError as error:
        refuse(path, "manifest.json", f"hyper-parameters: {str(error).rstrip('.')}")


def describe_skeleton(config: STGCNConfig, *, rate_hz: float, window_frames: int) -> dict[str, Any]:
    """Give skeleton.json of a network; it describes the layout itself where that is no common knowledge."""
    which = LAYOUTS[config.layout]
    own = {"own_layout": describe_layout(which)} if is_own(which.name) else {}
    return own | {
        "layout": config.layout,
        "joints": list(which.joints),
        "edges": [list(edge) for edge in which.edges],
        "partition": config.partition,
        "window_frames": window_frames,
        "rate_hz": rate_hz,
    }


def learn_layout(files: Files, path: Path) -> None:
    """Make the layout known that a bundle brings along, if it does; nothing in it is believed."""
    file = "skeleton.json"
    given = read_json(files, path, file).get("own_layout")
    if given is None:
        return
    try:
        read_layout(given)
    except LayoutError as error:
        refuse(path, file, f"own_layout: {str(error).rstrip('.')}")


def read_skeleton(files: Files, config: STGCNConfig, path: Path) -> Skeleton:
    """Read skeleton.json and compare it with the layout of that name as it is here."""
    file = "skeleton.json"
    skeleton = check_schema(Skeleton, read_json(files, path, file), path, file)
    wanted = describe_skeleton(config, rate_hz=skeleton.rate_hz, window_frames=skeleton.window_frames)
    for key, value in skeleton.model_dump().items():
        if value != wanted.get(key):
            refuse(
                path, file, f"{key} is not that of the network in manifest.json ({config.layout}, {config.partition})"
            )
    return skeleton


def describe_labels(labels: Sequence[str], unknown: UnknownRule | None) -> dict[str, Any]:
    """Give labels.json; a bundle that always names a label has no word of "unknown" there."""
    return {"labels": list(labels)} | ({} if unknown is None else {"unknown": unknown.as_dict()})


def read_labels(files: Files, config: STGCNConfig, path: Path) -> tuple[tuple[str, ...], UnknownRule | None]:
    """Read labels.json: as many different labels as the network has outputs, and when "unknown" is answered."""
    file = "labels.json"
    found = check_schema(Labels, read_json(files, path, file), path, file)
    labels, unknown = found.labels, found.unknown
    if len(labels) != config.n_classes or len(set(labels)) != len(labels):
        refuse(path, file, f"{len(set(labels))} different labels for {config.n_classes} outputs")
    return tuple(labels), None if unknown is None else UnknownRule.from_dict(unknown.model_dump())


def to_blob(path: Path, file: str, tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors as safetensors and read them back.

    safetensors takes the memory of an array for its content, whatever its strides; so every one is made contiguous.
    """
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    blob: bytes = safetensors.torch.save(packed)
    again = read_tensors({file: blob}, path, file)
    for name, tensor in tensors.items():
        if not torch.equal(again[name].nan_to_num(), tensor.detach().cpu().nan_to_num()):
            refuse(path, file, f"{name} does not read back the same")
    return blob


def read_tensors(files: Files, path: Path, file: str) -> dict[str, Tensor]:
    """Parse a safetensors file."""
    try:
        loaded: dict[str, Tensor] = safetensors.torch.load(files[file])
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        refuse(path, file, f"not a safetensors file ({error})")
    return {name: tensor.clone() for name, tensor in loaded.items()}


def check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path, file: str) -> None:
    """Compare names, shapes and types exactly; floating numbers must be finite."""
    for name in sorted(set(found) ^ set(wanted)):
        refuse(path, file, f"tensor {name} is {'missing' if name in wanted else 'not one of the model'}")
    for name, tensor in found.items():
        is_, should = (tuple(tensor.shape), tensor.dtype), (tuple(wanted[name].shape), wanted[name].dtype)
        if is_ != should:
            refuse(path, file, f"tensor {name} is {is_[0]} {is_[1]}, the model needs {should[0]} {should[1]}")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            refuse(path, file, f"tensor {name} holds NaN or infinity")


def weights_of(model: Streams) -> dict[str, Tensor]:
    """Give the tensors of stgcn.safetensors: "blocks.0..." of a lone network, "networks.1.blocks.0..." of several."""
    return model.networks[0].state_dict() if is_plain(model.streams) else model.state_dict()


def read_model(files: Files, streams: Sequence[Stream], path: Path) -> Streams:
    """Build the networks and fill them, in evaluation mode; random state is left alone."""
    file = "stgcn.safetensors"
    tensors = read_tensors(files, path, file)
    try:
        with torch.device("meta"):  # shapes only: nothing is allocated before it is known to fit
            model = Streams(streams)
    except ShapeError as error:
        refuse(path, "manifest.json", f"architecture: {str(error).rstrip('.')}")
    check_tensors(tensors, weights_of(model), path, file)
    target = model.networks[0] if is_plain(streams) else model
    target.load_state_dict(tensors, strict=True, assign=True)
    return model.eval()


def read_risk(files: Files, manifest: Manifest, path: Path) -> RiskModel | None:
    """Read the risk part; None if there is none."""
    file, meta = "risk.safetensors", manifest.risk
    if (file in files) != (meta is not None):
        found = f"{file} is {'there' if meta is None else 'missing'}"
        refuse(path, "manifest.json", f"risk is {'null' if meta is None else 'described'}, but {found}")
    if meta is None:
        return None
    if list(meta.features) != [name for name in FEATURES if name in meta.features]:  # a choice of them, in their order
        refuse(path, "manifest.json", "risk.features are not the features computed here", "Retrain the risk model.")
    asked = CONFIRM_FEATURES if meta.confirm is None else tuple(meta.confirm.features)
    if list(asked) != [name for name in CONFIRM_FEATURES if name in asked]:
        refuse(
            path, "manifest.json", "risk.confirm.features are not the features computed here", "Retrain the risk model."
        )
    arrays = read_tensors(files, path, file)
    wanted = _risk_shapes(arrays, n_features=len(meta.features))
    if meta.confirm is not None:
        wanted |= _confirm_shapes(arrays)
    check_tensors(arrays, wanted, path, file)
    if not (arrays["scale"] > 0).all():
        refuse(path, file, "scale is not positive throughout")
    frozen = {name: tensor.numpy() for name, tensor in arrays.items()}
    for array in frozen.values():
        array.flags.writeable = False
    confirm_threshold = meta.confirm.threshold if meta.confirm is not None else 0.5
    try:
        return RiskModel.from_arrays(
            frozen,
            threshold=meta.threshold,
            confirm_threshold=confirm_threshold,
            features=meta.features,
            confirm_features=asked,
        )
    except ShapeError as error:
        refuse(path, file, str(error).rstrip("."))


def _risk_shapes(arrays: Mapping[str, Tensor], *, n_features: int) -> dict[str, Tensor]:
    """Give empty tensors of the shapes that the arrays of the risk model must have."""
    components = arrays.get("components", torch.tensor(0))
    n_components = len(components) if components.ndim == 2 else 1
    shapes = {
        "mean": (n_features,), "scale": (n_features,), "pca_mean": (n_features,),
        "components": (n_components, n_features), "coef": (n_components,), "intercept": (), "calibration": (2,),
    }  # fmt: skip
    return {name: torch.empty(shapes[name], dtype=torch.float64, device="meta") for name in RISK_TENSORS}


def _confirm_shapes(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give empty tensors of the shapes that the arrays of the confirming model must have."""
    found = arrays.get(f"{CONFIRM_PREFIX}split_feature", torch.tensor(0))
    trees = tuple(found.shape) if found.ndim == 2 else (1, 1)
    shapes = dict.fromkeys(CONFIRM_TENSORS, trees) | {"base": (), "calibration": (2,)}
    return {
        CONFIRM_PREFIX + name: torch.empty(shape, dtype=torch.float64, device="meta") for name, shape in shapes.items()
    }


def action_answers(model: Streams, windows: Tensor) -> Tensor:
    """Give the probabilities (N, n_classes) of a model in evaluation mode on the CPU."""
    with torch.no_grad():
        return model.scores(windows)


def check_golden(
    files: Files, path: Path, *, skeleton: Skeleton, model: Streams, risk: RiskModel | None
) -> tuple[int, float, float | None]:
    """Run the golden windows and compare the answers.

    Returns:
        Number of windows; largest difference of an action's probability; the same of danger, None without risk part.
    """
    file = "golden.safetensors"
    golden = read_tensors(files, path, file)
    windows = golden.get("windows", torch.empty(0))
    n, n_risk = len(windows), len(golden.get("risk_features", ()))
    joints = (n, skeleton.window_frames, len(skeleton.joints), model.dims + 1)
    shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "windows": (joints, torch.float32),
        "probabilities": ((n, model.config.n_classes), torch.float32),
    }
    if risk is not None:
        shapes["risk_features"] = ((n_risk, len(risk.features)), torch.float64)
        shapes["risk_probabilities"] = ((n_risk,), torch.float64)
    unknown_is_nan = {name: tensor.nan_to_num() if name == "windows" else tensor for name, tensor in golden.items()}
    wanted = {name: torch.empty(shape, dtype=dtype, device="meta") for name, (shape, dtype) in shapes.items()}
    check_tensors(unknown_is_nan, wanted, path, file)
    if not n or (risk is not None and not n_risk):
        refuse(path, file, "it holds no golden window")
    actions = _difference(action_answers(model, windows), golden["probabilities"])
    danger = None
    if risk is not None:
        answer = risk.probability(golden["risk_features"].numpy())
        danger = _difference(torch.from_numpy(np.asarray(answer)), golden["risk_probabilities"])
    for what, difference in (("actions", actions), ("danger", danger or 0.0)):
        if not difference <= GOLDEN_TOLERANCE:
            refuse(path, file, f"{what} differ from the golden answers by {difference:.2g}, over {GOLDEN_TOLERANCE:g}")
    return n, actions, danger


def _difference(found: Tensor, golden: Tensor) -> float:
    """Largest absolute difference; NaN, which fits no tolerance, if either holds NaN."""
    return float((found - golden).abs().max())


def packed(array: npt.ArrayLike, dtype: npt.DTypeLike) -> Tensor:
    """Copy an array into a tensor of its own, C order, whatever its strides; a scalar stays a scalar."""
    return torch.from_numpy(np.array(array, dtype=dtype, order="C", copy=True))
