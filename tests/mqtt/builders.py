"""Events, a mosquitto to break, and a consumer that does what consumers should, for the tests of MQTT and the store."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from har.mqtt.broker import find_mosquitto
from har.mqtt.payloads import encode, receipt_body
from har.records import ActionEvent, AlertEvent, CameraStatus, DangerEvent

TIME_S = 1795255445.12  # 2026-11-21T10:04:05.120Z
MOSQUITTO = find_mosquitto()


def an_alert(alert: str | None = None, **changes: Any) -> AlertEvent:
    values: dict[str, Any] = {
        "alert": alert or str(uuid.uuid4()),
        "state": "raised",
        "change": "state",
        "kind": "fall",
        "priority": "high",
        "camera": "hall",
        "person": 7,
        "since_s": TIME_S - 2.5,
        "time_s": TIME_S,
        "source_time_s": 14.6,
        "floor_s": 2.1,
        "probability": 0.97,
        "reason": "hips dropped 0.9 m in 0.6 s, trunk level",
        "model": "care-1@1f3c",
    }
    return AlertEvent(**(values | changes))


def a_danger(**changes: Any) -> DangerEvent:
    values: dict[str, Any] = {
        "camera": "hall",
        "person": 7,
        "phase": "new",
        "kind": "fall",
        "probability": 0.93,
        "reason": "hips dropped 0.9 m in 0.6 s, trunk level",
        "since_s": TIME_S - 0.72,
        "time_s": TIME_S,
        "source_time_s": 12.4,
        "model": "care-1@1f3c",
    }
    return DangerEvent(**(values | changes))


def an_action(**changes: Any) -> ActionEvent:
    values: dict[str, Any] = {
        "camera": "hall",
        "person": 7,
        "label": "sit down",
        "score": 0.88,
        "top": (("sit down", 0.88), ("stand", 0.07)),
        "since_s": TIME_S - 1.0,
        "time_s": TIME_S,
        "source_time_s": 3.2,
        "model": "care-1@1f3c",
    }
    return ActionEvent(**(values | changes))


def a_camera_status(**changes: Any) -> CameraStatus:
    values: dict[str, Any] = {"camera": "hall", "state": "online", "fps": 14.97, "reason": "", "time_s": TIME_S}
    return CameraStatus(**(values | changes))


def wait_for(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A real broker that keeps nothing on disk: killed and started again, it has forgotten everything."""

    def __init__(self, folder: Path, *, extra: str = "") -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 100000\n"
            f"user {getpass.getuser()}\n{extra}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(MOSQUITTO), "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert wait_for(self._answers)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class Consumer:
    """Subscribes, keeps every message, and confirms alerts once it has them."""

    def __init__(self, port: int, *, site: str = "home", receipts: bool = True, protocol: int = MQTTv5) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.arrived_s: dict[str, float] = {}
        self._receipts = receipts
        self._inbox: queue.SimpleQueue[MQTTMessage | None] = queue.SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2, f"consumer-{uuid.uuid4().hex[:8]}", protocol=protocol)
        self._ready = threading.Event()
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(f"har/{site}/#", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _client, _userdata, message: self._inbox.put(message)
        self._client.connect_async("127.0.0.1", port, keepalive=10)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> Consumer:
        self._client.loop_start()
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._inbox.put(None)
        self._thread.join()

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """Give the bodies of one type, repeats dropped, in the order in which they came."""
        found: dict[str, dict[str, Any]] = {}
        for topic, payload, _ in list(self.messages):
            if payload and not topic.endswith("/receipt"):
                body = json.loads(payload)
                if body["type"] == kind:
                    found.setdefault(body["id"], body)
        return list(found.values())

    def _work(self) -> None:
        while (message := self._inbox.get()) is not None:
            self.messages.append((message.topic, message.payload, message.retain))
            if not message.payload or message.topic.endswith("/receipt"):
                continue
            body = json.loads(message.payload)
            self.arrived_s.setdefault(body["id"], time.perf_counter())
            if self._receipts and body["type"] == "har.alert.v1":
                receipt = receipt_body(
                    alert=body["data"]["alert"],
                    event_id=body["id"],
                    consumer="test",
                    receipt_id=uuid.uuid4().hex,
                    now_s=time.time(),
                )
                self._client.publish(f"{message.topic}/receipt", encode(receipt), qos=1)


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
