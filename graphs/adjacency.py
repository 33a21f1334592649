"""Who is next to whom: hop distances, edge partitions and the normalised adjacency of a layout.

Convention: `matrix[i, j]` weighs what joint i takes from joint j, so a graph convolution computes `matrix @ x` with
x (V, C). Over all partitions together each row sums to one: a joint hears the mean of itself and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from graphs.errors import PartitionError
from graphs.layouts import Layout, layout

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]


def hop_distance(name: str) -> IntArray:
    """Count the edges on the shortest way between any two joints.

    Args:
        name: a layout.

    Returns:
        (V, V), symmetric, zero on the diagonal.

    Raises:
        LayoutError: the layout is not known.
    """
    which = layout(name)
    far = which.n_joints  # longer than any way can be
    hops: IntArray = np.full((far, far), far, dtype=np.int64)
    np.fill_diagonal(hops, 0)
    for one, other in which.edges:
        hops[one, other] = hops[other, one] = 1
    for via in range(far):
        np.minimum(hops, hops[:, via, None] + hops[None, via, :], out=hops)
    return hops


def _uniform(_: Layout, hops: IntArray) -> IntArray:
    """One set: a joint and its neighbours alike."""
    return np.zeros_like(hops)


def _distance(_: Layout, hops: IntArray) -> IntArray:
    """Set 0: the joint itself; set 1: its neighbours."""
    return np.asarray(hops > 0, dtype=np.int64)


def _spatial(which: Layout, hops: IntArray) -> IntArray:
    """Set 0: as far from the centre as the joint itself; set 1: nearer; set 2: farther."""
    to_centre = hops[:, list(which.centre)].min(axis=1)  # (V,)
    step = np.sign(to_centre[None, :] - to_centre[:, None])  # [i, j]: -1 where j is nearer the centre than i
    return np.asarray(np.array([0, 2, 1])[step], dtype=np.int64)  # index 0 -> 0, 1 -> 2, -1 -> 1


# name -> (number of sets, the set of each pair). Yan et al. 2018 (ST-GCN), section 3.3.
PARTITIONS: dict[str, tuple[int, Callable[[Layout, IntArray], IntArray]]] = {
    "uniform": (1, _uniform),
    "distance": (2, _distance),
    "spatial": (3, _spatial),
}


def n_partitions(partition: str) -> int:
    """Count the sets, K, that a partition divides neighbours into.

    Raises:
        PartitionError: the partition is not known; the text lists those there are.
    """
    if partition not in PARTITIONS:
        raise PartitionError(f"unknown partition {partition!r}. Known partitions: {', '.join(sorted(PARTITIONS))}.")
    return PARTITIONS[partition][0]


def adjacency(name: str, partition: str) -> FloatArray:
    """Give the normalised adjacency of a layout, one matrix per set of the partition.

    Args:
        name: a layout.
        partition: "uniform" (K = 1), "distance" (K = 2) or "spatial" (K = 3).

    Returns:
        (K, V, V) float32; `[k, i, j]` is what joint i takes from joint j in set k. Summed over k and j: one for each i.

    Raises:
        LayoutError: the layout is not known.
        PartitionError: the partition is not known.
    """
    n_sets = n_partitions(partition)
    hops = hop_distance(name)
    sets = PARTITIONS[partition][1](layout(name), hops)
    near = (hops <= 1).astype(np.float32)
    mean = near / near.sum(axis=1, keepdims=True)
    return np.stack([np.where(sets == k, mean, 0) for k in range(n_sets)]).astype(np.float32)


def body_edges(name: str, partition: str) -> tuple[IntArray, IntArray, FloatArray]:
    """Give the same graph as a list of directed edges, every joint to itself included.

    Args:
        name: a layout.
        partition: as for `adjacency`.

    Returns:
        Edges (2, E): row 0 the joint that is heard, row 1 the one that hears; their sets (E,); their weights (E,).

    Raises:
        LayoutError: the layout is not known.
        PartitionError: the partition is not known.
    """
    matrices = adjacency(name, partition)
    sets, heard_by, heard = np.nonzero(matrices)
    return np.stack([heard, heard_by]), sets, matrices[sets, heard_by, heard]
