"""Bundles of several networks, and which bundles a camera can be given to."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from har.errors import BundleError
from har.models.bundle import Bundle, load_bundle, save_bundle, verify_bundle
from har.models.inputs import n_channels
from har.models.shipped import find_bundle
from har.models.stgcn import STGCN, STGCNConfig
from har.models.streams import Streams

SMALL = STGCNConfig(n_classes=3, channels=(4,) * 9)


def some_streams(*kinds: str, dims: int = 2, **changes: Any) -> Streams:
    torch.manual_seed(0)
    networks = [
        STGCN(dataclasses.replace(SMALL, in_channels=n_channels(kind, layout_name=SMALL.layout, dims=dims), **changes))
        for kind in kinds
    ]
    for network in networks:
        torch.nn.init.normal_(network.head.weight)
    weights = [0.75, 0.25] if len(kinds) == 2 else None
    return Streams.of(networks, kinds=kinds, weights=weights).eval()


def save(path: Path, model: Streams, *, norm: dict[str, Any] | None = None) -> Bundle:
    n_joints = model.networks[0].input_norm.num_features // model.config.in_channels
    windows = torch.rand((3, 12, n_joints, model.dims + 1), generator=torch.Generator().manual_seed(1)).numpy()
    return save_bundle(
        path, name="two", version="1", model=model, labels=("stand", "walk", "fall"), rate_hz=15.0,
        golden_windows=windows, norm=norm or {}, metrics={}, card="# Two\n", data_digest="d" * 64,
        created=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    )  # fmt: skip


def test_several_networks_come_back_with_their_inputs_and_weights(tmp_path: Path) -> None:
    model = some_streams("joint", "bone+motion")
    joints = torch.rand(4, 12, 17, 3)

    save(tmp_path / "two", model)
    loaded = load_bundle(tmp_path / "two")

    assert [(each.kind, each.weight) for each in loaded.model.streams] == [("joint", 0.75), ("bone+motion", 0.25)]
    assert torch.equal(loaded.model.scores(joints), model.scores(joints))
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert manifest["format_version"] == 2
    assert [each["inputs"] for each in manifest["architecture"]["streams"]] == ["joint", "bone+motion"]
    assert verify_bundle(tmp_path / "two").action_difference <= 1e-6


def test_three_dimensional_networks_are_kept_with_golden_windows_of_their_own(tmp_path: Path) -> None:
    save(tmp_path / "deep", some_streams("joint+bone", dims=3))

    assert load_bundle(tmp_path / "deep").model.dims == 3


def test_a_lone_network_on_joints_and_bones_is_written_as_older_versions_read_it(tmp_path: Path) -> None:
    save(tmp_path / "plain", some_streams("joint+bone"))

    manifest = json.loads((tmp_path / "plain" / "manifest.json").read_text())

    assert manifest["format_version"] == 1
    assert set(manifest["architecture"]) == {"name", "hyper_parameters"}


def test_a_network_with_younger_hyper_parameters_is_written_in_the_younger_format(tmp_path: Path) -> None:
    model = some_streams("joint+bone", free_edges=True, graph_residual=True)

    save(tmp_path / "young", model)

    assert json.loads((tmp_path / "young" / "manifest.json").read_text())["format_version"] == 2
    assert load_bundle(tmp_path / "young").config == model.config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda architecture: architecture["streams"][0].update(weight=0.5), "sum to one"),
        (lambda architecture: architecture["streams"][0].update(inputs="skin"), "'skin'"),
        (lambda architecture: architecture["streams"][0].update(inputs="joint+bone"), "3 channels"),
        (lambda architecture: architecture["streams"][0]["hyper_parameters"].pop("kernel"), "'kernel' is missing"),
        (lambda architecture: architecture["streams"].clear(), "architecture.streams"),
        (lambda architecture: architecture["streams"].pop(), "sum to one"),
        (lambda architecture: architecture.update(hyper_parameters={}), "either"),
        (lambda architecture: architecture.update(streams=None), "either"),
    ],
)
def test_streams_that_do_not_fit_their_weights_are_refused(tmp_path: Path, change: Any, words: str) -> None:
    save(tmp_path / "two", some_streams("joint", "bone+motion"))
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    change(manifest["architecture"])
    (tmp_path / "two" / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleError, match=r"manifest\.json") as caught:
        load_bundle(tmp_path / "two")

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_bundle_runs_live() -> None:
    assert load_bundle(find_bundle("care-1")).live_problem() is None


@pytest.mark.parametrize(
    ("model", "norm", "words"),
    [
        (some_streams("joint+bone", layout="nite15"), {}, "it wants nite15 skeletons"),
        (some_streams("joint+bone", dims=3), {}, "three dimensions"),
        (some_streams("joint", "bone", look_ahead=(4,) * 9), {}, r"looks 4\.8 s ahead"),
        (some_streams("joint+bone"), {"persons": 2}, "several people"),
    ],
)
def test_a_bundle_that_no_camera_can_feed_says_why(
    tmp_path: Path, model: Streams, norm: dict[str, Any], words: str
) -> None:
    problem = save(tmp_path / "b", model, norm=norm).live_problem()

    assert problem is not None
    assert words.replace("\\", "") in problem
    assert "\n" not in problem
