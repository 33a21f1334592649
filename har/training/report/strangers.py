"""Actions never learnt: how many a model refuses, tried out by leaving some out of training."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from har.clips import Clip
from har.errors import ConfigError
from har.models.bundle import Bundle
from har.training.evaluate import answer, describe_unknown, judged_clips
from har.training.job import Machinery
from har.training.train import train
from har.training.transfer import recipe_like

LEAST_LABELS = 2


def refuse_bad_names(bundle: Bundle, names: Sequence[str], *, split: str | None) -> None:
    """Refuse labels that cannot be left out.

    Raises:
        ConfigError: there is no split to train by, a label is not known, or too few would be left.
    """
    strange = sorted(set(names) - set(bundle.labels))
    if strange or not names:
        raise ConfigError(
            f"--unknown-classes: {', '.join(strange) or 'no label'} is not among the labels of {bundle.name}: "
            f"{', '.join(bundle.labels)}. Name labels of the bundle, with commas between."
        )
    if len(set(bundle.labels) - set(names)) < LEAST_LABELS:
        raise ConfigError(f"--unknown-classes: at least {LEAST_LABELS} of the bundle's labels must be left to learn.")
    if split is None:
        raise ConfigError(
            "--unknown-classes trains a second model, so it needs to know what to learn from. Give the --split that "
            "the bundle was trained with."
        )


def measure_strangers(
    bundle: Bundle, clips: Sequence[Clip], names: Sequence[str], *, split: str, machinery: Machinery | None = None
) -> dict[str, Any]:
    """Train a second model like a bundle, but without some labels, and see how often it calls these "unknown".

    It learns from the left side of the split and is judged by the right side, as the bundle is.

    Args:
        bundle: the model to take after; its recipe and seed are used.
        clips: the clip set.
        names: labels to leave out.
        split: as of `split_clips`.
        machinery: how to train.

    Returns:
        "left_out" (the labels), and the keys of `describe_unknown` for the second model.

    Raises:
        ConfigError: see `refuse_bad_names`.
        TrainingError: the second model cannot be trained.
    """
    refuse_bad_names(bundle, names, split=split)
    rest = [kept for clip in clips if (kept := _without(clip, set(names))) is not None]
    with tempfile.TemporaryDirectory(prefix="har-unknown-") as folder:
        second = train(
            rest,
            out_bundle=Path(folder) / "without",
            recipe=recipe_like(bundle),
            split=split,
            seed=int(bundle.metrics.get("seed", 0)),
            machinery=machinery,
        )
    judged = judged_clips(clips, split)
    return {"left_out": sorted(set(names)), **describe_unknown(second, judged, answer(second, judged))}


def _without(clip: Clip, names: set[str]) -> Clip | None:
    """Give a clip as it is with some labels taken out; None if nothing is left of it to learn."""
    if not clip.spans:
        return None if clip.label in names else clip
    spans = tuple(span for span in clip.spans if span[2] not in names)
    return replace(clip, spans=spans) if spans else None
