"""How each camera is, kept in the state folder, so that `har doctor` can tell it without a broker."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from har.mqtt.payloads import Message

CAMERAS = "cameras.json"


class CameraStates:
    """Writes the state of each camera whenever one changes.

    Args:
        folder: the state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CAMERAS
        self._states: dict[str, dict[str, str]] = {}

    def note(self, message: Message) -> None:
        """Take note of an event; anything but the changed state of a camera is passed over."""
        body = message.body
        if body["type"] != "har.camera.v1":
            return
        camera, data = body["source"].rpartition("/")[2], body["data"]
        state = {"state": data["state"], "reason": data["reason"]}
        if self._states.get(camera) == state:
            return
        self._states[camera] = state
        part = self._path.with_suffix(".part")
        with contextlib.suppress(OSError):  # a full disk is told elsewhere
            part.write_text(json.dumps({"pid": os.getpid(), "cameras": self._states}) + "\n", encoding="utf-8")
            part.replace(self._path)

    def forget(self) -> None:
        """The service ends."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_cameras(folder: Path) -> dict[str, tuple[str, str]]:
    """Give state and reason of each camera of the service that runs with this state folder; empty when none runs."""
    try:
        record: Any = json.loads((folder / CAMERAS).read_text(encoding="utf-8"))
        with contextlib.suppress(PermissionError):  # it runs, and is somebody else's
            os.kill(int(record["pid"]), 0)
        return {str(name): (str(each["state"]), str(each["reason"])) for name, each in record["cameras"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
