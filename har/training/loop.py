"""The training loop: windows in, weights out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from har.errors import TrainingError
from har.models.inputs import features
from har.models.stgcn import STGCN
from har.models.streams import Streams, as_streams, pool_people
from har.training.augment import augment
from har.training.checkpoint import (
    Checkpoint,
    State,
    optimiser_state,
    read_checkpoint,
    restore_optimiser,
    write_checkpoint,
)
from har.training.dataset import IntArray, WindowSet
from har.training.metrics import score_metrics
from har.training.recipe import Recipe

log = logging.getLogger(__name__)

STEPS_TO_TIME = 8
"""Steps after which the time of a step is believed; the first one is left out, it pays for warming up."""
EVALUATION_BATCH = 128
FORWARD_SHARE = 0.4
"""Of a step's time: what a batch takes forward only, until the first validation tells."""
NORM_MEMORY = 0.1  # torch's own


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        n_steps: steps planned.
        epoch: the pass under way, from 1.
        n_epochs: passes planned.
        loss: running mean over recent steps.
        top1: accuracy on recent, augmented training windows.
        check: metrics on the validation part after the latest whole pass; None before.
        windows_per_s: forward, backward and augmentation.
        left_s: seconds until the last step.
    """

    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    loss: float
    top1: float
    check: dict[str, Any] | None
    windows_per_s: float
    left_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What came of a run.

    Attributes:
        state: weights and statistics of the chosen pass.
        epoch: the chosen pass.
        history: loss and metrics of every pass.
        windows_per_s: forward, backward and augmentation.
    """

    state: State
    epoch: int
    history: list[dict[str, Any]]
    windows_per_s: float


@dataclass(slots=True)
class _Meter:
    """Running means and the time of a step."""

    loss: float = math.nan
    top1: float = math.nan
    n_windows: int = 0
    n_steps: int = 0
    busy_s: float = 0.0

    def add(self, *, loss: float, top1: float, n_windows: int, took_s: float) -> None:
        keep = 0.95 if self.n_steps else 0.0
        self.loss = loss if not keep else keep * self.loss + (1 - keep) * loss
        self.top1 = top1 if not keep else keep * self.top1 + (1 - keep) * top1
        if self.n_steps:  # the first step warms up
            self.n_windows += n_windows
            self.busy_s += took_s
        self.n_steps += 1

    @property
    def step_s(self) -> float:
        return self.busy_s / max(self.n_steps - 1, 1)

    @property
    def windows_per_s(self) -> float:
        return self.n_windows / self.busy_s if self.busy_s else 0.0


@dataclass(slots=True, eq=False)
class _Run:
    """A run under way: what is kept from step to step."""

    model: STGCN
    optimiser: torch.optim.Optimizer
    steps_per_epoch: int
    n_steps: int
    step: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    best: State = field(default_factory=dict)
    mean: State = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    check: dict[str, Any] | None = None
    check_s: float = 0.0


def fit(
    model: STGCN,
    learn: WindowSet,
    check: WindowSet,
    recipe: Recipe,
    *,
    seed: int,
    deadline_s: float | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    resume: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Fit:
    """Train a network; the pass with the best macro F1 on the validation part is chosen, the last one without any.

    The same arguments give the same weights on one machine, also over a stop and a resumption; a deadline makes the
    plan depend on the machine's speed.

    Args:
        model: trained in place.
        learn: windows to learn from.
        check: windows to choose the pass by; may be empty.
        recipe: how.
        seed: of order, augmentation and dropout.
        deadline_s: on the monotonic clock; the plan is cut to fit, and the loop stops then in any case.
        checkpoint: where the state is kept after every pass; None keeps none.
        fingerprint: of the run, so that no other run resumes from its state.
        resume: go on from the checkpoint if there is one.
        report: called after every step.

    Raises:
        TrainingError: no windows, or the loss is no longer a number.
        ConfigError: the checkpoint is damaged or of another run.
    """
    if not len(learn):
        raise TrainingError(
            "no window to learn from: the clips have no labels, or no pose in them. Check the clip set."
        )
    run = _begin(model, learn, recipe)
    kept = read_checkpoint(checkpoint, fingerprint=fingerprint) if resume and checkpoint else None
    if kept:
        _restore(run, kept)
        log.info("training resumed step=%d of=%d", run.step, run.n_steps)
    meter = _Meter()
    while run.step < run.n_steps and not _out_of_patience(run, recipe) and not _too_late(run, meter, deadline_s):
        epoch, at = divmod(run.step, run.steps_per_epoch)
        order = _draw_order(learn, recipe, seed=seed, epoch=epoch)
        for batch in np.array_split(order, run.steps_per_epoch)[at:]:
            _step(run, learn, batch, recipe, meter, seed=seed)
            if deadline_s is not None and meter.n_steps == STEPS_TO_TIME:
                run.check_s = run.check_s or FORWARD_SHARE * meter.step_s * len(check) / recipe.batch_size
                _plan(run, deadline_s - time.monotonic(), meter.step_s)
            report(_progress(run, meter))
            if run.step >= run.n_steps or _too_late(run, meter, deadline_s):
                break
        began_s = time.monotonic()
        _end_pass(run, check, meter, recipe, epoch=epoch + 1)
        run.check_s = time.monotonic() - began_s
        if checkpoint:
            write_checkpoint(checkpoint, _checkpoint(run, fingerprint))
        if deadline_s is not None:
            _plan(run, deadline_s - time.monotonic(), meter.step_s)
        report(_progress(run, meter))
    if not run.best:
        raise TrainingError("the time limit leaves no time for a single step. Give more minutes.")
    return Fit(run.best, run.best_epoch, run.history, meter.windows_per_s)


def _begin(model: STGCN, learn: WindowSet, recipe: Recipe) -> _Run:
    n_windows = recipe.windows_per_epoch or len(learn)
    steps_per_epoch = max(1, round(n_windows / recipe.batch_size))
    weights = [each for each in model.parameters() if each.ndim == 2 or each.ndim == 4]
    others = [each for each in model.parameters() if not (each.ndim == 2 or each.ndim == 4)]  # norms, biases, edges
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser: torch.optim.Optimizer
    if recipe.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    else:
        optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return _Run(model, optimiser, steps_per_epoch, steps_per_epoch * recipe.epochs)


def _too_late(run: _Run, meter: _Meter, deadline_s: float | None) -> bool:
    """Say whether another step would leave no time for the validation at the end and the one for the card."""
    return deadline_s is not None and time.monotonic() + meter.step_s + 2 * run.check_s > deadline_s


def _out_of_patience(run: _Run, recipe: Recipe) -> bool:
    return recipe.patience > 0 and len(run.history) - run.best_epoch >= recipe.patience


def _plan(run: _Run, left_s: float, step_s: float) -> None:
    """Cut the plan to the time left; it never grows."""
    spread_s = step_s + run.check_s / run.steps_per_epoch  # a step and its part of the validations
    affordable = run.step + max(int((left_s - 2 * run.check_s) / max(spread_s, 1e-6)), 0)
    if affordable < run.n_steps:
        log.info("training plan cut to the time limit steps=%d before=%d", affordable, run.n_steps)
        run.n_steps = max(affordable, run.step)


def _draw_order(learn: WindowSet, recipe: Recipe, *, seed: int, epoch: int) -> IntArray:
    """Draw the windows of one pass: labels and sources balanced as told, windows as evenly as that allows."""
    rng = np.random.default_rng([seed, epoch])
    counts = np.bincount(learn.labels, minlength=len(learn.names))
    weights = counts[learn.labels].astype(np.float64) ** -recipe.balance
    sources = learn.sources()
    weights *= np.bincount(sources)[sources].astype(np.float64) ** -recipe.source_balance
    n_windows = recipe.windows_per_epoch or len(learn)
    edges = np.cumsum(weights[shuffled := rng.permutation(len(learn))] / weights.sum()) * n_windows
    picks = np.searchsorted(edges, np.arange(n_windows) + rng.uniform(), side="right")
    return rng.permutation(shuffled[np.minimum(picks, len(learn) - 1)])


def _learning_rate(run: _Run, recipe: Recipe) -> float:
    warm_up = min(recipe.warm_up_epochs * run.steps_per_epoch, run.n_steps / 4)
    if run.step < warm_up:
        return recipe.learning_rate * (run.step + 1) / warm_up
    share = (run.step - warm_up) / max(run.n_steps - warm_up, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _step(run: _Run, learn: WindowSet, batch: IntArray, recipe: Recipe, meter: _Meter, *, seed: int) -> None:
    start_s = time.perf_counter()
    rng = np.random.default_rng([seed, 1, run.step])
    torch.manual_seed(int(rng.integers(2**62)))  # dropout
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    packed = learn.draw(batch, rng=rng)
    owner = torch.from_numpy(packed.owner)
    joints = augment(torch.from_numpy(packed.joints), recipe, generator, owner=owner)
    labels = torch.from_numpy(learn.labels[batch])

    run.model.train()
    _forget_first_statistics(run.model, step=run.step)
    logits = pool_people(run.model(features(joints, layout_name=recipe.layout)), owner)  # (B, K)
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(_not_finite(run, learn, batch, value))
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), recipe.gradient_norm)
    for group in run.optimiser.param_groups:
        group["lr"] = _learning_rate(run, recipe)
    run.optimiser.step()
    run.step += 1
    if recipe.ema_decay:
        _update_mean(run, recipe.ema_decay)
    top1 = float((logits.argmax(dim=1) == labels).float().mean())
    meter.add(loss=value, top1=top1, n_windows=len(batch), took_s=time.perf_counter() - start_s)


def _forget_first_statistics(model: STGCN, *, step: int) -> None:
    """Let the norms' running statistics be plain means at first.

    They begin at a variance of one, while a still joint's is a thousandth of that: with torch's usual memory a short
    run ends with statistics that are mostly this beginning.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = max(NORM_MEMORY, 1 / (step + 1))


def _not_finite(run: _Run, learn: WindowSet, batch: IntArray, value: float) -> str:
    clips = sorted({learn.clip_ids[clip] for clip in learn.clip[batch]})
    return (
        f"the loss became {value} in pass {run.step // run.steps_per_epoch + 1}, step {run.step + 1}, with windows of "
        f"{', '.join(clips[:5])}{' and others' if len(clips) > 5 else ''}. Lower learning_rate, or look at these clips."
    )


def _update_mean(run: _Run, decay: float) -> None:
    state = run.model.state_dict()
    if not run.mean:
        run.mean = {name: value.detach().clone() for name, value in state.items()}
    decay = min(decay, (1 + run.step) / (10 + run.step))  # short memory at first
    for name, value in state.items():
        if value.is_floating_point():
            run.mean[name].lerp_(value.detach(), 1 - decay)
        else:
            run.mean[name].copy_(value)


def _end_pass(run: _Run, check: WindowSet, meter: _Meter, recipe: Recipe, *, epoch: int) -> None:
    state = run.mean or {name: value.detach().clone() for name, value in run.model.state_dict().items()}
    score = float(epoch)
    if len(check):
        own = {name: value.detach().clone() for name, value in run.model.state_dict().items()}
        run.model.load_state_dict(state)
        scores = score_windows(run.model, check)
        run.model.load_state_dict(own)
        if not np.isfinite(scores).all():
            raise TrainingError(f"the weights are no longer numbers after pass {epoch}. Lower learning_rate.")
        run.check = score_metrics(scores, check.labels, names=check.names)
        score = float(run.check["macro_f1"])
    run.history.append(
        {"epoch": epoch, "loss": meter.loss, "train_top1": meter.top1}
        | ({name: run.check[name] for name in ("top1", "macro_f1", "ece")} if run.check else {})
    )
    log.info("training pass=%d loss=%.3f top1=%.3f validation_f1=%s", epoch, meter.loss, meter.top1, score)
    if score >= run.best_score:
        run.best_score, run.best_epoch = score, len(run.history)
        run.best = {name: value.clone() for name, value in state.items()}


def score_windows(model: STGCN | Streams, windows: WindowSet) -> npt.NDArray[np.float32]:
    """Give the probabilities (N, K) of windows, in their order."""
    model.eval()
    streams = as_streams(model)
    parts: list[Tensor] = []
    with torch.inference_mode():
        for begin in range(0, len(windows), EVALUATION_BATCH):
            indices = np.arange(begin, min(begin + EVALUATION_BATCH, len(windows)))
            packed = windows.draw(indices)
            parts.append(streams.scores(torch.from_numpy(packed.joints), torch.from_numpy(packed.owner)))
    if not parts:
        return np.zeros((0, len(windows.names)), dtype=np.float32)
    scores: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return scores


def _progress(run: _Run, meter: _Meter) -> Progress:
    return Progress(
        step=run.step,
        n_steps=run.n_steps,
        epoch=min(run.step // run.steps_per_epoch + 1, math.ceil(run.n_steps / run.steps_per_epoch)),
        n_epochs=math.ceil(run.n_steps / run.steps_per_epoch),
        loss=meter.loss,
        top1=meter.top1,
        check=run.check,
        windows_per_s=meter.windows_per_s,
        left_s=(run.n_steps - run.step) * meter.step_s,
    )


def _checkpoint(run: _Run, fingerprint: str) -> Checkpoint:
    facts = {
        "fingerprint": fingerprint,
        "step": run.step,
        "n_steps": run.n_steps,
        "best_score": run.best_score,
        "best_epoch": run.best_epoch,
        "history": run.history,
    }
    return Checkpoint(dict(run.model.state_dict()), run.best, run.mean, optimiser_state(run.optimiser), facts)


def _restore(run: _Run, kept: Checkpoint) -> None:
    run.model.load_state_dict(kept.model)
    restore_optimiser(run.optimiser, kept.optimiser)
    run.best, run.mean = dict(kept.best), dict(kept.mean)
    run.step, run.n_steps = int(kept.facts["step"]), int(kept.facts["n_steps"])
    run.best_score, run.best_epoch = float(kept.facts["best_score"]), int(kept.facts["best_epoch"])
    run.history = list(kept.facts["history"])
