from __future__ import annotations

import numpy as np
import pytest

from har.records import CameraStatus
from har.service.camera_health import RateLimit, StatusLine


@pytest.mark.parametrize(
    ("source_hz", "rate_hz", "expected"), [(30, 15, 150), (25, 15, 150), (18, 15, 150), (10, 15, 100), (29.97, 10, 100)]
)
def test_the_rate_limit_keeps_the_average(source_hz: float, rate_hz: float, expected: int) -> None:
    limit = RateLimit(rate_hz)

    kept = [pts_s for i in range(round(10 * source_hz)) if limit.lets_through(pts_s := round(i / source_hz, 3))]

    assert len(kept) == pytest.approx(expected, abs=1)
    assert np.diff(kept).max() <= 1 / rate_hz + 1 / source_hz + 0.002


def test_after_a_gap_the_rate_limit_does_not_let_a_burst_through() -> None:
    limit = RateLimit(10.0)
    pts_s = [0.0, 0.1, 60.0, 60.03, 60.06, 60.09, 60.12, 60.15, 60.18, 60.21]

    kept = [pts for pts in pts_s if limit.lets_through(pts)]

    assert kept == [0.0, 0.1, 60.0, 60.03, 60.12, 60.21]


def test_the_rate_limit_begins_anew_when_pts_do() -> None:
    limit = RateLimit(10.0)

    kept = [limit.lets_through(pts_s) for pts_s in (100.0, 100.05, 0.0, 0.05, 0.1)]

    assert kept == [True, False, True, False, True]


def run(
    line: StatusLine, *, rate_hz: float, for_s: float, start_s: float = 0.0, problem: str = ""
) -> list[CameraStatus]:
    told = [
        line.frame(problem, now_s=start_s + i / rate_hz, time_s=1e9 + start_s + i / rate_hz)
        for i in range(round(rate_hz * for_s))
    ]
    return [status for status in told if status is not None]


def test_a_healthy_camera_is_told_at_once_then_with_its_rate_then_each_half_minute() -> None:
    told = run(StatusLine("hall", slow_below_hz=5.0), rate_hz=12.0, for_s=70.0)

    assert [round(status.time_s - 1e9) for status in told] == [0, 5, 35, 65]
    assert [status.fps for status in told] == [0.0, *[pytest.approx(12.0, abs=0.3)] * 3]
    assert {status.state for status in told} == {"online"}


def test_a_slow_camera_is_degraded_and_recovers() -> None:
    line = StatusLine("hall", slow_below_hz=5.0)

    slow = run(line, rate_hz=2.0, for_s=29.0)
    quick = run(line, rate_hz=15.0, for_s=29.0, start_s=29.0)

    assert [(status.state, round(status.time_s - 1e9)) for status in slow] == [
        ("online", 0),
        ("online", 5),
        ("degraded", 20),
    ]
    assert slow[-1].reason == "fewer than 5 frames a second are analysed"
    assert next(status.state for status in quick) == "online"


def test_a_lost_camera_is_told_once_per_reason() -> None:
    line = StatusLine("hall", slow_below_hz=5.0)
    run(line, rate_hz=12.0, for_s=3.0)

    told = [line.lost(reason, time_s=1e9) for reason in ("cable", "cable", "power")]
    back = run(line, rate_hz=12.0, for_s=1.0, start_s=100.0)

    assert [status and (status.state, status.reason) for status in told] == [
        ("offline", "cable"),
        None,
        ("offline", "power"),
    ]
    assert [status.state for status in back] == ["online"]


def test_nothing_is_told_while_no_frame_has_come() -> None:
    line = StatusLine("hall", slow_below_hz=5.0)

    assert line.tick("", now_s=100.0, time_s=1e9) is None
