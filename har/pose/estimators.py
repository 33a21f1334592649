"""Choosing an estimator by name."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from har.errors import ConfigError, WeightsError
from har.pose.blazepose import BlazePose
from har.pose.blazepose_fast import FastBlazePose
from har.pose.weights import blazepose_path
from har.records import Frame, Pose

BLAZEPOSE, BLAZEPOSE_FAST = "blazepose", "blazepose-fast"
_PLAIN = re.compile(r"num_poses=([1-9]|10)")


class Estimator(Protocol):
    """One camera's pose estimator."""

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        """Find everybody's COCO-17 joints, in pixels."""
        ...

    def close(self) -> None:
        """Give its resources back."""
        ...


def open_estimator(name: str, *, max_people: int) -> Estimator:
    """Open a pose estimator for one camera.

    Args:
        name: "blazepose", "blazepose-fast", or the path of a MediaPipe `.task` file of one's own.
        max_people: most people looked for in a frame.

    Raises:
        ConfigError: no such estimator.
        WeightsError: its weights are missing or refused.
    """
    if plain := plain_people(name):
        return BlazePose(max_people=plain)
    if name == BLAZEPOSE:
        return BlazePose(max_people=max_people)
    if name == BLAZEPOSE_FAST:
        return FastBlazePose(max_people=max_people)
    check_estimator(name)
    return BlazePose(Path(name).expanduser(), max_people=max_people)


def plain_people(name: str) -> int | None:
    """Give N of "num_poses=N", MediaPipe's own search for several people: what others are held against."""
    named = _PLAIN.fullmatch(name)
    return int(named[1]) if named else None


def check_estimator(name: str) -> None:
    """Find a user's mistake before anything starts: an unknown estimator, or weights that are not there.

    Raises:
        ConfigError: no such estimator.
        WeightsError: its weights are missing or damaged.
    """
    if name == BLAZEPOSE or plain_people(name):
        blazepose_path()
    elif name == BLAZEPOSE_FAST:
        blazepose_path()
        if find_spec("openvino") is None:
            raise ConfigError(
                f"pose estimator {name!r} needs OpenVINO. Install it with: "
                ".venv/bin/pip install -c constraints.txt -e '.[fast]'"
            )
    elif not name.endswith(".task"):
        raise ConfigError(
            f"pose estimator {name!r} is not known. Use blazepose, blazepose-fast or the path of a .task file."
        )
    elif not Path(name).expanduser().is_file():
        raise WeightsError(f"{name}: no such weights file. Give a .task file, or use blazepose.")
