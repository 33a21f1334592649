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
from dataclasses import dataclass, field
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
from har.models.engines import TORCH, open_engine
from har.models.shipped import find_bundle
from har.mqtt import topics
from har.mqtt.address import read_address
from har.mqtt.broker import BrokerHandle, open_broker
from har.mqtt.connection import Connection, Received
from har.mqtt.publisher import Publisher
from har.pose import BLAZEPOSE
from har.pose.weights import cache_folder
from har.records import PoseFrame
from har.service.app import CameraPlan, CameraReport, Service
from har.service.camera import CameraSpec
from har.service.pipeline import PipelineSettings
from har.sources import open_source
from har.store import Store

Say = Callable[[str], None]

LEAST_S = 40.0
"""The sample clip is played over and over until the cameras have been busy for as long."""
SITE = "bench"
PEOPLE, DANGER, ACTIONS = "people", "danger", "actions"
_SAMPLE = Path("sample_clips") / "fall_in_room.mp4"
_GAUGE_EVERY_S = 0.5


def bench_pipeline(
    *,
    cameras: int,
    say: Say,
    video: Path | None = None,
    pose: str = BLAZEPOSE,
    rate_hz: int = 30,
    engine: str = TORCH,
) -> dict[str, Any]:
    """Play a video to the service as so many live cameras and measure what comes out at the broker.

    Args:
        cameras: how many at once, each with a process of its own.
        say: called with a line of progress.
        video: 640x480 or any other size; the project's sample clip if None.
        pose: the estimator.
        rate_hz: frames a second of each camera.
        engine: what computes the actions.

    Returns:
        A result with a row a camera and the totals.

    Raises:
        ConfigError: the video is not there.
    """
    video = video or _SAMPLE
    if not video.is_file():
        raise ConfigError(f"{video}: no such video. Run this in the project's folder, or give a video with --video.")
    bundle = load_bundle(find_bundle())
    computed_by = open_engine(engine, bundle, folder=cache_folder() / "engines", say=say)
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
                    service = _TimedService(plans, bundle=bundle, engine=computed_by, outlet=publisher)
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
        "engine": engine,
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


def _run(service: _TimedService, broker: BrokerHandle) -> dict[str, Any]:
    """Run the service to the end of its feeds while a subscriber and a memory gauge watch."""
    stop = threading.Event()
    delays, gauge = list[float](), _Gauge()
    watchers = [
        threading.Thread(target=_subscribe, args=(broker.url, delays, stop)),
        threading.Thread(target=gauge.watch, args=(stop,)),
    ]
    began_s = time.monotonic()
    for watcher in watchers:
        watcher.start()
    try:
        service.run(threading.Event())
        lasted_s = time.monotonic() - began_s
        time.sleep(1.0)
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()
    n_cameras, used_s = len(service.reports), sum(gauge.cpu_s.values())
    main_s, broker_s = (gauge.cpu_s.get(name, 0.0) for name in ("main", "broker"))
    return {
        "events_measured": len(delays),
        "frame_to_mqtt_ms": _percentiles(delays),
        "memory_mib": round(max(gauge.memory_mib, default=0.0)),
        "memory_per_camera_mib": round(
            (max(gauge.memory_mib, default=0.0) - max(gauge.own_memory_mib, default=0.0)) / n_cameras
        ),
        "cpu_cores": {
            "whole": round(used_s / lasted_s, 2),
            "each_camera": round((used_s - main_s - broker_s) / n_cameras / lasted_s, 2),
            "main": round(main_s / lasted_s, 2),
        },
        "share_after_poses": round(service.analysis_s / used_s, 4),
        "share_by_stage": {stage: round(spent_s / used_s, 4) for stage, spent_s in service.spent_s.items()},
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


@dataclass(slots=True)
class _Gauge:
    """What the service used while it ran.

    Attributes:
        memory_mib: of this process and all its children, what they share counted once (PSS), at each look.
        own_memory_mib: of this process alone.
        cpu_s: processor seconds by process: "main", "broker" and the cameras' by number.
    """

    memory_mib: list[float] = field(default_factory=list)
    own_memory_mib: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)

    def watch(self, stop: threading.Event) -> None:
        """Look twice a second until told to stop."""
        me = psutil.Process()
        before_s = sum(me.cpu_times()[:2])
        while not stop.wait(_GAUGE_EVERY_S):
            total = 0.0
            for process in [me, *me.children(recursive=True)]:
                try:
                    size = process.memory_full_info().pss / 2**20
                    used_s = sum(process.cpu_times()[:2])
                    name = "broker" if process.name() == "mosquitto" else str(process.pid)
                except psutil.Error:
                    continue
                total += size
                if process == me:
                    name, used_s = "main", used_s - before_s
                    self.own_memory_mib.append(size)
                self.cpu_s[name] = used_s
            self.memory_mib.append(total)


class _TimedService(Service):
    """A service that knows how long everything after the poses took, and of that each stage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.analysis_s = 0.0
        self.spent_s = dict.fromkeys((PEOPLE, DANGER, ACTIONS), 0.0)
        self._inner_s = 0.0  # of a method that another timed one has called
        self._time(ACTIONS, self._actions, "answers")
        for watch in self._watches.values():
            self._time(PEOPLE, watch.pipeline.tracker, "update")
            self._time(DANGER, watch.pipeline, "look")
            self._time(ACTIONS, watch.pipeline, "show")
            self._time(ACTIONS, watch.pipeline, "name")

    def _time(self, stage: str, owner: object, name: str) -> None:
        """Let a method note the processor seconds that it takes."""
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began_s, self._inner_s = time.thread_time(), 0.0
            try:
                return method(*args, **kwargs)
            finally:
                took_s = time.thread_time() - began_s
                self.spent_s[stage] += took_s - self._inner_s
                self._inner_s = took_s

        setattr(owner, name, timed)

    def _analyse(self, watch: Any, frame: PoseFrame) -> None:
        began_s = time.thread_time()
        super()._analyse(watch, frame)
        self.analysis_s += time.thread_time() - began_s

    def _name_actions(self, **how: Any) -> None:
        began_s = time.thread_time()
        super()._name_actions(**how)
        self.analysis_s += time.thread_time() - began_s


def _row(name: str, report: CameraReport) -> dict[str, Any]:
    seconds = report.frames_span_s
    return {
        "camera": name,
        "frames_in": report.frames + report.skipped + report.dropped,
        "analysed_frames": report.frames,
        "interpolated_frames": 0,
        "dropped_frames": report.dropped,
        "fps_in": round((report.frames + report.skipped + report.dropped) / seconds, 1) if seconds else 0.0,
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
        "p99": round(float(np.percentile(ms, 99)), 1),
        "max": round(float(ms.max()), 1),
    }


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    machine, mqtt, cores = result["machine"], result["frame_to_mqtt_ms"], result["cpu_cores"]
    width, height = result["size_px"]
    rows = result["rows"]
    cameras = f"{len(rows)} of {width}x{height} at {result['camera_rate_hz']} frames a second"
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, load {machine['load']}; broker: {result['broker']}",
        f"cameras: {cameras}; {result['pose']}, {result['engine']}",
    ]
    for row in rows:
        lag = row["frame_to_handed_on_ms"] or {"p50": 0.0, "p95": 0.0, "p99": 0.0}
        lines.append(
            f"{row['camera']}: {row['fps_in']} frames a second in, {row['analysed_fps']} analysed, "
            f"{row['dropped_frames']} dropped, none interpolated; somebody in view in {row['person_in_view']:.0%}; "
            f"frame to pipeline's end p50 {lag['p50']:.0f} ms, p95 {lag['p95']:.0f} ms, p99 {lag['p99']:.0f} ms"
        )
    together = [sum(row[key] for row in rows) for key in ("fps_in", "analysed_fps")]
    lines.append(f"together: {together[0]:.1f} frames a second in, {together[1]:.1f} analysed")
    if mqtt is not None:
        lines.append(
            f"frame to MQTT subscriber: p50 {mqtt['p50']:.0f} ms, p95 {mqtt['p95']:.0f} ms, p99 {mqtt['p99']:.0f} ms "
            f"({result['events_measured']} events)"
        )
    lines.append(
        f"processor: {cores['whole']} cores in all, {cores['each_camera']} for each camera; everything after the poses "
        f"took {result['share_after_poses']:.1%} of it: "
        + ", ".join(f"{stage} {share:.1%}" for stage, share in result["share_by_stage"].items())
        + ", telling the rest"
    )
    lines.append(
        f"memory of the whole service, broker included: {result['memory_mib']} MiB at most; "
        f"{result['memory_per_camera_mib']} MiB for each camera more"
    )
    return "\n".join(lines)
