"""The whole path from frame to MQTT on this machine: analysed frames a second, latency, memory."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

import har
from har.bench.machine import describe_machine, measure_yardstick
from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.models.shipped import find_bundle
from har.mqtt import topics
from har.mqtt.address import read_address
from har.mqtt.broker import BrokerHandle, open_broker
from har.mqtt.connection import Connection, Received
from har.mqtt.publisher import Publisher
from har.pose import BLAZEPOSE
from har.service.app import CameraPlan, CameraReport, Service
from har.service.camera import CameraSpec
from har.service.pipeline import PipelineSettings
from har.sources import open_source
from har.store import Store

Say = Callable[[str], None]

LEAST_S = 40.0
"""The sample clip is played over and over until the cameras have been busy for as long."""
SITE = "bench"
_SAMPLE = Path("sample_clips") / "fall_in_room.mp4"
_MEMORY_EVERY_S = 0.5


def bench_pipeline(
    *, cameras: int, say: Say, video: Path | None = None, pose: str = BLAZEPOSE, rate_hz: int = 30
) -> dict[str, Any]:
    """Play a video to the service as so many live cameras and measure what comes out at the broker.

    Args:
        cameras: how many at once, each with a process of its own.
        say: called with a line of progress.
        video: 640x480 or any other size; the project's sample clip if None.
        pose: the estimator.
        rate_hz: frames a second of each camera.

    Returns:
        A result with a row a camera and the totals.

    Raises:
        ConfigError: the video is not there.
    """
    video = video or _SAMPLE
    if not video.is_file():
        raise ConfigError(f"{video}: no such video. Run this in the project's folder, or give a video with --video.")
    bundle = load_bundle(find_bundle())
    yardstick = measure_yardstick()
    with tempfile.TemporaryDirectory(prefix="har-bench-") as folder:
        state = Path(folder)
        feed = state / "feed.mp4"
        size = _make_feed(video, feed, rate_hz=rate_hz)
        say(f"{cameras} camera(s) of {size[0]}x{size[1]} at {rate_hz} frames a second")
        plans = [
            CameraPlan(
                CameraSpec(camera=f"cam{n}", url=str(feed), pose=pose, max_people=2, max_rate_hz=None),
                PipelineSettings(),
            )
            for n in range(1, cameras + 1)
        ]
        broker = open_broker(None, state_dir=state)
        try:
            with closing(Store(f"sqlite:///{state / 'har.db'}")) as store:
                publisher = Publisher(store, url=broker.url, site=SITE, version=har.__version__, model=bundle.model_id)
                publisher.start()
                try:
                    service = Service(plans, bundle=bundle, outlet=publisher)
                    measured = _run(service, broker)
                finally:
                    publisher.stop()
        finally:
            broker.close()
    return {
        "name": "pipeline",
        "machine": describe_machine(),
        "yardstick_gflops": yardstick,
        "model": bundle.model_id,
        "broker": broker.kind,
        "size_px": list(size),
        "pose": pose,
        "camera_rate_hz": rate_hz,
        "rows": [_row(name, report) for name, report in service.reports.items()],
        **measured,
    }


def _make_feed(video: Path, feed: Path, *, rate_hz: int) -> tuple[int, int]:
    """Write the video's pictures at the rate of a camera, several times over; give their width and height."""
    with open_source(str(video), camera="feed", paced=False) as source:
        images = [frame.image for frame in source.frames()]
    height, width = images[0].shape[:2]
    with av.open(str(feed), "w") as out:
        stream = out.add_stream("libx264", rate=rate_hz, options={"preset": "veryfast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, rate_hz)
        for number, image in enumerate(images * math.ceil(LEAST_S * rate_hz / len(images))):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return width, height


def _run(service: Service, broker: BrokerHandle) -> dict[str, Any]:
    """Run the service to the end of its feeds while a subscriber and a memory gauge watch."""
    stop = threading.Event()
    delays, memory = list[float](), list[float]()
    watchers = [
        threading.Thread(target=_subscribe, args=(broker.url, delays, stop)),
        threading.Thread(target=_weigh, args=(memory, stop)),
    ]
    for watcher in watchers:
        watcher.start()
    try:
        service.run(threading.Event())
        time.sleep(1.0)
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()
    return {
        "events_measured": len(delays),
        "frame_to_mqtt_ms": _percentiles(delays),
        "memory_mib": round(max(memory, default=0.0)),
    }


def _subscribe(url: str, delays: list[float], stop: threading.Event) -> None:
    """Note how long after its frame was captured each event reaches a subscriber."""
    connection = Connection(
        read_address(url), client_id="har-bench", subscriptions=[(topics.everything(SITE), 0)], ca=None
    )
    connection.start()
    try:
        while not stop.is_set():
            for report in connection.take(timeout_s=0.2):
                if isinstance(report, Received) and report.payload:
                    _note(report.payload, delays)
    finally:
        connection.stop()


def _note(payload: bytes, delays: list[float]) -> None:
    body = json.loads(payload)
    if body["type"] in ("har.action.v1", "har.danger.v1", "har.alert.v1"):
        delays.append(time.time() - datetime.fromisoformat(body["time"]).timestamp())


def _weigh(memory: list[float], stop: threading.Event) -> None:
    """Note the memory of this process and all its children, what they share counted once (PSS), in MiB."""
    while not stop.wait(_MEMORY_EVERY_S):
        total = 0
        me = psutil.Process()
        for process in [me, *me.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        memory.append(total / 2**20)


def _row(name: str, report: CameraReport) -> dict[str, Any]:
    seconds = report.frames_span_s
    return {
        "camera": name,
        "analysed_frames": report.frames,
        "interpolated_frames": 0,
        "dropped_frames": report.dropped,
        "analysed_fps": round(report.frames / seconds, 1) if seconds else 0.0,
        "person_in_view": round(report.with_people / max(report.frames, 1), 3),
        "frame_to_handed_on_ms": _percentiles(report.lag_s),
    }


def _percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ms = np.array(seconds) * 1000
    return {
        "p50": round(statistics.median(ms.tolist()), 1),
        "p95": round(float(np.percentile(ms, 95)), 1),
        "max": round(float(ms.max()), 1),
    }


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    machine, mqtt = result["machine"], result["frame_to_mqtt_ms"]
    width, height = result["size_px"]
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, load {machine['load']}; broker: {result['broker']}"
    ]
    lines.append(f"cameras: {len(result['rows'])} of {width}x{height} at {result['camera_rate_hz']} frames a second")
    for row in result["rows"]:
        lag = row["frame_to_handed_on_ms"] or {"p50": 0.0, "p95": 0.0}
        lines.append(
            f"{row['camera']}: {row['analysed_fps']} analysed frames a second (none interpolated), somebody in view in "
            f"{row['person_in_view']:.0%}; frame to pipeline's end p50 {lag['p50']} ms, p95 {lag['p95']} ms"
        )
    if mqtt is not None:
        lines.append(
            f"frame to MQTT subscriber: p50 {mqtt['p50']} ms, p95 {mqtt['p95']} ms, longest {mqtt['max']} ms "
            f"({result['events_measured']} events)"
        )
    lines.append(f"memory of the whole service, broker included: {result['memory_mib']} MiB at most")
    return "\n".join(lines)
