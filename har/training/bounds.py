"""How far a counted figure may be from the truth: exact 95 % intervals of shares and rates, and a sign test.

"0 false alerts in 17 minutes" bounds the rate below 11 an hour and no better; every figure that is printed says so.
"""

from __future__ import annotations

from scipy.stats import beta, binomtest, chi2

CONFIDENCE = 0.95


def share_interval(n_right: int, n: int) -> tuple[float, float]:
    """Bound a share counted as `n_right` of `n` (Clopper and Pearson 1934): never too narrow.

    Returns:
        Lowest and highest share in [0, 1] that the count does not rule out; (0, 1) where nothing was counted.
    """
    if not 0 <= n_right <= n:
        raise ValueError(f"{n_right} of {n} is no share.")
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, n_right, n - n_right + 1)) if n_right > 0 else 0.0
    high = float(beta.ppf(1 - tail, n_right + 1, n - n_right)) if n_right < n else 1.0
    return low, high


def rate_interval(count: int, *, exposure: float) -> tuple[float, float | None]:
    """Bound a rate of rare events from their count (Garwood 1936).

    With a count of 0 the upper bound is the one-sided one (3.0 over the exposure), since no lower one is needed.

    Args:
        count: events counted.
        exposure: how much was watched, in any unit.

    Returns:
        Lowest and highest rate per unit; the highest is None where nothing was watched.
    """
    if exposure <= 0:
        return 0.0, None
    tail = (1 - CONFIDENCE) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    high = float(chi2.ppf(1 - tail if count else CONFIDENCE, 2 * (count + 1))) / 2
    return low / exposure, high / exposure


def sign_test(n_first: int, n_second: int) -> float:
    """Give the chance of a split at least this uneven if both were equally good (two-sided, exact).

    Args:
        n_first: pairs that only the first one got right.
        n_second: pairs that only the second one got right; pairs both got right or wrong say nothing.

    Returns:
        p in [0, 1]; 1 where no pair differs.
    """
    n = n_first + n_second
    return float(binomtest(n_first, n).pvalue) if n else 1.0
