"""A running source: what it yields, what it counts, how it is closed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeAlias

from har.records import Frame, PoseFrame

TICK_S = 1.0
"""A source that has nothing to give says so at least this often, so that its reader can see that it is alive."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a source tells about itself between its frames.

    Attributes:
        state: "connected" (frames follow), "lost" (no frames; it goes on trying), or "waiting" (nothing new; sent
            about once a second as a sign of life).
        reason: why it was lost; told once, not with each new attempt. Never holds credentials.
    """

    state: Literal["connected", "lost", "waiting"]
    reason: str = ""


SourceItem: TypeAlias = Frame | PoseFrame | SourceStatus


@dataclass(slots=True)
class Counts:
    """What a source has done so far.

    Attributes:
        frames: frames handed out.
        dropped: frames left out because their reader was late; always 0 when reading unpaced.
        corrupt: packets or pictures that could not be decoded.
        connections: times that a live source was connected.
    """

    frames: int = 0
    dropped: int = 0
    corrupt: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as a source sees it; a test hands in its own.

    Attributes:
        wall: seconds since the Unix epoch.
        monotonic: seconds that never jump.
        sleep: wait so many seconds.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Source:
    """A running source. Iterate it for frames and changes of state; close it, or use it in `with`.

    A file, folder or skeleton clip ends; a live source does not, it reconnects for ever.
    """

    def __init__(self, items: Iterator[SourceItem], *, counts: Counts, close: Callable[[], None]) -> None:
        self.counts = counts
        self._items = items
        self._close = close

    def __iter__(self) -> Iterator[SourceItem]:
        """Give frames and changes of state as they come.

        Raises:
            SourceError: nothing (more) can be read.
        """
        for item in self._items:
            if not isinstance(item, SourceStatus):
                self.counts.frames += 1
            yield item

    def frames(self) -> Iterator[Frame]:
        """Give only the pictures."""
        return (item for item in self if isinstance(item, Frame))

    def close(self) -> None:
        """Give everything back; may be called twice. Waits about two seconds at most."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run_start_s(clock: Clock) -> float:
    """Give the present time, rounded down to 1/1024 s.

    On that grid, adding a pts rounds alike whenever a file is read: differences of `time_s` are the same in every run.
    """
    return math.floor(clock.wall() * 1024.0) / 1024.0


class Pacer:
    """Deliver recorded frames at the speed of life, leaving out those that are late.

    Args:
        clock: where time comes from.
        counts: `dropped` is counted there.
    """

    LATE_S = 0.04
    """A frame this late is left out; less would drop frames for the jitter of a busy machine."""
    LONGEST_SKIP_S = 0.5
    """Even if decoding alone is slower than life, a frame is delivered this often."""

    def __init__(self, clock: Clock, counts: Counts) -> None:
        self._clock = clock
        self._counts = counts
        self._start_s: float | None = None
        self._delivered_s = -math.inf

    def hold(self, offset_s: float) -> Iterator[SourceStatus]:
        """Wait until a frame is due, with a sign of life each second."""
        due_s = self._due(offset_s)
        while (left_s := due_s - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, TICK_S))
            if left_s > TICK_S:
                yield SourceStatus("waiting")

    def is_late(self, offset_s: float) -> bool:
        """Say whether to leave a frame out because its time has passed; ask just before delivering it."""
        now_s = self._clock.monotonic()
        late = now_s - self._due(offset_s) > self.LATE_S and now_s - self._delivered_s < self.LONGEST_SKIP_S
        if late:
            self._counts.dropped += 1
        return late

    def delivered(self) -> None:
        """Note that the consumer came back for more."""
        self._delivered_s = self._clock.monotonic()

    def _due(self, offset_s: float) -> float:
        if self._start_s is None:
            self._start_s = self._clock.monotonic() - offset_s
        return self._start_s + offset_s
