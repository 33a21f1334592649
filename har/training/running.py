"""A training run under way: what is kept from step to step, on the disk too, and what is told of it."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from har.models.stgcn import STGCN
from har.training.checkpoint import Checkpoint, State, optimiser_state, restore_optimiser, told, write_checkpoint
from har.training.conditions import Conditions, Progress, cpu_seconds
from har.training.dataset import WindowSet
from har.training.recipe import Recipe
from har.training.schedule import Schedule

log = logging.getLogger(__name__)

STEPS_REMEMBERED = 64


@dataclass(slots=True)
class Meter:
    """Running means and the time of a step."""

    loss: float = math.nan
    top1: float = math.nan
    n_seen: int = 0
    n_windows: int = 0
    busy_s: float = 0.0
    took_s: deque[float] = field(default_factory=lambda: deque(maxlen=STEPS_REMEMBERED))

    def add(self, *, loss: float, top1: float, n_windows: int, took_s: float) -> None:
        """Count a step."""
        keep = 0.95 if self.n_seen else 0.0
        self.loss = loss if not keep else keep * self.loss + (1 - keep) * loss
        self.top1 = top1 if not keep else keep * self.top1 + (1 - keep) * top1
        self.n_seen += 1
        self.took_s.append(took_s)
        self.n_windows += n_windows
        self.busy_s += took_s

    @property
    def n_timed(self) -> int:
        """Steps whose time is known."""
        return len(self.took_s)

    @property
    def step_s(self) -> float:
        """Time of a step, the first of this process left out while there are others."""
        times = list(self.took_s)
        return float(np.mean(times[1:] if 1 < len(times) < STEPS_REMEMBERED else times)) if times else 0.0

    @property
    def windows_per_s(self) -> float:
        """Windows learnt from in a second, by all processes together."""
        return self.n_windows / self.busy_s if self.busy_s else 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has cost.

    Attributes:
        wall_s: time on the wall.
        cpu_s: time of the processor.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @classmethod
    def until_now(cls) -> Spent:
        """Read both clocks."""
        return cls(time.monotonic(), cpu_seconds())


@dataclass(slots=True, eq=False)
class Run:
    """A run under way: what is kept from step to step."""

    network: STGCN
    forward: nn.Module
    kind: str
    learn: WindowSet
    check: WindowSet
    recipe: Recipe
    seed: tuple[int, ...]
    given: Conditions
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    meter: Meter = field(default_factory=Meter)
    best_score: float = -math.inf
    best_epoch: int = 0
    risen_epoch: int = 0
    best: State = field(default_factory=dict)
    best_logits: Tensor = field(default_factory=lambda: torch.zeros(0))
    mean: State = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] | None = None
    check_s: float = 0.0
    saved_s: float = 0.0
    spent: Spent = field(default_factory=lambda: Spent())
    """By processes before this one."""
    began: Spent = field(default_factory=lambda: Spent.until_now())


def progress_of(run: Run, *, is_pass_end: bool = False) -> Progress:
    """Say where a run stands."""
    schedule, given = run.schedule, run.given
    left_s = schedule.steps_left * run.meter.step_s + max(schedule.n_passes - schedule.n_done, 0) * run.check_s
    whole_s = schedule.n_passes * (schedule.pass_steps * run.meter.step_s + run.check_s)
    return Progress(
        stream=given.stream + 1,
        n_streams=given.n_streams,
        kind=run.kind,
        step=schedule.step,
        n_steps=schedule.step + (0 if schedule.is_over else schedule.steps_left),
        epoch=min(schedule.n_done + 1, schedule.n_passes),
        n_epochs=schedule.n_passes,
        loss=run.meter.loss,
        top1=run.meter.top1,
        learning_rate=run.optimiser.param_groups[0]["lr"],
        check=run.figures,
        windows_per_s=run.meter.windows_per_s,
        left_s=(0.0 if schedule.is_over else left_s) + (given.n_streams - given.stream - 1) * whole_s,
        is_pass_end=is_pass_end,
    )


def save_run(run: Run) -> None:
    """Keep the state of the run; a disk that is full stops nothing, since the weights are still in memory."""
    run.saved_s = time.monotonic()
    if run.given.checkpoint is None or not run.given.workers.is_first:
        return
    try:
        write_checkpoint(run.given.checkpoint, _checkpoint(run))
    except OSError as error:
        log.warning(
            "%s: the state of the training could not be kept (%s); it goes on, but --resume would begin further back. "
            "Make room.",
            run.given.checkpoint,
            told(error),
        )


def _checkpoint(run: Run) -> Checkpoint:
    now = Spent.until_now()
    facts = {
        "spent": [run.spent.wall_s + now.wall_s - run.began.wall_s, run.spent.cpu_s + now.cpu_s - run.began.cpu_s],
        "fingerprint": run.given.fingerprint,
        "schedule": asdict(run.schedule),
        "meter": [run.meter.loss, run.meter.top1, run.meter.n_seen],
        "best_score": run.best_score,
        "best_epoch": run.best_epoch,
        "risen_epoch": run.risen_epoch,
        "history": run.history,
        "figures": run.figures,
    }
    return Checkpoint(
        model=dict(run.network.state_dict()),
        best=run.best,
        mean=run.mean,
        optimiser=optimiser_state(run.optimiser),
        extra={"logits": run.best_logits},
        facts=facts,
    )


def restore_run(run: Run, kept: Checkpoint) -> None:
    """Put a run where it was when its state was kept."""
    where = run.given.device.where
    run.network.load_state_dict(kept.model)
    restore_optimiser(run.optimiser, kept.optimiser)
    run.best, run.mean = ({name: value.to(where) for name, value in part.items()} for part in (kept.best, kept.mean))
    run.best_logits = kept.extra["logits"]
    run.schedule = Schedule(**kept.facts["schedule"])
    run.meter.loss, run.meter.top1, run.meter.n_seen = kept.facts["meter"]
    run.best_score, run.best_epoch = float(kept.facts["best_score"]), int(kept.facts["best_epoch"])
    run.risen_epoch = int(kept.facts["risen_epoch"])
    run.spent = Spent(*kept.facts["spent"])
    run.history, run.figures = list(kept.facts["history"]), kept.facts["figures"]
