"""What `har run` does: read the config, choose the broker, watch the cameras, print what happens."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import har
from har.cli.cameras import CameraStates
from har.cli.output import say, wants_text, write_json
from har.cli.state import database_url, state_folder
from har.cli.summary import Tally, complain, print_summary, summarise
from har.cli.terminal import Progress, Terminal
from har.config import Config, load_config
from har.errors import BrokerError, BundleError, ConfigError, HarError, StoreError
from har.models.bundle import Bundle, load_bundle
from har.models.engines import open_engine
from har.models.risk import NO_RISK_PART
from har.models.shipped import find_bundle
from har.mqtt.broker import open_broker
from har.mqtt.payloads import Message, encode
from har.mqtt.publisher import Publisher
from har.pose import check_estimator, gives_masks, usual_people
from har.pose.weights import cache_folder
from har.service.app import CameraPlan, CameraReport, Service
from har.service.camera import CameraSpec
from har.service.expiry import expire_alerts
from har.service.outlet import LocalOutlet, Outlet
from har.service.overlay import OverlayRecorder, check_overlay
from har.service.pipeline import PipelineSettings
from har.sources import check_source, is_live, parse_sources
from har.sources.address import source_kind
from har.sources.opening import source_length_s
from har.store import Store

_CONNECT_WITHIN_S = 10.0
_CONFIRM_WITHIN_S = 10.0
_FLUSH_WITHIN_S = 2.0
_HOUR_S = 3600.0
_GRACE_S = 3.0
_PICTURE_AFTER_ALERT_S = 0.5


def run(
    *,
    config_file: Path | None,
    sources: Sequence[str],
    state: Path | None,
    model: str | None,
    engine: str | None,
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
        KeyboardInterrupt: `once` was stopped before the end of its files.
    """
    config = load_config(config_file) if config_file is not None else Config()
    plans = _plan(config, config_file, sources, pose=pose, once=once, masks=overlay is not None and silhouette)
    _check_outputs(plans, overlay=overlay, json_file=json_file)
    bundle = load_bundle(find_bundle(model or config.model.bundle))
    if problem := bundle.live_problem():
        raise BundleError(problem)
    if bundle.risk_model is None:
        say(f"har: {bundle.model_id} has {NO_RISK_PART}.")
    plans = [_with_settings(plan, config, bundle) for plan in plans]
    with contextlib.ExitStack() as stack:
        folder = _state_folder(stack, state, once=once)
        events_file = _EventsFile(stack, events, once=once) if events is not None else None
        recorder = OverlayRecorder() if overlay is not None else None
        progress = Progress("analysed", total_s=_length_s(plans)) if once else None
        tally, terminal = Tally(), Terminal(once=once, to_stderr=not wants_text(json_file), progress=progress)
        states = CameraStates(folder)
        stack.callback(states.forget)
        computed_by = open_engine(
            engine or config.model.engine,
            bundle,
            folder=cache_folder() / "engines",
            say=lambda line: say(f"har: {line}"),
        )
        stop = stack.enter_context(_stopped_by_signals())
        with _outlet(config, folder, bundle=bundle, broker=broker, once=once) as (outlet, keep_house):
            service = Service(
                plans,
                bundle=bundle,
                engine=computed_by,
                outlet=outlet,
                listeners=[*([events_file.write] if events_file else []), tally.count, states.note, terminal.show],
                recorder=recorder,
                housekeeping=keep_house if progress is None else lambda: progress.show(_done_s(service.reports)),
            )
            unreached = _await_broker(outlet, stop) if once else ""
            service.run(stop)
            unsent = _settle(outlet, once=once and not stop.is_set())
    if progress is not None:
        progress.clear()
    if once and stop.is_set():
        raise KeyboardInterrupt
    if recorder is not None and overlay is not None:
        _draw(recorder, plans[0].spec.url, overlay, silhouette=silhouette, alerts=tally.alerts)
    result = summarise(service.reports, tally, model=bundle.model_id)
    if once and wants_text(json_file):
        print_summary(result)
    write_json(result, file=json_file)
    complain(service.reports, once=once)
    if once and events_file is not None and events_file.trouble:
        raise HarError(events_file.trouble)
    if once and (unreached or unsent):
        raise BrokerError(
            f"{unreached or unsent}. All else was done. Start the broker or give another one with --broker, then run "
            "it again."
        )


def _plan(
    config: Config,
    config_file: Path | None,
    sources: Sequence[str],
    *,
    pose: str | None,
    once: bool,
    masks: bool,
) -> list[CameraPlan]:
    """Settle which cameras are watched and how; find what is wrong with them before anything starts.

    Args:
        config: the settings.
        config_file: where they are from.
        sources: more cameras.
        pose: the estimator of all of them; None for that in the settings.
        once: files are read to their end.
        masks: silhouettes are wanted where the estimator gives them.
    """
    urls = {name: camera.url for name, camera in config.cameras.items()}
    for source in parse_sources(sources):
        if source.camera in urls:
            raise ConfigError(
                f"{config_file}: has a camera {source.camera!r} already. Give the source another name: URL=CAMERA."
            )
        urls[source.camera] = source.url
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
        needs_estimator = source_kind(url) != "replay"
        if needs_estimator:
            check_estimator(estimator)
        spec = CameraSpec(
            camera=name, url=url, pose=estimator, max_people=settings.max_people or usual_people(estimator), once=once,
            max_rate_hz=settings.max_rate_hz, masks=masks and needs_estimator and gives_masks(estimator),
        )  # fmt: skip
        plans.append(CameraPlan(spec, PipelineSettings()))
    return plans


def _with_settings(plan: CameraPlan, config: Config, bundle: Bundle) -> CameraPlan:
    """Give a camera the settings that the user wants for it."""
    name = plan.spec.camera
    settings = PipelineSettings.of(
        config,
        risk=bundle.risk_model,
        floor_after_s=config.floor_after_s_of(name),
        rest_zones=config.rest_zones_of(name),
    )
    return replace(plan, settings=settings)


def _check_outputs(plans: Sequence[CameraPlan], *, overlay: Path | None, json_file: Path | None) -> None:
    """Find out whether the results have a place, before hours are spent on them."""
    if overlay is not None:
        if len(plans) != 1:
            raise ConfigError(
                f"--overlay {overlay} draws one video, and {len(plans)} cameras are given. Give one --source."
            )
        check_overlay(plans[0].spec.url, overlay)
    if json_file is not None and wants_text(json_file):
        folder = json_file.absolute().parent
        if json_file.is_dir():
            raise ConfigError(f"--json {json_file} is a folder. Name a file in it.")
        if not folder.is_dir():
            raise ConfigError(f"--json {json_file}: the folder {folder} does not exist. Make it first.")
        if not os.access(json_file if json_file.exists() else folder, os.W_OK):
            raise ConfigError(f"--json {json_file}: may not be written. Give another file.")


def _state_folder(stack: contextlib.ExitStack, state: Path | None, *, once: bool) -> Path:
    """Give the state folder; `--once` without one gets a fresh one that is gone afterwards."""
    if state is None and once:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="har-once-")))
    folder = state_folder(state)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"state folder {folder}: a file is in its place. Give a folder with --state.") from None
    except OSError as error:
        raise ConfigError(
            f"state folder {folder}: cannot be made ({error.strerror}). Give another one with --state."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"state folder {folder}: may not be written. Give another one with --state.")
    return folder


class _EventsFile:
    """The file of --events, which a service continues; a disk that is full ends the file, not the service.

    Attributes:
        trouble: why it is not complete; empty when it is.
    """

    def __init__(self, stack: contextlib.ExitStack, path: Path, *, once: bool) -> None:
        self._path, self._once = path, once
        self.trouble = ""
        try:
            self._file = path.open("w" if once else "a", encoding="utf-8", buffering=1)
        except OSError as error:
            why = f"--events {path}: cannot be written ({error.strerror}). Give another file."
            raise ConfigError(why) from None
        stack.callback(self._close)

    def write(self, message: Message) -> None:
        """Add one event."""
        if self.trouble:
            return
        try:
            self._file.write(encode(message.body) + "\n")
        except OSError as error:
            self.trouble = (
                f"--events {self._path}: later events are missing in it ({error.strerror}). Make room for it."
            )
            if not self._once:  # else it is told at the end
                say(f"har: {self.trouble}")

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


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
        self._broker_fails = self._store_fails = False
        self._look_s = time.monotonic() + _GRACE_S
        self._expire_s = 0.0

    def work(self) -> None:
        """Do what is due; called a few times a second."""
        now_s = time.monotonic()
        if now_s >= self._expire_s:
            self._expire_s = now_s + _HOUR_S
            with contextlib.suppress(StoreError):  # told below; an hour later is soon enough
                expire_alerts(self._store, self._publisher, now_s=time.time())
        if now_s >= self._look_s:
            self._look_s = now_s + 1.0
            self._look()

    def _look(self) -> None:
        state = self._publisher.state()
        if bool(state.error) != self._broker_fails:
            self._broker_fails = bool(state.error)
            lost = (
                f"har: broker {state.broker}: {state.error}. Alerts are kept and sent as soon as it answers. Start it, "
                "or check its address and login."
            )
            say(lost if state.error else f"broker {state.broker}: connected")
        if bool(state.store_error) != self._store_fails:
            self._store_fails = bool(state.store_error)
            lost = f"har: {state.store_error} Until then alerts go out from memory and would not survive a restart."
            say(lost if state.store_error else "the database works again")


def _await_broker(outlet: Outlet, stop: threading.Event) -> str:
    """Wait for the broker, so that no label is lost before it is there; give why it is not, or nothing."""
    if not isinstance(outlet, Publisher):
        return ""
    deadline_s = time.monotonic() + _CONNECT_WITHIN_S
    while not (outlet.state().connected or stop.is_set()):
        if time.monotonic() > deadline_s:
            state = outlet.state()
            return f"broker {state.broker}: {state.error}, for {_CONNECT_WITHIN_S:.0f} s"
        time.sleep(0.02)
    return ""


def _settle(outlet: Outlet, *, once: bool) -> str:
    """Send what is left; give why it could not be sent, or nothing."""
    if not isinstance(outlet, Publisher):
        return ""
    within_s = _CONFIRM_WITHIN_S if once else _FLUSH_WITHIN_S
    state = outlet.state()
    if state.connected and outlet.flush(within_s):
        return ""
    if not once and (n_kept := outlet.state().n_open):
        say(f"har: {n_kept} messages could not be sent. They are kept and sent when har runs again.")
    return f"broker {state.broker}: {state.error or f'has not confirmed every event within {within_s:.0f} s'}"


def _length_s(plans: Sequence[CameraPlan]) -> float | None:
    """Give how long the files of all cameras are together; None when one does not say."""
    lengths_s = [source_length_s(plan.spec.url) for plan in plans]
    return None if None in lengths_s else sum(length_s or 0.0 for length_s in lengths_s)


def _done_s(reports: Mapping[str, CameraReport]) -> float:
    return sum(report.frames_span_s for report in reports.values())


def _draw(
    recorder: OverlayRecorder, video: str, overlay: Path, *, silhouette: bool, alerts: Sequence[Mapping[str, Any]]
) -> None:
    """Draw the whole video, or for a .png one picture: shortly after the first alert, else of the end."""
    say(f"drawing {overlay}")
    if overlay.suffix.lower() == ".png":
        at_s = alerts[0]["source_time_s"] + _PICTURE_AFTER_ALERT_S if alerts else math.inf
        recorder.write_picture(video, overlay, at_s=at_s, silhouette=silhouette)
        return
    progress = Progress("drawn", total_s=source_length_s(video))
    recorder.write(video, overlay, silhouette=silhouette, progress=progress.show)
    progress.clear()


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
