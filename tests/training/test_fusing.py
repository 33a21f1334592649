from __future__ import annotations

import numpy as np
import pytest
import torch

from har.models.stgcn import STGCN, STGCNConfig
from har.training.fusing import fit_temperature, fit_weights, fuse


def answers(n: int, *, skill: float, boldness: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, 4) that name the truth more or less often, and the truth."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, (n,), generator=torch.Generator().manual_seed(99))
    logits = torch.randn(n, 4, generator=rng, dtype=torch.float64)
    logits[torch.arange(n), truth] += skill
    return logits * boldness, truth


def test_answers_that_are_too_bold_are_softened_the_more_the_bolder_they_are() -> None:
    honest, truth = answers(2000, skill=2.0)
    middle = fit_temperature(honest, truth)

    assert fit_temperature(honest * 2, truth) == pytest.approx(2 * middle, rel=0.1)
    assert fit_temperature(honest * 3, truth) == pytest.approx(3 * middle, rel=0.1)


def test_a_small_validation_part_changes_nothing() -> None:
    logits, truth = answers(20, skill=2.0)

    assert fit_temperature(logits * 5, truth) == 1.0
    assert fit_weights([logits, logits], truth) == [0.5, 0.5]


def test_a_network_that_knows_more_counts_more() -> None:
    (good, truth), (poor, _) = answers(2000, skill=2.0), answers(2000, skill=0.1, seed=1)

    weights = fit_weights([good, poor], truth)

    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.6
    assert weights[1] >= 0.2  # never thrown away on the word of a validation part


def test_more_networks_than_a_grid_can_hold_count_alike() -> None:
    logits, truth = answers(100, skill=1.0)

    assert fit_weights([logits] * 6, truth) == pytest.approx([1 / 6] * 6)


def test_the_fused_model_gives_the_probabilities_it_was_weighed_by() -> None:
    torch.manual_seed(0)
    networks = [STGCN(STGCNConfig(n_classes=4, in_channels=3, channels=(4,) * 9)).eval() for _ in range(2)]
    for network in networks:
        torch.nn.init.normal_(network.head.weight)
    joints = torch.rand(80, 8, 17, 3)
    truth = np.arange(80) % 4
    with torch.no_grad():
        logits = [network(joints).numpy() for network in networks]

    model, scores, _ = fuse(networks, ["joint", "joint"], logits, truth)

    with torch.no_grad():
        np.testing.assert_allclose(model.scores(joints).numpy(), scores, atol=1e-5)
