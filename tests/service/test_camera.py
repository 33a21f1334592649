from __future__ import annotations

import logging
import multiprocessing.connection
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from har.records import CameraStatus, PoseFrame
from har.service.camera import CameraOutput, CameraProcess, CameraSpec, EndOfSource, stop_cameras
from har.sources import LiveLimits
from tests.service.camera_fakes import number_of
from tests.sources.builders import write_video
from tests.sources.rtsp_camera import PASSWORD, RtspCamera

READER = "tests.service.camera_fakes:open_reader"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start() -> Iterator[Callable[[CameraSpec], CameraProcess]]:
    """Start cameras that are stopped when the test ends."""
    cameras: list[CameraProcess] = []

    def start_one(spec: CameraSpec) -> CameraProcess:
        cameras.append(CameraProcess(spec))
        cameras[-1].start()
        return cameras[-1]

    yield start_one
    stop_cameras(cameras)


def collect(
    cameras: list[CameraProcess], *, until: Callable[[list[CameraOutput]], bool], within_s: float = 60.0
) -> list[CameraOutput]:
    """Run the loop of a main process until its outputs satisfy a condition."""
    outputs: list[CameraOutput] = []
    until_s = time.monotonic() + within_s
    while not until(outputs):
        assert time.monotonic() < until_s, f"not within {within_s} s; got {len(outputs)} outputs, last {outputs[-3:]}"
        multiprocessing.connection.wait([c.connection for c in cameras if c.connection is not None], timeout=0.1)
        for camera in cameras:
            outputs += camera.poll()
    return outputs


def ended(outputs: list[CameraOutput]) -> bool:
    return bool(outputs) and isinstance(outputs[-1], EndOfSource)


def numbers(outputs: list[CameraOutput], *, camera: str | None = None) -> list[int]:
    frames = [o for o in outputs if isinstance(o, PoseFrame) and camera in (None, o.camera)]
    return [number_of(frame.poses) for frame in frames]


def states(outputs: list[CameraOutput], *, camera: str | None = None) -> list[str]:
    return [o.state for o in outputs if isinstance(o, CameraStatus) and camera in (None, o.camera)]


def reasons(outputs: list[CameraOutput]) -> str:
    return " | ".join(o.reason for o in outputs if not isinstance(o, PoseFrame))


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def reader_spec(path: Path, *, pose: str = "", camera: str = "hall", once: bool = True, **more: object) -> CameraSpec:
    values: dict[str, object] = {"max_rate_hz": None, **more}
    return CameraSpec(camera=camera, url=str(path), pose=pose, once=once, estimator=READER, **values)  # type: ignore[arg-type]


def test_a_file_read_once_gives_every_frame_in_order_and_then_its_end(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(100)])

    outputs = collect([start(reader_spec(path))], until=ended)

    assert numbers(outputs) == list(range(100))
    assert outputs[-1] == EndOfSource(camera="hall", frames=100)
    assert states(outputs)[0] == "online"
    first = next(o for o in outputs if isinstance(o, PoseFrame))
    assert (first.width_px, first.height_px, first.camera) == (128, 64, "hall")


def test_a_file_read_once_does_not_run_ahead_of_a_busy_main_process(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(250)])
    camera = start(reader_spec(path, pose=f"count:{tmp_path / 'n'}"))
    collect([camera], until=lambda outputs: len(numbers(outputs)) >= 1)

    time.sleep(1.5)
    analysed = int((tmp_path / "n").read_text())
    outputs = collect([camera], until=ended)

    assert analysed < 200
    assert numbers(outputs)[-1] == 249
    assert np.diff(numbers(outputs)).tolist() == [1] * (len(numbers(outputs)) - 1)


def test_the_rate_limit_takes_the_same_frames_every_time(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(60)])

    runs = [collect([start(reader_spec(path, max_rate_hz=15.0))], until=ended) for _ in range(2)]

    assert numbers(runs[0]) == numbers(runs[1]) == list(range(0, 60, 2))
    assert runs[0][-1] == EndOfSource(camera="hall", frames=60, skipped=30)


def test_torch_is_not_loaded_in_a_cameras_process(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [0.0, 0.1, 0.2])
    spec = CameraSpec(camera="hall", url=str(path), once=True, estimator="tests.service.camera_fakes:open_probe")

    outputs = collect([start(spec)], until=ended)

    assert numbers(outputs) == [0, 0, 0]


def test_a_skeleton_clip_needs_no_estimator(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    joints = np.full((20, 1, 17, 3), 0.5, dtype=np.float32)
    joints[:, 0, :, 0] = np.arange(20)[:, None]
    np.savez(tmp_path / "a.npz", joints=joints, time_s=np.arange(20) / 10)
    never = "tests.service.camera_fakes:open_never"
    spec = CameraSpec(camera="hall", url=str(tmp_path / "a.npz"), once=True, estimator=never)

    outputs = collect([start(spec)], until=ended)

    assert numbers(outputs) == list(range(20))
    assert outputs[-1] == EndOfSource(camera="hall", frames=20)


@pytest.mark.parametrize(("misdeed", "reason"), [("exit", "exit code 3"), ("raise", "the model does not fit")])
def test_a_process_that_fails_is_restarted_and_the_other_camera_goes_on(
    tmp_path: Path,
    start,  # type: ignore[no-untyped-def]
    misdeed: str,
    reason: str,
) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(200)])
    bad = start(reader_spec(path, pose=f"{misdeed}:{tmp_path / 'done'}", camera="bad", once=False))
    good = start(reader_spec(path, camera="good", once=False))

    outputs = collect([bad, good], until=lambda o: 10 in numbers(o, camera="bad") and 60 in numbers(o, camera="good"))

    assert reason in reasons(outputs)
    assert states(outputs, camera="bad")[:3] == ["online", "offline", "online"]
    assert (bad.restarts, good.restarts) == (1, 0)
    assert set(states(outputs, camera="good")) == {"online"}
    assert len(numbers(outputs, camera="good")) > 50


def test_an_estimator_that_hangs_is_killed_and_restarted(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(100)])
    camera = start(reader_spec(path, pose=f"hang:{tmp_path / 'done'}", once=False, hang_after_s=2.5))
    first_pid = camera.pid

    outputs = collect([camera], until=lambda o: 10 in numbers(o))

    assert "has not answered for" in reasons(outputs)
    assert camera.restarts == 1
    assert not is_running(first_pid)


@pytest.mark.slow
def test_a_process_that_is_stopped_by_a_signal_is_killed_and_restarted(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(200)])
    camera = start(reader_spec(path, once=False, hang_after_s=2.5))
    collect([camera], until=lambda o: 3 in numbers(o))

    os.kill(camera.pid, signal.SIGSTOP)
    outputs = collect([camera], until=lambda o: "offline" in states(o) and numbers(o)[-1:] == [8])

    assert "has not answered for" in reasons(outputs)


def test_a_process_that_is_killed_is_restarted_and_the_signal_named(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(200)])
    camera = start(reader_spec(path, once=False))
    collect([camera], until=lambda o: 3 in numbers(o))

    os.kill(camera.pid, signal.SIGKILL)
    outputs = collect([camera], until=lambda o: "offline" in states(o) and numbers(o)[-1:] == [8])

    assert "signal 9 (SIGKILL); starting it again in 1 s" in reasons(outputs)


@pytest.mark.parametrize(
    ("misdeed", "reason"),
    [
        ("exit", "exit code 3"),
        ("raise", "the model does not fit"),
        pytest.param("hang", "has not answered", marks=pytest.mark.slow),
    ],
)
def test_a_failure_while_reading_once_ends_it_with_the_reason(tmp_path: Path, start, misdeed: str, reason: str) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(60)])
    camera = start(reader_spec(path, pose=misdeed, hang_after_s=2.5))

    outputs = collect([camera], until=ended)

    assert numbers(outputs) == [0, 1, 2, 3, 4]
    assert states(outputs)[-1] == "offline"
    assert isinstance(outputs[-1], EndOfSource)
    assert reason in outputs[-1].reason
    assert camera.is_over
    assert camera.restarts == 0


def test_a_users_mistake_ends_the_camera_with_the_reason(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    camera = start(reader_spec(tmp_path / "gone.mp4", once=False))

    outputs = collect([camera], until=ended)

    assert isinstance(outputs[-1], EndOfSource)
    assert outputs[-1].user_error
    assert "gone.mp4 does not exist" in outputs[-1].reason


def test_frozen_and_black_pictures_are_told_and_so_is_their_end(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    room = rng.integers(60, 200, (64, 128, 3), dtype=np.uint8)

    def noisy() -> np.ndarray:
        return (room + rng.integers(0, 30, room.shape, dtype=np.uint8)).astype(np.uint8)

    frozen, black = [room] * 40, [np.full_like(room, 3)] * 30
    images = [*(noisy() for _ in range(30)), *frozen, *(noisy() for _ in range(10)), *black, noisy(), noisy()]
    path = write_video(tmp_path / "a.avi", [i / 10 for i in range(len(images))], images=images, codec="mjpeg")

    outputs = collect([start(reader_spec(path, frozen_after_s=3.0, black_after_s=2.0))], until=ended)

    told = [(o.state, o.reason.split(":")[0]) for o in outputs if isinstance(o, CameraStatus)]
    assert told == [
        ("online", ""),
        ("degraded", "the picture is frozen"),
        ("online", ""),
        ("degraded", "the picture is black"),
        ("online", ""),
    ]


@pytest.mark.slow
def test_stopping_takes_seconds_even_if_the_process_hangs(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(200)])
    hanging = start(reader_spec(path, pose="hang", camera="hanging", once=False))
    frozen = start(reader_spec(path, camera="frozen", once=False))
    working = start(reader_spec(path, camera="working", once=False))
    cameras = [hanging, frozen, working]
    pids = [camera.pid for camera in cameras]
    collect(cameras, until=lambda o: 4 in numbers(o, camera="hanging") and 8 in numbers(o, camera="working"))
    os.kill(frozen.pid, signal.SIGSTOP)

    began_s = time.monotonic()
    stop_cameras(cameras)
    took_s = time.monotonic() - began_s

    assert took_s < 8.0
    assert not any(is_running(pid) for pid in pids)
    assert all(camera.poll() == [] and camera.is_over for camera in cameras)


def test_ctrl_c_is_left_to_the_main_process(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(100)])
    camera = start(reader_spec(path, once=False))
    collect([camera], until=lambda o: 3 in numbers(o))

    os.kill(camera.pid, signal.SIGINT)
    outputs = collect([camera], until=lambda o: 20 in numbers(o))

    assert states(outputs) == []
    assert camera.restarts == 0


@pytest.mark.parametrize("how", ["main thread", "other thread", "child stopped"])
def test_no_process_is_left_when_the_main_one_is_killed(tmp_path: Path, how: str) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 20 for i in range(200)])
    program = f"""
import sys, threading, time
from har.service.camera import CameraProcess, CameraSpec
camera = CameraProcess(CameraSpec(camera="hall", url={str(path)!r}, pose="hang", estimator={READER!r}))
def work():
    camera.start()
    while not camera.poll():
        time.sleep(0.05)
    print(camera.pid, flush=True)
    time.sleep(3600)
if {how!r} == "other thread":
    threading.Thread(target=work).start()
else:
    work()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        if how == "child stopped":
            os.kill(pid, signal.SIGSTOP)
        parent.kill()

    until_s = time.monotonic() + 10.0
    while is_running(pid) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not is_running(pid)


def test_stdout_stays_the_main_processs_own(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [i / 30 for i in range(10)])
    program = f"""
from har.service.camera import CameraProcess, CameraSpec, EndOfSource
spec = CameraSpec(
    camera="hall", url={str(path)!r}, pose="print", once=True, max_rate_hz=None, estimator={READER!r}
)
camera = CameraProcess(spec)
camera.start()
while not camera.is_over:
    camera.poll()
camera.stop()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)

    assert done.stdout == ""
    assert "noise on stdout" in done.stderr


def test_an_unreachable_camera_is_offline_alive_and_keeps_its_password(
    start,  # type: ignore[no-untyped-def]
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"rtsp://carer:s3cr:t@@127.0.0.1:{port}/main"
    spec = CameraSpec(camera="hall", url=url, hang_after_s=3.0, estimator=READER)
    camera = start(spec)

    outputs = collect([camera], until=lambda o: "offline" in states(o))
    process = psutil.Process(camera.pid)
    shown = " ".join(process.cmdline()) + str(process.environ())
    until_s = time.monotonic() + 5.0
    outputs += collect([camera], until=lambda _: time.monotonic() > until_s)

    assert states(outputs) == ["offline"]
    assert camera.restarts == 0
    assert "source lost camera=hall" in caplog.text
    told = shown + caplog.text + repr(outputs) + repr(spec) + "".join(capfd.readouterr())
    assert "s3cr" not in told


@pytest.mark.rtsp
def test_a_camera_comes_back_after_its_server_was_restarted(start, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    limits = LiveLimits(open_s=5.0, read_s=2.0, retry_first_s=0.2, retry_most_s=1.0)
    with RtspCamera() as server:
        spec = CameraSpec(camera="hall", url=server.url, estimator=READER, limits=limits)
        camera = start(spec)
        outputs = collect([camera], until=lambda o: len(numbers(o)) >= 10)
        server.stop()
        outputs += collect([camera], until=lambda o: "offline" in states(o))
        server.start()
        outputs += collect([camera], until=lambda o: len(numbers(o)) >= 10)

    times_s = [o.time_s for o in outputs if isinstance(o, PoseFrame)]
    assert states(outputs)[0] == "online"
    assert states(outputs)[-1] == "online"
    assert (np.diff(times_s) > 0).all()
    assert camera.restarts == 0
    assert PASSWORD not in caplog.text + repr(outputs)


@pytest.mark.weights
def test_the_shipped_estimator_runs_in_a_cameras_process(tmp_path: Path, start) -> None:  # type: ignore[no-untyped-def]
    path = write_video(tmp_path / "a.mp4", [i / 15 for i in range(10)])

    outputs = collect([start(CameraSpec(camera="hall", url=str(path), once=True))], until=ended)

    assert outputs[-1] == EndOfSource(camera="hall", frames=10)
    assert [o.poses for o in outputs if isinstance(o, PoseFrame)] == [()] * 10
