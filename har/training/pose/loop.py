"""The training loop of pose estimators: a lesson in, weights out."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from har.errors import TrainingError
from har.training.checkpoint import (
    Checkpoint,
    State,
    optimiser_state,
    read_checkpoint,
    restore_optimiser,
    told,
    write_checkpoint,
)
from har.training.conditions import cpu_seconds
from har.training.devices import CPU, Device
from har.training.pose.lesson import Lesson
from har.training.schedule import Schedule

log = logging.getLogger(__name__)

STEPS_TO_TIME = 8
"""Steps after which the time of a step is believed."""
CHECKPOINT_EVERY_S = 60.0
PREFETCHED = 4
"""Batches made ahead in threads while a GPU computes."""
CHECK_SHARE = 0.1
"""Of the time of a pass that its validation takes, until the first one tells."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How an estimator is trained.

    Attributes:
        epochs: passes over the data.
        batch_size: people or pictures of a step.
        learning_rate: AdamW's highest.
        weight_decay: of weights that are matrices.
        warm_up: passes until the highest learning rate.
        gradient_norm: longer gradients are shortened to it.
        mean_decay: memory of the running mean of the weights, which is what is judged and kept.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warm_up: float = 1.0
    gradient_norm: float = 5.0
    mean_decay: float = 0.998


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        n_steps: steps planned.
        epoch: the pass under way, from 1.
        n_epochs: passes planned.
        losses: running means by name.
        check: figures on what was held out after the latest whole pass; empty before.
        per_s: what was learnt from in a second.
        unit: what that is.
        left_s: seconds until the last step.
        is_pass_end: whether a pass has just ended.
    """

    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    losses: dict[str, float]
    check: dict[str, float]
    per_s: float
    unit: str
    left_s: float
    is_pass_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Under which circumstances an estimator is trained; none of them says what is learnt.

    Attributes:
        device: where.
        deadline_s: on the monotonic clock; the plan is cut to fit.
        checkpoint: where the state is kept after every pass and every minute; None keeps none.
        fingerprint: of the run, so that no other run resumes from its state.
        resume: go on from the checkpoint if there is one.
        report: called after every step.
        is_stopped: asked after every step; the state is kept, then KeyboardInterrupt raised.
    """

    device: Device = CPU
    deadline_s: float | None = None
    checkpoint: Path | None = None
    fingerprint: str = ""
    resume: bool = False
    report: Callable[[Progress], None] = lambda progress: None
    is_stopped: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What came of a run.

    Attributes:
        state: weights of the chosen pass, on the CPU.
        epoch: the chosen pass.
        history: losses and figures of every pass.
        wall_s: time it took, that of runs broken off before included.
        cpu_s: likewise of the processor.
    """

    state: State
    epoch: int
    history: list[dict[str, float]]
    wall_s: float
    cpu_s: float


@dataclass(slots=True, eq=False)
class _Run:
    """A run under way."""

    lesson: Lesson
    plan: Plan
    seed: int
    given: Given
    network: nn.Module
    mean: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    losses: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    best: State = field(default_factory=dict)
    best_score: float = -math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    took_s: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    check_s: float | None = None
    saved_s: float = field(default_factory=time.monotonic)
    began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), cpu_seconds()))
    spent: tuple[float, float] = (0.0, 0.0)  # by runs broken off before

    @property
    def step_s(self) -> float:
        times = list(self.took_s)
        return float(np.mean(times[1:] if len(times) > 1 else times)) if times else 0.0

    def spent_now(self) -> tuple[float, float]:
        wall_s, cpu_s = time.monotonic() - self.began[0], cpu_seconds() - self.began[1]
        return self.spent[0] + wall_s, self.spent[1] + cpu_s


def fit(lesson: Lesson, plan: Plan, *, seed: int, given: Given | None = None) -> Fit:
    """Train an estimator; the pass that does best on what was held out is chosen, the last one if nothing was.

    Args:
        lesson: what learns from what; its network is trained in place.
        plan: how.
        seed: of order and chance.
        given: device, time, checkpoint and so on.

    Raises:
        TrainingError: nothing to learn from, no time, or the loss is no longer a number.
        ConfigError: the checkpoint is damaged or of another run.
        KeyboardInterrupt: `given.is_stopped` said so; the state is kept.
    """
    given = given or Given()
    if not len(lesson):
        raise TrainingError("nobody to learn from: no person in these pictures has a box and joints. Check the data.")
    run = _begin(lesson, plan, seed=seed, given=given)
    if given.resume and given.checkpoint:
        kept = read_checkpoint(given.checkpoint, fingerprint=given.fingerprint)
        if kept:
            _restore(run, kept)
            log.info("training resumed step=%d", run.schedule.step)
    while not run.schedule.is_over:
        _one_pass(run)
    if not run.best:
        raise TrainingError("the time limit leaves no time for a single step. Give more minutes.")
    wall_s, cpu_s = run.spent_now()
    state = {name: value.cpu().contiguous() for name, value in run.best.items()}
    return Fit(state=state, epoch=run.best_epoch, history=run.history, wall_s=wall_s, cpu_s=cpu_s)


def _begin(lesson: Lesson, plan: Plan, *, seed: int, given: Given) -> _Run:
    # Channels last: convolutions take half the time (measured on a CPU).
    network = lesson.network.to(given.device.where).to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network).eval().requires_grad_(False)
    n_steps = max(1, len(lesson) // plan.batch_size)
    schedule = Schedule.of(pass_steps=n_steps, n_passes=plan.epochs)
    return _Run(lesson, plan, seed, given, network, mean, _optimiser(network, plan), schedule)


def _optimiser(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    learning = [each for each in network.parameters() if each.requires_grad]
    matrices = [each for each in learning if each.ndim > 1]
    others = [each for each in learning if each.ndim <= 1]  # norms and biases
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def _one_pass(run: _Run) -> None:
    """Go through a pass, or what is left of it after a resumption, and judge what came of it."""
    schedule, given = run.schedule, run.given
    began_s = time.perf_counter()
    for batch in _batches(run):
        if given.deadline_s is not None and _fit_into_time(run) and schedule.pass_is_over:
            break
        _step(run, batch)
        run.took_s.append(time.perf_counter() - began_s)
        given.report(_progress(run))
        if given.is_stopped():
            _save(run)
            raise KeyboardInterrupt
        if schedule.pass_is_over:
            break
        if time.monotonic() - run.saved_s > CHECKPOINT_EVERY_S:
            _save(run)
        began_s = time.perf_counter()
    if not schedule.at:  # no time was left for a single step of this pass
        schedule.n_passes = schedule.n_done
        return
    _end_pass(run)
    _save(run)
    given.report(_progress(run, is_pass_end=True))


def _batches(run: _Run) -> Iterator[Any]:
    """Give the batches of the pass that are still to be learnt from."""
    schedule = run.schedule
    order = np.random.default_rng([run.seed, 0, schedule.n_done]).permutation(len(run.lesson))
    parts = np.array_split(order, max(1, len(order) // run.plan.batch_size))
    first = schedule.step - schedule.at

    def make(number: int) -> Any:
        return run.lesson.batch(parts[number].tolist(), np.random.default_rng([run.seed, 1, first + number]))

    numbers = range(schedule.at, len(parts))
    if run.given.device.where.type != "cuda":
        yield from map(make, numbers)
        return
    with ThreadPoolExecutor(max_workers=PREFETCHED, thread_name_prefix="batches") as pool:
        waiting = deque(pool.submit(make, number) for number in numbers[: 2 * PREFETCHED])
        for number in [*numbers[2 * PREFETCHED :], *[None] * len(waiting)]:
            yield waiting.popleft().result()
            if number is not None:
                waiting.append(pool.submit(make, number))


def _step(run: _Run, batch: Any) -> None:
    """Learn from one batch."""
    run.network.train()
    torch.manual_seed(hash((run.seed, run.schedule.step)))
    with run.given.device.autocast():
        losses = run.lesson.losses(run.network, run.mean, batch, run.given.device.where)
    total = torch.stack([each.float() for each in losses.values()]).sum()
    values = {name: float(each.detach()) for name, each in losses.items()}
    if not math.isfinite(sum(values.values())):
        raise TrainingError(
            f"the loss is no longer a number in pass {run.schedule.n_done + 1}, step {run.schedule.step + 1} "
            f"({values}). Lower the learning rate, or look at the annotations."
        )
    run.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.plan.gradient_norm)
    rate = run.plan.learning_rate * run.schedule.rate(warm_up_passes=run.plan.warm_up)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    run.optimiser.step()
    run.schedule.step_done()
    _update_mean(run)
    keep = 0.95 if run.losses else 0.0
    run.losses = {name: keep * run.losses.get(name, value) + (1 - keep) * value for name, value in values.items()}


@torch.no_grad()
def _update_mean(run: _Run) -> None:
    step = run.schedule.step
    decay = min(run.plan.mean_decay, (1 + step) / (10 + step))  # short memory at first
    state = run.network.state_dict()
    for name, value in run.mean.state_dict().items():
        if value.is_floating_point():
            value.lerp_(state[name], 1 - decay)
        else:
            value.copy_(state[name])


def _fit_into_time(run: _Run) -> bool:
    """Fit the plan into the time left, once the time of a step is known; say whether it changed."""
    given, schedule = run.given, run.schedule
    assert given.deadline_s is not None
    left_s = given.deadline_s - time.monotonic()
    if len(run.took_s) < STEPS_TO_TIME and left_s > 2 * STEPS_TO_TIME * run.step_s:
        return False
    guess_s = CHECK_SHARE * schedule.pass_steps * run.step_s
    return schedule.fit_into(left_s, step_s=run.step_s, check_s=guess_s if run.check_s is None else run.check_s)


def _end_pass(run: _Run) -> None:
    """Judge what came of a pass, and keep it if it is the best so far."""
    began_s, epoch = time.monotonic(), run.schedule.n_done + 1
    run.figures = run.lesson.judge(run.mean, run.given.device.where)
    run.check_s = time.monotonic() - began_s
    score = next(iter(run.figures.values()), float(epoch))
    run.history.append({"epoch": epoch} | run.losses | {f"validation {key}": v for key, v in run.figures.items()})
    if score >= run.best_score:  # of passes as good as each other the later one has seen more
        run.best_score, run.best_epoch = score, epoch
        run.best = {name: value.detach().clone() for name, value in run.mean.state_dict().items()}
    run.schedule.pass_done()


def _progress(run: _Run, *, is_pass_end: bool = False) -> Progress:
    schedule = run.schedule
    left_s = schedule.steps_left * run.step_s + (schedule.n_passes - schedule.n_done) * (run.check_s or 0.0)
    return Progress(
        step=schedule.step,
        n_steps=schedule.step + (0 if schedule.is_over else schedule.steps_left),
        epoch=min(schedule.n_done + 1, schedule.n_passes),
        n_epochs=schedule.n_passes,
        losses=run.losses,
        check=run.figures,
        per_s=run.plan.batch_size / run.step_s if run.step_s else 0.0,
        unit=run.lesson.unit,
        left_s=0.0 if schedule.is_over else left_s,
        is_pass_end=is_pass_end,
    )


def _save(run: _Run) -> None:
    """Keep the state of the run; a disk that is full stops nothing."""
    run.saved_s = time.monotonic()
    if run.given.checkpoint is None:
        return
    facts = {
        "fingerprint": run.given.fingerprint,
        "schedule": asdict(run.schedule),
        "losses": run.losses,
        "figures": run.figures,
        "best_score": run.best_score if run.best else None,
        "best_epoch": run.best_epoch,
        "history": run.history,
        "spent": run.spent_now(),
    }
    kept = Checkpoint(
        model=dict(run.network.state_dict()),
        best=run.best,
        mean=dict(run.mean.state_dict()),
        optimiser=optimiser_state(run.optimiser),
        extra={},
        facts=facts,
    )
    try:
        write_checkpoint(run.given.checkpoint, kept)
    except OSError as error:
        log.warning("%s: the state could not be kept (%s); training goes on.", run.given.checkpoint, told(error))


def _restore(run: _Run, kept: Checkpoint) -> None:
    """Put a run where it was when its state was kept."""
    facts = kept.facts
    run.network.load_state_dict(kept.model)
    run.mean.load_state_dict(kept.mean)
    restore_optimiser(run.optimiser, kept.optimiser)
    run.best = {name: value.to(run.given.device.where) for name, value in kept.best.items()}
    run.best_score = -math.inf if facts["best_score"] is None else float(facts["best_score"])
    run.best_epoch = int(facts["best_epoch"])
    run.schedule = Schedule(**facts["schedule"])
    run.losses, run.figures, run.history = facts["losses"], facts["figures"], facts["history"]
    run.spent = (float(facts["spent"][0]), float(facts["spent"][1]))
