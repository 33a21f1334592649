"""Estimators for tests of a camera's process; named in `CameraSpec.estimator` and imported there."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from har.errors import PoseError
from har.pose import Estimator
from har.records import Frame, Pose
from tests.sources.builders import read_code


def number_pose(number: float) -> tuple[Pose, ...]:
    return (Pose(xy=np.full((17, 2), number, dtype=np.float32), score=np.ones(17, dtype=np.float32)),)


def number_of(poses: tuple[Pose, ...]) -> int:
    return int(poses[0].xy[0, 0])


class Reader:
    """Finds "a person" at the number drawn in the picture; does `misdeed` at number 5, once or always."""

    def __init__(self, name: str) -> None:
        self.misdeed, _, self.marker = name.partition(":")

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        number = read_code(frame.image)
        if self.misdeed == "count":
            Path(self.marker).write_text(str(number))
        elif number == 5 and not (self.marker and Path(self.marker).exists()):
            if self.marker:
                Path(self.marker).touch()
            misbehave(self.misdeed)
        return number_pose(number)

    def close(self) -> None:
        if self.misdeed == "hang_on_close":
            time.sleep(3600)


def misbehave(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "hang":
        time.sleep(3600)
    if how == "raise":
        raise PoseError("the model does not fit. Fetch it again.")
    if how == "print":
        print("noise on stdout")  # noqa: T201
        sys.stdout.flush()


def open_reader(name: str, *, max_people: int) -> Estimator:
    return Reader(name)


class ModuleProbe:
    """Answers 1 if torch is loaded in this process, else 0."""

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        return number_pose(float("torch" in sys.modules or "torchvision" in sys.modules))

    def close(self) -> None:
        pass


def open_probe(name: str, *, max_people: int) -> Estimator:
    return ModuleProbe()


def open_never(name: str, *, max_people: int) -> Estimator:
    raise AssertionError("a skeleton clip needs no estimator")
