"""Putting trained networks together: how much each counts, and how sure the whole may be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from har.models.stgcn import STGCN
from har.models.streams import Streams

TEMPERATURES = np.geomspace(0.4, 2.5, 43)
LEAST_TO_CALIBRATE = 50
"""Windows of the validation part below which confidence is left as it is, and networks count alike."""
WEIGHT_STEPS = 10
"""Weights are tried in steps of a tenth."""
MOST_TO_WEIGH = 5
"""Networks above which they count alike: a grid over more would be large, and the gain within chance."""

Logits = npt.NDArray[np.float32]


def fuse(
    networks: Sequence[STGCN], kinds: Sequence[str], logits: Sequence[Logits], labels: npt.NDArray[np.int64]
) -> tuple[Streams, Logits, float]:
    """Make one model of trained networks, weighted and calibrated on the validation part.

    Confidence is made honest by temperatures (Guo et al. 2017): first of each network, so that none counts more for
    being bolder, then of all together. They go into the weights of the last layers, so nobody who uses the model need
    know of them.

    Args:
        networks: trained; their last layers are changed in place.
        kinds: what each is shown.
        logits: (N, K) of each network, its answers to the validation part; N may be 0.
        labels: (N,) the true labels.

    Returns:
        The model in evaluation mode; its probabilities (N, K) on the validation part; the last temperature.
    """
    truth = torch.from_numpy(labels)
    answers = [torch.from_numpy(each).double() for each in logits]
    for number, network in enumerate(networks):
        if len(networks) > 1:
            temperature = fit_temperature(answers[number], truth)
            answers[number] = answers[number] / temperature
            _soften(network, temperature)
    weights = fit_weights(answers, truth)
    mixed = torch.stack([weight * each for weight, each in zip(weights, answers, strict=True)]).sum(dim=0)
    temperature = fit_temperature(mixed, truth)
    for network in networks:
        _soften(network, temperature)
    scores = torch.softmax(mixed / temperature, dim=1).float().numpy()
    return Streams.of(networks, kinds=kinds, weights=weights).eval(), scores, temperature


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Give what the logits (N, K) are best divided by; 1 where there are too few of them to tell."""
    if len(labels) < LEAST_TO_CALIBRATE:
        return 1.0
    losses = [float(F.cross_entropy(logits / float(each), labels)) for each in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def fit_weights(logits: Sequence[Tensor], labels: Tensor) -> list[float]:
    """Give each network's weight in the sum: half of the way from equal ones to those that fit best.

    The best ones follow the accidents of a small validation part; half of the way keeps most of what is real of them.
    """
    n = len(logits)
    equal = [1 / n] * n
    if n == 1 or n > MOST_TO_WEIGH or len(labels) < LEAST_TO_CALIBRATE:
        return equal
    stacked = torch.stack(list(logits))  # (S, N, K)
    best, least = equal, _loss(stacked, equal, labels)
    for steps in itertools.product(range(WEIGHT_STEPS + 1), repeat=n - 1):
        if sum(steps) <= WEIGHT_STEPS:
            tried = [each / WEIGHT_STEPS for each in (*steps, WEIGHT_STEPS - sum(steps))]
            loss = _loss(stacked, tried, labels)
            if loss < least:
                best, least = tried, loss
    halfway = [(one + other) / 2 for one, other in zip(best, equal, strict=True)]
    return [each / sum(halfway) for each in halfway]


def _loss(stacked: Tensor, weights: Sequence[float], labels: Tensor) -> float:
    mixed = (stacked * torch.tensor(weights, dtype=stacked.dtype)[:, None, None]).sum(dim=0)
    return float(F.cross_entropy(mixed, labels))


def _soften(network: STGCN, temperature: float) -> None:
    with torch.no_grad():
        network.head.weight.div_(temperature)
        network.head.bias.div_(temperature)
