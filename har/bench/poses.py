"""Finding the poses of many videos, several at once: that is nearly all of the time that a replay takes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import TypeAlias

from har.bench.recordings import PoseSettings, Recording, has_poses, video_frames
from har.errors import PoseError

_LISTEN_S = 0.1
_TELL_EVERY_S = 0.3

_Said: TypeAlias = "tuple[int, float]"


class _StopError(Exception):
    """Nobody waits for the poses any more."""


def find_poses(
    recordings: Sequence[Recording], *, pose: PoseSettings, jobs: int, tell: Callable[[Recording, float], None]
) -> None:
    """Find the poses of all videos whose poses are not kept yet, and keep them; with one job nothing is done ahead.

    Args:
        recordings: those that are no videos are left out.
        pose: how bodies are found.
        jobs: processes at once.
        tell: called with a recording and how much of it is done, seconds.

    Raises:
        SourceError: a video cannot be read.
        PoseError: a process died.
    """
    videos = [each for each in recordings if each.is_video and not has_poses(each.path, pose=pose)]
    if jobs == 1 or len(videos) < 2:
        return
    context = get_context("spawn")
    said: SimpleQueue[_Said] = context.SimpleQueue()
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(jobs, len(videos)), mp_context=context, initializer=_begin, initargs=(said, stop, pose)
    )
    try:
        waiting: set[Future[None]] = {pool.submit(_find, number, each) for number, each in enumerate(videos)}
        while waiting:
            done, waiting = wait(waiting, timeout=_LISTEN_S, return_when=FIRST_COMPLETED)
            while not said.empty():
                number, done_s = said.get()
                tell(videos[number], done_s)
            for future in done:
                future.result()
    except BrokenProcessPool:
        raise PoseError(
            "a process that looks for poses ended all at once, perhaps for lack of memory. Try again with --jobs 1."
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


_said: SimpleQueue[_Said]  # of a worker process, like the next two
_stop: Event
_pose: PoseSettings


def _begin(said: SimpleQueue[_Said], stop: Event, pose: PoseSettings) -> None:
    global _said, _stop, _pose
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says when to stop
    _said, _stop, _pose = said, stop, pose
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the main process is gone, however it went."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)


def _find(number: int, recording: Recording) -> None:
    due_s = 0.0

    def tell(done_s: float) -> None:
        nonlocal due_s
        if _stop.is_set():
            raise _StopError
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + _TELL_EVERY_S
            _said.put((number, done_s))

    video_frames(recording.path, pose=_pose, tell=tell)
