from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from har.errors import BundleError
from har.models import bundle_files
from har.models.bundle import Bundle, RiskPart, load_bundle, pack_bundle, save_bundle, verify_bundle
from har.models.risk import RISK_TENSORS, RiskModel
from har.models.risk_features import FEATURES
from har.models.stgcn import STGCN, STGCNConfig

LABELS = ("stand", "walk", "fall")
N_FRAMES = 12


def some_network() -> STGCN:
    torch.manual_seed(0)
    model = STGCN(STGCNConfig(n_classes=3, channels=(4,) * 9)).train()
    with torch.no_grad():
        model.scores(torch.rand(4, N_FRAMES, 17, 3))
    torch.nn.init.normal_(model.head.weight)
    return model


def some_windows() -> np.ndarray:
    windows = np.random.default_rng(1).normal(size=(3, N_FRAMES, 17, 3)).astype(np.float32)
    windows[0, 2:5, 9] = np.nan
    return windows


def some_risk(*, order: str = "C") -> RiskPart:
    rng = np.random.default_rng(2)
    n = len(FEATURES)
    arrays = {
        "mean": rng.normal(size=n),
        "scale": rng.uniform(0.5, 2.0, size=n),
        "pca_mean": rng.normal(size=n),
        "components": np.asarray(rng.normal(size=(5, n)), order=order),
        "coef": rng.normal(size=5),
        "intercept": np.array(0.25),
        "calibration": np.array([0.3, -0.1]),
    }
    return RiskPart(arrays, {"features": list(FEATURES), "threshold": 0.6}, rng.normal(size=(4, n)))


def save(path: Path, **changes: Any) -> Bundle:
    parts: dict[str, Any] = {
        "name": "care-1", "version": "1.0", "model": some_network(), "labels": LABELS, "rate_hz": 15.0,
        "golden_windows": some_windows(), "norm": {"scale": "trunk"}, "metrics": {"top1": 0.9}, "card": "# Care 1\n",
        "data_digest": "d" * 64, "created": datetime(2026, 11, 21, 12, 0, tzinfo=UTC), "risk": some_risk(),
    }  # fmt: skip
    return save_bundle(path, **(parts | changes))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("bundles") / "care-1"
    save(path)
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.fixture
def folder(original: dict[str, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "care-1"
    path.mkdir()
    for name, blob in original.items():
        (path / name).write_bytes(blob)
    return path


def forge(folder: Path, name: str, blob: bytes) -> None:
    """Replace a file and make the manifest agree, so that only the later checks can see it."""
    (folder / name).write_bytes(blob)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = {"sha256": hashlib.sha256(blob).hexdigest(), "size": len(blob)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def forge_tensors(folder: Path, name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = safetensors.torch.load_file(folder / name)
    change(tensors)
    forge(folder, name, safetensors.torch.save(tensors))


def forge_json(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads((folder / name).read_bytes())
    change(value)
    if name == "manifest.json":
        (folder / name).write_text(json.dumps(value))
    else:
        forge(folder, name, json.dumps(value).encode())


def refused(path: Path, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        load_bundle(path)

    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    for word in words:
        assert word in text


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    model, risk, windows = some_network(), some_risk(), torch.from_numpy(some_windows())

    saved = save(tmp_path / "b", model=model, risk=risk, parent="care-0@1f3c")
    loaded = load_bundle(tmp_path / "b")

    assert model.training
    assert not loaded.model.training
    assert torch.equal(loaded.model.scores(windows), model.eval().scores(windows))
    assert (loaded.name, loaded.version, loaded.labels, loaded.parent) == ("care-1", "1.0", LABELS, "care-0@1f3c")
    assert (loaded.rate_hz, loaded.window_frames, loaded.window_s) == (15.0, N_FRAMES, 0.8)
    assert loaded.config == model.config
    assert (dict(loaded.norm), dict(loaded.metrics), loaded.card) == ({"scale": "trunk"}, {"top1": 0.9}, "# Care 1\n")
    assert loaded.created == "2026-11-21T12:00:00+00:00"
    assert loaded.model_id == saved.model_id == f"care-1@{loaded.sha256[:4]}"
    assert loaded.risk is not None
    assert set(loaded.risk) == set(RISK_TENSORS)
    for name in RISK_TENSORS:
        np.testing.assert_array_equal(loaded.risk[name], risk.arrays[name])
        assert loaded.risk[name].dtype == np.float64
        assert not loaded.risk[name].flags.writeable


def test_the_loaded_risk_model_answers_as_the_saved_one(tmp_path: Path) -> None:
    part = some_risk()
    save(tmp_path / "b", risk=part)

    model = load_bundle(tmp_path / "b").risk_model

    assert model is not None
    assert model.threshold == 0.6
    expected = RiskModel.from_arrays(part.arrays).probability(part.golden_features)
    np.testing.assert_array_equal(model.probability(part.golden_features), expected)


def test_a_bundle_may_have_no_risk_part(tmp_path: Path) -> None:
    save(tmp_path / "b", risk=None)

    loaded = load_bundle(tmp_path / "b")

    assert loaded.risk is None
    assert loaded.risk_model is None
    assert not (tmp_path / "b" / "risk.safetensors").exists()
    assert verify_bundle(tmp_path / "b").risk_difference is None


def test_fortran_ordered_components_come_back_as_they_were(tmp_path: Path) -> None:
    part = some_risk(order="F")
    assert not part.arrays["components"].flags.c_contiguous

    save(tmp_path / "b", risk=part)

    loaded = load_bundle(tmp_path / "b").risk
    assert loaded is not None
    np.testing.assert_array_equal(loaded["components"], part.arrays["components"])


def test_weights_and_windows_that_are_views_come_back_as_they_were(tmp_path: Path) -> None:
    model = some_network()
    model.head.weight.data = model.head.weight.data.T.contiguous().T
    windows = np.asfortranarray(some_windows())

    save(tmp_path / "b", model=model, golden_windows=windows)

    assert torch.equal(load_bundle(tmp_path / "b").model.networks[0].head.weight, model.head.weight)


def test_a_zip_loads_as_its_folder_does(folder: Path, tmp_path: Path) -> None:
    pack_bundle(folder, tmp_path / "one.zip")
    pack_bundle(folder, tmp_path / "two.zip")

    assert load_bundle(tmp_path / "one.zip").sha256 == load_bundle(folder).sha256
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with pytest.raises(BundleError, match="exists already"):
        pack_bundle(folder, tmp_path / "one.zip")


def test_verifying_tells_what_was_found(folder: Path) -> None:
    found = verify_bundle(folder)

    assert found.model_id == load_bundle(folder).model_id
    assert found.n_golden == 3
    assert found.n_parameters == sum(each.numel() for each in some_network().parameters())
    assert found.action_difference <= 1e-6
    assert found.risk_difference == 0.0
    assert found.sizes["manifest.json"] == (folder / "manifest.json").stat().st_size


def test_the_same_parts_give_the_same_digest_and_other_parts_another(tmp_path: Path) -> None:
    one, same, other = save(tmp_path / "a"), save(tmp_path / "b"), save(tmp_path / "c", card="# Other\n")

    assert one.sha256 == same.sha256
    assert one.sha256 != other.sha256


def test_loading_leaves_the_random_state_alone(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)

    torch.manual_seed(5)
    load_bundle(folder)

    assert torch.equal(torch.rand(3), expected)


def test_a_bundle_is_never_changed_under_its_name(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    with pytest.raises(BundleError, match="never changes under its name"):
        save(folder, card="# New\n")

    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("stand", "walk")}, "labels.json"),
        ({"labels": ("stand", "walk", "walk")}, "2 different labels"),
        ({"metrics": {"top1": float("nan")}}, "metrics.json"),
        ({"name": "../care"}, "name"),
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"golden_windows": some_windows()[:0]}, "no golden window"),
        ({"golden_windows": some_windows()[:, :, :5]}, "17"),
        ({"golden_windows": some_windows()[0]}, "golden.safetensors"),
    ],
)
def test_parts_that_make_no_valid_bundle_are_refused_and_leave_nothing_behind(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=words):
        save(tmp_path / "b", **changes)

    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    model = some_network()
    with torch.no_grad():
        model.head.bias[0] = float("nan")

    with pytest.raises(BundleError, match="NaN"):
        save(tmp_path / "b", model=model)

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(BundleError, match="No space left"):
        save(tmp_path / "b")

    assert list(tmp_path.iterdir()) == []


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "there is no such bundle")


@pytest.mark.parametrize("name", sorted(set(bundle_files.SIZE_LIMITS) - {"manifest.json"}))
def test_a_flipped_bit_in_any_file_is_refused(folder: Path, name: str) -> None:
    blob = bytearray((folder / name).read_bytes())
    blob[len(blob) // 2] ^= 1
    (folder / name).write_bytes(blob)

    refused(folder, name, "sha256")


@pytest.mark.parametrize("name", sorted(bundle_files.SIZE_LIMITS))
def test_a_truncated_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-3])

    refused(folder, name)


@pytest.mark.parametrize("name", sorted(bundle_files.SIZE_LIMITS))
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()

    refused(folder, name)


@pytest.mark.parametrize("name", ["run.py", "stgcn.pkl", ".hidden"])
def test_an_extra_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")

    refused(folder, name, "does not belong")


def test_a_folder_or_pipe_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "card.md").unlink()
    (folder / "card.md").mkdir()
    refused(folder, "card.md", "no plain file")

    (folder / "card.md").rmdir()
    os.mkfifo(folder / "card.md")
    refused(folder, "card.md", "no plain file")


def test_a_link_in_place_of_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    (folder / "card.md").rename(outside)
    (folder / "card.md").symlink_to(outside)

    refused(folder, "card.md", "link")


def test_a_huge_json_file_is_refused_before_it_is_parsed(folder: Path) -> None:
    forge(folder, "labels.json", b'{"labels": ["' + b"a" * 2_000_000 + b'"]}')

    refused(folder, "labels.json", "at most 1048576")


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b'{"labels": [}', "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b'{"labels": NaN}', "not finite"),
        (b'{"labels": 1e999}', "not finite"),
        (b'{"labels": [], "labels": ["a", "b", "c"]}', "twice"),
        (b'{"labels": "abc"}', "labels"),
        (b'{"labels": ["a", "b", 3]}', "labels.2"),
        (b'["a"]', "not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"labels": ["a", "b", "c"], "code": "x"}', "code"),
    ],
)
def test_bad_json_is_refused(folder: Path, blob: bytes, words: str) -> None:
    forge(folder, "labels.json", blob)

    refused(folder, "labels.json", words)


def test_a_newer_format_asks_for_a_newer_har(folder: Path) -> None:
    forge_json(folder, "manifest.json", lambda manifest: manifest.update(format_version=3, novelty=True))

    refused(folder, "manifest.json", "format_version 3", "Upgrade har")


@pytest.mark.parametrize(
    "change", [{"format": "zip"}, {"format_version": 0}, {"format_version": "1"}, {"format_version": True}]
)
def test_another_format_is_refused(folder: Path, change: dict[str, Any]) -> None:
    forge_json(folder, "manifest.json", lambda manifest: manifest.update(change))

    refused(folder, "manifest.json", "format")


def test_an_architecture_that_is_not_on_the_list_is_refused(folder: Path) -> None:
    forge_json(folder, "manifest.json", lambda manifest: manifest["architecture"].update(name="os.system"))

    refused(folder, "'os.system'", "Known architectures: stgcn")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": [100_000] * 9}, "channels"),
        ({"channels": [4] * 8}, "channels"),
        ({"kernel": "9"}, "kernel"),
        ({"layout": "coco18"}, "coco18"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_hyper_parameters_out_of_bounds_are_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    forge_json(folder, "manifest.json", lambda m: m["architecture"]["hyper_parameters"].update(change))

    refused(folder, "manifest.json", words)


def test_missing_hyper_parameters_are_refused(folder: Path) -> None:
    forge_json(folder, "manifest.json", lambda m: m["architecture"]["hyper_parameters"].pop("kernel"))

    refused(folder, "'kernel' is missing")


def test_a_manifest_that_forgets_or_invents_a_file_is_refused(folder: Path) -> None:
    complete = (folder / "manifest.json").read_bytes()

    forge_json(folder, "manifest.json", lambda manifest: manifest["files"].pop("card.md"))
    refused(folder, "card.md", "not in manifest.json")

    (folder / "manifest.json").write_bytes(complete)
    forge_json(folder, "manifest.json", lambda m: m["files"].update({"../x": m["files"]["card.md"]}))
    refused(folder, "../x", "not there")


@pytest.mark.parametrize("file", ["stgcn.safetensors", "risk.safetensors", "golden.safetensors"])
def test_a_pickle_by_another_name_is_refused_and_never_run(folder: Path, file: str) -> None:
    marker = folder.parent / "pickle-was-run"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(marker),)

    forge(folder, file, pickle.dumps(Attack()))

    refused(folder, file, "not a safetensors file")
    assert not marker.exists()


@pytest.mark.parametrize("file", ["stgcn.safetensors", "risk.safetensors", "golden.safetensors"])
def test_tensors_cut_short_are_refused_even_where_the_digest_agrees(folder: Path, file: str) -> None:
    forge(folder, file, (folder / file).read_bytes()[:-8])

    refused(folder, file, "not a safetensors file")


@pytest.mark.parametrize(
    ("file", "tensor"),
    [("stgcn.safetensors", "head.weight"), ("risk.safetensors", "coef"), ("golden.safetensors", "probabilities")],
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(folder: Path, file: str, tensor: str, bad: float) -> None:
    forge_tensors(folder, file, lambda tensors: tensors[tensor].view(-1)[0].fill_(bad))

    refused(folder, file, tensor, "NaN or infinity")


@pytest.mark.parametrize(
    ("file", "tensor"),
    [("stgcn.safetensors", "head.weight"), ("risk.safetensors", "components"), ("golden.safetensors", "windows")],
)
def test_tensors_of_another_shape_name_or_type_are_refused(folder: Path, file: str, tensor: str) -> None:
    whole = {name: (folder / name).read_bytes() for name in (file, "manifest.json")}
    changes: list[tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = [
        (lambda t: t.update({tensor: t[tensor][..., :-1].contiguous()}), tensor),
        (lambda t: t.update({tensor: t[tensor].half()}), "float16"),
        (lambda t: t.pop(tensor), "missing"),
        (lambda t: t.update({"extra": torch.zeros(1)}), "extra"),
    ]

    for change, words in changes:
        for name, blob in whole.items():
            (folder / name).write_bytes(blob)
        forge_tensors(folder, file, change)
        refused(folder, file, words)


def test_weights_that_give_other_answers_than_the_golden_ones_are_refused(folder: Path) -> None:
    forge_tensors(folder, "stgcn.safetensors", lambda tensors: tensors["head.bias"][0].add_(0.01))

    refused(folder, "golden.safetensors", "actions differ")


def test_a_risk_model_that_gives_other_answers_than_the_golden_ones_is_refused(folder: Path) -> None:
    forge_tensors(folder, "risk.safetensors", lambda tensors: tensors["calibration"][1].add_(0.01))

    refused(folder, "golden.safetensors", "danger differ")


def test_weights_that_make_the_network_answer_nan_are_refused(folder: Path) -> None:
    forge_tensors(folder, "stgcn.safetensors", lambda tensors: tensors["input_norm.running_var"].fill_(-1.0))

    refused(folder, "golden.safetensors", "differ from the golden answers by nan")


def test_a_risk_scale_of_zero_is_refused(folder: Path) -> None:
    forge_tensors(folder, "risk.safetensors", lambda tensors: tensors["scale"][3].zero_())

    refused(folder, "risk.safetensors", "scale")


def test_risk_features_that_are_not_computed_here_are_refused(folder: Path) -> None:
    forge_json(folder, "manifest.json", lambda manifest: manifest["risk"]["features"].reverse())

    refused(folder, "risk.features", "Retrain")


def test_a_risk_part_that_the_manifest_does_not_know_is_refused(folder: Path) -> None:
    forge_json(folder, "manifest.json", lambda manifest: manifest.update(risk=None))

    refused(folder, "manifest.json", "risk is null, but risk.safetensors is there")


@pytest.mark.parametrize(
    "change",
    [
        {"layout": "openpose18"},
        {"joints": ["nose"]},
        {"edges": [[0, 1]]},
        {"partition": "uniform"},
        {"window_frames": 0},
    ],
)
def test_a_skeleton_that_is_not_the_networks_is_refused(folder: Path, change: dict[str, Any]) -> None:
    forge_json(folder, "skeleton.json", lambda skeleton: skeleton.update(change))

    refused(folder, "skeleton.json", next(iter(change)))


def test_golden_windows_of_another_length_are_refused(folder: Path) -> None:
    forge_json(folder, "skeleton.json", lambda skeleton: skeleton.update(window_frames=N_FRAMES + 1))

    refused(folder, "golden.safetensors", "windows")


def make_zip(path: Path, files: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, blob in files.items():
            archive.writestr(name, blob)
    return path


@pytest.mark.parametrize("name", ["../card.md", "/etc/card.md", "care-1/card.md", "..\\card.md", "card.md/"])
def test_a_zip_that_reaches_out_of_its_folder_is_refused(original: dict[str, bytes], tmp_path: Path, name: str) -> None:
    files = dict(original) | {name: b"x"}

    refused(make_zip(tmp_path / "b.zip", files), "does not belong")


def test_a_compressed_zip_is_refused(original: dict[str, bytes], tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "b.zip", original, compression=zipfile.ZIP_DEFLATED), "compressed")


def test_a_zip_with_a_link_in_it_is_refused(original: dict[str, bytes], tmp_path: Path) -> None:
    files = {name: blob for name, blob in original.items() if name != "card.md"}
    path = make_zip(tmp_path / "b.zip", files)
    link = zipfile.ZipInfo("card.md")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")

    refused(path, "card.md", "link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_file_twice_is_refused(original: dict[str, bytes], tmp_path: Path) -> None:
    path = make_zip(tmp_path / "b.zip", original)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("card.md", b"another")

    refused(path, "card.md", "twice")


def test_a_damaged_zip_is_refused(original: dict[str, bytes], tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "b.zip", original).read_bytes()

    for number, blob in enumerate(
        (whole[: len(whole) // 2], b"", b"PK\x03\x04", whole.replace(b"# Care 1", b"# Care 2"))
    ):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(blob)
        refused(path, "neither a bundle's folder nor a whole zip")


def test_a_file_over_its_limit_in_a_zip_is_refused(original: dict[str, bytes], tmp_path: Path) -> None:
    files = copy.copy(original) | {"norm.json": b" " * (2**20 + 1)}

    refused(make_zip(tmp_path / "b.zip", files), "norm.json", "at most")
