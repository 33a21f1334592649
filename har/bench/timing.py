"""Timing ways of doing the same thing against each other, on machines that others use too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]

YARDSTICK = "yardstick"
YARDSTICK_SIZE = 2048


def in_turns(ways: Mapping[str, Work], *, rounds: int) -> dict[str, list[float]]:
    """Give the processor seconds of each way, once in each round, after a round that warms up.

    All take turns, so that what slows the machine down slows all of them: take ratios within a round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            began_s = time.process_time()
            work()
            if number:
                seconds[name].append(time.process_time() - began_s)
    return seconds


def yardstick() -> Work:
    """Give a float32 matrix product of torch: how fast this machine multiplies at most, at this moment."""
    left, right = torch.ones(YARDSTICK_SIZE, YARDSTICK_SIZE), torch.ones(YARDSTICK_SIZE, YARDSTICK_SIZE)
    return lambda: left @ right


def yardstick_gflops(seconds: float) -> float:
    """Give the GFLOP/s of a yardstick that took so long."""
    return 2 * YARDSTICK_SIZE**3 / seconds / 1e9


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Give the median, lowest and highest of the ratios of two ways, round by round."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return statistics.median(each), min(each), max(each)


def count_flops(work: Work) -> int:
    """Give the floating-point operations that torch counts in the matrix products and convolutions of some work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
