"""The spatio-temporal graph of a window for `torch_geometric`, and the reference graph convolution.

A node is one joint in one frame: node `t * V + v`. Edges run within a body (partition 0..K-1, every joint to itself
included) and between the same joint of neighbouring frames: partition K hears the frame before, K+1 the frame after.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphs.adjacency import body_edges, n_partitions
from graphs.errors import LayoutError
from graphs.layouts import layout

with warnings.catch_warnings():  # importing torch_geometric 2.8 uses parts of torch that warn of their end
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import Batch, Data
    from torch_geometric.nn import MessagePassing


def window_graph(window: npt.NDArray[np.floating], *, name: str, partition: str) -> Data:
    """Turn one window of one person into a graph over joints and frames.

    Args:
        window: (T, V, C), T of 1 or more.
        name: its layout.
        partition: partition of the edges within a body.

    Returns:
        Data with `x` (T*V, C) float32, `edge_index` (2, E), `edge_attr` (E,) the partition of each edge,
        `edge_weight` (E,) float32 (normalised as in `adjacency`; one between frames), `frame` and `joint` (T*V,).

    Raises:
        LayoutError: the layout is not known or the window does not fit it.
        PartitionError: the partition is not known.
    """
    n_joints = layout(name).n_joints
    if window.ndim != 3 or window.shape[1] != n_joints or not len(window):
        raise LayoutError(f"a window of {name!r} must be (T, {n_joints}, C) with T of 1 or more, got {window.shape}.")
    n_frames = len(window)
    edges, sets, weights = body_edges(name, partition)  # (2, e), (e,), (e,)
    first = np.arange(n_frames)[:, None] * n_joints  # the first node of each frame, (T, 1)
    within = np.stack([(edges[0] + first).ravel(), (edges[1] + first).ravel()])  # (2, T*e)
    earlier = np.arange((n_frames - 1) * n_joints)
    later = earlier + n_joints
    hears_past, hears_future = np.stack([earlier, later]), np.stack([later, earlier])  # (2, (T-1)*V) each
    n_sets, n_between = n_partitions(partition), len(earlier)
    kinds = np.concatenate([np.tile(sets, n_frames), np.repeat([n_sets, n_sets + 1], n_between)])
    weight = np.concatenate([np.tile(weights, n_frames), np.ones(2 * n_between, dtype=np.float32)])
    return Data(
        x=torch.from_numpy(window.reshape(n_frames * n_joints, -1).astype(np.float32)),
        edge_index=torch.from_numpy(np.concatenate([within, hears_past, hears_future], axis=1)),
        edge_attr=torch.from_numpy(kinds),
        edge_weight=torch.from_numpy(weight),
        frame=torch.arange(n_frames).repeat_interleave(n_joints),
        joint=torch.arange(n_joints).repeat(n_frames),
    )


def batch_windows(windows: Sequence[npt.NDArray[np.floating]], *, name: str, partition: str) -> Batch:
    """Put windows of any lengths into one disconnected graph; `batch` (nodes,) says which window a node is of.

    Args:
        windows: (T, V, C) each; T may differ.
        name: their layout.
        partition: as for `window_graph`.

    Raises:
        LayoutError: there is no window, or one does not fit.
        PartitionError: the partition is not known.
    """
    if not windows:
        raise LayoutError("a batch needs at least one window, got none.")
    return Batch.from_data_list([window_graph(window, name=name, partition=partition) for window in windows])


def unbatch_windows(batch: Batch) -> list[npt.NDArray[np.float32]]:
    """Give back the windows (T, V, C) of a batch, in order."""
    return [
        each.x.reshape(int(each.frame.max()) + 1, int(each.joint.max()) + 1, -1).numpy()
        for each in batch.to_data_list()
    ]


class ReferenceGraphConv(MessagePassing):  # type: ignore[misc]
    """Graph convolution by message passing: the oracle of the dense one, and what serves mixed layouts in one batch.

    For every partition the weighted sum of a node's neighbours, times that partition's matrix. Edges between frames
    are left alone.

    Attributes:
        linear: the matrices of all partitions side by side, (out, K * in), and the bias (out,).
    """

    def __init__(self, in_channels: int, out_channels: int, *, n_partitions: int) -> None:
        super().__init__(aggr="sum")
        self.n_partitions = n_partitions
        self.linear = nn.Linear(n_partitions * in_channels, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, edge_weight: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: (nodes, in).
            edge_index: (2, E).
            edge_attr: (E,) partition of each edge; those from K on are not used.
            edge_weight: (E,).

        Returns:
            (nodes, out).
        """
        heard = []
        for k in range(self.n_partitions):
            chosen = edge_attr == k
            heard.append(self.propagate(edge_index[:, chosen], x=x, weight=edge_weight[chosen]))  # (nodes, in)
        mixed: Tensor = self.linear(torch.cat(heard, dim=-1))  # (nodes, out)
        return mixed

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """Weigh what a neighbour says: (E, in)."""
        return weight[:, None] * x_j
