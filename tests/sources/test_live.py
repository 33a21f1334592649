from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest

from har.errors import SourceError
from har.records import Frame
from har.sources import Clock, Counts, LiveLimits, Source, SourceItem, SourceStatus, check_source, open_source
from har.sources.live import open_live
from har.sources.video import Picture
from tests.sources.rtsp_camera import PASSWORD, USER, RtspCamera

QUICK = LiveLimits(open_s=5.0, read_s=1.5, retry_first_s=0.2, retry_most_s=1.0)


def read_until(items: Iterator[SourceItem], wanted: str, *, n: int = 1, within_s: float = 60.0) -> list[SourceItem]:
    """Read until `wanted` ("frame" or a state) has come n times."""
    until_s = time.monotonic() + within_s
    seen: list[SourceItem] = []
    for item in items:
        seen.append(item)
        n -= (item.state if isinstance(item, SourceStatus) else "frame") == wanted
        if n == 0:
            return seen
        assert time.monotonic() < until_s, f"no {wanted} within {within_s} s; the last was {seen[-1]}"
    raise AssertionError("a live source ended")


@pytest.fixture
def rtsp_camera() -> Iterator[RtspCamera]:
    with RtspCamera() as camera:
        yield camera


@pytest.mark.rtsp
class TestRtsp:
    def test_a_camera_that_is_restarted_comes_back_and_time_goes_on(
        self, rtsp_camera: RtspCamera, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        seen: list[SourceItem] = []

        with open_source(rtsp_camera.url, camera="hall", limits=QUICK) as source:
            items = iter(source)
            seen += read_until(items, "frame", n=10)
            rtsp_camera.stop()
            seen += read_until(items, "lost")
            rtsp_camera.start()
            seen += read_until(items, "frame", n=10)
            lag_s = time.time() - seen[-1].time_s if isinstance(seen[-1], Frame) else 99.0

        frames = [item for item in seen if isinstance(item, Frame)]
        states = [item.state for item in seen if isinstance(item, SourceStatus) if item.state != "waiting"]
        assert frames[0].image.shape == (240, 320, 3)
        assert all(a.time_s < b.time_s for a, b in pairwise(frames))
        assert abs(lag_s) < 1.0
        assert states[0] == "connected"
        assert states[-1] == "connected"
        assert "lost" in states
        assert source.counts.connections == 2
        told = caplog.text + repr(seen) + "".join(capfd.readouterr())
        assert "source lost camera=hall reason=rtsp://***@127.0.0.1" in told
        for secret in (PASSWORD, quote(PASSWORD, safe=""), USER):
            assert secret not in told

    def test_a_camera_that_freezes_is_noticed(self, rtsp_camera: RtspCamera) -> None:
        with open_source(rtsp_camera.url, camera="hall", limits=QUICK) as source:
            items = iter(source)
            read_until(items, "frame", n=3)
            rtsp_camera.freeze()
            lost = read_until(items, "lost", within_s=20.0)[-1]

        assert isinstance(lost, SourceStatus)
        assert "does not answer" in lost.reason

    def test_a_slow_consumer_gets_the_newest_picture(self, rtsp_camera: RtspCamera) -> None:
        lags_s = []
        with open_source(rtsp_camera.url, camera="hall", limits=QUICK) as source:
            for frame in source.frames():
                lags_s.append(time.time() - frame.time_s)
                time.sleep(0.4)
                if len(lags_s) == 6:
                    break

        assert source.counts.dropped >= 10
        assert max(lags_s) < 0.5

    def test_a_wrong_password_is_told_apart_and_not_shown(
        self, rtsp_camera: RtspCamera, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with open_source(rtsp_camera.url_with("not-the-p@ss"), camera="hall", limits=QUICK) as source:
            lost = read_until(iter(source), "lost")[-1]

        assert isinstance(lost, SourceStatus)
        assert "refused the login" in lost.reason
        assert "not-the-p" not in lost.reason + caplog.text

    def test_a_wrong_path_is_named_as_the_reason(self, rtsp_camera: RtspCamera) -> None:
        with open_source(rtsp_camera.url_with(PASSWORD, path="other"), camera="hall", limits=QUICK) as source:
            lost = read_until(iter(source), "lost")[-1]

        assert isinstance(lost, SourceStatus)
        assert "no such stream" in lost.reason

    def test_an_encrypted_stream_is_read(self, tmp_path: Path) -> None:
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        made = subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=camera", "-days", "2"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            capture_output=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        with RtspCamera("--tls", str(certificate), str(key)) as camera:
            url = camera.url_with(PASSWORD, scheme="rtsps")
            with open_source(url, camera="hall", limits=QUICK) as source:
                seen = read_until(iter(source), "frame", n=3)

        assert isinstance(seen[-1], Frame)


def test_a_host_that_never_answers_is_given_up_in_time() -> None:
    limits = LiveLimits(open_s=1.0, read_s=1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://u:s3cret-pw@127.0.0.1:{server.getsockname()[1]}/main"

        began_s = time.monotonic()
        with open_source(url, camera="hall", limits=limits) as source:
            lost = read_until(iter(source), "lost", within_s=10.0)[-1]
        took_s = time.monotonic() - began_s

    assert isinstance(lost, SourceStatus)
    assert "does not answer" in lost.reason
    assert "s3cret" not in lost.reason
    assert took_s < 8.0


def test_a_refusing_host_is_told_once_however_often_it_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    limits = LiveLimits(retry_first_s=0.01, retry_most_s=0.02)
    caplog.set_level(logging.INFO)

    with open_source(f"rtsp://u:s3cret-pw@127.0.0.1:{port}/main", camera="hall", limits=limits) as source:
        items = iter(source)
        told = read_until(items, "lost") + read_until(items, "waiting", n=2)

    lost = [item for item in told if isinstance(item, SourceStatus) and item.state == "lost"]
    assert len(lost) == 1
    assert lost[0].reason.endswith("Connection refused; it is tried again")
    assert caplog.text.count("source lost") == 1
    assert "s3cret" not in caplog.text


def test_closing_ends_the_reader() -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    source = open_source(f"rtsp://127.0.0.1:{port}/main", camera="hall")
    read_until(iter(source), "lost")
    source.close()
    source.close()

    assert threading.active_count() == before


def test_a_decoder_that_hangs_does_not_pass_for_alive() -> None:
    let_go = threading.Event()

    @contextmanager
    def connect(_: Counts) -> Iterator[tuple[Iterator[Picture], float]]:
        let_go.wait()
        yield iter(()), 0.04

    limits = LiveLimits(open_s=0.0, read_s=0.0, margin_s=0.5)
    source: Source = open_live(connect, camera="hall", shown="rtsp://hall", clock=Clock(), limits=limits)

    with pytest.raises(SourceError, match="has not answered"):
        read_until(iter(source), "frame", within_s=30.0)
    let_go.set()
    source.close()


def test_a_webcam_that_is_not_there_is_refused_with_what_there_is() -> None:
    for attempt in (check_source, lambda url: open_source(url, camera="hall")):
        with pytest.raises(SourceError, match=r"webcam:917 is not there .*This machine has") as caught:
            attempt("webcam:917")
        assert "\n" not in str(caught.value)
