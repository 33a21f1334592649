"""A camera's own process: source and pose estimator. Started by `har.service.camera`, never by hand.

It may hang or crash; so it holds nothing that anybody else needs, and it ends when its parent does. Torch is not
loaded here unless a trained estimator needs it: it costs 300 MB for each camera.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from har.errors import HarError, UserError
from har.records import CameraStatus, Frame, PoseFrame
from har.redaction import scrub
from har.service.camera_health import PictureCheck, RateLimit, StatusLine
from har.service.camera_messages import (
    MAX_MESSAGE_BYTES,
    CameraSpec,
    EndOfSource,
    Failure,
    LogLine,
    Message,
    SignOfLife,
    decode_spec,
    encode,
)
from har.sources import Source, SourceItem, SourceStatus, is_live, open_source
from har.sources.address import source_kind

if TYPE_CHECKING:
    from har.pose import Estimator

log = logging.getLogger(__name__)

ALIVE_EVERY_S = 1.0
LEAVE_WITHIN_S = 1.0
_PR_SET_PDEATHSIG = 1


class Wire:
    """The way to the main process. Sending waits while that one is busy, so a file cannot run ahead of it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lock = threading.Lock()
        self.sent_s = time.monotonic()

    def send(self, message: Message) -> None:
        """Send a message; ends the process when nobody listens any more."""
        try:
            with self._lock:
                self._line.send(encode(message))
                self.sent_s = time.monotonic()
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)


class _LogToWire(logging.Handler):
    """Hand log lines to the main process, without the source's password."""

    def __init__(self, wire: Wire, url: str) -> None:
        super().__init__()
        self._wire = wire
        self._url = url

    def emit(self, record: logging.LogRecord) -> None:
        text = scrub(self.format(record), self._url)
        self._wire.send(LogLine(logger=record.name, level=record.levelno, text=text[:4000]))


class _Camera:
    """Source to poses, one frame after the other, with a sign of life from the very loop that does the work."""

    def __init__(self, spec: CameraSpec, wire: Wire) -> None:
        self._spec = spec
        self._wire = wire
        self._rate = RateLimit(spec.max_rate_hz)
        self._picture = PictureCheck(frozen_after_s=spec.frozen_after_s, black_after_s=spec.black_after_s)
        slow_below_hz = spec.slow_below_hz if is_live(spec.url) else 0.0
        self._status = StatusLine(spec.camera, slow_below_hz=slow_below_hz)
        self._problem = ""
        self._skipped = 0

    def run(self) -> None:
        """Work until the source ends."""
        spec = self._spec
        estimator = None if source_kind(spec.url) == "replay" else open_spec_estimator(spec)
        self._wire.send(SignOfLife(ready=True))
        try:
            with open_source(spec.url, camera=spec.camera, paced=not spec.once, limits=spec.limits) as source:
                for item in source:
                    self._handle(item, estimator)
                self._wire.send(self._end(source))
        finally:
            if estimator is not None:
                estimator.close()

    def _handle(self, item: SourceItem, estimator: Estimator | None) -> None:
        if isinstance(item, SourceStatus):
            if item.state == "lost":
                self._picture.reset()
                self._tell(self._status.lost(item.reason, time_s=time.time()))
            else:
                self._tell(self._status.tick(self._problem, now_s=time.monotonic(), time_s=time.time()))
        elif self._rate.lets_through(item.source_time_s):
            self._wire.send(self._analysed(item, estimator))
            self._tell(self._status.frame(self._problem, now_s=time.monotonic(), time_s=time.time()))
        else:
            self._skipped += 1
        if time.monotonic() - self._wire.sent_s > ALIVE_EVERY_S:
            self._wire.send(SignOfLife(ready=True))

    def _analysed(self, item: Frame | PoseFrame, estimator: Estimator | None) -> PoseFrame:
        if isinstance(item, PoseFrame):
            return item
        assert estimator is not None, "a source of pictures has an estimator"
        self._problem = self._picture.update(item)
        return PoseFrame(
            camera=item.camera,
            time_s=item.time_s,
            source_time_s=item.source_time_s,
            width_px=item.image.shape[1],
            height_px=item.image.shape[0],
            poses=estimator.estimate(item),
        )

    def _tell(self, status: CameraStatus | None) -> None:
        if status is not None:
            self._wire.send(status)

    def _end(self, source: Source) -> EndOfSource:
        return EndOfSource(
            camera=self._spec.camera,
            frames=source.counts.frames,
            skipped=self._skipped,
            dropped=source.counts.dropped,
            corrupt=source.counts.corrupt,
        )


def open_spec_estimator(spec: CameraSpec) -> Estimator:
    """Open the estimator that a spec names."""
    module, _, function = spec.estimator.partition(":")
    open_it: Callable[..., Estimator] = getattr(importlib.import_module(module), function)
    return open_it(spec.pose, max_people=spec.max_people, **({"masks": True} if spec.masks else {}))


def main(arguments: list[str]) -> None:
    """Serve one camera until its source ends or the main process goes.

    Args:
        arguments: file descriptor of the line to the main process, the log level of har, and whether to die with the
            thread that started this process ("1").
    """
    descriptor, level, die_with_parent = (int(text) for text in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold pictures
    if die_with_parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(2, 1)  # stdout belongs to the main process's results
    line = socket.socket(fileno=descriptor)
    spec = decode_spec(line.recv(MAX_MESSAGE_BYTES))
    threading.Thread(target=_leave_with_parent, args=(line,), name="parent-watch", daemon=True).start()
    wire = Wire(line)
    to_wire = _LogToWire(wire, spec.url)
    to_wire.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[to_wire])
    logging.getLogger("har").setLevel(level)
    wire.send(SignOfLife(ready=False))
    try:
        _Camera(spec, wire).run()
    except Exception as error:
        # The last word of this process: the main one decides what becomes of the camera.
        log.debug("camera process failed camera=%s\n%s", spec.camera, traceback.format_exc())
        reason = str(error) if isinstance(error, HarError) else f"{type(error).__name__}: {error}"
        wire.send(
            Failure(reason=scrub(" ".join(reason.split()), spec.url)[:1000], user_error=isinstance(error, UserError))
        )
        code = 1
    else:
        code = 0
    sys.stderr.flush()
    os._exit(code)  # a decoder or estimator that hangs on its way out is nobody's concern


def _leave_with_parent(line: socket.socket) -> None:
    """Wait for the end of the line; then leave, whatever the rest of the process is doing."""
    while True:
        try:
            if not line.recv(1):
                break
        except OSError:
            break
    time.sleep(LEAVE_WITHIN_S)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
