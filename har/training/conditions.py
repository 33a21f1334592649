"""Under which circumstances a network is trained, what is told of it, and what comes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from har.training.answers import Logits
from har.training.checkpoint import State
from har.training.devices import CPU, Device
from har.training.workers import ALONE, Workers


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        stream: the network being trained, from 1.
        n_streams: networks of the model.
        kind: what that network is shown.
        step: steps done.
        n_steps: steps planned.
        epoch: the pass under way, from 1.
        n_epochs: passes planned.
        loss: running mean over recent steps.
        top1: accuracy on recent, augmented training windows.
        learning_rate: of the step.
        check: metrics on the validation part after the latest whole pass; None before.
        windows_per_s: forward, backward and augmentation.
        left_s: seconds until the last step of the last network.
        is_pass_end: whether a pass has just ended.
    """

    stream: int
    n_streams: int
    kind: str
    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    loss: float
    top1: float
    learning_rate: float
    check: dict[str, Any] | None
    windows_per_s: float
    left_s: float
    is_pass_end: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What came of a run.

    Attributes:
        state: weights and statistics of the chosen pass, on the CPU.
        epoch: the chosen pass.
        history: loss and metrics of every pass.
        logits: (N, K) answers of the chosen pass to the validation part.
        windows_per_s: forward, backward and augmentation.
        earlier_wall_s: what processes that were broken off had spent on it.
        earlier_cpu_s: the same in time of the processor.
    """

    state: State
    epoch: int
    history: list[dict[str, Any]]
    logits: Logits
    windows_per_s: float
    earlier_wall_s: float = 0.0
    earlier_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which circumstances a network is trained; none of them says what is learnt.

    Attributes:
        device: where.
        workers: which process this is among those that train together.
        deadline_s: on the monotonic clock; the plan is cut to fit, and the loop stops then in any case.
        checkpoint: where the state is kept after every pass and every minute; None keeps none.
        fingerprint: of the run, so that no other run resumes from its state.
        resume: go on from the checkpoint if there is one.
        report: called after every step.
        is_stopped: asked after every step; the state is kept, then KeyboardInterrupt raised.
        stream: which network of the model this is, from 0.
        n_streams: networks of the model.
    """

    device: Device = CPU
    workers: Workers = ALONE
    deadline_s: float | None = None
    checkpoint: Path | None = None
    fingerprint: str = ""
    resume: bool = False
    report: Callable[[Progress], None] = lambda progress: None
    is_stopped: Callable[[], bool] = lambda: False
    stream: int = 0
    n_streams: int = 1


def cpu_seconds() -> float:
    """Give the processor's time that this process took, and those that it started and waited for."""
    of_others = os.times()
    return time.process_time() + of_others.children_user + of_others.children_system
