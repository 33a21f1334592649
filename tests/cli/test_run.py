"""`har run` as a real process with real parts: files in, events out to a file, a terminal and a broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from har.cli.doctor import examine
from har.cli.main import main
from tests.mqtt.builders import Consumer, Mosquitto, free_port, wait_for
from tests.mqtt.test_payloads import validate

ROOT = Path(__file__).resolve().parents[2]
HAR = Path(sys.executable).parent / "har"
FALL, DAILY = ROOT / "sample_clips" / "fall_in_room", ROOT / "sample_clips" / "daily_living"
STOPS_WITHIN_S = 5.0


@pytest.fixture(scope="session")
def short_fall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's joints from shortly before its fall: an alert within seven seconds."""
    return cut(FALL.with_suffix(".npz"), tmp_path_factory.mktemp("clips") / "short_fall.npz", first_s=28.0, last_s=37.0)


@pytest.fixture(scope="session")
def short_walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of walking."""
    return cut(FALL.with_suffix(".npz"), tmp_path_factory.mktemp("clips") / "short_walk.npz", first_s=2.0, last_s=6.0)


def cut(clip: Path, out: Path, *, first_s: float, last_s: float) -> Path:
    with np.load(clip, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    kept = (arrays["time_s"] >= first_s) & (arrays["time_s"] < last_s)
    arrays["joints"], arrays["time_s"] = arrays["joints"][kept], arrays["time_s"][kept] - first_s
    np.savez(out, **arrays)
    return out


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path)
    started.start()
    yield started
    started.kill()


class Run:
    """A running `har run`, with what it writes."""

    def __init__(self, folder: Path, arguments: Sequence[str | Path], *, name: str = "run") -> None:
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        self.events_file = folder / f"{name}.jsonl"
        self.state = folder / "state"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [HAR, "run", "--events", self.events_file, *arguments], stdout=out, stderr=err, cwd=folder
            )

    def wait(self, timeout_s: float = 120.0) -> int:
        return self.process.wait(timeout_s)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        if not self.events_file.exists():
            return []
        bodies = [json.loads(line) for line in self.events_file.read_text().splitlines()]
        return [body for body in bodies if kind in (None, body["type"])]

    def cameras(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "har.service.camera_child" in child.cmdline()]


@pytest.fixture
def start(tmp_path: Path, bundle: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(*arguments: str | Path, name: str = "run") -> Run:
        runs.append(Run(tmp_path, ["--model", bundle, *arguments], name=name))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def check_bodies(bodies: Sequence[dict[str, Any]]) -> None:
    """Check bodies against the schemas, and that each camera's file time never goes back."""
    assert bodies
    last_s: dict[str, float] = {}
    for body in bodies:
        validate(body)
        at_s = body["data"].get("source_time_s")
        if at_s is not None:
            assert at_s >= last_s.get(body["source"], 0.0)
            last_s[body["source"]] = at_s


def check_alert(bodies: Sequence[dict[str, Any]], *, from_s: float, to_s: float) -> None:
    """Check that there is exactly one alert, in time, and that the suspicion was told before it."""
    raised = [b for b in bodies if b["type"] == "har.alert.v1" and b["data"]["state"] == "raised"]
    first = [b for b in raised if b["data"]["change"] == "state"]
    assert len(first) == 1
    assert first[0]["data"]["kind"] in ("fall", "risk")
    assert from_s <= first[0]["data"]["source_time_s"] <= to_s
    suspected = [b for b in bodies if b["type"] == "har.danger.v1" and b["data"]["phase"] == "new"]
    before = [b for b in suspected if b["sequence"] < first[0]["sequence"]]
    assert before
    assert before[-1]["data"]["alert"] is None
    assert {b["data"]["alert"] for b in raised} == {first[0]["data"]["alert"]}


def timeless(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take away what differs from run to run: ids and the time of day."""
    kept = []
    for body in bodies:
        data = {key: value for key, value in body["data"].items() if key not in ("alert", "since", "reply_to")}
        kept.append({"type": body["type"], "source": body["source"], "sequence": body["sequence"], "data": data})
    return kept


# ---- to the end of files ----


def test_a_skeleton_clip_gives_one_alert_and_needs_no_estimator(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    events, result = tmp_path / "events.jsonl", tmp_path / "result.json"

    code = main(["run", "--once", "--model", str(bundle), "--source", f"{FALL}.npz=hall",
                 "--events", str(events), "--json", str(result)])  # fmt: skip

    assert code == 0
    bodies = [json.loads(line) for line in events.read_text().splitlines()]
    check_bodies(bodies)
    check_alert(bodies, from_s=31.5, to_s=37.0)
    told = capsys.readouterr()
    assert "INFO" not in told.err
    assert " ALERT FALL " in told.out
    assert told.out.splitlines()[0].startswith("  0:00")  # the file's time, not that of day
    summary = json.loads(result.read_text())
    assert [alert["camera"] for alert in summary["alerts"]] == ["hall"]
    assert summary["cameras"]["hall"]["frames"] == 645
    assert sum(summary["events"].values()) == len(bodies)


def test_two_runs_and_two_files_at_once_give_the_same_events(
    bundle: Path, tmp_path: Path, short_fall: Path, short_walk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for name, sources in (("a", (short_fall,)), ("b", (short_fall, short_walk)), ("c", (short_fall, short_walk))):
        events = tmp_path / f"{name}.jsonl"
        given = [word for source in sources for word in ("--source", str(source))]

        assert main(["run", "--once", "--model", str(bundle), *given, "--events", str(events)]) == 0

        bodies = [json.loads(line) for line in events.read_text().splitlines()]
        told.append({camera: timeless([b for b in bodies if b["source"].endswith(camera)])
                     for camera in ("short_fall", "short_walk")})  # fmt: skip
    assert told[0]["short_fall"] == told[1]["short_fall"] == told[2]["short_fall"]
    assert told[1]["short_walk"] == told[2]["short_walk"] != []
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_on_onnx_runtime_the_same_is_told_and_the_graph_is_made_once(
    bundle: Path, tmp_path: Path, short_fall: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    told, said = [], []
    for engine in ("torch", "onnxruntime", "onnxruntime"):
        events = tmp_path / "events.jsonl"
        given = ["--source", str(short_fall), "--engine", engine, "--events", str(events)]

        assert main(["run", "--once", "--model", str(bundle), *given]) == 0

        told.append(timeless([json.loads(line) for line in events.read_text().splitlines()]))
        said.append(capsys.readouterr().err)
    assert told[0] == told[1] == told[2] != []
    assert ["ready for ONNX Runtime" in each for each in said] == [False, True, False]


@pytest.mark.slow
@pytest.mark.weights
def test_a_video_gives_one_alert_and_the_same_events_in_every_run(start: Callable[..., Run]) -> None:
    runs = [start("--once", "--source", f"{FALL}.mp4", "--json", f"{name}.json", name=name) for name in ("a", "b")]

    assert [run.wait(400) for run in runs] == [0, 0]
    check_bodies(runs[0].events())
    check_alert(runs[0].events(), from_s=31.5, to_s=37.0)
    assert timeless(runs[0].events()) == timeless(runs[1].events())
    summary = json.loads(runs[0].out.with_name("a.json").read_text())
    assert summary["cameras"][FALL.name]["frames"] == 645
    assert summary["cameras"][FALL.name]["with_people"] > 0.9


@pytest.mark.broker
def test_what_the_file_holds_is_what_subscribers_get(start: Callable[..., Run], broker: Mosquitto) -> None:
    consumer = Consumer(broker.port).start()

    run = start("--once", "--source", f"{FALL}.npz", "--broker", broker.url)

    assert run.wait() == 0, run.err.read_text()
    kinds = {body["type"] for body in run.events()}
    assert kinds == {"har.camera.v1", "har.action.v1", "har.danger.v1", "har.alert.v1"}
    assert wait_for(lambda: consumer.bodies("har.status.v1")[-1]["data"]["state"] == "offline")
    consumer.stop()
    for kind in kinds:
        assert consumer.bodies(kind) == run.events(kind)
    check_bodies(consumer.bodies("har.status.v1"))


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_one_line_and_code_1_and_the_file_is_whole(start: Callable[..., Run]) -> None:
    began_s = time.monotonic()

    run = start("--once", "--source", f"{FALL}.npz", "--broker", f"mqtt://user:s3cret@127.0.0.1:{free_port()}")

    assert run.wait(60) == 1
    assert time.monotonic() - began_s < 45
    check_alert(run.events(), from_s=31.5, to_s=37.0)
    assert "offline" in run.events()[-1]["data"]["state"]
    told = [line for line in run.err.read_text().splitlines() if line.startswith("har: ")]
    assert len(told) == 1
    assert "cannot be reached" in told[0]
    assert "--broker" in told[0]
    assert "s3cret" not in run.err.read_text() + run.out.read_text()


@pytest.mark.slow
def test_what_can_be_read_of_a_file_cut_short_is_analysed(start: Callable[..., Run], tmp_path: Path) -> None:
    cut_short = tmp_path / "short.mp4"
    cut_short.write_bytes(FALL.with_suffix(".mp4").read_bytes()[:60_000])

    run = start("--once", "--source", cut_short, "--json", "result.json")

    assert run.wait() == 0
    assert "ended early" in run.err.read_text()
    assert json.loads((tmp_path / "result.json").read_text())["cameras"]["short"]["frames"] > 5
    assert "broken in 1 place" in run.out.read_text()


# ---- the service ----


@pytest.mark.broker
def test_a_service_on_a_file_tells_as_it_plays_and_ends_with_it(
    start: Callable[..., Run], broker: Mosquitto, short_fall: Path
) -> None:
    consumer = Consumer(broker.port).start()

    run = start("--source", f"{short_fall}=hall", "--broker", broker.url, "--state", "state")

    assert wait_for(lambda: bool(consumer.bodies("har.alert.v1")), timeout_s=60)
    delay_s = time.time() - np.datetime64(consumer.bodies("har.alert.v1")[0]["time"][:-1], "ms").astype(float) / 1e3
    assert delay_s < 2.0  # told while it happens
    assert run.wait(30) == 0
    assert wait_for(lambda: consumer.bodies("har.status.v1")[-1]["data"]["state"] == "offline")
    consumer.stop()
    check_bodies(consumer.bodies("har.action.v1"))
    check_alert(run.events(), from_s=3.4, to_s=9.0)
    states = [(body["data"]["state"], body["data"]["reason"]) for body in consumer.bodies("har.camera.v1")]
    assert states[0] == ("online", "")
    assert states[-1] == ("offline", "the source has ended")
    assert [body["data"]["reason"] for body in consumer.bodies("har.status.v1")] == ["", "stopped"]


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_service_soon_and_leaves_no_process(
    start: Callable[..., Run], number: signal.Signals
) -> None:
    run = start("--source", f"{FALL}.npz=hall", "--source", f"{DAILY}.npz=room", "--state", "state")
    assert wait_for(lambda: len({b["source"] for b in run.events("har.action.v1")}) == 2, timeout_s=60)
    port = int(json.loads((run.state / "broker.json").read_text())["url"].rpartition(":")[2])
    consumer = Consumer(port).start()
    children = psutil.Process(run.process.pid).children(recursive=True)
    assert len(children) == 3  # two cameras and a mosquitto of its own

    began_s = time.monotonic()
    run.process.send_signal(number)
    code = run.wait(30)

    assert code == 0
    assert time.monotonic() - began_s < STOPS_WITHIN_S
    assert psutil.wait_procs(children, timeout=2)[1] == []
    consumer.stop()
    assert consumer.bodies("har.status.v1")[-1]["data"]["state"] == "offline"
    last = {body["source"]: body["data"] for body in consumer.bodies("har.camera.v1")}
    assert [data["reason"] for data in last.values()] == ["the service was stopped"] * 2
    assert "Traceback" not in run.err.read_text()
    assert not any((run.state / name).exists() for name in ("broker.json", "cameras.json"))


@pytest.mark.slow
def test_ctrl_c_while_files_are_read_to_their_end_gives_code_130(start: Callable[..., Run]) -> None:
    run = start("--once", "--source", f"{FALL}.npz", "--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert wait_for(lambda: "broker: " in run.err.read_text(), timeout_s=60)

    run.process.send_signal(signal.SIGINT)

    assert run.wait(STOPS_WITHIN_S) == 130
    assert "Traceback" not in run.err.read_text()


@pytest.mark.broker
def test_an_alert_outlives_the_service_that_raised_it(
    start: Callable[..., Run], tmp_path: Path, short_fall: Path, short_walk: Path
) -> None:
    broker = Mosquitto(tmp_path)  # not started: nobody can be told
    given = ("--broker", broker.url, "--state", "state")
    killed = start("--source", f"{short_fall}=hall", *given, name="killed")
    assert wait_for(lambda: bool(killed.events("har.alert.v1")), timeout_s=60)
    children = psutil.Process(killed.process.pid).children(recursive=True)

    killed.process.kill()
    killed.wait()

    assert psutil.wait_procs(children, timeout=5)[1] == []
    broker.start()
    consumer = Consumer(broker.port).start()
    again = start("--source", f"{short_walk}=room", *given, name="again")
    assert wait_for(lambda: bool(consumer.bodies("har.alert.v1")), timeout_s=60)
    assert consumer.bodies("har.alert.v1")[0] == killed.events("har.alert.v1")[0]
    assert again.wait(60) == 0
    consumer.stop()
    broker.kill()


@pytest.mark.broker
def test_a_broker_that_comes_later_gets_every_alert(
    start: Callable[..., Run], tmp_path: Path, short_fall: Path
) -> None:
    broker = Mosquitto(tmp_path)
    run = start("--source", f"{short_fall}=hall", "--source", f"{FALL}.npz=long", "--broker", broker.url,
                "--state", "state")  # fmt: skip
    assert wait_for(lambda: "Alerts are kept" in run.err.read_text(), timeout_s=60)
    assert wait_for(lambda: bool(run.events("har.alert.v1")), timeout_s=60)

    broker.start()
    consumer = Consumer(broker.port).start()

    assert wait_for(lambda: bool(consumer.bodies("har.alert.v1")), timeout_s=30)
    assert consumer.bodies("har.alert.v1")[0] == run.events("har.alert.v1")[0]
    assert wait_for(lambda: f"{broker.url}: connected" in run.err.read_text())
    assert run.err.read_text().count("Alerts are kept") == 1
    run.process.terminate()
    assert run.wait(STOPS_WITHIN_S * 2) == 0
    consumer.stop()
    broker.kill()


@pytest.mark.broker
def test_a_broker_that_dies_is_told_by_last_will_or_by_the_service(
    start: Callable[..., Run], broker: Mosquitto
) -> None:
    consumer = Consumer(broker.port).start()
    run = start("--source", f"{FALL}.npz=hall", "--broker", broker.url, "--state", "state")
    assert wait_for(lambda: bool(consumer.bodies("har.status.v1")), timeout_s=60)

    run.process.kill()
    run.wait()

    assert wait_for(lambda: consumer.bodies("har.status.v1")[-1]["data"]["state"] == "offline")
    assert consumer.bodies("har.status.v1")[-1]["data"]["reason"] == "connection lost"
    consumer.stop()


@pytest.mark.broker
def test_a_second_service_on_the_same_folder_is_refused_and_the_first_goes_on(start: Callable[..., Run]) -> None:
    first = start("--source", f"{FALL}.npz=hall", "--state", "state", name="first")
    assert wait_for(lambda: bool(first.events("har.action.v1")), timeout_s=60)

    second = start("--source", f"{DAILY}.npz=room", "--state", "state", name="second")

    assert second.wait(60) == 1
    lines = second.err.read_text().splitlines()
    assert len(lines) == 1
    assert "another har service" in lines[0]
    assert "--state" in lines[0]
    assert first.process.poll() is None
    assert (first.state / "broker.json").exists()


@pytest.mark.broker
def test_a_camera_whose_process_dies_is_told_and_started_again_and_the_other_goes_on(
    start: Callable[..., Run], broker: Mosquitto
) -> None:
    consumer = Consumer(broker.port).start()
    run = start("--source", f"{FALL}.npz=hall", "--source", f"{DAILY}.npz=room", "--broker", broker.url,
                "--state", "state")  # fmt: skip
    assert wait_for(lambda: len({b["source"] for b in consumer.bodies("har.camera.v1")}) == 2, timeout_s=60)
    before = {child.pid for child in run.cameras()}

    min(run.cameras(), key=lambda child: child.pid).kill()

    assert wait_for(lambda: any(b["data"]["state"] == "offline" for b in consumer.bodies("har.camera.v1")))
    lost = next(b for b in consumer.bodies("har.camera.v1") if b["data"]["state"] == "offline")
    assert "SIGKILL" in lost["data"]["reason"]
    assert wait_for(lambda: len(run.cameras()) == 2)
    assert len(before & {child.pid for child in run.cameras()}) == 1
    after = [b for b in consumer.bodies("har.camera.v1") if b["sequence"] > lost["sequence"]]
    assert wait_for(lambda: any(
        b["source"] == lost["source"] and b["data"]["state"] == "online" and b["sequence"] > lost["sequence"]
        for b in consumer.bodies("har.camera.v1")
    )), after  # fmt: skip
    other = next(b["source"] for b in consumer.bodies("har.camera.v1") if b["source"] != lost["source"])
    assert all(b["data"]["state"] == "online" for b in consumer.bodies("har.camera.v1") if b["source"] == other)
    assert "SIGKILL" in run.err.read_text()
    assert "Traceback" not in run.err.read_text()
    run.process.terminate()
    assert run.wait(STOPS_WITHIN_S * 2) == 0
    consumer.stop()


@pytest.mark.broker
def test_a_camera_that_refuses_is_tried_again_and_told_without_its_password(
    start: Callable[..., Run], broker: Mosquitto
) -> None:
    consumer = Consumer(broker.port).start()

    run = start("--source", "rtsp://user:s3cret@127.0.0.1:1/main=hall", "--broker", broker.url, "--state", "state")

    assert wait_for(lambda: bool(consumer.bodies("har.camera.v1")), timeout_s=60)
    status = consumer.bodies("har.camera.v1")[0]["data"]
    assert status["state"] == "offline"
    assert "rtsp://***@127.0.0.1:1/main" in status["reason"]
    assert "tried again" in status["reason"]
    found = {finding.name: finding for finding in examine(state=run.state)}["camera hall"]
    assert (found.state, found.found) == ("lacking", f"offline: {status['reason']}")
    time.sleep(1.0)
    assert run.process.poll() is None
    run.process.terminate()
    assert run.wait(STOPS_WITHIN_S * 2) == 0
    consumer.stop()
    assert "tried again" in run.err.read_text()
    shown = run.err.read_text() + run.out.read_text() + run.events_file.read_text() + str(consumer.messages)
    assert "s3cret" not in shown


@pytest.mark.broker
def test_a_service_adds_to_its_events_file_and_a_closed_terminal_does_not_stop_it(
    bundle: Path, tmp_path: Path, short_walk: Path
) -> None:
    command = [HAR, "run", "--model", bundle, "--source", short_walk, "--events", "e.jsonl", "--state", "state"]
    numbers = []
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
        assert process.stdout is not None
        process.stdout.close()  # as `| head` does

        _, err = process.communicate(timeout=60)

        assert process.returncode == 0, err
        assert "Broken" not in err
        lines = (tmp_path / "e.jsonl").read_text().splitlines()
        numbers.append([json.loads(line)["sequence"] for line in lines])
    assert len(numbers[1]) > len(numbers[0]) > 1
    assert numbers[1] == sorted(numbers[1])
