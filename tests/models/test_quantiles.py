"""Quick medians and quantiles are numpy's to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from har.models.quantiles import median, quantile


@pytest.mark.parametrize("n", [1, 2, 3, 8, 37, 38])
def test_they_are_numpys_to_the_last_bit(n: int) -> None:
    for seed in range(50):
        values = np.random.default_rng(seed).normal(300.0, 80.0, n)

        assert median(values) == np.median(values)
        for share in (0.05, 0.15, 0.5, 0.8, 0.9, 0.95, 0.97, 1.0):
            assert quantile(values, share) == np.quantile(values, share)
