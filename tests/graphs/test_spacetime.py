from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import LAYOUTS, PARTITIONS, LayoutError, PartitionError, adjacency, layout
from graphs.spacetime import Batch, ReferenceGraphConv, batch_windows, unbatch_windows, window_graph


def some_window(name: str, n_frames: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_frames, layout(name).n_joints, 3)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(LAYOUTS)), partition=st.sampled_from(sorted(PARTITIONS)), n_frames=st.integers(1, 6))
def test_a_window_has_its_body_edges_in_every_frame_and_two_edges_from_frame_to_frame(
    name: str, partition: str, n_frames: int
) -> None:
    which, n_sets = layout(name), PARTITIONS[partition][0]

    data = window_graph(some_window(name, n_frames), name=name, partition=partition)

    per_body = which.n_joints + 2 * len(which.edges)
    between = (n_frames - 1) * which.n_joints
    heard, hears = data.edge_index
    body, past, future = data.edge_attr < n_sets, data.edge_attr == n_sets, data.edge_attr == n_sets + 1
    assert data.validate(raise_on_error=True)
    assert data.edge_index.shape == (2, n_frames * per_body + 2 * between)
    assert (int(body.sum()), int(past.sum()), int(future.sum())) == (n_frames * per_body, between, between)
    assert (data.frame[heard] == data.frame[hears])[body].all()
    assert (data.joint[heard] == data.joint[hears])[~body].all()
    assert (data.frame[hears] - data.frame[heard])[past].eq(1).all()
    assert (data.frame[hears] - data.frame[heard])[future].eq(-1).all()
    assert set(zip(heard.tolist(), hears.tolist(), strict=True)) == set(
        zip(hears.tolist(), heard.tolist(), strict=True)
    )


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_windows_of_any_lengths_come_back_from_a_batch(lengths: list[int]) -> None:
    windows = [some_window("coco17", n_frames, seed=seed) for seed, n_frames in enumerate(lengths)]

    batch = batch_windows(windows, name="coco17", partition="spatial")

    assert batch.num_graphs == len(windows)
    assert (batch.batch[batch.edge_index[0]] == batch.batch[batch.edge_index[1]]).all()
    for got, expected in zip(unbatch_windows(batch), windows, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_reference_convolution_is_the_sum_over_partitions_written_out() -> None:
    window = some_window("coco17", 3)
    data = window_graph(window, name="coco17", partition="spatial")
    torch.manual_seed(0)
    convolution = ReferenceGraphConv(3, 5, n_partitions=3)

    with torch.no_grad():
        got = convolution(data.x, data.edge_index, data.edge_attr, data.edge_weight).reshape(3, 17, 5).numpy()

    matrices = adjacency("coco17", "spatial")
    weight = convolution.linear.weight.detach().numpy().reshape(5, 3, 3)  # (out, K, in)
    expected = np.einsum("kij,tjc,okc->tio", matrices, window, weight) + convolution.linear.bias.detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_one_batch_may_mix_layouts() -> None:
    coco = window_graph(some_window("coco17", 2), name="coco17", partition="spatial")
    kinect = window_graph(some_window("kinect20", 3), name="kinect20", partition="spatial")
    convolution = ReferenceGraphConv(3, 4, n_partitions=3)

    both = Batch.from_data_list([coco, kinect])

    with torch.no_grad():
        together = convolution(both.x, both.edge_index, both.edge_attr, both.edge_weight)
        apart = [convolution(each.x, each.edge_index, each.edge_attr, each.edge_weight) for each in (coco, kinect)]
    torch.testing.assert_close(together, torch.cat(apart))


def test_a_window_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"'coco17' must be \(T, 17, C\)"):
        window_graph(some_window("kinect20", 2), name="coco17", partition="spatial")
    with pytest.raises(PartitionError, match="spatial"):
        window_graph(some_window("coco17", 2), name="coco17", partition="nope")
    with pytest.raises(LayoutError, match="at least one window"):
        batch_windows([], name="coco17", partition="spatial")
