"""One process per camera, watched: what it finds comes out here, and what goes wrong with it stays there."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from har.records import CameraStatus, PoseFrame
from har.service.camera_messages import (
    MAX_MESSAGE_BYTES,
    CameraSpec,
    EndOfSource,
    Failure,
    LogLine,
    MessageError,
    SignOfLife,
    decode,
    encode_spec,
)
from har.sources import is_live

__all__ = ["CameraOutput", "CameraProcess", "CameraSpec", "EndOfSource", "stop_cameras"]

log = logging.getLogger(__name__)

CameraOutput: TypeAlias = PoseFrame | CameraStatus | EndOfSource

RESTART_FIRST_S = 1.0
RESTART_MOST_S = 30.0
STEADY_S = 60.0
"""A process that ran this long starts the waits afresh."""
STOP_WITHIN_S = 2.0
KILL_WITHIN_S = 3.0
_MOST_PER_POLL = 256
_EXIT_WITHIN_S = 1.0


class CameraProcess:
    """A camera's process and its watchdog.

    Call `poll()` when `connection` is readable and at least once a second; never blocks for long. Nothing that the
    process does, hanging and dying included, raises here.

    Args:
        spec: the camera.
        clock: monotonic seconds.

    Attributes:
        restarts: times that the process was started again.
        is_over: nothing more will come: the source ended, failed for good, or `stop()` was called.
    """

    def __init__(self, spec: CameraSpec, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.spec = spec
        self.restarts = 0
        self.is_over = False
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._buffer = bytearray(MAX_MESSAGE_BYTES)
        self._ready = False
        self._heard_s = 0.0
        self._started_s = 0.0
        self._restart_at_s = 0.0
        self._attempt = 0
        self._failure: Failure | None = None

    @property
    def connection(self) -> socket.socket | None:
        """What to wait for (it has a `fileno`); None between two processes. Ask anew before each wait."""
        return self._line

    @property
    def pid(self) -> int | None:
        """The process's id; None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process; returns at once.

        Raises:
            OSError: this machine cannot start any process.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            in_main = threading.current_thread() is threading.main_thread()
            level = log.getEffectiveLevel()
            command = [sys.executable, "-P", "-m", "har.service.camera_child"]
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(level), str(int(in_main))],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": _import_path()},
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        ours.send(encode_spec(self.spec))
        self._line = ours
        self._ready = False
        self._failure = None
        self._started_s = self._heard_s = self._clock()
        log.info("camera process started camera=%s pid=%d restarts=%d", self.spec.camera, self.pid, self.restarts)

    def poll(self) -> list[CameraOutput]:
        """Give what has arrived, and mend what is broken.

        In `once` mode every frame comes exactly once and in order, and `EndOfSource` is the last thing that comes.
        """
        if self.is_over:
            if self._process is not None and self._process.poll() is not None:
                self._process = None
            return []
        if self._process is None:
            if self._restart_at_s and self._clock() >= self._restart_at_s:
                self._restart()
            return []
        outputs, line_ended = self._drain()
        if outputs and isinstance(outputs[-1], EndOfSource):
            self.ask_to_stop()
        elif line_ended:
            outputs += self._after_failure(self._why_dead())
        elif (silent_s := self._clock() - self._heard_s) > self._patience_s():
            reason = f"its process has not answered for {silent_s:.0f} s and was stopped"
            outputs += self._after_failure(reason)
        return outputs

    def stop(self) -> None:
        """End the process for good, by force if it does not go within about two seconds."""
        self.is_over = True
        self._end_process(grace_s=STOP_WITHIN_S)

    def ask_to_stop(self) -> None:
        """Tell the process to leave without waiting for it; `stop()` is still needed."""
        self.is_over = True
        if self._line is not None:
            self._line.close()
            self._line = None

    def _drain(self) -> tuple[list[CameraOutput], bool]:
        """Read what has arrived; the flag says that the process has closed its end and all has been read."""
        outputs: list[CameraOutput] = []
        for _ in range(_MOST_PER_POLL):
            assert self._line is not None
            try:
                n_bytes = self._line.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return outputs, False
            except OSError:
                return outputs, True
            if n_bytes == 0:
                return outputs, True
            self._heard_s = self._clock()
            try:
                message = decode(memoryview(self._buffer)[:n_bytes], camera=self.spec.camera)
            except MessageError as error:
                self._failure = Failure(reason=str(error), user_error=False)
                return outputs, True
            if isinstance(message, SignOfLife):
                self._ready = message.ready
            elif isinstance(message, LogLine):
                logging.getLogger(message.logger).log(message.level, "%s", message.text)
            elif isinstance(message, Failure):
                self._failure = message
            else:
                outputs.append(message)
                if isinstance(message, EndOfSource):
                    break
        return outputs, False

    def _patience_s(self) -> float:
        return self.spec.hang_after_s if self._ready else max(self.spec.start_within_s, self.spec.hang_after_s)

    def _why_dead(self) -> str:
        assert self._process is not None
        if self._failure is not None:
            return self._failure.reason
        try:
            code = self._process.wait(timeout=_EXIT_WITHIN_S)
        except subprocess.TimeoutExpired:
            return "its process closed its line"
        if code >= 0:
            return f"its process ended with exit code {code}"
        try:
            return f"its process was ended by signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"its process was ended by signal {-code}"

    def _after_failure(self, reason: str) -> list[CameraOutput]:
        """Say what happened, and either plan a restart or end for good."""
        failure = self._failure
        ran_s = self._clock() - self._started_s
        self._end_process(grace_s=0.0)
        user_error = failure is not None and failure.user_error
        gives_up = self.spec.once or (user_error and self.restarts == 0 and not is_live(self.spec.url))
        if gives_up:
            self.is_over = True
            log.info("camera failed camera=%s reason=%s", self.spec.camera, reason)
            end = EndOfSource(camera=self.spec.camera, reason=reason, user_error=user_error)
            return [self._offline(reason), end]
        self._attempt = 0 if ran_s > STEADY_S else self._attempt
        wait_s = min(RESTART_FIRST_S * 2.0**self._attempt, RESTART_MOST_S)
        self._attempt += 1
        self._restart_at_s = self._clock() + wait_s
        log.info("camera failed camera=%s reason=%s restart_in_s=%.0f", self.spec.camera, reason, wait_s)
        return [self._offline(f"{reason}; starting it again in {wait_s:.0f} s")]

    def _restart(self) -> None:
        self._restart_at_s = 0.0
        self.restarts += 1
        try:
            self.start()
        except OSError as error:  # too many processes, no memory: the other cameras go on, this one is tried later
            log.error("camera process not started camera=%s error=%s", self.spec.camera, error.strerror)
            self._end_process(grace_s=0.0)
            self._restart_at_s = self._clock() + RESTART_MOST_S

    def _end_process(self, *, grace_s: float) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            try:
                process.wait(timeout=KILL_WITHIN_S)
            except subprocess.TimeoutExpired:  # stuck in the kernel, as drivers of webcams sometimes are
                log.error("camera process cannot be killed camera=%s pid=%d", self.spec.camera, process.pid)

    def _offline(self, reason: str) -> CameraStatus:
        return CameraStatus(camera=self.spec.camera, state="offline", fps=0.0, reason=reason, time_s=time.time())


def stop_cameras(cameras: Iterable[CameraProcess]) -> None:
    """Stop several cameras in the time that one takes."""
    cameras = list(cameras)
    for camera in cameras:
        camera.ask_to_stop()
    for camera in cameras:
        camera.stop()


def _import_path() -> str:
    """Let the child import what this process can."""
    return os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)
