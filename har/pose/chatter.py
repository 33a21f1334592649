"""Keeping what C++ libraries tell their programmers off the user's terminal.

MediaPipe and TensorFlow Lite write to file descriptor 2 without asking, and no setting stops them. So that
descriptor is led through a small process of its own, which drops the lines known to be harmless and passes everything
else on. Being another process, it still has its say when this one crashes.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from types import TracebackType

log = logging.getLogger(__name__)

CHATTER = (
    r"[IW]\d{4} \d\d:\d\d:[\d.]+ +\d+ \S+:\d+\] ",  # glog: information and warnings; errors go through
    r"WARNING: (Logging before InitGoogle|All log messages before absl::InitializeLog)\(\)",
    r"INFO: .*TensorFlow Lite",
    r"WARNING: Read-only tensor #\d+ .*unaligned buffer",
)
"""How the lines begin that nobody needs to see."""

# Reads standard input, writes to standard error. A line comes in pieces at times; one without an end (a question, a
# progress bar) is passed on after a while.
_FILTER = r"""
import os, re, select, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
chatter = re.compile(sys.argv[1].encode())
rest = b""
while True:
    if rest and not select.select([0], [], [], 0.2)[0]:
        os.write(2, rest)
        rest = b""
    data = os.read(0, 65536)
    *lines, rest = (rest + data).split(b"\n")
    kept = b"".join(line + b"\n" for line in lines if not chatter.match(line))
    if not data:
        kept += rest
    if kept:
        os.write(2, kept)
    if not data:
        break
"""
_END_WITHIN_S = 2.0


class QuietStderr:
    """A block in which known chatter does not reach file descriptor 2.

    With the log at debug level nothing is held back. The descriptor belongs to the whole process, so blocks of
    several threads share one filter: the first one in leads the descriptor away, the last one out leads it back. The
    filter's process lasts until the last of those who made a `QuietStderr` has closed it.
    """

    def __init__(self) -> None:
        self._open = not log.isEnabledFor(logging.DEBUG)
        if self._open:
            _shared.join()

    def __enter__(self) -> None:
        if self._open:
            _shared.lead_away()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self._open:
            _shared.lead_back()

    def close(self) -> None:
        """Hold nothing back any more; outside of the block only."""
        if self._open:
            self._open = False
            _shared.leave()


class _SharedFilter:
    """The one filter of this process, its users and the blocks they are in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0
        self._n_blocks = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._left: list[subprocess.Popen[bytes]] = []
        self._pipe = self._terminal = -1

    def join(self) -> None:
        with self._lock:
            self._n_users += 1
            if self._process is None:
                self._start()

    def leave(self) -> None:
        with self._lock:
            self._n_users -= 1
            if self._n_users == 0 and self._process is not None:
                self._stop(self._process)

    def lead_away(self) -> None:
        with self._lock:
            self._n_blocks += 1
            if self._n_blocks == 1 and self._process is not None:
                os.dup2(self._pipe, 2)

    def lead_back(self) -> None:
        with self._lock:
            self._n_blocks -= 1
            if self._n_blocks == 0 and self._process is not None:
                os.dup2(self._terminal, 2)

    def _start(self) -> None:
        """Start the filter; where that does not work, the chatter is seen."""
        try:
            self._terminal = os.dup(2)
        except OSError:
            return  # no standard error, so nothing to keep clean
        ours, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _FILTER, "|".join(CHATTER)],
                stdin=ours,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process alone
            )
        except OSError as error:
            log.info("stderr filter not started error=%s", error)
            os.close(self._pipe)
            os.close(self._terminal)
        finally:
            os.close(ours)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        os.close(self._pipe)
        os.close(self._terminal)
        self._process = None
        try:
            process.wait(timeout=_END_WITHIN_S)  # so that what it holds appears before what comes next
        except subprocess.TimeoutExpired:
            self._left.append(process)  # a process started within a block still writes to it


_shared = _SharedFilter()
