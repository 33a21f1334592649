"""Bundles of trained pose estimators: what is saved comes back, and any damage is refused with one clear line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import safetensors.torch
import torch
from torch import nn

from har.errors import BundleError
from har.pose.bundle import load_pose_bundle, save_pose_bundle

SETTINGS = {"channels": 4, "size_px": 64, "rate": 0.1}
TRAINED = {"data": "made in a test", "seed": 3, "minutes": 0.5, "figures": {"ap": 0.7}}


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1, bias=False))


def saved(folder: Path, *, kind: str = "maskrcnn", detector: Path | None = None, onnx: bytes | None = None) -> Path:
    save_pose_bundle(folder, kind=kind, settings=SETTINGS, state=network().state_dict(), trained=TRAINED, onnx=onnx,
                     detector=detector)  # fmt: skip
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path / "mine", onnx=b"an exported network")


def rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the manifest of a bundle."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replace_weights(folder: Path, blob: bytes) -> None:
    """Put other weights into a bundle, with a digest that fits."""
    (folder / "weights.safetensors").write_bytes(blob)
    entry = {"sha256": hashlib.sha256(blob).hexdigest(), "size": len(blob)}
    rewrite(folder, lambda manifest: manifest["files"].update({"weights.safetensors": entry}))  # type: ignore[attr-defined]


def refused(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_pose_bundle(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(folder))
    return text


# -- saving and loading ----------------------------------------------------------------------------------------------


def test_what_is_saved_comes_back(folder: Path) -> None:
    bundle = load_pose_bundle(folder)

    assert (bundle.kind, bundle.layout, bundle.onnx) == ("maskrcnn", "coco17", b"an exported network")
    assert dict(bundle.settings) == SETTINGS
    assert dict(bundle.trained) == TRAINED
    assert bundle.detector is None
    filled = network(seed=1)
    bundle.fill(filled)
    picture = torch.rand(2, 3, 8, 8)
    assert torch.equal(filled(picture), network().eval()(picture))
    assert not filled.training


def test_weights_with_strides_of_their_own_come_back_as_they_were(tmp_path: Path) -> None:
    state = {"turned": torch.arange(6.0).reshape(2, 3).T, "lone": torch.tensor(7)}

    bundle = save_pose_bundle(tmp_path / "b", kind="centernet", settings={}, state=state, trained={})

    assert bundle.arrays["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert bundle.arrays["lone"].shape == ()


def test_a_model_for_crops_brings_its_detector_along(tmp_path: Path) -> None:
    detector = saved(tmp_path / "finder", kind="centernet")

    bundle = load_pose_bundle(saved(tmp_path / "crops", kind="hourglass", detector=detector))

    assert bundle.detector is not None
    assert bundle.detector.kind == "centernet"
    assert bundle.detector.sha256 == load_pose_bundle(detector).sha256


def test_a_bundle_never_changes_under_its_name(folder: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        saved(folder)


def test_nothing_is_left_behind_when_a_bundle_cannot_be_saved(tmp_path: Path) -> None:
    bad = {"weight": torch.tensor([float("nan")])}

    for state, trained in ((bad, {}), ({}, {"ap": float("inf")}), ({}, {"when": object()})):
        with pytest.raises(BundleError):
            save_pose_bundle(tmp_path / "b", kind="maskrcnn", settings={}, state=state, trained=trained)

    assert list(tmp_path.iterdir()) == []


def test_a_model_for_crops_is_not_saved_without_a_detector_nor_another_with_one(tmp_path: Path) -> None:
    detector = saved(tmp_path / "finder", kind="centernet")

    with pytest.raises(BundleError, match="needs a detector"):
        saved(tmp_path / "a", kind="deeppose")
    with pytest.raises(BundleError, match="takes no detector"):
        saved(tmp_path / "b", kind="maskrcnn", detector=detector)
    with pytest.raises(BundleError, match="'maskrcnn' cannot be the detector"):
        saved(tmp_path / "c", kind="deeppose", detector=saved(tmp_path / "d"))


@dataclass(frozen=True)
class Shape:
    channels: int
    size_px: int
    rate: float
    name: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.channels > 4:
            raise ValueError("more than 4 channels")


@pytest.mark.parametrize(("change", "said"), [
    ({}, "setting 'name' is missing"),
    ({"name": "c"}, "settings: name: "),
    ({"name": "b", "channels": 4.0}, "settings: channels: "),
    ({"name": "b", "channels": 5}, "more than 4 channels"),
    ({"name": "b", "depth": 5}, "setting 'depth' is not known"),
])  # fmt: skip
def test_settings_must_be_exactly_those_of_the_network(folder: Path, change: dict[str, object], said: str) -> None:
    rewrite(folder, lambda manifest: manifest["settings"].update(change))  # type: ignore[attr-defined]

    with pytest.raises(BundleError) as caught:
        load_pose_bundle(folder).settings_as(Shape)

    assert said in str(caught.value)


def test_settings_come_back_as_the_dataclass_they_are_of(folder: Path) -> None:
    rewrite(folder, lambda manifest: manifest["settings"].update(name="b"))  # type: ignore[attr-defined]

    assert load_pose_bundle(folder).settings_as(Shape) == Shape(4, 64, 0.1, "b")


# -- damage ----------------------------------------------------------------------------------------------------------


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "empty").mkdir()

    assert "there is no such bundle" in refused(tmp_path / "nowhere")
    assert "is a file" in refused(tmp_path / "file")
    assert "manifest.json: is missing" in refused(tmp_path / "empty")


@pytest.mark.parametrize(("name", "said"), [
    ("manifest.json", "manifest.json: is missing"),
    ("weights.safetensors", "weights.safetensors: is missing"),
    ("model.onnx", "'model.onnx': is in manifest.json but not there"),
])  # fmt: skip
def test_a_missing_file_is_named(folder: Path, name: str, said: str) -> None:
    (folder / name).unlink()

    assert said in refused(folder)


def test_a_changed_file_is_noticed_by_its_size_and_by_its_digest(folder: Path) -> None:
    path = folder / "weights.safetensors"
    blob = path.read_bytes()

    path.write_bytes(blob[:-4])
    assert f"{len(blob) - 4} bytes, manifest.json says {len(blob)}" in refused(folder)
    path.write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    assert "the file has changed" in refused(folder)


def test_a_file_that_does_not_belong_there_is_refused(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(b"")

    assert "'weights.pkl': does not belong" in refused(folder)


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.onnx").rename(tmp_path / "elsewhere")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere")
    assert "model.onnx: is a link" in refused(folder)

    crops = saved(tmp_path / "crops", kind="hourglass", detector=saved(tmp_path / "finder", kind="centernet"))
    (crops / "detector").rename(tmp_path / "moved")
    (crops / "detector").symlink_to(tmp_path / "moved")
    assert "detector: is a link" in refused(crops)


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "detector/weights.safetensors"])
def test_a_manifest_that_points_elsewhere_is_refused(folder: Path, name: str) -> None:
    rewrite(folder, lambda manifest: manifest["files"].update({name: {"sha256": "0" * 64, "size": 1}}))  # type: ignore[attr-defined]

    assert "is in manifest.json but not there" in refused(folder)


@pytest.mark.parametrize(("key", "value", "said"), [
    ("format", "har-bundle", "is not that of a pose estimator"),
    ("format_version", 2, "format_version 2 is not 1"),
    ("kind", "yolo", "kind 'yolo' is not known. Known kinds: maskrcnn"),
    ("layout", "coco133", "layout: "),
    ("settings", 3, "settings: "),
    ("more", 1, "more: "),
    ("detector", "0" * 64, "detector: is missing"),
])  # fmt: skip
def test_a_manifest_with_something_wrong_in_it_is_refused(folder: Path, key: str, value: object, said: str) -> None:
    rewrite(folder, lambda manifest: manifest.update({key: value}))

    assert said in refused(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', '{"format": "har-pose", "a": 1e999}', "\ud800"])
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))

    assert "manifest.json: " in refused(folder)


@pytest.mark.parametrize("blob", [b"", b"\x80\x04.", b"\xff" * 64], ids=["empty", "pickle", "nonsense"])
def test_weights_that_are_no_safetensors_are_refused(folder: Path, blob: bytes) -> None:
    replace_weights(folder, blob)

    assert "weights.safetensors: not a safetensors file" in refused(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    state = network().state_dict()
    state["0.weight"][0, 0, 0, 0] = float("inf")
    replace_weights(folder, safetensors.torch.save(state))

    assert "tensor 0.weight holds NaN or infinity" in refused(folder)


@pytest.mark.parametrize(("change", "said"), [
    (lambda state: state.pop("0.bias"), "tensor 0.bias is missing"),
    (lambda state: state.update(extra=torch.zeros(1)), "tensor extra is not of the network"),
    (lambda state: state.update({"0.bias": torch.zeros(5)}), r"tensor 0.bias is (5,) torch.float32, the network needs"),
    (lambda state: state.update({"0.bias": torch.zeros(4).double()}), "tensor 0.bias is (4,) torch.float64"),
])  # fmt: skip
def test_weights_of_another_network_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], object], said: str
) -> None:
    state = network().state_dict()
    change(state)
    replace_weights(folder, safetensors.torch.save(state))
    bundle = load_pose_bundle(folder)
    other = network(seed=1)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}

    with pytest.raises(BundleError) as caught:
        bundle.fill(other)

    assert said in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())


def test_another_detector_than_the_one_saved_is_noticed(tmp_path: Path) -> None:
    crops = saved(tmp_path / "crops", kind="hourglass", detector=saved(tmp_path / "finder", kind="centernet"))
    rewrite(crops / "detector", lambda manifest: manifest["trained"].update(seed=4))  # type: ignore[attr-defined]

    assert "detector: is another one than the manifest says" in refused(crops)
