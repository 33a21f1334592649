from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from har.sources.capture import CaptureTime
from tests.sources.test_video import SlowMotion


def stamps(life: SlowMotion, capture: CaptureTime, steps: list[tuple[float, float]]) -> list[float]:
    """Stamp frames, each (seconds since the last arrival, pts)."""
    times_s = []
    for wait_s, pts_s in steps:
        life.work(wait_s)
        times_s.append(capture.stamp(pts_s))
    return times_s


def started() -> tuple[SlowMotion, CaptureTime]:
    life = SlowMotion()
    capture = CaptureTime(life.clock)
    capture.reconnect(period_s=0.1)
    return life, capture


def test_jitter_of_the_network_does_not_reach_capture_time() -> None:
    life, capture = started()
    rng = np.random.default_rng(1)
    arrivals = np.arange(300) * 0.1 + rng.uniform(0, 0.08, 300)

    times_s = stamps(life, capture, [(w, i * 0.1) for i, w in enumerate(np.diff(arrivals, prepend=arrivals[0]))])

    assert np.diff(times_s) == pytest.approx(np.full(299, 0.1), abs=0.001)


def test_a_stalled_network_does_not_move_capture_time() -> None:
    life, capture = started()
    steps = [(0.1, i * 0.1) for i in range(50)] + [(5.0, 5.0)] + [(0.001, 5.1 + i * 0.1) for i in range(49)]
    steps += [(0.1, 10 + i * 0.1) for i in range(20)]

    times_s = stamps(life, capture, steps)

    assert np.diff(times_s) == pytest.approx(np.full(len(times_s) - 1, 0.1), abs=0.001)


def test_a_camera_whose_clock_drifts_is_followed() -> None:
    life, capture = started()

    times_s = stamps(life, capture, [(0.1, i * 0.1 * 1.0003) for i in range(200_000)])

    assert times_s[-1] == pytest.approx(life.clock.wall(), abs=0.05)
    assert all(a < b for a, b in pairwise(times_s))


@pytest.mark.parametrize("leap_s", [-5000.0, 5000.0])
def test_pts_that_leap_are_anchored_anew(leap_s: float) -> None:
    life, capture = started()
    steps = [(0.1, 6000 + i * 0.1) for i in range(50)] + [(0.1, 6000 + leap_s + i * 0.1) for i in range(50)]

    times_s = stamps(life, capture, steps)

    assert all(0 < b - a < 0.25 for a, b in pairwise(times_s))
    assert times_s[-1] == pytest.approx(life.clock.wall(), abs=0.2)


def test_pts_that_stay_behind_are_anchored_anew() -> None:
    life, capture = started()
    steps = [(0.1, i * 0.1) for i in range(10)] + [(60.0, 1.0)] + [(0.1, 1.1 + i * 0.1) for i in range(150)]

    times_s = stamps(life, capture, steps)

    assert times_s[-1] == pytest.approx(life.clock.wall(), abs=0.2)
    assert all(a < b for a, b in pairwise(times_s))


def test_a_clock_set_back_between_connections_does_not_turn_time_back() -> None:
    life, capture = started()
    before = stamps(life, capture, [(0.1, i * 0.1) for i in range(10)])
    life.now_s -= 3600.0
    capture.reconnect(period_s=0.1)

    after = stamps(life, capture, [(0.1, i * 0.1) for i in range(10)])

    assert all(a < b for a, b in pairwise(before + after))
