"""One way in: `open_source(url)`, whatever the address names."""

from __future__ import annotations

import av

from har.sources.address import local_path, source_kind
from har.sources.live import LiveLimits, check_webcam, open_rtsp, open_webcam
from har.sources.replay import open_replay, read_clip
from har.sources.source import Clock, Source
from har.sources.video import folder_files, open_container, open_files


def open_source(
    url: str, *, camera: str, paced: bool = True, clock: Clock | None = None, limits: LiveLimits | None = None
) -> Source:
    """Open a video file, folder, skeleton clip, webcam or RTSP camera.

    Args:
        url: its address, as in `SourceSpec.url`.
        camera: the camera's name, put into every frame.
        paced: play files at the speed of life, leaving out frames when the consumer is late; otherwise every frame as
            fast as it is asked for. Live cameras are always at the speed of life.
        clock: where time comes from; the machine's by default.
        limits: time-outs and waits of live cameras.

    Returns:
        A source that yields `Frame` (`PoseFrame` for a skeleton clip) and `SourceStatus`.

    Raises:
        SourceError: it cannot be opened. An RTSP camera that does not answer is no error: it is tried again.
    """
    clock = clock or Clock()
    limits = limits or LiveLimits()
    kind = source_kind(url)
    if kind == "rtsp":
        return open_rtsp(url, camera=camera, clock=clock, limits=limits)
    if kind == "webcam":
        return open_webcam(url, camera=camera, clock=clock, limits=limits)
    path = local_path(url)
    if kind == "replay":
        return open_replay(path, camera=camera, paced=paced, clock=clock)
    paths = folder_files(path) if kind == "folder" else (path,)
    return open_files(paths, camera=camera, paced=paced, clock=clock)


def check_source(url: str) -> None:
    """Find a user's mistake before anything starts: a missing or broken file, a webcam that is not there.

    An RTSP camera is not asked: it may come later.

    Raises:
        SourceError: with the reason.
    """
    kind = source_kind(url)
    if kind == "webcam":
        check_webcam(url)
    elif kind == "replay":
        read_clip(local_path(url))
    elif kind != "rtsp":
        path = local_path(url)
        open_container(folder_files(path)[0] if kind == "folder" else path).close()


def source_length_s(url: str) -> float | None:
    """Give how long a file, the files of a folder, or a skeleton clip last; None where that is not known.

    Raises:
        SourceError: it cannot be opened.
    """
    kind = source_kind(url)
    if kind in ("rtsp", "webcam"):
        return None
    path = local_path(url)
    if kind == "replay":
        time_s = read_clip(path).time_s
        return float(time_s[-1] - time_s[0])
    total_s = 0.0
    for file in folder_files(path) if kind == "folder" else (path,):
        with open_container(file) as container:
            if container.duration is None:
                return None
            total_s += container.duration / av.time_base
    return total_s


def is_live(url: str) -> bool:
    """Say whether a source has no end of its own.

    Raises:
        SourceError: a scheme that is not served.
    """
    return source_kind(url) in ("rtsp", "webcam")
