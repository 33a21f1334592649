"""Batches without waste: windows of about one length together, and nobody computed who is not there."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from har.training.dataset import BUCKET_FRAMES, IntArray, Packed, WindowSet

with warnings.catch_warnings():  # importing torch_geometric 2.8 uses parts of torch that warn of their end
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.data import Batch, Data

SMALLEST_SHARE = 0.5
"""Of a batch: what is left of a bucket goes to the next longer one rather than into a smaller batch, by whose
statistics the network would be normalised. The frames filled up by that are counted."""


def plan_batches(windows: WindowSet, order: IntArray, *, batch_size: int, rng: np.random.Generator) -> list[IntArray]:
    """Put windows into batches of windows of about one length, in an order of chance.

    Args:
        windows: the set.
        order: (M,) which windows, in the order they were drawn; may name one twice.
        batch_size: windows a batch; batches differ by up to a half, so that none is tiny.
        rng: chance, for the order of the batches.

    Returns:
        All of `order`, each once, in batches. Windows of one length keep their order.
    """
    if not len(order):
        return []
    buckets = -(-windows.lengths()[order] // BUCKET_FRAMES)
    batches: list[IntArray] = []
    waiting = order[:0]
    for bucket in np.unique(buckets):
        waiting = np.concatenate([waiting, order[buckets == bucket]])
        if len(waiting) < SMALLEST_SHARE * batch_size:
            continue
        batches += np.array_split(waiting, max(1, round(len(waiting) / batch_size)))
        waiting = order[:0]
    if len(waiting):  # the longest, too few for a batch of their own
        batches = [*batches[:-1], np.concatenate([*batches[-1:], waiting])]
    return [batches[number] for number in rng.permutation(len(batches))] if len(batches) > 1 else batches


def as_batch(packed: Packed, labels: IntArray | None = None) -> Batch:
    """Give packed windows as one `torch_geometric` batch: a graph for each window, a node for each of its people.

    Args:
        packed: from `WindowSet.draw`.
        labels: (N,) what is done in each window.

    Returns:
        A batch with `x` (P, T, V, D + 1), `batch` (P,) the window that each person is in, `ptr` (N + 1,), and with
        labels `y` (N,).
    """
    people = np.bincount(packed.owner, minlength=packed.n_windows)
    ends = np.cumsum(people)
    x = torch.from_numpy(packed.joints)
    graphs = [
        Data(x=x[end - n : end], num_nodes=int(n), **({} if labels is None else {"y": torch.tensor([labels[number]])}))
        for number, (n, end) in enumerate(zip(people, ends, strict=True))
    ]
    return Batch.from_data_list(graphs)
