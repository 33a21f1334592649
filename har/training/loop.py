"""The training loop: windows in, weights of one network out."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from har.errors import TrainingError
from har.models.inputs import features
from har.models.stgcn import STGCN
from har.models.streams import pool_people
from har.training.answers import Logits, stream_logits
from har.training.batches import Batch, draw_order, make_batch
from har.training.checkpoint import State, read_checkpoint
from har.training.conditions import Conditions, Fit
from har.training.dataset import WindowSet
from har.training.metrics import score_metrics
from har.training.packing import plan_batches
from har.training.recipe import Recipe
from har.training.running import Run, progress_of, restore_run, save_run
from har.training.schedule import Schedule

log = logging.getLogger(__name__)

STEPS_TO_TIME = 8
"""Steps after which the time of a step is believed; the first one is left out, it pays for warming up."""
CHECKPOINT_EVERY_S = 60.0
"""Besides after every pass: so much work at most is lost when a run is killed."""
FORWARD_SHARE = 0.4
"""Of a step's time: what a batch takes forward only, until the first validation tells."""
NORM_MEMORY = 0.1  # torch's own
PREFETCHED = 4
"""Batches made ahead in threads while a GPU computes; on the CPU they would take the time of the network."""


def fit(
    network: STGCN,
    learn: WindowSet,
    check: WindowSet,
    recipe: Recipe,
    *,
    seed: int,
    kind: str | None = None,
    given: Conditions | None = None,
) -> Fit:
    """Train a network; the pass with the best macro F1 on the validation part is chosen, the last one without any.

    The same arguments give the same weights on one machine, also over a stop and a resumption; a deadline makes the
    plan depend on the machine's speed.

    Args:
        network: trained in place.
        learn: windows to learn from.
        check: windows to choose the pass by; may be empty.
        recipe: how.
        seed: of order, augmentation and dropout.
        kind: what the network is shown; the recipe's first input if None.
        given: device, time, checkpoint and so on.

    Raises:
        TrainingError: no windows, no time, or the loss is no longer a number.
        ConfigError: the checkpoint is damaged or of another run.
        KeyboardInterrupt: `given.is_stopped` said so; the state is kept.
    """
    given = given or Conditions()
    if not len(learn):
        raise TrainingError(
            "no window to learn from: the clips have no labels, or no pose in them. Check the clip set."
        )
    run = _begin(network, learn, check, recipe, seed=seed, kind=kind or recipe.inputs[0], given=given)
    if given.resume and given.checkpoint:
        kept = read_checkpoint(given.checkpoint, fingerprint=given.fingerprint)
        if kept:
            restore_run(run, kept)
            log.info("training resumed network=%d step=%d", given.stream + 1, run.schedule.step)
        if len({*given.workers.gather(run.schedule.step)}) > 1:
            raise TrainingError(
                "the processes read different states to go on from. Put --out on a disk that all share."
            )
    while not run.schedule.is_over:
        _one_pass(run)
        if _is_out_of_patience(run):
            run.schedule.n_passes = run.schedule.n_done
            save_run(run)
    if not run.best:
        raise TrainingError("the time limit leaves no time for a single step. Give more minutes.")
    return Fit(
        state={name: value.cpu() for name, value in run.best.items()},
        epoch=run.best_epoch,
        history=run.history,
        logits=run.best_logits.cpu().numpy().astype(np.float32),
        windows_per_s=run.meter.windows_per_s,
        earlier_wall_s=run.spent.wall_s,
        earlier_cpu_s=run.spent.cpu_s,
    )


def _begin(
    network: STGCN,
    learn: WindowSet,
    check: WindowSet,
    recipe: Recipe,
    *,
    seed: int,
    kind: str,
    given: Conditions,
) -> Run:
    network.to(given.device.where)
    n_windows = recipe.windows_in_pass(len(learn))
    schedule = Schedule.of(pass_steps=max(1, round(n_windows / recipe.batch_size)), n_passes=recipe.epochs)
    forward: nn.Module = network
    if given.workers.size > 1:
        on_gpu = given.device.where.type == "cuda"
        forward = nn.parallel.DistributedDataParallel(network, device_ids=[given.device.where] if on_gpu else None)
    return Run(
        network=network,
        forward=forward,
        kind=kind,
        learn=learn,
        check=check,
        recipe=recipe,
        seed=(seed, given.stream),
        given=given,
        optimiser=_optimiser(network, recipe),
        schedule=schedule,
        saved_s=time.monotonic(),
    )


def _optimiser(network: STGCN, recipe: Recipe) -> torch.optim.Optimizer:
    matrices = [each for each in network.parameters() if each.ndim in (2, 4)]
    others = [each for each in network.parameters() if each.ndim not in (2, 4)]  # norms, biases, edges
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _one_pass(run: Run) -> None:
    """Go through a pass, or what is left of it after a resumption, and judge what came of it."""
    schedule, given = run.schedule, run.given
    began_s = time.perf_counter()
    for batch in _batches(run):
        if given.deadline_s is not None and _fit_into_time(run) and schedule.pass_is_over:
            break
        loss, top1 = _learn(run, batch)
        is_stopped = _take_step(run, loss, batch)
        took_s = time.perf_counter() - began_s
        run.meter.add(loss=loss, top1=top1, n_windows=batch.n_windows, took_s=given.workers.largest([took_s])[0])
        given.report(progress_of(run))
        if is_stopped:
            save_run(run)
            raise KeyboardInterrupt
        if schedule.pass_is_over:
            break
        if given.workers.largest([time.monotonic() - run.saved_s])[0] > CHECKPOINT_EVERY_S:
            save_run(run)
        began_s = time.perf_counter()
    if not schedule.at:  # no time was left for a single step of this pass
        schedule.n_passes = schedule.n_done
        return
    _end_pass(run)
    save_run(run)
    given.report(progress_of(run, is_pass_end=True))


def _batches(run: Run) -> Iterator[Batch]:
    """Give the batches of the pass that are still to be learnt from."""
    schedule, given, recipe = run.schedule, run.given, run.recipe
    rng = np.random.default_rng([*run.seed, 0, schedule.n_done])
    plan = plan_batches(run.learn, draw_order(run.learn, recipe, rng=rng), batch_size=recipe.batch_size, rng=rng)
    if schedule.this_pass == schedule.pass_steps:
        if schedule.last_pass == schedule.pass_steps:
            schedule.last_pass = len(plan)
        schedule.pass_steps = schedule.this_pass = len(plan)
    first = schedule.step - schedule.at

    def make(number: int) -> Batch:
        seed = (*run.seed, 1, first + number)
        return make_batch(run.learn, plan[number], recipe, seed=seed, workers=given.workers, device=given.device.where)

    numbers = range(schedule.at, len(plan))
    if given.device.where.type != "cuda":
        yield from map(make, numbers)
        return
    with ThreadPoolExecutor(max_workers=PREFETCHED, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Batch]] = deque()
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > PREFETCHED:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _learn(run: Run, batch: Batch) -> tuple[float, float]:
    """Find what a batch teaches; give its loss and accuracy. The weights are not changed yet."""
    torch.manual_seed(batch.seed)  # dropout
    run.network.train()
    _forget_first_statistics(run.network, step=run.schedule.step)
    x = features(batch.joints, layout_name=run.network.config.layout, kind=run.kind)  # (P, T, V, C)
    with run.given.device.autocast():
        logits = run.forward(x)  # (P, K)
    logits = logits.float() if batch.owner is None else pool_people(logits.float(), batch.owner)  # (B, K)
    losses = F.cross_entropy(logits, batch.targets, label_smoothing=run.recipe.label_smoothing, reduction="none")
    loss = (losses * batch.weights).sum() * (run.given.workers.size / batch.n_windows)  # so that their mean is all's
    value = float(loss.detach())
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    top1 = float((logits.argmax(dim=1) == batch.labels).float().mean())
    return value, top1


def _take_step(run: Run, loss: float, batch: Batch) -> bool:
    """Take the step that all processes have computed; say whether one of them was told to stop.

    Raises:
        TrainingError: the loss of one of them is no number.
    """
    given = run.given
    is_bad, is_stopped = given.workers.largest([not math.isfinite(loss), given.is_stopped()])
    if is_bad:
        mine = None if math.isfinite(loss) else _not_finite(run, batch, loss)
        raise TrainingError(next(text for text in given.workers.gather(mine) if text))
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.recipe.gradient_norm)
    rate = run.recipe.learning_rate * run.schedule.rate(warm_up_passes=run.recipe.warm_up_epochs)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    run.optimiser.step()
    run.schedule.step_done()
    if run.recipe.ema_decay:
        _update_mean(run)
    return bool(is_stopped)


def _forget_first_statistics(network: STGCN, *, step: int) -> None:
    """Let the norms' running statistics be plain means at first.

    They begin at a variance of one, while a still joint's is a thousandth of that: with torch's usual memory a short
    run ends with statistics that are mostly this beginning.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = max(NORM_MEMORY, 1 / (step + 1))


def _not_finite(run: Run, batch: Batch, value: float) -> str:
    clips = sorted({run.learn.clip_ids[clip] for clip in run.learn.clip[batch.indices]})
    return (
        f"the loss became {value} in pass {run.schedule.n_done + 1}, step {run.schedule.step + 1}, with windows of "
        f"{', '.join(clips[:5])}{' and others' if len(clips) > 5 else ''}. Lower learning_rate, or look at these clips."
    )


def _update_mean(run: Run) -> None:
    state = run.network.state_dict()
    if not run.mean:
        run.mean = {name: value.detach().clone() for name, value in state.items()}
    step = run.schedule.step
    decay = min(run.recipe.ema_decay, (1 + step) / (10 + step))  # short memory at first
    for name, value in state.items():
        if value.is_floating_point():
            run.mean[name].lerp_(value.detach(), 1 - decay)
        else:
            run.mean[name].copy_(value)


def _fit_into_time(run: Run) -> bool:
    """Fit the plan into the time left, once the time of a step is known; say whether it changed."""
    given, schedule = run.given, run.schedule
    assert given.deadline_s is not None
    elapsed, step_s = given.workers.largest([time.monotonic() - given.deadline_s, run.meter.step_s])
    if not run.meter.n_timed and elapsed < 0:  # a run gone on with has not taken a step yet
        return False
    is_believed = run.meter.n_timed >= STEPS_TO_TIME or schedule.n_passes < schedule.most_passes
    if not is_believed and -elapsed > 2 * STEPS_TO_TIME * step_s:
        return False
    guess_s = FORWARD_SHARE * step_s * len(run.check) / run.recipe.batch_size
    before = schedule.n_passes
    changed = schedule.fit_into(-elapsed, step_s=step_s, check_s=run.check_s or guess_s)
    if schedule.n_passes < before == schedule.most_passes:
        log.info("training plan cut to the time limit passes=%d before=%d", schedule.n_passes, before)
    return changed


def _end_pass(run: Run) -> None:
    """Judge what came of a pass, and keep it if it is the best so far."""
    run.given.workers.take_over([*run.network.state_dict().values(), *run.mean.values()])
    state = run.mean or {name: value.detach().clone() for name, value in run.network.state_dict().items()}
    epoch = run.schedule.n_done + 1
    score, logits = float(epoch), torch.zeros((0, run.network.config.n_classes))
    if len(run.check):
        began_s = time.monotonic()
        logits = torch.from_numpy(_check_logits(run, state))
        if not logits.isfinite().all():
            raise TrainingError(f"the weights are no longer numbers after pass {epoch}. Lower learning_rate.")
        run.figures = score_metrics(torch.softmax(logits, dim=1).numpy(), run.check.labels, names=run.check.names)
        score = float(run.figures["macro_f1"])
        (run.check_s,) = run.given.workers.largest([time.monotonic() - began_s])
    run.history.append(
        {"epoch": epoch, "loss": run.meter.loss, "train_top1": run.meter.top1}
        | ({name: run.figures[name] for name in ("top1", "macro_f1", "ece")} if run.figures else {})
    )
    log.debug("training pass=%d loss=%.3f top1=%.3f validation_f1=%s", epoch, run.meter.loss, run.meter.top1, score)
    if score > run.best_score:
        run.risen_epoch = epoch
    if score >= run.best_score:  # of passes as good as each other the later one has seen more
        run.best_score, run.best_epoch, run.best_logits = score, epoch, logits
        run.best = {name: value.clone() for name, value in state.items()}
    run.schedule.pass_done()


def _check_logits(run: Run, state: State) -> Logits:
    """Give the answers of these weights to the validation part; each process judges a part of it."""
    own = {name: value.detach().clone() for name, value in run.network.state_dict().items()}
    run.network.load_state_dict(state)
    rank, size = run.given.workers.rank, run.given.workers.size
    parts = np.array_split(np.arange(len(run.check)), size)
    mine = stream_logits(run.network, run.check, parts[rank], kind=run.kind, device=run.given.device)
    run.network.load_state_dict(own)
    return np.concatenate(run.given.workers.gather(mine))


def _is_out_of_patience(run: Run) -> bool:
    return 0 < run.recipe.patience <= len(run.history) - run.risen_epoch
