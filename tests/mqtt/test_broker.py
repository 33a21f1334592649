from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import har.mqtt.broker as broker_module
from har.errors import BrokerError, ConfigError
from har.mqtt.broker import open_broker, read_broker_url
from har.mqtt.publisher import Publisher
from har.store import Store
from tests.mqtt.builders import MOSQUITTO, Consumer, an_alert, free_port, is_running, wait_for

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt install mosquitto")


def test_the_configured_broker_is_used_and_written_down_without_its_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"mqtt://carer:hunter2@127.0.0.1:{port}"

        handle = open_broker(url, state_dir=tmp_path)

        assert (handle.url, handle.kind, handle.notice) == (url, "configured", None)
        assert "hunter2" not in handle.shown
        assert "hunter2" not in (tmp_path / "broker.json").read_text()
        assert read_broker_url(tmp_path) == f"mqtt://127.0.0.1:{port}"
        handle.close()
        with pytest.raises(ConfigError, match="no har service is running"):
            read_broker_url(tmp_path)


def test_a_file_left_behind_is_not_believed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    record = {"url": "mqtt://127.0.0.1:1883", "kind": "mosquitto", "pid": ended.pid}
    (tmp_path / "broker.json").write_text(json.dumps(record))

    with pytest.raises(ConfigError, match="left behind"):
        read_broker_url(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "x", "pid": 1}', '{"url": "mqtt://h", "pid": "x"}'])
def test_a_file_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "broker.json").write_text(text)

    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_broker_url(tmp_path)

    assert "\n" not in str(caught.value)


@pytest.mark.broker
@needs_mosquitto
def test_our_own_mosquitto_keeps_an_open_alert_over_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "a folder"
    port = free_port()
    handle = open_broker(None, state_dir=state, port=port)
    store = Store(f"sqlite:///{state}/har.db")
    publisher = Publisher(store, url=handle.url, site="home", version="1", model="m")
    publisher.start()
    publisher.publish(an_alert("a1"))
    assert publisher.flush(20.0)
    assert read_broker_url(state) == handle.url == f"mqtt://127.0.0.1:{port}"
    publisher.stop()
    store.close()
    handle.close()

    handle = open_broker(None, state_dir=state, port=port)
    consumer = Consumer(port, receipts=False).start()

    try:
        assert handle.kind == "mosquitto"
        assert wait_for(lambda: [b["data"]["alert"] for b in consumer.bodies("har.alert.v1")] == ["a1"])
    finally:
        consumer.stop()
        handle.close()


@pytest.mark.broker
@needs_mosquitto
def test_a_taken_port_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]

        handle = open_broker(None, state_dir=tmp_path, port=taken)

        assert handle.url != f"mqtt://127.0.0.1:{taken}"
        assert read_broker_url(tmp_path) == handle.url
        handle.close()


@pytest.mark.broker
@needs_mosquitto
def test_our_broker_is_started_again_when_it_is_killed_and_dies_with_us(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from har.mqtt.broker import open_broker
        print(open_broker(None, state_dir=Path({str(tmp_path)!r}), port={free_port()}).url, flush=True)
        time.sleep(600)
    """)
    service = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    url = service.stdout.readline().strip()
    first = child_of(service.pid)

    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: child_of(service.pid) not in (0, first))
    assert wait_for(lambda: read_broker_url(tmp_path) == url if answers(tmp_path) else False)
    second = child_of(service.pid)
    service.kill()
    service.wait()
    service.stdout.close()

    assert wait_for(lambda: not is_running(second))


def child_of(pid: int) -> int:
    """Give the id of a process's only child; 0 when it has none."""
    listed = [Path(task) / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    found = [int(text) for path in listed for text in path.read_text().split()]
    return found[0] if found else 0


def answers(state: Path) -> bool:
    try:
        read_broker_url(state)
    except ConfigError:
        return False
    return True


@pytest.mark.broker
@needs_mosquitto
def test_a_broker_that_does_not_start_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = tmp_path / "mosquitto"
    false.write_text("#!/bin/sh\necho 'Error: out of luck' >&2\nexit 3\n")
    false.chmod(0o755)
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: false)

    with pytest.raises(BrokerError, match="out of luck") as caught:
        open_broker(None, state_dir=tmp_path / "state", port=free_port())

    assert "\n" not in str(caught.value)


def test_without_mosquitto_the_embedded_broker_serves_and_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)

    handle = open_broker(None, state_dir=tmp_path, port=free_port())

    try:
        assert handle.kind == "embedded"
        assert "keeps nothing over a restart" in (handle.notice or "")
        assert read_broker_url(tmp_path) == handle.url
    finally:
        handle.close()
    handle.close()
