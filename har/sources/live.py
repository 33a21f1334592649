"""Cameras that never end: RTSP and webcams, read in a thread that keeps only the newest picture and reconnects."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer
from av.video.reformatter import VideoReformatter

from har.errors import SourceError
from har.records import Frame
from har.redaction import redact, scrub
from har.sources.address import connect_url, webcam_number
from har.sources.capture import CaptureTime
from har.sources.source import TICK_S, Clock, Counts, Source, SourceItem, SourceStatus
from har.sources.video import MAX_PIXELS, Picture, decode_pictures, frame_period_s, to_rgb

log = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[Counts], AbstractContextManager[tuple[Iterator[Picture], float]]]
"""Opens the camera: its pictures with their pts, and its frame period in seconds. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """How long a live source waits for what.

    Attributes:
        open_s: longest time for connecting.
        read_s: longest wait for a packet; FFmpeg waits twice before the camera counts as lost.
        retry_first_s: about the wait before the first new attempt; it doubles with each.
        retry_most_s: the longest wait between attempts.
        retry_refused_s: wait after a refused login; more attempts could lock the camera's account.
        margin_s: a reader silent for this long beyond the limits above hangs.
        steady_s: a connection that lasted this long starts the waits afresh.
    """

    open_s: float = 10.0
    read_s: float = 8.0
    retry_first_s: float = 0.5
    retry_most_s: float = 10.0
    retry_refused_s: float = 60.0
    margin_s: float = 5.0
    steady_s: float = 10.0


class LoginRefusedError(SourceError):
    """The camera does not accept the user name or password."""


def open_rtsp(url: str, *, camera: str, clock: Clock, limits: LiveLimits) -> Source:
    """Read an RTSP camera, reconnecting for ever."""
    return open_live(_rtsp_connector(url, limits), camera=camera, shown=redact(url), clock=clock, limits=limits)


def open_webcam(url: str, *, camera: str, clock: Clock, limits: LiveLimits) -> Source:
    """Read a webcam, waiting for it to come back when it is unplugged.

    Raises:
        SourceError: there is no such device now; the text lists those there are.
    """
    check_webcam(url)
    return open_live(_webcam_connector(url, limits), camera=camera, shown=url, clock=clock, limits=limits)


def check_webcam(url: str) -> None:
    """Refuse a webcam that is not there.

    Raises:
        SourceError: the text lists the webcams there are.
    """
    device = Path(f"/dev/video{webcam_number(url)}")
    if device.exists():
        return
    found = sorted(int(p.name.removeprefix("video")) for p in Path("/dev").glob("video*") if p.name[5:].isdigit())
    listed = ", ".join(f"webcam:{number}" for number in found)
    raise SourceError(
        f"{url} is not there ({device} does not exist). "
        + (f"This machine has {listed}." if found else "This machine has no webcam: plug one in.")
    )


class _Reader:
    """The thread's half: connects, decodes, keeps the newest picture, waits, connects again."""

    def __init__(self, connect: Connect, *, camera: str, shown: str, clock: Clock, limits: LiveLimits) -> None:
        self.counts = Counts()
        self.alive_s = clock.monotonic()
        self._connect = connect
        self._camera = camera
        self._shown = shown
        self._clock = clock
        self._limits = limits
        self._capture = CaptureTime(clock)
        self._changed = threading.Condition()
        self._newest: tuple[Picture, float] | None = None
        self._states: list[SourceStatus] = []
        self._trouble = ""
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"source-{camera}", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> tuple[SourceStatus | None, tuple[Picture, float] | None]:
        """Give the oldest unread change of state, else the newest picture with its capture time, else nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._states or self._newest or self._stopped, timeout_s)
            if self._states:
                return self._states.pop(0), None
            newest, self._newest = self._newest, None
            return None, newest

    def stop(self) -> None:
        """End the thread; one that is stuck in a library is left behind as a daemon."""
        with self._changed:
            self._stopped = True
            self._newest = None
            self._changed.notify_all()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        attempt = 0
        while not self._stopped:
            connected_s = self._clock.monotonic()
            refused = False
            try:
                self._read_connection()
                reason = f"{self._shown} ended the stream"
            except SourceError as error:
                reason = str(error)
                refused = isinstance(error, LoginRefusedError)
            except Exception as error:
                # The reader has to go on whatever a library does. Its text may hold the address: only the type is told.
                reason = f"{self._shown} cannot be read: {type(error).__name__}"
                log.error("source reader failed camera=%s error=%s", self._camera, type(error).__name__)
            if self._clock.monotonic() - connected_s > self._limits.steady_s:
                attempt = 0
            wait_s = self._limits.retry_refused_s if refused else self._retry_wait_s(attempt)
            attempt += 1
            if reason != self._trouble:  # once per trouble, not once per attempt
                self._trouble = reason
                self._tell(SourceStatus("lost", f"{reason.rstrip('.')}; it is tried again"))
            self._pause(wait_s)

    def _read_connection(self) -> None:
        self._sign_of_life()
        with self._connect(self.counts) as (pictures, period_s):
            self._capture.reconnect(period_s=period_s)
            first = True
            for picture in pictures:
                self._sign_of_life()
                time_s = self._capture.stamp(picture[1])
                if first:
                    self._trouble = ""
                    self.counts.connections += 1
                    self._tell(SourceStatus("connected"))
                    first = False
                with self._changed:
                    if self._stopped:
                        return
                    self.counts.dropped += self._newest is not None
                    self._newest = (picture, time_s)
                    self._changed.notify_all()

    def _retry_wait_s(self, attempt: int) -> float:
        longest_s = min(self._limits.retry_first_s * 2.0 ** min(attempt, 16), self._limits.retry_most_s)
        return longest_s * random.uniform(0.5, 1.0)  # many cameras behind one switch must not return in step

    def _pause(self, wait_s: float) -> None:
        until_s = self._clock.monotonic() + wait_s
        with self._changed:
            while not self._stopped and (left_s := until_s - self._clock.monotonic()) > 0:
                self._sign_of_life()
                self._changed.wait(min(left_s, TICK_S))

    def _tell(self, status: SourceStatus) -> None:
        with self._changed:
            if self._stopped:
                return
            if status.state == "lost":
                self._newest = None
                log.info("source lost camera=%s reason=%s", self._camera, status.reason)
            else:
                log.info("source connected camera=%s url=%s", self._camera, self._shown)
            self._states.append(status)
            self._changed.notify_all()

    def _sign_of_life(self) -> None:
        self.alive_s = self._clock.monotonic()


def open_live(connect: Connect, *, camera: str, shown: str, clock: Clock, limits: LiveLimits) -> Source:
    """Read any camera that can be connected to, again and again.

    Args:
        connect: opens the camera.
        camera: its name.
        shown: its address without secrets, for messages.
        clock: where time comes from.
        limits: how long to wait for what.
    """
    reader = _Reader(connect, camera=camera, shown=shown, clock=clock, limits=limits)
    items = _deliver(reader, camera=camera, shown=shown, clock=clock, limits=limits)

    def close() -> None:
        reader.stop()
        items.close()

    return Source(items, counts=reader.counts, close=close)


def _deliver(
    reader: _Reader, *, camera: str, shown: str, clock: Clock, limits: LiveLimits
) -> Generator[SourceItem, None, None]:
    """The consumer's half: the newest picture when asked, a sign of life as long as the reader shows one."""
    reformatter = VideoReformatter()
    hung_after_s = (
        limits.open_s + 2 * limits.read_s + limits.margin_s
    )  # the library's own limits should end any wait before
    while True:
        status, newest = reader.take(TICK_S)
        if status is not None:
            yield status
        elif newest is not None:
            (picture, pts_s), time_s = newest
            yield Frame(image=to_rgb(picture, reformatter), time_s=time_s, source_time_s=pts_s, camera=camera)
        elif (silent_s := clock.monotonic() - reader.alive_s) > hung_after_s:
            raise SourceError(f"{shown}: the decoder has not answered for {silent_s:.0f} s. It has to be restarted.")
        else:
            yield SourceStatus("waiting")


def _rtsp_connector(url: str, limits: LiveLimits) -> Connect:
    target = connect_url(url)
    options = {
        "rtsp_transport": "tcp",
        "allowed_media_types": "video",
        "fpsprobesize": "0",  # the rate is read from the pts; waiting for it delays the first picture by seconds
        "fflags": "nobuffer",
    }

    @contextmanager
    def connect(counts: Counts) -> Iterator[tuple[Iterator[Picture], float]]:
        with _open(target, url, counts, options=options, timeout=(limits.open_s, limits.read_s)) as opened:
            yield opened

    return connect


def _webcam_connector(url: str, limits: LiveLimits) -> Connect:
    device = f"/dev/video{webcam_number(url)}"

    @contextmanager
    def connect(counts: Counts) -> Iterator[tuple[Iterator[Picture], float]]:
        check_webcam(url)
        timeout = (limits.open_s, limits.read_s)
        with _open(device, url, counts, options={}, timeout=timeout, format="v4l2") as opened:
            yield opened

    return connect


@contextmanager
def _open(
    target: str,
    url: str,
    counts: Counts,
    *,
    options: dict[str, str],
    timeout: tuple[float, float],
    format: str | None = None,  # noqa: A002
) -> Iterator[tuple[Iterator[Picture], float]]:
    began_s = time.monotonic()
    try:
        container: InputContainer = av.open(target, options=options, timeout=timeout, format=format)
    except (OSError, ValueError, av.FFmpegError) as error:
        timed_out = time.monotonic() - began_s >= timeout[0]  # FFmpeg may call that "invalid data"
        raise _refusal(error, target, url, timed_out=timed_out) from None
    with container:
        if not container.streams.video:
            raise SourceError(f"{redact(url)} sends no pictures. Check which stream the address names.")
        stream = container.streams.video[0]
        if stream.width * stream.height > MAX_PIXELS:
            raise SourceError(f"{redact(url)} sends {stream.width}x{stream.height}, which is too large.")
        yield _readable(decode_pictures(container, counts, live=True), target, url), frame_period_s(stream)


def _readable(pictures: Iterator[Picture], target: str, url: str) -> Iterator[Picture]:
    try:
        yield from pictures
    except (OSError, ValueError, av.FFmpegError) as error:
        raise _refusal(error, target, url, timed_out=False) from None


def _refusal(error: Exception, target: str, url: str, *, timed_out: bool) -> SourceError:
    """Say why a camera cannot be read, without any of its secrets."""
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return LoginRefusedError(f"{redact(url)} refused the login. Check user name and password in its address.")
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceError(f"{redact(url)} has no such stream. Check the path in its address.")
    if timed_out or isinstance(error, av.error.ExitError):  # what PyAV's time limit raises
        return SourceError(f"{redact(url)} does not answer. Check that it is switched on and reachable.")
    text = str(getattr(error, "strerror", None) or type(error).__name__)
    return SourceError(f"{redact(url)} cannot be read: {scrub(scrub(text, target), url)}")
