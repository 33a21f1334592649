"""How fast training is against the plain ST-GCN that others train, on the same real frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from har.bench.reference import WIDTHS, ReferenceSTGCN
from har.models.inputs import JOINT_AND_BONE, features, n_channels
from har.models.stgcn import STGCN, STGCNConfig
from har.training.dataset import WindowSet, cut_windows, label_names
from har.training.importers import ImportOptions, Ledger, read_foreign
from har.training.packing import as_batch, plan_batches
from har.training.recipe import RECIPES

LONGEST = 64
BATCH = 16
N_CLIPS = 192
PEOPLE = 2


def bench_throughput(*, data: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Train both networks for a while, in turns, and compare.

    Args:
        data: folder of the public sets; NW-UCLA is used.
        say: told what is under way.

    Returns:
        "rows": for "reference", "same frames" (our network on exactly the frames of the reference) and "packed" (our
        network on what is there): clips and real frames per second, and how many frames were computed for one real one.
        "ratio": packed against reference.
    """
    torch.set_num_threads(1)
    windows = _windows(data)
    order = np.random.default_rng(0).permutation(len(windows))[:N_CLIPS]
    plain = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]
    packed = plan_batches(windows, order, batch_size=BATCH, rng=np.random.default_rng(0))
    ways: Mapping[str, tuple[nn.Module, list[Any]]] = {
        "reference": (_reference(windows), [_zero_filled(windows, each) for each in plain]),
        "same frames": (_ours(windows), [_unpacked(windows, each) for each in plain]),
        "packed": (_ours(windows), [_packed(windows, each) for each in packed]),
    }
    rows = []
    n_real = int(windows.lengths()[order].sum())
    took = dict.fromkeys(ways, 0.0)
    for turn in range(2):  # in turns, so that a busy machine slows all of them; the first warms up
        for name, (network, batches) in ways.items():
            say(f"{name}: {len(order)} clips")
            took[name] = _train(network, batches if turn else batches[:2])
    for name, (_, batches) in ways.items():
        n_computed = sum(_n_frames(x) for x, _ in batches)
        rows.append(
            {
                "name": name,
                "clips_per_s": len(order) / took[name],
                "real_frames_per_s": n_real / took[name],
                "computed_per_real": n_computed / n_real,
            }
        )
    return {"rows": rows, "ratio": took["reference"] / took["packed"], "n_clips": len(order)}


def _windows(data: Path) -> WindowSet:
    clips = list(read_foreign("npz", data / "nw_ucla" / "nw_ucla.npz", ImportOptions(rate_hz=30.0), Ledger()))
    recipe = replace(RECIPES["clip"], length="rate", rate_hz=30.0, n_frames=LONGEST, warp=0.0)
    return cut_windows(clips, recipe, names=label_names(clips))


def _reference(windows: WindowSet) -> nn.Module:
    channels = n_channels(JOINT_AND_BONE, layout_name=windows.layout, dims=3)
    return ReferenceSTGCN(in_channels=channels, n_classes=len(windows.names), layout=windows.layout)


def _ours(windows: WindowSet) -> nn.Module:
    return STGCN(
        STGCNConfig(
            n_classes=len(windows.names),
            layout=windows.layout,
            in_channels=n_channels(JOINT_AND_BONE, layout_name=windows.layout, dims=3),
            channels=WIDTHS,
            look_ahead=(4,) * 9,
        )
    )


def _unpacked(windows: WindowSet, indices: Any) -> tuple[Tensor, Tensor]:
    """Give batches of what the reference computes, in our order of axes: (N*M, T, V, C)."""
    x, y = _zero_filled(windows, indices)
    n, c, t, v, m = x.shape
    return x.permute(0, 4, 2, 3, 1).reshape(n * m, t, v, c), y.repeat_interleave(m)


def _zero_filled(windows: WindowSet, indices: Any) -> tuple[Tensor, Tensor]:
    found = windows.draw(indices)
    x = features(torch.from_numpy(found.joints), layout_name=windows.layout)  # (P, T, V, C)
    filled = torch.zeros((len(indices), LONGEST, x.shape[2], x.shape[3], PEOPLE))
    filled[:, -x.shape[1] :, :, :, 0] = x[np.unique(found.owner, return_index=True)[1]]
    return filled.permute(0, 3, 1, 2, 4).contiguous(), torch.from_numpy(windows.labels[indices])


def _packed(windows: WindowSet, indices: Any) -> tuple[Tensor, Tensor]:
    batch = as_batch(windows.draw(indices), windows.labels[indices])
    return features(batch.x, layout_name=windows.layout), batch.y[batch.batch]


def _n_frames(x: Tensor) -> int:
    """Count the frames of people computed, in either order of axes."""
    return int(x.shape[0] * x.shape[2] * x.shape[4] if x.ndim == 5 else x.shape[0] * x.shape[1])


def _train(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    """Give the processor seconds of a pass: forward, backward and the optimiser's step."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    network.train()
    began_s = time.process_time()
    for x, labels in batches:
        optimiser.zero_grad(set_to_none=True)
        loss: Tensor = F.cross_entropy(network(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return time.process_time() - began_s


def as_text(result: Mapping[str, Any]) -> str:
    """Write the comparison for people."""
    lines = [f"{'':14}{'clips/s':>10}{'real frames/s':>16}{'computed per real':>20}"]
    for row in result["rows"]:
        lines.append(
            f"{row['name']:14}{row['clips_per_s']:10.1f}{row['real_frames_per_s']:16.0f}{row['computed_per_real']:20.2f}"
        )
    lines.append(f"packed against reference: {result['ratio']:.2f} times as fast, in processor time of one thread")
    return "\n".join(lines)
