"""Start, stop and restart the test's RTSP camera."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Self
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
USER = "first.last"
PASSWORD = "p.w@:50%/?#x"


class RtspCamera:
    """A server on a loopback port, with a login; stays on its port over restarts."""

    def __init__(self, *options: str) -> None:
        self.port = 0
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return self.url_with(PASSWORD)

    def url_with(self, password: str, *, path: str = "main", scheme: str = "rtsp") -> str:
        return f"{scheme}://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                SYSTEM_PYTHON,
                str(Path(__file__).parents[1] / "rtsp_server.py"),
                "--port",
                str(self.port),
                *self._options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "RTSP_USER": USER, "RTSP_PASSWORD": PASSWORD},
        )
        assert self._process.stdout is not None
        word, port = self._process.stdout.readline().split()
        assert word == "ready"
        self.port = int(port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
