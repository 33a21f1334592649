from __future__ import annotations

import numpy as np
import pytest

from graphs import LAYOUTS, PARTITIONS, LayoutError, PartitionError, adjacency, body_edges, hop_distance, layout

EVERY = [(name, partition) for name in sorted(LAYOUTS) for partition in sorted(PARTITIONS)]


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_hop_distance_is_a_metric_with_the_edges_at_one(name: str) -> None:
    hops = hop_distance(name)

    ones = {frozenset(pair) for pair in np.argwhere(hops == 1).tolist()}
    assert ones == {frozenset(edge) for edge in layout(name).edges}
    assert (hops == hops.T).all()
    assert (np.diag(hops) == 0).all()
    assert (hops[:, :, None] <= hops[:, None, :] + hops.T[None, :, :]).all()
    assert hops.max() < layout(name).n_joints


def test_from_the_left_wrist_to_the_left_ankle_is_five_bones() -> None:
    joints = layout("coco17").joints

    hops = hop_distance("coco17")

    assert hops[joints.index("left_wrist"), joints.index("left_ankle")] == 5


@pytest.mark.parametrize(("name", "partition"), EVERY)
def test_every_joint_hears_the_mean_of_itself_and_its_neighbours(name: str, partition: str) -> None:
    matrices = adjacency(name, partition)

    together = matrices.sum(axis=0)
    near = hop_distance(name) <= 1
    assert matrices.shape == (PARTITIONS[partition][0], layout(name).n_joints, layout(name).n_joints)
    assert matrices.dtype == np.float32
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-6)
    assert ((together > 0) == near).all()
    assert ((matrices > 0).sum(axis=0) <= 1).all()


def test_the_distance_partition_separates_a_joint_from_its_neighbours() -> None:
    own, others = adjacency("coco17", "distance")

    assert (np.diag(own) > 0).all()
    assert np.count_nonzero(own) == 17
    assert np.count_nonzero(np.diag(others)) == 0


def test_the_spatial_partition_tells_nearer_the_hips_from_farther() -> None:
    joints = layout("coco17").joints
    knee, hip, ankle = (joints.index(f"left_{part}") for part in ("knee", "hip", "ankle"))
    other_hip = joints.index("right_hip")

    same, nearer, farther = adjacency("coco17", "spatial")

    assert same[knee, knee] > 0
    assert nearer[knee, hip] > 0
    assert farther[knee, ankle] > 0
    assert same[hip, other_hip] > 0
    np.testing.assert_array_equal(nearer > 0, farther.T > 0)


@pytest.mark.parametrize(("name", "partition"), EVERY)
def test_the_edge_list_is_the_adjacency(name: str, partition: str) -> None:
    edges, sets, weights = body_edges(name, partition)

    again = np.zeros_like(adjacency(name, partition))
    again[sets, edges[1], edges[0]] = weights
    np.testing.assert_array_equal(again, adjacency(name, partition))
    assert edges.shape[1] == layout(name).n_joints + 2 * len(layout(name).edges)


def test_an_unknown_partition_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(PartitionError, match=r"'spatail'.*distance, spatial, uniform"):
        adjacency("coco17", "spatail")


def test_an_unknown_layout_is_refused_here_too() -> None:
    with pytest.raises(LayoutError, match="coco17"):
        adjacency("coco", "spatial")
