from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.models.shipped import find_bundle
from har.models.stgcn import STGCN, STGCNConfig
from har.training.conditions import Progress
from har.training.progress import show_progress
from har.training.transfer import recipe_like, take_over


def test_the_shipped_bundle_lends_all_but_labels_it_does_not_know() -> None:
    parent = load_bundle(find_bundle("care-1"))
    recipe = recipe_like(parent)
    labels = (*parent.labels[:2], "play the piano")
    torch.manual_seed(0)
    network = STGCN(replace(parent.config, n_classes=3))

    transfer = take_over(network, recipe.inputs[0], labels, parent)

    assert (recipe.layout, recipe.dims, recipe.n_frames, recipe.rate_hz) == ("coco17", 2, 32, 15.0)
    assert recipe.ahead == parent.config.look_ahead
    everything = {name for name, _ in network.named_parameters()}
    assert transfer.taken == everything - {"head.weight", "head.bias"}
    source = parent.model.networks[0]
    assert torch.equal(network.head.weight[:2], source.head.weight[:2])
    assert torch.equal(network.blocks[8].time_norm.running_var, source.blocks[8].time_norm.running_var)
    assert "2 of 3 labels taken from care-1@" in transfer.line
    assert transfer.line.endswith("new: 1 labels")


def test_a_network_with_all_labels_known_takes_over_everything() -> None:
    parent = load_bundle(find_bundle("care-1"))
    network = STGCN(parent.config)

    transfer = take_over(network, "joint+bone", parent.labels, parent)

    assert transfer.taken == {name for name, _ in network.named_parameters()}
    assert transfer.line.endswith("new: nothing")


def test_another_layout_keeps_what_hangs_on_joints_new() -> None:
    parent = load_bundle(find_bundle("care-1"))
    network = STGCN(replace(parent.config, layout="nite15", in_channels=8))

    transfer = take_over(network, "joint+bone", parent.labels, parent)

    new = {name for name, _ in network.named_parameters()} - transfer.taken
    assert {name.rsplit(".", 1)[-1] for name in new if "importance" in name} == {"importance"}
    assert new == {
        *(f"blocks.{block}.space.importance" for block in range(9)),
        *("input_norm.weight", "input_norm.bias", "blocks.0.space.linear.weight", "blocks.0.space.linear.bias"),
    }
    assert "nite15, not coco17" in transfer.line
    assert "the first layer" in transfer.line


def test_weights_of_edges_are_not_taken_for_factors_of_them() -> None:
    parent = load_bundle(find_bundle("care-1"))
    network = STGCN(replace(parent.config, free_edges=True))

    transfer = take_over(network, "joint+bone", parent.labels, parent)

    assert not any(name.endswith(".importance") for name in transfer.taken)


def test_networks_of_other_widths_have_nothing_to_lend() -> None:
    parent = load_bundle(find_bundle("care-1"))
    network = STGCN(STGCNConfig(n_classes=3, channels=(4,) * 9))

    with pytest.raises(ConfigError, match=r"channels \[32, 64, 128\].*\[4, 4, 4\]"):
        take_over(network, "joint+bone", ("a", "b", "c"), parent)


def test_the_bar_shows_which_network_how_good_and_how_long() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)

    with show_progress(console) as tell:
        tell(Progress(2, 3, "bone", 30, 40, 3, 4, 0.51234, 0.9, 1e-3, {"top1": 0.875}, 120.0, 75.0))

    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    for text in ("network 2/3 bone pass 3/4", "loss 0.512", "accuracy 90.0%", "validation 87.5%", "1 min 15 s left"):
        assert text in drawn
