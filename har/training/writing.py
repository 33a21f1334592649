"""From trained networks to a bundle on the disk, with its figures and its card."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from har.errors import BundleError
from har.models.bundle import RiskPart, save_bundle
from har.models.stgcn import STGCN
from har.models.streams import Streams
from har.records import FloatArray
from har.training.card import write_card
from har.training.checkpoint import forget_checkpoints
from har.training.conditions import Fit
from har.training.dataset import WindowSet
from har.training.evaluate import judge
from har.training.fusing import fuse
from har.training.job import Data, Job, count_windows, held_out_by
from har.training.metrics import choose_unknown
from har.training.recipe import Recipe

log = logging.getLogger(__name__)

N_GOLDEN = 8


def write_bundle(
    job: Job,
    data: Data,
    fits: Sequence[tuple[STGCN, Fit]],
    risk: RiskPart | None,
    *,
    name: str,
    version: str,
    command: str,
    cpu_s: float,
) -> None:
    """Make one model of the networks, measure it, and write the bundle."""
    kinds = job.recipe.inputs
    logits = [found.logits for _, found in fits]
    model, scores, temperature = fuse([network for network, _ in fits], kinds, logits, data.check.labels)
    wall_s = time.monotonic() - job.began_s + sum(found.earlier_wall_s for _, found in fits)
    cpu_s += sum(found.earlier_cpu_s for _, found in fits)
    metrics = _measure(job, data, scores, fits, model)
    metrics["training"] |= {"temperature": temperature, "wall_min": wall_s / 60, "cpu_min": cpu_s / 60}
    metrics["training"] |= {"device": str(job.device), "processes": job.workers.size}
    created = datetime.now(UTC)
    card = write_card(
        name=name,
        version=version,
        created=created,
        command=command,
        clips=data.clips,
        n_windows=count_windows(data.learn),
        model=model,
        recipe=job.recipe,
        metrics=metrics,
        risk=None if risk is None else risk.meta,
    )
    try:
        save_bundle(
            job.out,
            name=name,
            version=version,
            model=model,
            labels=data.learn.names,
            rate_hz=job.recipe.rate_hz,
            golden_windows=_golden_windows(data.learn),
            norm=_norm(job.recipe),
            metrics=metrics,
            card=card,
            risk=risk,
            data_digest=data.digest,
            created=created,
            parent=job.parent.model_id if job.parent else None,
            unknown=choose_unknown(scores, data.check.labels),
        )
    except BundleError as error:
        raise BundleError(f"{error} What was learnt is kept: mend that and run the same with --resume.") from None
    forget_checkpoints(job.checkpoints)
    log.info(
        "bundle written name=%s labels=%d networks=%d wall_min=%.1f core_min=%.1f",
        *(name, len(data.learn.names), len(fits), wall_s / 60, cpu_s / 60),
    )


def _measure(
    job: Job, data: Data, scores: FloatArray, fits: Sequence[tuple[STGCN, Fit]], model: Streams
) -> dict[str, Any]:
    first = fits[0][1]
    return {
        "validation": judge(scores, data.check) if len(data.check) else None,
        "held_out_by": held_out_by(data),
        "split": job.split,
        "seed": job.seed,
        "recipe": job.recipe.as_dict(),
        "training": {
            "clips": len(data.learn_clips),
            "windows": len(data.learn),
            "epochs": len(first.history),
            "chosen_epoch": first.epoch,
            "windows_per_s": first.windows_per_s,
            "history": first.history,
            "networks": [
                {
                    "inputs": stream.kind,
                    "weight": stream.weight,
                    "epochs": len(found.history),
                    "chosen_epoch": found.epoch,
                    "validation_top1": found.history[found.epoch - 1].get("top1"),
                    "windows_per_s": found.windows_per_s,
                    "history": found.history,
                }
                for stream, (_, found) in zip(model.streams, fits, strict=True)
            ],
        },
    }


def _golden_windows(windows: WindowSet) -> FloatArray:
    """Give up to eight windows of different labels, the first person of each."""
    _, first = np.unique(windows.labels, return_index=True)
    whole = np.flatnonzero(windows.lengths() == windows.lengths().max())[:1]
    packed = windows.draw(np.concatenate([first[: N_GOLDEN - 1], whole]).astype(np.int64))
    joints = packed.joints[np.unique(packed.owner, return_index=True)[1]]  # (N, T, V, D + 1)
    n_missing = windows.n_frames - joints.shape[1]  # where all clips are shorter than a window
    before = np.repeat(joints[:, :1], max(n_missing, 0), axis=1)
    before[..., -1] = 0  # not seen, and where it is seen first, as `normalise` has it
    return np.concatenate([before, joints], axis=1)


def _norm(recipe: Recipe) -> Mapping[str, Any]:
    return {
        "scheme": "har.windows.normalise 1",
        "max_gap_s": recipe.max_gap_s,
        "min_pose_share": recipe.min_pose_share,
        "label_delay_s": recipe.label_delay_s,
        "length": recipe.length,
        "persons": recipe.persons,
        "facing": recipe.facing,
    }


def bundle_name(path: Path) -> str:
    """Make a bundle's name of its folder's."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).strip("-._")[:63] or "model"
