"""From a clip set to a model bundle."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F

from har.clips import Clip
from har.errors import ConfigError, TrainingError
from har.models.bundle import Bundle, load_bundle, save_bundle
from har.models.bundle_files import refuse_existing
from har.models.stgcn import STGCN, STGCNConfig
from har.records import FloatArray
from har.training.card import write_card
from har.training.dataset import WindowSet, cut_windows, label_names
from har.training.evaluate import judge
from har.training.loop import Fit, Progress, fit, score_windows
from har.training.recipe import Recipe
from har.training.risk import fit_risk_part
from har.training.splits import hold_out, split_clips

log = logging.getLogger(__name__)

N_GOLDEN = 8
RESERVE_SHARE, RESERVE_MIN_S = 0.03, 5.0
"""Kept of a time limit for the last evaluation, the golden answers and writing."""
TEMPERATURES = np.geomspace(0.4, 2.5, 43)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """The clips and windows of a run."""

    learn_clips: list[Clip]
    check_clips: list[Clip]
    learn: WindowSet
    check: WindowSet


def train(
    clips: Sequence[Clip],
    *,
    out_bundle: Path | str,
    recipe: Recipe | None = None,
    split: str | None = None,
    seed: int = 0,
    name: str | None = None,
    version: str = "1",
    start_from: Path | str | None = None,
    threads: int | None = None,
    time_limit_min: float | None = None,
    resume: bool = False,
    command: str = "",
    report: Callable[[Progress], None] = lambda progress: None,
) -> Bundle:
    """Train a model on clips and write it as a bundle.

    Its state is kept beside the bundle after every pass, in `.<bundle>.training.safetensors`, until the bundle is
    written; an interrupted run goes on from there with `resume`.

    Args:
        clips: a clip set.
        out_bundle: folder of the bundle; must not exist.
        recipe: how; the defaults if None.
        split: learn from its left side only, see `split_clips`; None learns from all clips.
        seed: of everything random.
        name: of the bundle; made from the folder's name if None.
        version: of the bundle.
        start_from: a bundle to start from; its network must have the recipe's layout and channels.
        threads: of torch; left as they are if None.
        time_limit_min: wall minutes from the start of the process to the bundle on disk; the plan is cut to fit.
        resume: go on with an interrupted run.
        command: what was typed, for the card.
        report: called after every step.

    Returns:
        The bundle as loaded from disk.

    Raises:
        ConfigError: the split, the recipe or the checkpoint does not fit.
        ClipError: clips cannot be mapped to the layout.
        TrainingError: nothing to learn from, no time, or the loss is no longer a number.
        BundleError: the bundle exists already or cannot be written, or `start_from` does not verify.
    """
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    recipe = recipe or Recipe()
    out_bundle = Path(out_bundle)
    refuse_existing(out_bundle)
    if threads is not None:
        torch.set_num_threads(threads)
    data = _prepare(clips, recipe, split=split, seed=seed)
    risk = fit_risk_part([*data.learn_clips, *data.check_clips])
    parent = load_bundle(start_from) if start_from is not None else None
    model = _new_model(recipe, data.learn.names, seed=seed, parent=parent)
    digest = data_digest([*data.learn_clips, *data.check_clips])
    checkpoint = out_bundle.parent / f".{out_bundle.name}.training.safetensors"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    fitted = fit(
        model,
        data.learn,
        data.check,
        recipe,
        seed=seed,
        deadline_s=_deadline_s(time_limit_min),
        checkpoint=checkpoint,
        fingerprint=_fingerprint(recipe, digest, split=split, seed=seed, parent=parent),
        resume=resume,
        report=report,
    )
    model.load_state_dict(fitted.state)
    scores = score_windows(model, data.check)
    temperature, scores = _calibrate(model, scores, data.check)
    metrics = _measure(scores, data, fitted, recipe, split=split, seed=seed)
    metrics["training"] |= {
        "temperature": temperature,
        "wall_min": (time.monotonic() - began_s) / 60,
        "cpu_min": (time.process_time() - cpu_began_s) / 60,
    }
    name = name or bundle_name(out_bundle)
    created = datetime.now(UTC)
    bundle = save_bundle(
        out_bundle,
        name=name,
        version=version,
        model=model.eval(),
        labels=data.learn.names,
        rate_hz=recipe.rate_hz,
        golden_windows=_golden_windows(data.learn),
        norm=_norm(recipe),
        metrics=metrics,
        card=write_card(
            name=name,
            version=version,
            created=created,
            command=command,
            clips=[*data.learn_clips, *data.check_clips],
            n_windows=_count(data.learn),
            config=model.config,
            recipe=recipe,
            metrics=metrics,
            risk=None if risk is None else risk.meta,
        ),
        risk=risk,
        data_digest=digest,
        created=created,
        parent=parent.model_id if parent else None,
    )
    checkpoint.unlink(missing_ok=True)
    log.info("bundle written name=%s labels=%d passes=%d", name, len(data.learn.names), len(fitted.history))
    return bundle


def _prepare(clips: Sequence[Clip], recipe: Recipe, *, split: str | None, seed: int) -> _Data:
    side = list(clips) if split is None else split_clips(clips, split)[0]
    labelled = [clip for clip in side if clip.label or clip.spans]
    names = label_names(labelled)
    if len(names) < 2:
        raise TrainingError(
            f"the clips to learn from hold {len(names)} label(s). Give at least two, in `label` or `spans`."
        )
    learn_clips, check_clips = hold_out(labelled, share=recipe.validation_share, seed=seed)
    learn, check = (cut_windows(part, recipe, names=names) for part in (learn_clips, check_clips))
    counts = _count(learn) if len(learn) else {}
    if missing := sorted(label for label in names if not counts.get(label)):
        raise TrainingError(
            f"no window to learn {', '.join(missing)} from: their spans lie outside the clips or show no pose. "
            "Give clips that show them, or take the labels out."
        )
    log.info("windows cut learn=%d validation=%d labels=%d", len(learn), len(check), len(names))
    return _Data(learn_clips, check_clips, learn, check)


def _new_model(recipe: Recipe, names: Sequence[str], *, seed: int, parent: Bundle | None) -> STGCN:
    torch.manual_seed(seed)
    model = STGCN(
        STGCNConfig(
            n_classes=len(names),
            layout=recipe.layout,
            channels=tuple(width for width in recipe.channels for _ in range(3)),
            dropout=recipe.dropout,
            pool_last=recipe.pool_last,
        )
    )
    if parent is None:
        return model
    state = parent.model.networks[0].state_dict()
    own = model.state_dict()
    if list(parent.labels) != list(names):  # other answers: keep the body, learn a new head
        state |= {key: own[key] for key in own if key.startswith("head.")}
    if {key: value.shape for key, value in state.items()} != {key: value.shape for key, value in own.items()}:
        raise ConfigError(
            f"{parent.name} has layout {parent.config.layout} and channels {parent.config.channels[::3]}; the recipe "
            f"asks for {recipe.layout} and {recipe.channels}. Start from another bundle, or change the recipe."
        )
    model.load_state_dict(state)
    return model


def _deadline_s(time_limit_min: float | None) -> float | None:
    if time_limit_min is None:
        return None
    spent_s = time.time() - psutil.Process().create_time()
    limit_s = time_limit_min * 60
    return time.monotonic() + limit_s - spent_s - max(RESERVE_MIN_S, RESERVE_SHARE * limit_s)


def data_digest(clips: Sequence[Clip]) -> str:
    """Give the sha256 of what clips hold: joints, times and labels."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda each: each.id):
        facts = [clip.id, clip.label, clip.danger, clip.spans, clip.layout, clip.units, clip.up, clip.joints.shape]
        digest.update(json.dumps(facts).encode())
        digest.update(np.ascontiguousarray(clip.joints).tobytes())
        digest.update(np.ascontiguousarray(clip.time_s).tobytes())
    return digest.hexdigest()


def _fingerprint(recipe: Recipe, digest: str, *, split: str | None, seed: int, parent: Bundle | None) -> str:
    facts = [recipe.as_dict(), digest, split, seed, parent.sha256 if parent else None]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _calibrate(model: STGCN, scores: FloatArray, check: WindowSet) -> tuple[float, FloatArray]:
    """Make confidence honest: divide the logits by the temperature that fits the validation part (Guo et al. 2017).

    The temperature goes into the weights of the last layer, so nobody who uses the model need know of it.

    Args:
        model: changed in place.
        scores: (N, K) its probabilities on the validation part.
        check: the validation part; too small a one changes nothing.

    Returns:
        The temperature, and the probabilities it makes of the scores.
    """
    if len(check) < 50:
        return 1.0, scores
    logits = torch.log(torch.from_numpy(scores).clamp_min(1e-12))
    labels = torch.from_numpy(check.labels)
    losses = [float(F.cross_entropy(logits / float(each), labels)) for each in TEMPERATURES]
    temperature = float(TEMPERATURES[int(np.argmin(losses))])
    with torch.no_grad():
        model.head.weight.div_(temperature)
        model.head.bias.div_(temperature)
    return temperature, torch.softmax(logits / temperature, dim=1).numpy()


def _measure(
    scores: FloatArray, data: _Data, fitted: Fit, recipe: Recipe, *, split: str | None, seed: int
) -> dict[str, Any]:
    validation = judge(scores, data.check) if len(data.check) else None
    subjects = {clip.subject for clip in data.check_clips}
    by_subject = bool(subjects) and not subjects & {clip.subject for clip in data.learn_clips}
    return {
        "validation": validation,
        "held_out_by": "nothing held out" if validation is None else "subject" if by_subject else "clip",
        "split": split,
        "seed": seed,
        "recipe": recipe.as_dict(),
        "training": {
            "clips": len(data.learn_clips),
            "windows": len(data.learn),
            "epochs": len(fitted.history),
            "chosen_epoch": fitted.epoch,
            "windows_per_s": fitted.windows_per_s,
            "history": fitted.history,
        },
    }


def _count(windows: WindowSet) -> dict[str, int]:
    counts = np.bincount(windows.labels, minlength=len(windows.names))
    return {name: int(n) for name, n in zip(windows.names, counts, strict=True)}


def _golden_windows(windows: WindowSet) -> FloatArray:
    """Give up to eight windows of different labels."""
    _, first = np.unique(windows.labels, return_index=True)
    packed = windows.draw(first[:N_GOLDEN].astype(np.int64))
    return packed.joints[np.unique(packed.owner, return_index=True)[1]]  # the first person of each


def _norm(recipe: Recipe) -> Mapping[str, Any]:
    return {
        "scheme": "har.windows.normalise 1",
        "max_gap_s": recipe.max_gap_s,
        "min_pose_share": recipe.min_pose_share,
        "label_delay_s": recipe.label_delay_s,
    }


def bundle_name(path: Path) -> str:
    """Make a bundle's name of its folder's."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).strip("-._")[:63] or "model"
