"""The running service: one process per camera, one loop that turns poses into events and hands these on."""

from __future__ import annotations

import logging
import selectors
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from har.models.actions import ActionScorer
from har.models.bundle import Bundle
from har.records import CameraStatus, Event, PoseFrame
from har.service.camera import CameraOutput, CameraProcess, CameraSpec, EndOfSource, stop_cameras
from har.service.outlet import Listener, Outlet
from har.service.overlay import OverlayRecorder
from har.service.pipeline import Pipeline, PipelineSettings

log = logging.getLogger(__name__)

# A camera's watchdog wants to be asked at least once a second.
_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One camera and how to look at it.

    Attributes:
        spec: what its process needs to know.
        settings: what its pipeline is told.
    """

    spec: CameraSpec
    settings: PipelineSettings


@dataclass(slots=True)
class CameraReport:
    """What became of one camera.

    Attributes:
        frames: frames analysed, each with a fresh pose from its own pixels.
        with_people: of these, frames in which somebody was seen.
        skipped: frames read and left out by the rate limit.
        dropped: frames left out because the analysis was late.
        corrupt: packets or pictures that could not be decoded.
        restarts: times its process was started again.
        ended: why it ended; empty if its file simply ended.
        user_error: the reason is a mistake that the user can mend.
        lag_s: from capture to the last event handed on, of each analysed frame; live and paced sources only.
        first_s: capture time of the first analysed frame, Unix seconds.
        last_s: capture time of the last one.
    """

    frames: int = 0
    with_people: int = 0
    skipped: int = 0
    dropped: int = 0
    corrupt: int = 0
    restarts: int = 0
    ended: str = ""
    user_error: bool = False
    lag_s: list[float] = field(default_factory=list)
    first_s: float = 0.0
    last_s: float = 0.0

    @property
    def frames_span_s(self) -> float:
        """Seconds of capture time from the first analysed frame to the last."""
        return self.last_s - self.first_s


_LAGS_KEPT = 20_000


class Service:
    """Watches cameras until they end or it is told to stop.

    Args:
        plans: the cameras.
        bundle: the model.
        outlet: where events go.
        listeners: called with each message that was handed to the outlet.
        recorder: collects what an overlay needs; None for no overlay.
        housekeeping: called about four times a second.
    """

    def __init__(
        self,
        plans: Sequence[CameraPlan],
        *,
        bundle: Bundle,
        outlet: Outlet,
        listeners: Sequence[Listener] = (),
        recorder: OverlayRecorder | None = None,
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        scorer = ActionScorer(bundle)
        risk = bundle.risk_model()
        self._plans = {plan.spec.camera: plan for plan in plans}
        self._pipelines = {
            plan.spec.camera: Pipeline(
                plan.spec.camera, actions=scorer, risk=risk, model_id=bundle.model_id, settings=plan.settings
            )
            for plan in plans
        }
        self._cameras = {plan.spec.camera: CameraProcess(plan.spec) for plan in plans}
        self._outlet, self._listeners = outlet, listeners
        self._recorder, self._housekeeping = recorder, housekeeping
        self.reports = {plan.spec.camera: CameraReport() for plan in plans}

    def run(self, stop: threading.Event) -> None:
        """Watch until every source has ended or `stop` is set; what is suspected then becomes an alert."""
        try:
            for camera in self._cameras.values():
                camera.start()
            while not stop.is_set() and not all(camera.is_over for camera in self._cameras.values()):
                self._wait()
                for camera in self._cameras.values():
                    for output in camera.poll():
                        self._take(output)
                self._housekeeping()
            for name, camera in self._cameras.items():
                if not camera.is_over:
                    self._tell(self._pipelines[name].finish("source_ended"))
        finally:
            for name, camera in self._cameras.items():
                self.reports[name].restarts = camera.restarts
            stop_cameras(self._cameras.values())

    def _wait(self) -> None:
        """Sleep until a camera has something to say."""
        with selectors.DefaultSelector() as selector:
            for camera in self._cameras.values():
                if camera.connection is not None and not camera.is_over:
                    selector.register(camera.connection, selectors.EVENT_READ)
            selector.select(_TICK_S)

    def _take(self, output: CameraOutput) -> None:
        """Take in what a camera's process says: people, a change of state, or the end."""
        if isinstance(output, PoseFrame):
            self._analyse(output)
        elif isinstance(output, CameraStatus):
            if output.state == "offline":
                self._tell(self._pipelines[output.camera].finish("camera_lost"))
            self._tell([output])
        else:
            self._end(output)

    def _analyse(self, frame: PoseFrame) -> None:
        pipeline, report = self._pipelines[frame.camera], self.reports[frame.camera]
        events = pipeline.update(frame)
        self._tell(events)
        if self._recorder is not None:
            self._recorder.add(frame, pipeline.people(), events)
        report.first_s = report.first_s or frame.time_s
        report.last_s = frame.time_s
        report.frames += 1
        report.with_people += bool(frame.poses)
        if not self._plans[frame.camera].spec.once and len(report.lag_s) < _LAGS_KEPT:
            report.lag_s.append(time.time() - frame.time_s)

    def _end(self, end: EndOfSource) -> None:
        self._tell(self._pipelines[end.camera].finish("source_ended"))
        report = self.reports[end.camera]
        report.ended, report.user_error = end.reason, end.user_error
        report.skipped, report.dropped, report.corrupt = end.skipped, end.dropped, end.corrupt
        self._tell([CameraStatus(end.camera, "offline", 0.0, end.reason or "the source has ended", time.time())])
        log.info("source ended camera=%s frames=%d reason=%s", end.camera, report.frames, end.reason or "-")

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            message = self._outlet.publish(event)
            for listener in self._listeners:
                listener(message)
