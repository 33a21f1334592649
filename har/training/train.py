"""From a clip set to a model bundle."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil
import torch

from har.clips import Clip
from har.errors import ClipError
from har.models.bundle import Bundle, RiskPart, load_bundle
from har.models.bundle_files import refuse_existing
from har.models.inputs import n_channels
from har.models.stgcn import STGCN, STGCNConfig
from har.training.augment import mirror_shares, turn_limit
from har.training.checkpoint import require_space, told
from har.training.clip_checks import check_clips
from har.training.conditions import Conditions, Fit, cpu_seconds
from har.training.dataset import cut_windows, label_names
from har.training.devices import choose_device
from har.training.interrupts import heard_after_the_step
from har.training.job import Data, Job, Machinery, count_windows, data_digest, held_out_by
from har.training.kept_risk import Counted, keep_risk, read_risk
from har.training.loop import fit
from har.training.recipe import RECIPES, Recipe, choose_recipe
from har.training.risk import fit_risk_part
from har.training.splits import hold_out, split_clips, split_notes
from har.training.transfer import recipe_like, take_over
from har.training.workers import find_workers, joined
from har.training.writing import bundle_name, write_bundle

log = logging.getLogger(__name__)

RESERVE_SHARE, RESERVE_MIN_S = 0.03, 5.0
"""Kept of a time limit for weighing the networks, the golden answers and writing."""
HOURS_BETWEEN_WORDS = 4.0
COPIES_KEPT = 16
"""Times the size of the weights: the state of a run (weights, best, mean, the optimiser's two) while a new one is
written beside the old, and the bundle."""


def train(
    clips: Sequence[Clip],
    *,
    out_bundle: Path | str,
    recordings: Iterable[Clip] = (),
    recipe: Recipe | None = None,
    split: str | None = None,
    seed: int = 0,
    name: str | None = None,
    version: str = "1",
    start_from: Path | str | None = None,
    command: str = "",
    machinery: Machinery | None = None,
) -> Bundle:
    """Train a model on clips and write it as a bundle.

    Its state is kept beside the bundle, in the folder `.<bundle>.training`, until the bundle is written; an interrupted
    run goes on from there with `resume`. Under torchrun all processes train one model, and the first one writes it.

    Args:
        clips: a clip set.
        out_bundle: folder of the bundle; must not exist.
        recordings: long ones of life, and of falls in it, for the risk model; as of `har synth life` and `scenes`.
        recipe: how; if None, that of `start_from`, else the one that suits the clips.
        split: learn from its left side only, see `split_clips`; None learns from all clips.
        seed: of everything random.
        name: of the bundle; made from the folder's name if None.
        version: of the bundle.
        start_from: a bundle to take weights over from; it may have other labels, another layout and other inputs.
        command: what was typed, for the card.
        machinery: device, time limit, resumption and so on.

    Returns:
        The bundle as loaded from disk.

    Raises:
        ConfigError: the split, the recipe, the device or the checkpoint does not fit.
        ClipError: clips teach nothing, see `check_clips`, or cannot be mapped to the layout.
        TrainingError: no time, no room, or the loss is no longer a number.
        BundleError: the bundle exists already or cannot be written, or `start_from` does not verify.
        KeyboardInterrupt: it was stopped; its state is kept.
    """
    job, data = _prepare(
        clips, Path(out_bundle), recipe, split=split, seed=seed, start_from=start_from, machinery=machinery
    )
    with joined(job.workers, job.device):
        networks = _new_networks(job, data)
        risk = _fit_risk(job, data, recordings) if job.workers.is_first else None
        fits = _train_networks(job, data, networks)
        cpu_s = sum(job.workers.gather(cpu_seconds() - job.cpu_began_s))
        if job.workers.is_first:
            name = name or bundle_name(job.out)
            write_bundle(job, data, fits, risk, name=name, version=version, command=command, cpu_s=cpu_s)
        job.workers.wait()
    return load_bundle(job.out)


def _fit_risk(job: Job, data: Data, recordings: Iterable[Clip]) -> RiskPart | None:
    path, counted = job.checkpoints / "risk.safetensors", Counted(recordings)
    if job.machinery.resume and path.exists():
        job.say("the danger model is there; reading the recordings to see that they are the same")
        for _ in counted:
            pass
        return read_risk(path, fingerprint=f"{_fingerprint(job, data)} {counted.digest}")
    job.say("fitting the danger model: minutes for a thousand clips, half a minute for each hour of recordings")
    told_h = 0.0

    def tell(hours: float) -> None:
        nonlocal told_h
        if hours >= told_h + HOURS_BETWEEN_WORDS:
            told_h = hours
            job.say(f"read {hours:.0f} hours of recordings")

    risk = fit_risk_part(data.clips, counted, jobs=job.machinery.jobs, tell=tell)
    try:
        keep_risk(path, risk, fingerprint=f"{_fingerprint(job, data)} {counted.digest}")
    except OSError as error:  # the bundle's own files will tell; this one is only for the case of a resumption
        log.warning("danger model not kept for --resume: %s", told(error))
    return risk


def _prepare(
    clips: Sequence[Clip],
    out: Path,
    recipe: Recipe | None,
    *,
    split: str | None,
    seed: int,
    start_from: Path | str | None,
    machinery: Machinery | None,
) -> tuple[Job, Data]:
    """Find out what is wrong before anything takes long."""
    began_s, cpu_began_s = time.monotonic(), cpu_seconds()
    machinery, workers = machinery or Machinery(), find_workers()
    refuse_existing(out)
    device = choose_device(machinery.device, precision=machinery.precision, local_rank=workers.local_rank)
    if machinery.threads is not None:
        torch.set_num_threads(machinery.threads)
    parent = load_bundle(start_from) if start_from is not None else None
    side = list(clips) if split is None else split_clips(clips, split)[0]
    notes = [*(split_notes(clips, split) if split else []), *check_clips(side)]
    labelled = [clip for clip in side if clip.label or clip.spans]
    chosen, why = _choose(recipe, labelled, parent)
    data = _cut(labelled, chosen, seed=seed)
    job = Job(
        out=out,
        recipe=data.learn.recipe,
        split=split,
        seed=seed,
        parent=parent,
        machinery=machinery,
        device=device,
        workers=workers,
        deadline_s=_deadline_s(machinery.time_limit_min),
        began_s=began_s,
        cpu_began_s=cpu_began_s,
    )
    job.say(f"recipe: {why}")
    for note in [*notes, *_habits_note(data)]:
        job.say(note)
    job.say(
        f"{len(data.learn)} windows of {len(data.learn_clips)} clips to learn {len(data.learn.names)} labels from, "
        f"{len(data.check)} of {len(data.check_clips)} to choose the pass by ({held_out_by(data)}); on {device}"
        + (f", {workers.size} processes" if workers.size > 1 else "")
    )
    return job, data


def _habits_note(data: Data) -> list[str]:
    habits, recipe = data.learn.habits, data.learn.recipe
    if habits is None:
        return []
    turned = f"turned by up to {turn_limit(recipe, habits):.0f} degrees and " if recipe.dims == 3 else ""
    mirrored = float(mirror_shares(recipe, habits)[data.learn.labels].mean())
    return [f"while training, people are {turned}mirrored in {mirrored:.0%} of the windows, as the clips show them"]


def _choose(recipe: Recipe | None, clips: Sequence[Clip], parent: Bundle | None) -> tuple[Recipe, str]:
    """Settle the recipe, and say why this one."""
    if recipe is not None:
        return recipe, "as given"
    if parent is not None:
        return recipe_like(parent), f"that of {parent.model_id}, so that the result runs where it runs"
    choice = choose_recipe(clips)
    return RECIPES[choice.name], f"{choice.name} ({choice.why})"


def _cut(labelled: list[Clip], recipe: Recipe, *, seed: int) -> Data:
    names = label_names(labelled)
    recipe = recipe.resolved(labelled)
    learn_clips, check_clips = hold_out(labelled, share=recipe.validation_share, seed=seed)
    learn, check = (cut_windows(part, recipe, names=names) for part in (learn_clips, check_clips))
    counts = count_windows(learn) if len(learn) else {}
    if missing := sorted(label for label in names if not counts.get(label)):
        raise ClipError(
            f"no window to learn {', '.join(missing)} from: their spans lie outside the clips or show no pose. "
            "Give clips that show them, or take the labels out."
        )
    log.info("windows cut learn=%d validation=%d labels=%d", len(learn), len(check), len(names))
    return Data(learn_clips, check_clips, learn, check, data_digest([*learn_clips, *check_clips]))


def _new_networks(job: Job, data: Data) -> list[STGCN]:
    """Make the networks, and find out whether there is room for what becomes of them."""
    networks = [_new_network(job, data, number) for number in range(len(job.recipe.inputs))]
    n_bytes = sum(4 * each.numel() for network in networks for each in network.parameters())
    require_space(job.out.parent, COPIES_KEPT * n_bytes)
    if job.checkpoints.exists() and not job.machinery.resume:
        job.say("the state of an unfinished run is there; it will be overwritten, since --resume was not given")
    return networks


def _train_networks(job: Job, data: Data, networks: Sequence[STGCN]) -> list[tuple[STGCN, Fit]]:
    """Train one network after another, each for its share of the time that is left."""
    fits = []
    with heard_after_the_step() as is_stopped:
        for number, network in enumerate(networks):
            given = Conditions(
                device=job.device,
                workers=job.workers,
                deadline_s=_share_of_time(job.deadline_s, n_left=len(networks) - number),
                checkpoint=job.checkpoints / f"network-{number + 1}.safetensors",
                fingerprint=_fingerprint(job, data),
                resume=job.machinery.resume,
                report=job.machinery.report if job.workers.is_first else lambda progress: None,
                is_stopped=is_stopped,
                stream=number,
                n_streams=len(networks),
            )
            kind = job.recipe.inputs[number]
            found = fit(network, data.learn, data.check, job.recipe, seed=job.seed, kind=kind, given=given)
            network.cpu().load_state_dict(found.state)
            fits.append((network, found))
    return fits


def _new_network(job: Job, data: Data, number: int) -> STGCN:
    recipe, kind = job.recipe, job.recipe.inputs[number]
    torch.manual_seed(job.seed + number)
    network = STGCN(
        STGCNConfig(
            n_classes=len(data.learn.names),
            layout=recipe.layout,
            in_channels=n_channels(kind, layout_name=recipe.layout, dims=recipe.dims),
            channels=tuple(width for width in recipe.channels for _ in range(3)),
            kernels=recipe.spans,
            look_ahead=recipe.ahead,
            free_edges=recipe.free_edges,
            graph_residual=recipe.graph_residual,
            dropout=recipe.dropout,
            pool_last=recipe.pool_last,
        )
    )
    if job.parent is not None:
        job.say(take_over(network, kind, data.learn.names, job.parent).line)
    return network


def _share_of_time(deadline_s: float | None, *, n_left: int) -> float | None:
    now_s = time.monotonic()
    return None if deadline_s is None else now_s + (deadline_s - now_s) / n_left


def _deadline_s(time_limit_min: float | None) -> float | None:
    if time_limit_min is None:
        return None
    spent_s = time.time() - psutil.Process().create_time()
    limit_s = time_limit_min * 60
    return time.monotonic() + limit_s - spent_s - max(RESERVE_MIN_S, RESERVE_SHARE * limit_s)


def _fingerprint(job: Job, data: Data) -> str:
    parent = job.parent.sha256 if job.parent else None
    facts = [job.recipe.as_dict(), data.digest, job.split, job.seed, parent, job.workers.size]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
