"""The service with real cameras' processes, a real bundle and real pipelines; only the outlet is the test's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from har.models.bundle import Bundle, load_bundle
from har.models.online import OnlineModel
from har.mqtt.payloads import Message
from har.records import ActionEvent, DangerEvent, Event
from har.service.app import CameraPlan, Service
from har.service.camera import CameraSpec
from har.service.outlet import LocalOutlet
from har.service.pipeline import PipelineSettings

FALL = Path(__file__).resolve().parents[2] / "sample_clips" / "fall_in_room.npz"
SOUND = PipelineSettings()
# Corners that are no pairs of numbers: the pipeline fails at every look at somebody's posture.
BROKEN = PipelineSettings(rest_zones=((0.1, 0.2, 0.3),))  # type: ignore[arg-type]


class Notes:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def take(self, message: Message) -> None:
        self.bodies.append(message.body)

    def of(self, camera: str, kind: str) -> list[dict[str, Any]]:
        return [b["data"] for b in self.bodies if b["source"] == f"har/home/{camera}" and b["type"] == kind]

    def reasons(self, camera: str) -> list[tuple[str, str]]:
        return [(data["state"], data["reason"]) for data in self.of(camera, "har.camera.v1")]


class StubbornOutlet(LocalOutlet):
    """Refuses events of some kinds."""

    def __init__(self, *refused: type[Event]) -> None:
        super().__init__("home")
        self.refused = refused

    def publish(self, event: Event) -> Message:
        if isinstance(event, self.refused):
            raise RuntimeError("no room for it")
        return super().publish(event)


@pytest.fixture(scope="module")
def loaded(bundle: Path) -> Bundle:
    return load_bundle(bundle)


@pytest.fixture(scope="module")
def fall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's joints from shortly before its fall."""
    with np.load(FALL, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    kept = (arrays["time_s"] >= 28.0) & (arrays["time_s"] < 37.0)
    arrays["joints"], arrays["time_s"] = arrays["joints"][kept], arrays["time_s"][kept] - 28.0
    out = tmp_path_factory.mktemp("clips") / "fall.npz"
    np.savez(out, **arrays)
    return out


def plan(camera: str, clip: Path, settings: PipelineSettings = SOUND, *, once: bool = True) -> CameraPlan:
    return CameraPlan(CameraSpec(camera=camera, url=str(clip), once=once), settings)


def alerts(notes: Notes, camera: str) -> list[tuple[float, str | None]]:
    return [(data["source_time_s"], data["change_reason"]) for data in notes.of(camera, "har.alert.v1")
            if data["state"] == "raised" and data["change"] == "state"]  # fmt: skip


def test_a_bug_that_meets_one_camera_does_not_stop_the_others_and_is_told(
    loaded: Bundle, fall: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    service = Service([plan("broken", fall, BROKEN), plan("sound", fall)], bundle=loaded, outlet=LocalOutlet("home"),
                      listeners=[notes.take])  # fmt: skip

    service.run(threading.Event())

    assert len(alerts(notes, "sound")) == 1
    assert service.reports["sound"].failures == 0
    assert service.reports["broken"].failures > 5
    assert service.reports["broken"].frames == service.reports["sound"].frames
    assert service.reports["broken"].failure.startswith("TypeError")
    states = [state for state, _ in notes.reasons("broken")]
    assert states == ["online", "degraded", "offline"]
    assert "TypeError" in notes.reasons("broken")[1][1]
    traces = [record for record in caplog.records if record.exc_info]
    assert len(traces) == 1  # not one per picture
    assert "begun anew" in caplog.text


def labels(notes: Notes, camera: str) -> list[str]:
    return [data["label"] for data in notes.of(camera, "har.action.v1")]


def test_live_cameras_are_named_in_one_batch_as_each_is_alone(
    loaded: Bundle, fall: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together, sizes = Notes(), Notes(), list[int]()
    Service([plan("hall", fall)], bundle=loaded, outlet=LocalOutlet("home"), listeners=[alone.take]).run(
        threading.Event()
    )
    step = OnlineModel.step
    monkeypatch.setattr(
        OnlineModel, "step", lambda self, people, joints: (sizes.append(len(people)), step(self, people, joints))[1]
    )

    service = Service(
        [plan("hall", fall, once=False), plan("kitchen", fall, once=False)],
        bundle=loaded,
        outlet=LocalOutlet("home"),
        listeners=[together.take],
    )
    service.run(threading.Event())

    # A busy machine drops pictures of a live camera, so what comes in between may differ.
    wanted = labels(alone, "hall")
    for camera in ("hall", "kitchen"):
        assert [labels(together, camera)[index] for index in (0, -1)] == [wanted[0], wanted[-1]] == ["walk", "lie"]
    assert sizes.count(2) > 0.25 * len(sizes)


def test_a_bug_in_naming_actions_is_told_and_alerts_come_all_the_same(
    loaded: Bundle, fall: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: OnlineModel, people: Any, joints: Any) -> Any:
        raise RuntimeError("no step today")

    monkeypatch.setattr(OnlineModel, "step", fail)
    notes = Notes()
    service = Service([plan("hall", fall, once=False)], bundle=loaded, outlet=LocalOutlet("home"),
                      listeners=[notes.take])  # fmt: skip

    service.run(threading.Event())

    assert len(alerts(notes, "hall")) == 1
    assert "degraded" in [state for state, _ in notes.reasons("hall")]
    assert service.reports["hall"].failure == "RuntimeError: no step today"


def test_an_event_that_cannot_be_handed_on_does_not_keep_the_alert_back(
    loaded: Bundle, fall: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    outlet = StubbornOutlet(DangerEvent, ActionEvent)
    service = Service([plan("hall", fall)], bundle=loaded, outlet=outlet, listeners=[notes.take])

    service.run(threading.Event())

    assert len(alerts(notes, "hall")) == 1
    assert service.reports["hall"].failures >= 2
    assert "no room for it" in caplog.text
    assert notes.reasons("hall")[-1] == ("offline", "the source has ended")


def test_a_stop_turns_a_suspicion_into_an_alert_and_says_that_the_cameras_are_off(loaded: Bundle, fall: Path) -> None:
    notes, stop = Notes(), threading.Event()
    service = Service([plan("hall", fall, once=False)], bundle=loaded, outlet=LocalOutlet("home"),
                      listeners=[notes.take, at_suspicion(stop.set)])  # fmt: skip

    service.run(stop)

    assert [why for _, why in alerts(notes, "hall")] == ["source_ended"]
    assert notes.reasons("hall")[-1] == ("offline", "the service was stopped")


@pytest.mark.slow
def test_a_camera_lost_in_a_suspicion_raises_the_alert_and_comes_back(loaded: Bundle, fall: Path) -> None:
    notes, stop = Notes(), threading.Event()

    def kill_camera() -> None:
        for child in psutil.Process().children():
            if "har.service.camera_child" in child.cmdline():  # not the helper that multiprocessing keeps for good
                child.kill()

    service = Service([plan("hall", fall, once=False)], bundle=loaded, outlet=LocalOutlet("home"),
                      listeners=[notes.take, at_suspicion(kill_camera)])  # fmt: skip
    watch = threading.Thread(target=stop_when, args=(lambda: len(notes.reasons("hall")) >= 3, stop))
    watch.start()

    service.run(stop)

    watch.join()
    assert [why for _, why in alerts(notes, "hall")] == ["camera_lost"]
    states = notes.reasons("hall")
    assert [state for state, _ in states][:3] == ["online", "offline", "online"]
    assert "SIGKILL" in states[1][1]
    assert service.reports["hall"].restarts == 1


def test_a_file_that_turns_out_unreadable_ends_its_camera_and_says_whose_mistake_it_is(
    loaded: Bundle, fall: Path, tmp_path: Path
) -> None:
    notes = Notes()
    service = Service([plan("gone", tmp_path / "gone.npz"), plan("hall", fall)], bundle=loaded,
                      outlet=LocalOutlet("home"), listeners=[notes.take])  # fmt: skip

    service.run(threading.Event())

    report = service.reports["gone"]
    assert "gone.npz does not exist" in report.ended
    assert report.user_error
    assert len(alerts(notes, "hall")) == 1


def test_house_is_kept_while_cameras_are_watched(loaded: Bundle, fall: Path) -> None:
    calls: list[int] = []
    service = Service([plan("hall", fall)], bundle=loaded, outlet=LocalOutlet("home"),
                      housekeeping=lambda: calls.append(1))  # fmt: skip

    service.run(threading.Event())

    assert calls


def at_suspicion(act: Callable[[], None]) -> Callable[[Message], None]:
    """Give a listener that acts once, a second after a fall was suspected: too soon for its confirmation."""
    done: list[bool] = []

    def listen(message: Message) -> None:
        data = message.body["data"]
        if message.body["type"] == "har.danger.v1" and data["kind"] == "fall" and not done:
            done.append(True)
            threading.Timer(1.0, act).start()

    return listen


def stop_when(condition: Callable[[], bool], stop: threading.Event) -> None:
    for _ in range(600):
        if condition():
            break
        stop.wait(0.1)
    stop.set()


@pytest.fixture(autouse=True)
def _keep_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
