"""What `har run` does: read the config, choose the broker, watch the cameras, print what happens."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from rich.console import Console

import har
from har.alerts import DangerSettings
from har.cli.output import print_line, say, wants_text, write_json
from har.cli.state import database_url, state_folder
from har.cli.watch import event_line
from har.config import Config, load_config
from har.errors import BrokerError, ConfigError, HarError, SourceError
from har.models.bundle import Bundle, load_bundle
from har.models.shipped import find_bundle
from har.mqtt.broker import open_broker
from har.mqtt.payloads import Message, encode
from har.mqtt.publisher import Publisher
from har.pose import check_estimator
from har.service.app import CameraPlan, CameraReport, Service
from har.service.camera import CameraSpec
from har.service.expiry import expire_alerts
from har.service.outlet import Listener, LocalOutlet, Outlet
from har.service.overlay import OverlayRecorder, check_overlay
from har.service.pipeline import PipelineSettings
from har.sources import check_source, is_live, parse_sources
from har.store import Store

_CONNECT_WITHIN_S = 10.0
_FLUSH_WITHIN_S = 5.0
_HOUR_S = 3600.0
_GRACE_S = 3.0
_ALERT_FIELDS = (
    "alert",
    "kind",
    "priority",
    "camera",
    "person",
    "source_time_s",
    "probability",
    "reason",
    "change_reason",
)


def run(
    *,
    config_file: Path | None,
    sources: Sequence[str],
    state: Path | None,
    model: str | None,
    pose: str | None,
    broker: str | None,
    events: Path | None,
    overlay: Path | None,
    silhouette: bool,
    once: bool,
    json_file: Path | None,
) -> None:
    """Run the service; the arguments are those of `har run`.

    Raises:
        UserError: anything the user can mend, found before a camera is opened where possible.
        BrokerError: `once` with a broker that cannot be reached.
    """
    config = load_config(config_file) if config_file is not None else Config()
    plans = _plan(config, sources, pose=pose, once=once)
    if overlay is not None:
        _check_overlay(plans, overlay)
    bundle = load_bundle(find_bundle(model or config.model.bundle))
    plans = [_with_threshold(plan, config, bundle) for plan in plans]
    with contextlib.ExitStack() as stack:
        folder = _state_folder(stack, state, once=once)
        events_file = _open_events(stack, events)
        recorder = OverlayRecorder() if overlay is not None else None
        tally = _Tally()
        printer = _Printer(quiet=not wants_text(json_file))
        with _outlet(config, folder, bundle=bundle, broker=broker, once=once) as (outlet, keep_house):
            service = Service(
                plans,
                bundle=bundle,
                outlet=outlet,
                listeners=[tally.count, printer.show, *([_writer(events_file)] if events_file else [])],
                recorder=recorder,
                housekeeping=keep_house,
            )
            with _stopped_by_signals() as stop:
                service.run(stop)
            unreached = _settle(outlet, once=once)
        if recorder is not None and overlay is not None:
            say(f"drawing {overlay}")
            recorder.write(Path(plans[0].spec.url), overlay, silhouette=silhouette, progress=lambda done_s: None)
    result = _summary(service.reports, tally, bundle)
    if once and wants_text(json_file):
        _print_summary(result)
    write_json(result, file=json_file)
    _complain(service.reports, once=once, unreached=unreached)


def _plan(config: Config, sources: Sequence[str], *, pose: str | None, once: bool) -> list[CameraPlan]:
    """Settle which cameras are watched and how; find what is wrong with them before anything starts."""
    urls = {name: camera.url for name, camera in config.cameras.items()}
    urls |= {source.camera: source.url for source in parse_sources(sources)}
    if not urls:
        raise ConfigError(
            "there is no camera to watch. Give one, as in `har run --source rtsp://10.0.0.7/main=hall`, or name a "
            "config file (`har config init FILE` writes one to begin with)."
        )
    plans = []
    for name, url in urls.items():
        if once and is_live(url):
            raise ConfigError(
                f"camera {name}: --once reads files to their end, and a live camera has none. Leave --once out."
            )
        check_source(url)
        settings = config.pose_of(name)
        estimator = pose or settings.name
        check_estimator(estimator)
        spec = CameraSpec(
            camera=name, url=url, pose=estimator, max_people=settings.max_people, once=once,
            max_rate_hz=settings.max_rate_hz,
        )  # fmt: skip
        danger = DangerSettings(confirm_s=config.danger.confirm_s, floor_after_s=config.floor_after_s_of(name))
        plans.append(CameraPlan(spec, PipelineSettings(danger=danger, rest_zones=config.rest_zones_of(name))))
    return plans


def _with_threshold(plan: CameraPlan, config: Config, bundle: Bundle) -> CameraPlan:
    """Set the threshold of suspicion: the config's, else the bundle's own."""
    risk = bundle.risk_model()
    own = risk.threshold if risk is not None else 1.0
    threshold = own if config.danger.threshold is None else config.danger.threshold
    danger = replace(plan.settings.danger, threshold=threshold)
    return replace(plan, settings=replace(plan.settings, danger=danger))


def _check_overlay(plans: Sequence[CameraPlan], overlay: Path) -> None:
    if len(plans) != 1:
        raise ConfigError(
            f"--overlay {overlay} draws one video, and {len(plans)} cameras are given. Give one --source."
        )
    check_overlay(plans[0].spec.url, overlay)


def _state_folder(stack: contextlib.ExitStack, state: Path | None, *, once: bool) -> Path:
    """Give the state folder; `--once` without one gets a fresh one that is gone afterwards."""
    if state is None and once:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="har-once-")))
    folder = state_folder(state)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}). Give another folder with --state.") from None
    return folder


def _open_events(stack: contextlib.ExitStack, path: Path | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("w", encoding="utf-8", buffering=1))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}). Give --events another file.") from None


def _writer(file: TextIO) -> Listener:
    def write(message: Message) -> None:
        file.write(encode(message.body) + "\n")

    return write


@contextlib.contextmanager
def _outlet(
    config: Config, folder: Path, *, bundle: Bundle, broker: str | None, once: bool
) -> Iterator[tuple[Outlet, Callable[[], None]]]:
    """Open where events go, and give it with what keeps it in order."""
    url = broker or config.broker.url
    if once and url is None:
        yield LocalOutlet(config.site), lambda: None
        return
    with contextlib.closing(Store(config.store.url or database_url(folder))) as store:
        if store.notice:
            say(f"har: {store.notice}")
        handle = open_broker(url, state_dir=folder)
        try:
            say(f"broker: {handle.shown}  (to see the events elsewhere: `har watch --broker {handle.shown}`)")
            if handle.notice:
                say(f"har: {handle.notice}")
            publisher = Publisher(
                store, url=handle.url, site=config.site, version=har.__version__, model=bundle.model_id,
                ca=Path(config.broker.ca) if config.broker.ca else None,
            )  # fmt: skip
            publisher.start()
            try:
                yield publisher, _Housekeeper(store, publisher).work
            finally:
                publisher.stop()
        finally:
            handle.close()


class _Housekeeper:
    """Tells of trouble with the broker or the database once, and again when it is over; lets old alerts expire."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store, self._publisher = store, publisher
        self._trouble = ""
        self._look_s = time.monotonic() + _GRACE_S
        self._expire_s = 0.0

    def work(self) -> None:
        """Do what is due; called a few times a second."""
        now_s = time.monotonic()
        if now_s >= self._expire_s:
            self._expire_s = now_s + _HOUR_S
            expire_alerts(self._store, self._publisher, now_s=time.time())
        if now_s < self._look_s:
            return
        self._look_s = now_s + 1.0
        state = self._publisher.state()
        trouble = state.store_error or state.error or ""
        if trouble != self._trouble:
            kept = "Alerts are kept and sent as soon as it works; it goes on trying."
            say(f"har: {trouble.rstrip('.')}. {kept}" if trouble else f"broker: connected to {state.broker} again")
            self._trouble = trouble


def _settle(outlet: Outlet, *, once: bool) -> str:
    """Send what is left; give why it could not be sent, or nothing."""
    if not isinstance(outlet, Publisher):
        return ""
    if once:
        deadline_s = time.monotonic() + _CONNECT_WITHIN_S
        while not outlet.state().connected and time.monotonic() < deadline_s:
            time.sleep(0.1)
        if not outlet.state().connected:
            return f"the broker at {outlet.state().broker} could not be reached within {_CONNECT_WITHIN_S:.0f} s"
    outlet.flush(_FLUSH_WITHIN_S)
    return ""


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, so that alerts are told and processes ended in order."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Printer:
    """Prints a readable line for each event as it is published."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(file=sys.stderr if quiet else sys.stdout, highlight=False, soft_wrap=True)

    def show(self, message: Message) -> None:
        """Print one event."""
        line = event_line(message.body)
        if line is not None:
            self._console.print(line)
            self._console.file.flush()


class _Tally:
    """Counts what was told."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.alerts: list[dict[str, Any]] = []

    def count(self, message: Message) -> None:
        """Count one event."""
        kind, data = message.body["type"], message.body["data"]
        self.events[kind] += 1
        if kind == "har.action.v1":
            self.labels[data["label"]] += 1
        if kind == "har.alert.v1" and data["state"] == "raised" and data["change"] == "state":
            self.alerts.append({name: data.get(name) for name in _ALERT_FIELDS})


def _summary(reports: dict[str, CameraReport], tally: _Tally, bundle: Bundle) -> dict[str, Any]:
    cameras = {
        name: {
            "frames": report.frames,
            "with_people": report.with_people / max(report.frames, 1),
            "skipped": report.skipped,
            "dropped": report.dropped,
            "corrupt": report.corrupt,
            "restarts": report.restarts,
            "ended": report.ended,
        }
        for name, report in reports.items()
    }
    return {
        "model": bundle.model_id,
        "cameras": cameras,
        "events": dict(tally.events),
        "labels": dict(tally.labels),
        "alerts": tally.alerts,
    }


def _print_summary(result: dict[str, Any]) -> None:
    for name, camera in result["cameras"].items():
        print_line(
            f"{name}: {camera['frames']} frames analysed, somebody in view in {camera['with_people']:.0%}, "
            f"{camera['dropped']} dropped"
        )
    labels = ", ".join(f"{label} {count}" for label, count in result["labels"].items()) or "none"
    print_line(f"label changes: {labels}")
    for alert in result["alerts"]:
        print_line(f"alert: {alert['kind']} on {alert['camera']} at {alert['source_time_s']:.1f} s ({alert['reason']})")
    if not result["alerts"]:
        print_line("alerts: none")


def _complain(reports: dict[str, CameraReport], *, once: bool, unreached: str) -> None:
    """Raise what went wrong on the way, now that everything else is done."""
    failed = {name: report for name, report in reports.items() if report.ended}
    if failed and (once or len(failed) == len(reports)):
        name, report = next(iter(failed.items()))
        if report.user_error:
            raise SourceError(report.ended)
        raise HarError(f"camera {name}: {report.ended}")
    if unreached:
        raise BrokerError(
            f"{unreached}. All else was done. Start the broker or give another one with --broker, then run again."
        )
