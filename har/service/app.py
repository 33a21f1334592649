"""The running service: one process per camera, one loop that turns poses into events and hands these on."""

from __future__ import annotations

import logging
import selectors
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from har.models.actions import ActionStream
from har.models.bundle import Bundle
from har.models.engines import Engine, torch_engine
from har.records import CameraStatus, Event, PoseFrame
from har.service.camera import CameraOutput, CameraProcess, CameraSpec, EndOfSource, stop_cameras
from har.service.outlet import Listener, Outlet
from har.service.overlay import OverlayRecorder
from har.service.pipeline import Pipeline, PipelineSettings

log = logging.getLogger(__name__)

# A camera's watchdog wants to be asked at least once a second.
NAME_EVERY_S = 1 / 15
"""Between two batches of the action network; poses of all cameras that come in between wait for the next one."""
WAIT_FROM = 8
"""With so many people in view, actions wait a moment for cameras whose frames come a little later. With four, a step
for all of them saved 1.3 % of the processor and cost 50 ms of p95 from frame to MQTT (`har bench pipeline`)."""
_TICK_S = 0.25
_LAGS_KEPT = 20_000
# After a failure the camera counts as degraded for so long, and a new trace is logged no more often.
_FAILING_S = 30.0
# So many failures in that time, and the camera's pipeline is made anew: what it remembers may be what breaks it.
_FAILURES_BEARABLE = 10


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
        failures: times that the analysis failed, each a bug; the camera goes on.
        failure: the first of them, in words.
        ended: why it ended; empty if its file simply ended.
        user_error: the reason is a mistake that the user can mend.
        lag_s: from capture to the last event handed on, of each analysed frame; live and paced sources only. Action
            labels come up to `NAME_EVERY_S` later, and as much again with `WAIT_FROM` people in view.
        first_s: capture time of the first analysed frame, Unix seconds.
        last_s: capture time of the last one.
    """

    frames: int = 0
    with_people: int = 0
    skipped: int = 0
    dropped: int = 0
    corrupt: int = 0
    restarts: int = 0
    failures: int = 0
    failure: str = ""
    ended: str = ""
    user_error: bool = False
    lag_s: list[float] = field(default_factory=list)
    first_s: float = 0.0
    last_s: float = 0.0

    @property
    def frames_span_s(self) -> float:
        """Seconds of capture time from the first analysed frame to the last."""
        return self.last_s - self.first_s


@dataclass(slots=True)
class _Watch:
    """What is remembered of one camera while it is watched."""

    plan: CameraPlan
    process: CameraProcess
    actions: ActionStream
    pipeline: Pipeline
    report: CameraReport
    n_failed: int = 0  # pictures whose analysis failed lately
    failing_until_s: float = 0.0
    told: tuple[str, str] | None = None


class Service:
    """Watches cameras until they end or it is told to stop.

    Args:
        plans: the cameras.
        bundle: the model.
        engine: what computes its actions; None for torch.
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
        engine: Engine | None = None,
        listeners: Sequence[Listener] = (),
        recorder: OverlayRecorder | None = None,
        housekeeping: Callable[[], None] = lambda: None,
    ) -> None:
        engine = engine or torch_engine(bundle)
        self._actions = ActionStream(bundle, engine=engine)
        self._risk, self._model_id = bundle.risk_model, bundle.model_id
        self._outlet, self._listeners = outlet, listeners
        self._recorder, self._housekeeping = recorder, housekeeping
        self._named_s, self._unnamed = 0.0, False  # when actions were named last, and whether there are new poses
        self.reports = {plan.spec.camera: CameraReport() for plan in plans}
        self._watches = {}
        for plan in plans:
            # What is told of a file must not depend on what other cameras show, nor when.
            actions = ActionStream(bundle, engine=engine) if plan.spec.once else self._actions
            self._watches[plan.spec.camera] = _Watch(
                plan,
                CameraProcess(plan.spec),
                actions,
                self._make_pipeline(plan, actions),
                self.reports[plan.spec.camera],
            )

    def run(self, stop: threading.Event) -> None:
        """Watch until every source has ended or `stop` is set; what is suspected then becomes an alert."""
        watches = self._watches.values()
        try:
            for watch in watches:
                watch.process.start()
            while not stop.is_set() and not all(watch.process.is_over for watch in watches):
                self._wait()
                for watch in watches:
                    for output in watch.process.poll():
                        self._guarded(watch, partial(self._take, watch, output))
                self._name_actions()
                self._housekeeping()
            for watch in watches:
                if not watch.process.is_over:
                    self._finish(watch, "source_ended")
                    self._tell(watch, [_offline(watch, "the service was stopped")])
        finally:
            for watch in watches:
                watch.report.restarts = watch.process.restarts
            stop_cameras(watch.process for watch in watches)

    def _make_pipeline(self, plan: CameraPlan, actions: ActionStream) -> Pipeline:
        return Pipeline(
            plan.spec.camera, actions=actions, risk=self._risk, model_id=self._model_id, settings=plan.settings
        )

    def _wait(self) -> None:
        """Sleep until a camera has something to say."""
        with selectors.DefaultSelector() as selector:
            for watch in self._watches.values():
                if watch.process.connection is not None and not watch.process.is_over:
                    selector.register(watch.process.connection, selectors.EVENT_READ)
            selector.select(NAME_EVERY_S if self._unnamed else _TICK_S)

    def _guarded(self, watch: _Watch, work: Callable[[], None]) -> bool:
        """Do something for one camera; whatever fails stays with that camera. Says whether it was done."""
        try:
            work()
        except Exception as error:  # a bug: told, counted, and no reason to stop watching
            self._note_failure(watch, error)
            return False
        return True

    def _take(self, watch: _Watch, output: CameraOutput) -> None:
        """Take in what a camera's process says: people, a change of state, or the end."""
        if isinstance(output, PoseFrame):
            self._analyse(watch, output)
        elif isinstance(output, CameraStatus):
            if output.state == "offline":
                self._finish(watch, "camera_lost")
            self._tell_status(watch, output)
        else:
            self._end(watch, output)

    def _analyse(self, watch: _Watch, frame: PoseFrame) -> None:
        report = watch.report
        report.first_s = report.first_s or frame.time_s
        report.last_s = frame.time_s
        report.frames += 1
        report.with_people += bool(frame.poses)
        events, named = list[Event](), list[Event]()
        if not self._guarded(watch, lambda: events.extend(watch.pipeline.look(frame))):
            self._bear_failure(watch)
        self._tell(watch, events)  # danger never waits for the actions
        self._guarded(watch, lambda: named.extend(self._show_actions(watch, frame)))
        self._tell(watch, named)
        events += named
        if self._recorder is not None:
            self._recorder.add(frame, watch.pipeline.people(), events)
        if not watch.plan.spec.once and len(report.lag_s) < _LAGS_KEPT:
            report.lag_s.append(time.time() - frame.time_s)

    def _show_actions(self, watch: _Watch, frame: PoseFrame) -> list[Event]:
        """Show the action model who is in view; a file's people are named at once, by a model of their own."""
        watch.pipeline.show(frame)
        if watch.actions is self._actions:
            self._unnamed = True
            return []
        try:
            return watch.pipeline.name(watch.actions.answers())
        except Exception:
            watch.actions.reset()
            raise

    def _name_actions(self, *, ending: _Watch | None = None) -> None:
        """Name what everybody in view of all live cameras does, in one batch; once in a while, or when one ends."""
        now = ending is not None
        if not self._unnamed or (not now and time.monotonic() < self._named_s + NAME_EVERY_S):
            return
        self._named_s, self._unnamed = time.monotonic(), False
        live = [
            watch
            for watch in self._watches.values()
            if watch.actions is self._actions and (not watch.process.is_over or watch is ending)
        ]
        try:
            answers = self._actions.answers(wait=not now and len(self._actions) >= WAIT_FROM)
        except Exception as error:  # a bug; danger does not need the actions
            self._actions.reset()
            for watch in live:
                self._note_failure(watch, error)
            return
        self._unnamed = self._actions.keeps_back
        for watch in live:
            events: list[Event] = []
            self._guarded(watch, lambda watch=watch, events=events: events.extend(watch.pipeline.name(answers)))  # type: ignore[misc]
            self._tell(watch, events)

    def _finish(self, watch: _Watch, why: str) -> None:
        """Tell what is suspected, now that no more pictures come."""
        self._name_actions(ending=watch)
        events: list[Event] = []
        self._guarded(watch, lambda: events.extend(watch.pipeline.finish(why)))
        self._tell(watch, events)
        if self._recorder is not None:
            self._recorder.finish(events)

    def _end(self, watch: _Watch, end: EndOfSource) -> None:
        report = watch.report
        report.ended, report.user_error = end.reason, end.user_error
        report.skipped, report.dropped, report.corrupt = end.skipped, end.dropped, end.corrupt
        self._finish(watch, "source_ended")
        self._tell_status(watch, _offline(watch, end.reason or "the source has ended"))
        log.info("source ended camera=%s frames=%d reason=%s", end.camera, report.frames, end.reason or "-")

    def _tell_status(self, watch: _Watch, status: CameraStatus) -> None:
        """Tell a camera's state; that of a file read to its end only when it changes, however fast it is read."""
        if status.state == "online" and time.monotonic() < watch.failing_until_s:
            return
        news = (status.state, status.reason)
        if watch.told == news and (watch.plan.spec.once or status.state == "offline"):
            return
        watch.told = news
        self._tell(watch, [status])

    def _note_failure(self, watch: _Watch, error: Exception) -> None:
        """Log, count and tell a bug."""
        camera, report = watch.plan.spec.camera, watch.report
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        report.failures += 1
        report.failure = report.failure or what
        is_new = time.monotonic() >= watch.failing_until_s
        watch.failing_until_s = time.monotonic() + _FAILING_S
        if is_new:
            watch.n_failed = 0
            log.exception("analysis failed camera=%s n=%d", camera, report.failures)
            reason = f"the analysis failed ({type(error).__name__}), which is a bug in har; it goes on"
            self._tell(watch, [CameraStatus(camera, "degraded", 0.0, reason, time.time())])

    def _bear_failure(self, watch: _Watch) -> None:
        """See that a failure does not last: tell what is suspected, and begin anew without what is remembered."""
        watch.n_failed += 1
        if watch.n_failed < _FAILURES_BEARABLE:
            return
        watch.n_failed = 0
        self._finish(watch, "camera_lost")
        watch.pipeline = self._make_pipeline(watch.plan, watch.actions)
        log.error("analysis begun anew camera=%s n=%d", watch.plan.spec.camera, watch.report.failures)

    def _tell(self, watch: _Watch, events: Sequence[Event]) -> None:
        """Hand events on; one that cannot be handed on does not keep the next ones back."""
        for event in events:
            self._guarded(watch, partial(self._tell_one, event))

    def _tell_one(self, event: Event) -> None:
        message = self._outlet.publish(event)
        for listener in self._listeners:
            listener(message)


def _offline(watch: _Watch, reason: str) -> CameraStatus:
    return CameraStatus(watch.plan.spec.camera, "offline", 0.0, reason, time.time())
