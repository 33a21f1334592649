"""What networks answer to windows: those of like length together, the answers in the order asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from har.models.inputs import features
from har.models.stgcn import STGCN
from har.models.streams import Streams, as_streams, pool_people
from har.training.dataset import IntArray, WindowSet
from har.training.devices import CPU, Device

EVALUATION_BATCH = 128

Logits = npt.NDArray[np.float32]


def stream_logits(network: STGCN, windows: WindowSet, indices: IntArray, *, kind: str, device: Device = CPU) -> Logits:
    """Give the logits (B, K) of one network for some windows, in their order; computed in fp32."""

    def answer(joints: Tensor, owner: Tensor | None) -> Tensor:
        logits: Tensor = network(features(joints, layout_name=network.config.layout, kind=kind))
        return logits if owner is None else pool_people(logits, owner)

    network.eval()
    return _ask(answer, windows, indices, n_classes=network.config.n_classes, device=device.where)


def score_windows(model: STGCN | Streams, windows: WindowSet) -> Logits:
    """Give the probabilities (N, K) of windows, in their order."""
    streams = as_streams(model).eval()
    n_classes = model.config.n_classes
    return _ask(streams.scores, windows, np.arange(len(windows)), n_classes=n_classes, device=torch.device("cpu"))


def _ask(
    answer: Callable[[Tensor, Tensor | None], Tensor],
    windows: WindowSet,
    indices: IntArray,
    *,
    n_classes: int,
    device: torch.device,
) -> Logits:
    """Ask about windows, those of like length together, and give the answers in the order of the indices."""
    answers = np.zeros((len(indices), n_classes), dtype=np.float32)
    by_length = np.argsort(windows.lengths()[indices], kind="stable")
    with torch.inference_mode():
        for begin in range(0, len(indices), EVALUATION_BATCH):
            chosen = by_length[begin : begin + EVALUATION_BATCH]
            packed = windows.draw(indices[chosen])
            owner = torch.from_numpy(packed.owner).to(device) if len(packed.owner) > packed.n_windows else None
            answers[chosen] = answer(torch.from_numpy(packed.joints).to(device), owner).cpu().numpy()
    return answers
