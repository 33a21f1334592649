"""Capture time of a live stream: its own pts, anchored to the wall clock."""

from __future__ import annotations

import logging
import math

from har.sources.source import Clock

log = logging.getLogger(__name__)

SLEW = 0.005
"""A camera's clock may run this much fast or slow against ours; real ones stay under 0.0002."""
LEAP_S = 2.0
"""When pts run ahead of the arrivals by this much from one frame to the next, they have leapt: anchor anew."""
LATE_FOR_S = 10.0
"""Frames may come late after a stalled network; only when they stay later than LEAP_S this long is the anchor wrong."""


class CaptureTime:
    """Turn pts into Unix seconds that only ever grow.

    Arrival jitters with the network, pts do not: so pts give the distances and the wall clock, read once per
    connection, only the place. The anchor follows the arrivals slowly, because no two clocks run alike.
    The system's clock may jump; within a connection only the monotonic one is asked.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_s = -math.inf
        self._last_pts_s = -math.inf
        self._last_arrival_s = -math.inf
        self._late_since_s: float | None = None
        self._period_s = 0.04
        self._anchor_s: float | None = None  # Unix seconds of pts 0
        self._wall_less_monotonic_s = 0.0

    def reconnect(self, *, period_s: float) -> None:
        """Begin a new connection: its first frame is anchored to the wall clock.

        Args:
            period_s: the stream's usual distance between frames.
        """
        self._period_s = period_s
        self._anchor_s = None

    def stamp(self, pts_s: float) -> float:
        """Give the capture time of the frame that has just arrived, strictly later than the last one's."""
        if self._anchor_s is None:
            self._wall_less_monotonic_s = self._clock.wall() - self._clock.monotonic()
            anchor_s = self._fresh_anchor_s(pts_s)
        elif self._has_leapt(pts_s):
            anchor_s = self._fresh_anchor_s(pts_s)
            log.info("source time anchored anew by_s=%.1f", anchor_s - self._anchor_s)
        else:
            most_s = SLEW * (pts_s - self._last_pts_s)
            anchor_s = self._anchor_s + min(max(self._late_s(pts_s), -most_s), most_s)
        self._anchor_s = anchor_s
        self._last_s = max(anchor_s + pts_s, math.nextafter(self._last_s, math.inf))
        self._last_pts_s, self._last_arrival_s = pts_s, self._arrival_s()
        return self._last_s

    def _has_leapt(self, pts_s: float) -> bool:
        """Say whether the pts no longer belong to the anchor."""
        arrival_s = self._arrival_s()
        if self._late_s(pts_s) < LEAP_S:
            self._late_since_s = None
        elif self._late_since_s is None:
            self._late_since_s = arrival_s
        elif arrival_s - self._late_since_s > LATE_FOR_S:
            self._late_since_s = None
            return True
        step_s = pts_s - self._last_pts_s
        return step_s < 0 or step_s - (arrival_s - self._last_arrival_s) > LEAP_S

    def _late_s(self, pts_s: float) -> float:
        """Seconds by which a frame that arrives now comes later than its pts promise."""
        return self._arrival_s() - pts_s - (self._anchor_s or 0.0)

    def _fresh_anchor_s(self, pts_s: float) -> float:
        return max(self._arrival_s(), self._last_s + self._period_s) - pts_s

    def _arrival_s(self) -> float:
        return self._wall_less_monotonic_s + self._clock.monotonic()
