"""What is to be trained: the clips and windows of a run, how, with what and for how long."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from har.clips import Clip
from har.models.bundle import Bundle
from har.training.conditions import Progress
from har.training.dataset import WindowSet
from har.training.devices import Device, DeviceName, Precision
from har.training.recipe import Recipe
from har.training.workers import Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """With what a model is trained; nothing of it says what is learnt.

    Attributes:
        device: "auto" takes a GPU where there is one.
        precision: "auto" takes bf16 where the hardware multiplies it.
        threads: of torch; left as they are if None.
        jobs: processes that read clips and recordings for the risk model.
        time_limit_min: wall minutes from the start of the process to the bundle on disk; the plan is cut to fit.
        resume: go on with an interrupted run.
        report: called after every step.
        say: called with what a person should know before it begins.
    """

    device: DeviceName = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    jobs: int = 1
    time_limit_min: float | None = None
    resume: bool = False
    report: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The clips and windows of a run."""

    learn_clips: list[Clip]
    check_clips: list[Clip]
    learn: WindowSet
    check: WindowSet
    digest: str

    @property
    def clips(self) -> list[Clip]:
        """All clips, those held out too."""
        return [*self.learn_clips, *self.check_clips]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What is to be trained, and for how long."""

    out: Path
    recipe: Recipe
    split: str | None
    seed: int
    parent: Bundle | None
    machinery: Machinery
    device: Device
    workers: Workers
    deadline_s: float | None
    began_s: float
    cpu_began_s: float

    @property
    def checkpoints(self) -> Path:
        """Folder of the state of the run, until the bundle is written."""
        return self.out.parent / f".{self.out.name}.training"

    def say(self, line: str) -> None:
        """Tell a person something, once for all processes."""
        if self.workers.is_first:
            self.machinery.say(line)


def data_digest(clips: Sequence[Clip]) -> str:
    """Give the sha256 of what clips hold: joints, times and labels."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda each: each.id):
        update_digest(digest, clip)
    return digest.hexdigest()


def update_digest(digest: Any, clip: Clip) -> None:
    """Add what a clip holds to a digest of `hashlib`."""
    facts = [clip.id, clip.label, clip.danger, clip.spans, clip.layout, clip.units, clip.up, clip.joints.shape]
    digest.update(json.dumps(facts).encode())
    digest.update(np.ascontiguousarray(clip.joints).tobytes())
    digest.update(np.ascontiguousarray(clip.time_s).tobytes())


def held_out_by(data: Data) -> str:
    """Say what parts the validation clips from the others."""
    if not len(data.check):
        return "nothing held out"
    for name, value_of in (("subject", _subject), ("view", _view)):
        held = {value_of(clip) for clip in data.check_clips}
        if not held & {value_of(clip) for clip in data.learn_clips} and None not in held:
            return name
    return "recording"


def _subject(clip: Clip) -> str | None:
    return clip.subject


def _view(clip: Clip) -> str | None:
    return clip.view


def count_windows(windows: WindowSet) -> dict[str, int]:
    """Count the windows of each label."""
    counts = np.bincount(windows.labels, minlength=len(windows.names))
    return {name: int(n) for name, n in zip(windows.names, counts, strict=True)}
