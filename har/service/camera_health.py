"""How well a camera sees: frozen and black pictures, frames a second, and when to say so."""

from __future__ import annotations

from collections import deque

import numpy as np

from har.records import CameraState, CameraStatus, Frame, ImageArray

_EVERY_PX = 4
"""Pixels are compared on a grid this wide; a body is far larger, and a full comparison costs 16 times as much."""
_SAME_MEAN = 0.1
_SAME_MOST = 4
"""Grey levels by which a picture that stands still may differ: coding it again moves it that much. A real camera's
noise moves the mean by 0.4 or more with each key frame, at 100 kbit/s too; a frozen one that is coded so poorly that it
differs more is not noticed, which is better than crying wolf in every quiet night."""
_BLACK_LEVEL = 24
_LIT_SHARE = 0.01
"""A picture with at most this share of pixels above the level shows nothing; a camera's clock overlay is in it."""
_FPS_OVER_S = 5.0
_SLOW_AFTER_S = 15.0
_REPEAT_S = 30.0


class PictureCheck:
    """Notice a picture that no longer shows the room. Times are capture times: a file gives the same answer always."""

    def __init__(self, *, frozen_after_s: float, black_after_s: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._black_after_s = black_after_s
        self._shown: ImageArray | None = None
        self._shown_since_s = 0.0
        self._black_since_s: float | None = None

    def reset(self) -> None:
        """Begin anew: the camera was away, and time without pictures is not counted."""
        self._shown = None
        self._black_since_s = None

    def update(self, frame: Frame) -> str:
        """Give what is wrong with the picture, in words; empty when nothing is."""
        sample = np.ascontiguousarray(frame.image[::_EVERY_PX, ::_EVERY_PX])
        if self._shown is None or not _same(sample, self._shown):
            self._shown, self._shown_since_s = sample, frame.time_s
        if np.count_nonzero(sample >= _BLACK_LEVEL) > _LIT_SHARE * sample.size:
            self._black_since_s = None
        elif self._black_since_s is None:
            self._black_since_s = frame.time_s
        if self._black_since_s is not None and frame.time_s - self._black_since_s >= self._black_after_s:
            return "the picture is black: check light, lens and infrared"
        if frame.time_s - self._shown_since_s >= self._frozen_after_s:
            return "the picture is frozen: the camera repeats the same image"
        return ""


class StatusLine:
    """Decide when a camera's status is worth a message: at each change, and every half minute with the rate.

    Args:
        camera: the camera's name.
        slow_below_hz: fewer analysed frames a second than this are reported; 0 for never.
    """

    def __init__(self, camera: str, *, slow_below_hz: float) -> None:
        self._camera = camera
        self._slow_below_hz = slow_below_hz
        self._frames_s: deque[float] = deque()
        self._connected_s: float | None = None
        self._told: tuple[CameraState, str] | None = None
        self._tell_next_s = 0.0
        self._not_slow_s = 0.0

    def lost(self, reason: str, *, time_s: float) -> CameraStatus | None:
        """The source has lost its camera."""
        self._frames_s.clear()
        self._connected_s = None
        if self._told == ("offline", reason):
            return None
        self._told = ("offline", reason)
        return CameraStatus(camera=self._camera, state="offline", fps=0.0, reason=reason, time_s=time_s)

    def frame(self, problem: str, *, now_s: float, time_s: float) -> CameraStatus | None:
        """A frame was analysed.

        Args:
            problem: what is wrong with its picture; empty when nothing is.
            now_s: monotonic time.
            time_s: Unix time for the status.
        """
        self._frames_s.append(now_s)
        if self._connected_s is None:
            self._connected_s = self._not_slow_s = now_s
        return self.tick(problem, now_s=now_s, time_s=time_s)

    def tick(self, problem: str, *, now_s: float, time_s: float) -> CameraStatus | None:
        """Time has passed, with or without a frame."""
        if self._connected_s is None:
            return None
        fps = self._fps(now_s)
        if fps is None or fps >= self._slow_below_hz:
            self._not_slow_s = now_s
        elif not problem and now_s - self._not_slow_s > _SLOW_AFTER_S:
            problem = f"fewer than {self._slow_below_hz:g} frames a second are analysed"
        state: CameraState = "degraded" if problem else "online"
        if self._told == (state, problem) and now_s < self._tell_next_s:
            return None
        known = self._told == (state, problem)
        self._told = (state, problem)
        self._tell_next_s = now_s + (_REPEAT_S if known or fps is not None else _FPS_OVER_S)
        return CameraStatus(camera=self._camera, state=state, fps=round(fps or 0.0, 2), reason=problem, time_s=time_s)

    def _fps(self, now_s: float) -> float | None:
        """Analysed frames a second; None until they have been counted long enough."""
        while self._frames_s and now_s - self._frames_s[0] > _FPS_OVER_S:
            self._frames_s.popleft()
        if self._connected_s is None or now_s - self._connected_s < _FPS_OVER_S:
            return None
        return len(self._frames_s) / _FPS_OVER_S


class RateLimit:
    """Let through frames of an average rate, deciding by pts alone: the same file gives the same frames always."""

    SLACK_S = 0.002
    """Pts come rounded to milliseconds."""

    def __init__(self, max_rate_hz: float | None) -> None:
        self._period_s = 1.0 / max_rate_hz if max_rate_hz else 0.0
        self._due_s = -np.inf
        self._last_s = np.inf

    def lets_through(self, pts_s: float) -> bool:
        """Say whether to analyse the frame with this pts."""
        if pts_s < self._last_s:  # the first, the next file, or the camera connected anew
            self._due_s = pts_s
        self._last_s = pts_s
        if pts_s < self._due_s - self.SLACK_S:
            return False
        self._due_s = max(self._due_s, pts_s - self._period_s) + self._period_s
        return True


def _same(a: ImageArray, b: ImageArray) -> bool:
    if a.shape != b.shape:
        return False
    difference = np.maximum(a, b) - np.minimum(a, b)
    return bool(difference.mean() <= _SAME_MEAN and difference.max() <= _SAME_MOST)
