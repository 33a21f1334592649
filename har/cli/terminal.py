"""What the terminal shows while `har run` works: events, changes of a camera's state, and how far files are."""

from __future__ import annotations

import os
import sys
import time
from typing import IO, Any

from rich.console import Console

from har.cli.watch import event_line, file_clock
from har.mqtt.payloads import Message

_REDRAW_S = 0.5
_SAY_S = 10.0


class Progress:
    """Shows on stderr how far files are: in place on a terminal, elsewhere a line every ten seconds.

    Args:
        what: stands before it.
        total_s: seconds of video in all; None where the files do not say.
    """

    def __init__(self, what: str, *, total_s: float | None) -> None:
        self._what, self._total_s = what, total_s
        self._is_terminal = sys.stderr.isatty()
        self._began_s = self._told_s = 0.0
        self._is_drawn = False

    def show(self, done_s: float) -> None:
        """Show that so many seconds of video are done; to be called often."""
        now_s = time.monotonic()
        if done_s <= 0:
            return
        if not self._began_s:
            self._began_s = self._told_s = now_s
        if now_s - self._told_s < (_REDRAW_S if self._is_terminal else _SAY_S):
            return
        self._told_s = now_s
        text = f"{self._what} {file_clock(done_s)}"
        if self._total_s:
            left_s = max(0.0, self._total_s - done_s) / done_s * (now_s - self._began_s)
            text += f" of {file_clock(self._total_s)}, about {left_s:.0f} s left"
        _write(sys.stderr, f"\r\x1b[2K{text}\r" if self._is_terminal else f"{text}\n")
        self._is_drawn = self._is_terminal

    def clear(self) -> None:
        """Wipe it from the terminal."""
        if self._is_drawn:
            _write(sys.stderr, "\r\x1b[2K")
            self._is_drawn = False


class Terminal:
    """Shows events on stdout, and how cameras are doing on stderr.

    Args:
        once: files are read to their end: show their time instead of the time of day.
        to_stderr: leave stdout alone.
        progress: is wiped before a line is written.
    """

    def __init__(self, *, once: bool, to_stderr: bool, progress: Progress | None = None) -> None:
        self._once, self._progress = once, progress
        self._states = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._events = self._states if to_stderr else Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._known: dict[str, tuple[str, str]] = {}

    def show(self, message: Message) -> None:
        """Show one event."""
        body = message.body
        is_state = body["type"] == "har.camera.v1"
        if not (self._is_news(body) if is_state else _is_worth_a_line(body)):
            return
        line = event_line(body, file_time=self._once)
        if line is None:
            return
        if self._progress is not None:
            self._progress.clear()
        console = self._states if is_state else self._events
        with console.capture() as text:  # rich itself ends the program when nobody reads it
            console.print(line)
        _write(console.file, text.get())

    def _is_news(self, body: dict[str, Any]) -> bool:
        """Say whether a camera's state changed; that a file begins and ends is none."""
        source, state = body["source"], (body["data"]["state"], body["data"]["reason"])
        is_new = self._known.get(source) != state
        self._known[source] = state
        return is_new and not (self._once and state[0] != "degraded")


def _is_worth_a_line(body: dict[str, Any]) -> bool:
    """Say whether an event says more than the alert that comes right behind it."""
    data = body["data"]
    return not (body["type"] == "har.danger.v1" and data["phase"] != "end" and data["alert"])


def _write(file: IO[str], text: str) -> None:
    """Write at once. When nobody reads it any more, as after `| head`, it goes nowhere, and the service goes on."""
    try:
        file.write(text)
        file.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())  # also for what Python flushes when it ends
        os.close(nowhere)
