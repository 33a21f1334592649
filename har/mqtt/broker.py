"""Which broker: the configured one, else a mosquitto of our own, else an embedded one without durability."""

from __future__ import annotations

import getpass
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from har.errors import BrokerError, ConfigError
from har.mqtt.address import read_address

log = logging.getLogger(__name__)

BrokerKind: TypeAlias = Literal["configured", "mosquitto", "embedded"]

ADDRESS_NAME = "broker.json"
DEFAULT_PORT = 1883
_START_S = 10.0  # longest wait for a broker of our own to answer
_STOP_S = 5.0
_RESTART_S = (1.0, 30.0)  # shortest and longest wait before a broker that ended is started again
_STEADY_S = 60.0  # after so long without an end the waits begin anew
_REACH_S = 1.0
_EMBEDDED_NOTICE = (
    "No broker is configured and mosquitto is not installed: using the embedded broker. It is for trying things out: "
    "it keeps nothing over a restart. Install mosquitto (apt install mosquitto) or give --broker mqtt://host."
)

# Runs the rest of its arguments after asking the kernel to end it with the process that started it (PR_SET_PDEATHSIG):
# no orphan is left even after kill -9. The parent's id is compared because the parent may be gone already.
_DIE_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 15)\n"
    "os.getppid() == int(sys.argv[1]) or sys.exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(frozen=True, slots=True)
class BrokerHandle:
    """The broker in use.

    Attributes:
        url: its address; may hold a password, so show only `shown`.
        shown: its address without user and password.
        kind: "configured", "mosquitto" (our own) or "embedded".
        notice: what the user should know about it, in a sentence or two; None when nothing.
        close: ends the broker if it is ours, and forgets its address; may be called twice.
    """

    url: str
    shown: str
    kind: BrokerKind
    notice: str | None
    close: Callable[[], None]


def open_broker(url: str | None, *, state_dir: Path, port: int = DEFAULT_PORT) -> BrokerHandle:
    """Choose and, if need be, start the broker; write its address into the state folder.

    Args:
        url: the configured broker; None to use one of our own.
        state_dir: where the broker keeps its database and log.
        port: for a broker of our own, on 127.0.0.1; another one if it is taken.

    Raises:
        ConfigError: the address cannot be read.
        BrokerError: a broker of our own does not start.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    if url is not None:
        shown = read_address(url).shown
        _write_address(state_dir, shown=shown, kind="configured")
        return BrokerHandle(url, shown, "configured", None, lambda: _forget_address(state_dir))
    mosquitto = find_mosquitto()
    kind: BrokerKind = "embedded" if mosquitto is None else "mosquitto"
    port = _choose_port(port)
    folder = state_dir / kind
    folder.mkdir(exist_ok=True, mode=0o700)
    if mosquitto is None:
        command = [sys.executable, "-m", "har.mqtt.embedded", str(port)]
    else:
        command = [str(mosquitto), "-c", str(_write_config(folder, port=port))]
    child = _Child(command, port=port, log_path=folder / f"{kind}.log")
    child.start()
    shown = f"mqtt://127.0.0.1:{port}"
    _write_address(state_dir, shown=shown, kind=kind)

    def close() -> None:
        child.stop()
        _forget_address(state_dir)

    log.info("broker started kind=%s address=%s", kind, shown)
    return BrokerHandle(shown, shown, kind, _EMBEDDED_NOTICE if kind == "embedded" else None, close)


def find_mosquitto() -> Path | None:
    """Find mosquitto; Debian installs it where an ordinary user's PATH does not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    return None if found is None else Path(found)


def read_broker_url(state_dir: Path) -> str:
    """Give the address of the broker that the service of this state folder uses.

    Raises:
        ConfigError: no service runs there, or its broker does not answer.
    """
    cure = "Start `har run`, or give the broker's address with --broker mqtt://host:1883."
    path = state_dir / ADDRESS_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        shown, pid = str(record["url"]), int(record["pid"])
        address = read_address(shown)
    except FileNotFoundError:
        raise ConfigError(f"{state_dir}: no har service is running with this state folder. {cure}") from None
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        raise ConfigError(f"{path}: cannot be read. {cure}") from None
    if not _is_alive(pid):
        raise ConfigError(f"{path}: left behind by a har service that has ended (process {pid}). {cure}")
    if not _answers(address.host, address.port):
        raise ConfigError(f"{shown}: the broker of the har service in {state_dir} does not answer. {cure}")
    return shown


class _Child:
    """A broker in a process of its own, started again when it ends unasked.

    The thread that starts it also waits for it: the kernel ends the child with that very thread, so it must live as
    long as the child.
    """

    def __init__(self, command: list[str], *, port: int, log_path: Path) -> None:
        self._command = command
        self._port = port
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._ended_once = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, name="har-broker", daemon=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._thread.start()
        deadline_s = time.monotonic() + _START_S
        while not _answers("127.0.0.1", self._port):
            if self._ended_once.is_set() or time.monotonic() > deadline_s:
                self.stop()
                raise BrokerError(
                    f"{self._command[0]}: the broker did not start: {_last_line(self._log_path)} "
                    f"(log: {self._log_path}). Mend that, or give --broker mqtt://host:1883."
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """End it: politely (it writes its database), then by force."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _keep_running(self) -> None:
        wait_s = _RESTART_S[0]
        while not self._stopping.is_set():
            started_s = time.monotonic()
            code = self._run_once()
            self._ended_once.set()
            if self._stopping.is_set():
                return
            wait_s = _RESTART_S[0] if time.monotonic() - started_s > _STEADY_S else min(2 * wait_s, _RESTART_S[1])
            log.error("broker ended code=%d log=%s restart_in_s=%g", code, self._log_path, wait_s)
            self._stopping.wait(wait_s)

    def _run_once(self) -> int:
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *self._command]
        with self._log_path.open("ab") as log_file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, start_new_session=True
            )
        if self._stopping.is_set():
            self._process.terminate()
        return self._process.wait()


def _write_config(folder: Path, *, port: int) -> Path:
    """Write our own mosquitto.conf: only this machine, and nothing dropped that alerts need."""
    path = folder / "mosquitto.conf"
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"user {getpass.getuser()}",  # started as root it would become another user, who cannot write here
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 30",  # the default, 30 minutes, loses retained alerts with a power cut
        "max_queued_messages 100000",  # the default, 1000, drops messages in a burst
        "max_inflight_messages 20",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _choose_port(port: int) -> int:
    """Give this port if it is free on 127.0.0.1, else a free one."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BrokerError("no TCP port is free on 127.0.0.1 for a broker. Give one with --broker mqtt://host:1883.")


def _write_address(state_dir: Path, *, shown: str, kind: BrokerKind) -> None:
    path = state_dir / ADDRESS_NAME
    record = {"url": shown, "kind": kind, "pid": os.getpid()}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record) + "\n", encoding="utf-8")
    part.replace(path)


def _forget_address(state_dir: Path) -> None:
    (state_dir / ADDRESS_NAME).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_REACH_S):
            return True
    except OSError:
        return False


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
