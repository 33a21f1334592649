"""Medians and quantiles of a few numbers: what numpy gives, to the last bit, without its costs per call.

A window of a skeleton asks for some forty of them, five times a second for each person; numpy's own took half of the
danger path's time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def median(values: npt.NDArray[np.float64]) -> float:
    """Give the median of (N,) finite numbers, N of 1 or more; as `numpy.median`."""
    ordered = np.sort(values)
    n = len(ordered)
    return (ordered.item((n - 1) // 2) + ordered.item(n // 2)) / 2


def quantile(values: npt.NDArray[np.float64], share: float) -> float:
    """Give a quantile of (N,) finite numbers, N of 1 or more; as `numpy.quantile`.

    Args:
        values: in any order.
        share: in [0, 1].
    """
    ordered = np.sort(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    part = at - low
    a, b = ordered.item(low), ordered.item(min(low + 1, len(ordered) - 1))
    # numpy goes from the nearer end, and so must this to give the same last bit
    return float(a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part))
