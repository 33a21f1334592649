"""Model bundles: everything a model needs to be served, in one verified folder or zip (DESIGN, section 7).

A bundle holds no code and no pickle: safetensors and JSON, a digest of each file, and golden windows with the answers
that the model gave when it was made. It loads whole or not at all, and never changes under its name.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from har.errors import ShapeError
from har.models import bundle_contents as contents
from har.models.bundle_files import read_files, refuse_existing, write_folder, write_zip
from har.models.folded import FoldedModel
from har.models.risk import RiskModel
from har.models.stgcn import STGCN, STGCNConfig
from har.models.streams import Streams, as_streams
from har.models.unknown import UnknownRule
from har.records import FloatArray

RiskArray = npt.NDArray[np.float64]

LIVE_LAYOUT = "coco17"
LIVE_AHEAD_S = 0.5
"""How much later than the frame an action may be named live: seven frames at 15 Hz."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified bundle, ready to serve.

    Attributes:
        name: its name; never stands for two different bundles.
        version: its version, for people.
        sha256: digest of the manifest, which itself holds the digests of all other files.
        labels: label of each output of the model.
        config: hyper-parameters of the network, of the first if there are several.
        model: the networks, in evaluation mode, on the CPU.
        risk_model: the risk model that gave the golden answers; None if the bundle has no risk part.
        risk_meta: "features" (names, in order), "threshold" and whatever else its maker noted; empty without risk part.
        rate_hz: frames per second of the windows.
        window_frames: frames of a window.
        norm: how joints were normalised, as `har.windows` understands it.
        metrics: what was measured when it was made.
        card: its card, Markdown.
        created: when it was made, ISO 8601, UTC.
        parent: model id of the bundle it was trained from; None if from scratch.
        data_digest: digest of the data it was trained on.
        unknown: when "unknown" is the answer; None for a bundle that always names a label.
    """

    name: str
    version: str
    sha256: str
    labels: tuple[str, ...]
    config: STGCNConfig
    model: Streams
    risk_model: RiskModel | None
    risk_meta: Mapping[str, Any]
    rate_hz: float
    window_frames: int
    norm: Mapping[str, Any]
    metrics: Mapping[str, Any]
    card: str
    created: str
    parent: str | None
    data_digest: str
    unknown: UnknownRule | None = None

    @property
    def model_id(self) -> str:
        """Short name for events, "care-5@1f3c"."""
        return f"{self.name}@{self.sha256[:4]}"

    @property
    def window_s(self) -> float:
        """Length of a window, seconds."""
        return self.window_frames / self.rate_hz

    def streamed(self, *, dtype: torch.dtype = torch.float32) -> FoldedModel:
        """Give the networks as the stream runs them: one that averages all of a window averages as much of a stream."""
        return FoldedModel(self.model, pool_at_most=self.window_frames // self.config.stride, dtype=dtype)

    def live_problem(self) -> str | None:
        """Say in a line why the service cannot run this bundle on a camera; None if it can."""
        ahead_s = self.model.frames_ahead / self.rate_hz
        problems = (
            (
                self.config.layout != LIVE_LAYOUT,
                f"it wants {self.config.layout} skeletons, a camera's are {LIVE_LAYOUT}",
            ),
            (self.model.dims != 2, "it wants joints in three dimensions, a camera gives two"),
            (
                int(self.norm.get("persons", 1)) > 1,
                "it judges several people at once, a camera's one by one",
            ),
            (
                ahead_s > LIVE_AHEAD_S,
                f"it looks {ahead_s:.1f} s ahead, and an action must be named within {LIVE_AHEAD_S:g} s",
            ),
        )
        found = [text for is_one, text in problems if is_one]
        if not found:
            return None
        return f"{self.model_id} cannot run live: {'; '.join(found)}. Train one with the recipe `stream`."

    @property
    def risk(self) -> Mapping[str, RiskArray] | None:
        """The arrays of the risk model, as of `RiskModel.to_arrays`, read-only; None if the bundle has none."""
        return None if self.risk_model is None else MappingProxyType(self.risk_model.to_arrays())


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify_bundle` found.

    Attributes:
        model_id: "name@sha".
        sizes: bytes of each file.
        n_parameters: learnable numbers in the network.
        n_golden: golden windows that were run.
        action_difference: largest difference to a golden probability of an action.
        risk_difference: largest difference to a golden danger; None without risk part.
    """

    model_id: str
    sizes: Mapping[str, int]
    n_parameters: int
    n_golden: int
    action_difference: float
    risk_difference: float | None


def load_bundle(path: Path | str) -> Bundle:
    """Load and verify a bundle: names, sizes, digests, JSON, tensors, finite weights, golden answers, in this order.

    Args:
        path: its folder or uncompressed zip.

    Raises:
        BundleError: anything about it is wrong; the text names the file, what was found and what to do.
    """
    return _open(read_files(Path(path)), Path(path))[0]


def verify_bundle(path: Path | str) -> Verification:
    """Verify a bundle as `load_bundle` does and tell what was found.

    Raises:
        BundleError: anything about it is wrong.
    """
    return _open(read_files(Path(path)), Path(path))[1]


def pack_bundle(path: Path | str, target: Path | str) -> None:
    """Write a verified bundle as one uncompressed zip.

    Args:
        path: the bundle.
        target: the zip; must not exist.

    Raises:
        BundleError: the bundle does not verify or the zip cannot be written.
    """
    files = read_files(Path(path))
    _open(files, Path(path))
    write_zip(Path(target), files)


@dataclass(frozen=True, slots=True, eq=False)
class RiskPart:
    """The risk part of a bundle to be saved.

    Attributes:
        arrays: as of `RiskModel.to_arrays`.
        meta: "features", "threshold" and any further JSON.
        golden_features: (N, F) float64, N of 1 or more.
    """

    arrays: Mapping[str, RiskArray]
    meta: Mapping[str, Any]
    golden_features: RiskArray


def save_bundle(
    path: Path | str,
    *,
    name: str,
    version: str,
    model: STGCN | Streams,
    labels: Sequence[str],
    rate_hz: float,
    golden_windows: FloatArray,
    norm: Mapping[str, Any],
    metrics: Mapping[str, Any],
    card: str,
    data_digest: str,
    created: datetime,
    parent: str | None = None,
    risk: RiskPart | None = None,
    unknown: UnknownRule | None = None,
) -> Bundle:
    """Make a bundle, verify it and write it to a new folder, whole or not at all.

    Args:
        path: the folder; must not exist.
        name: `[a-z0-9][a-z0-9._-]{0,62}`.
        version: the same.
        model: the network, or several; a lone one sees joints and bones. It is left as it is.
        labels: label of each output.
        rate_hz: frames per second of the windows.
        golden_windows: (N, T, V, D + 1) normalised joints, N of 1 or more; T is the length of the bundle's windows.
        norm: how joints were normalised.
        metrics: what was measured; finite numbers only.
        card: Markdown.
        data_digest: digest of the training data.
        created: now, with its time zone.
        parent: model id of the bundle it was trained from.
        risk: the risk part.
        unknown: when "unknown" is the answer; None always names a label.

    Returns:
        The bundle as it would be loaded from its files.

    Raises:
        BundleError: the folder exists or cannot be written, or the parts do not make a valid bundle.
    """
    path, model = Path(path), as_streams(model)
    refuse_existing(path)
    if golden_windows.ndim != 4:
        contents.refuse(path, "golden.safetensors", f"windows are {golden_windows.shape}", "Give (N, T, V, D + 1).")
    skeleton = contents.describe_skeleton(model.config, rate_hz=rate_hz, window_frames=golden_windows.shape[1])
    files = {
        "stgcn.safetensors": contents.to_blob(path, "stgcn.safetensors", contents.weights_of(model)),
        "golden.safetensors": _golden_blob(path, model, golden_windows, risk),
        "labels.json": contents.to_json(path, "labels.json", contents.describe_labels(labels, unknown)),
        "skeleton.json": contents.to_json(path, "skeleton.json", skeleton),
        "norm.json": contents.to_json(path, "norm.json", norm),
        "metrics.json": contents.to_json(path, "metrics.json", metrics),
        "card.md": card.encode(),
    }
    if risk is not None:
        arrays = {key: contents.packed(value, np.float64) for key, value in risk.arrays.items()}
        files["risk.safetensors"] = contents.to_blob(path, "risk.safetensors", arrays)
    version_needed, architecture = contents.describe_architecture(model)
    manifest = {
        "format": contents.FORMAT,
        "format_version": version_needed,
        "name": name,
        "version": version,
        "created": created.astimezone(UTC).isoformat(timespec="seconds"),
        "architecture": architecture,
        "parent": parent,
        "data_digest": data_digest,
        "risk": None if risk is None else dict(risk.meta),
        "files": {key: {"sha256": hashlib.sha256(blob).hexdigest(), "size": len(blob)} for key, blob in files.items()},
    }
    files["manifest.json"] = contents.to_json(path, "manifest.json", manifest)
    bundle, _ = _open(files, path)
    write_folder(path, files)
    return bundle


def _golden_blob(path: Path, model: Streams, windows: FloatArray, risk: RiskPart | None) -> bytes:
    """Golden inputs with the answers that the models give now."""
    golden = {"windows": contents.packed(windows, np.float32)}
    served = copy.deepcopy(model).cpu().eval()
    try:
        golden["probabilities"] = contents.action_answers(served, golden["windows"])
    except ShapeError as error:
        contents.refuse(path, "golden.safetensors", str(error).rstrip("."), "Give windows that fit the networks.")
    if risk is not None:
        golden["risk_features"] = contents.packed(risk.golden_features, np.float64)
        try:
            danger = RiskModel.from_arrays(risk.arrays, features=risk.meta["features"]).probability(
                golden["risk_features"].numpy()
            )
        except (ShapeError, KeyError, IndexError, ValueError) as error:
            contents.refuse(path, "risk.safetensors", f"no risk model can be made of it ({error})")
        golden["risk_probabilities"] = contents.packed(danger, np.float64)
    return contents.to_blob(path, "golden.safetensors", golden)


def _open(files: Mapping[str, bytes], path: Path) -> tuple[Bundle, Verification]:
    """Verify files whose names and sizes are known to be allowed, and make the bundle of them."""
    manifest = contents.read_manifest(files, path)
    contents.check_digests(files, manifest, path)
    contents.learn_layout(files, path)
    streams = contents.read_streams(manifest, path)
    config = streams[0].config
    skeleton = contents.read_skeleton(files, config, path)
    labels, unknown = contents.read_labels(files, config, path)
    norm, metrics = contents.read_json(files, path, "norm.json"), contents.read_json(files, path, "metrics.json")
    card = contents.read_text(files, path, "card.md")
    model = contents.read_model(files, streams, path)
    risk = contents.read_risk(files, manifest, path)
    n_golden, action, danger = contents.check_golden(files, path, skeleton=skeleton, model=model, risk=risk)
    bundle = Bundle(
        name=manifest.name,
        version=manifest.version,
        sha256=hashlib.sha256(files["manifest.json"]).hexdigest(),
        labels=labels,
        config=config,
        model=model,
        risk_model=risk,
        risk_meta=MappingProxyType({} if manifest.risk is None else manifest.risk.model_dump()),
        rate_hz=float(skeleton.rate_hz),
        window_frames=skeleton.window_frames,
        norm=MappingProxyType(norm),
        metrics=MappingProxyType(metrics),
        card=card,
        created=manifest.created,
        parent=manifest.parent,
        data_digest=manifest.data_digest,
        unknown=unknown,
    )
    sizes = MappingProxyType({name: len(blob) for name, blob in sorted(files.items())})
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return bundle, Verification(bundle.model_id, sizes, n_parameters, n_golden, action, danger)
