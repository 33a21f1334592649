"""How well a bundle names the actions of clips it has not learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from har.clips import Clip
from har.errors import ClipError
from har.models.bundle import Bundle, load_bundle
from har.training.dataset import WindowSet, cut_windows, labels_of
from har.training.loop import score_windows
from har.training.metrics import score_metrics
from har.training.recipe import Recipe
from har.training.splits import split_clips


def evaluate(bundle: Bundle | Path | str, clips: Sequence[Clip], *, split: str | None = None) -> dict[str, Any]:
    """Judge a bundle on the right side of a split.

    Args:
        bundle: a bundle or its path.
        clips: a clip set.
        split: a stored split's name or a rule, see `split_clips`; None judges all clips.

    Returns:
        The keys of `score_metrics` for single windows; "clips" with the same keys where the scores of all windows of
        one stretch of one label in one clip were averaged; and "left_out": clips without a usable window, and how many
        clips bear each label that the bundle does not know. Fractions in 0..1.

    Raises:
        ConfigError: the split does not fit the clips.
        ClipError: there is nothing to judge.
        BundleError: the bundle does not verify.
    """
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    judged = list(clips) if split is None else split_clips(clips, split)[1]
    windows = cut_windows(judged, bundle_recipe(bundle), names=bundle.labels)
    if not len(windows):
        found = ", ".join(sorted({label for clip in judged for label in labels_of(clip)})) or "none"
        raise ClipError(
            f"no window to judge {bundle.name} by. It knows {', '.join(bundle.labels)}; labels in the clips: {found}."
        )
    result = judge(score_windows(bundle.model, windows), windows)
    unknown = Counter(label for clip in judged for label in labels_of(clip) - set(bundle.labels))
    silent = sorted(set(windows.clip_ids) - {windows.clip_ids[each] for each in windows.clip})
    return result | {"split": split, "left_out": {"clips": silent, "labels": dict(sorted(unknown.items()))}}


def bundle_recipe(bundle: Bundle) -> Recipe:
    """Give the recipe that cuts windows as the bundle wants them."""
    norm = bundle.norm
    return replace(
        Recipe(),
        layout=bundle.config.layout,
        n_frames=bundle.window_frames,
        rate_hz=bundle.rate_hz,
        label_delay_s=float(norm.get("label_delay_s", Recipe().label_delay_s)),
        max_gap_s=float(norm.get("max_gap_s", Recipe().max_gap_s)),
        speed=0.0,
    )


def judge(scores: npt.NDArray[np.float32], windows: WindowSet) -> dict[str, Any]:
    """Give the metrics of single windows, and under "clips" those of whole stretches of one label."""
    segments, first, inverse = np.unique(windows.segment, return_index=True, return_inverse=True)
    means = np.zeros((len(segments), len(windows.names)))
    np.add.at(means, inverse, scores)
    means /= np.bincount(inverse, minlength=len(segments))[:, None]
    by_clip = score_metrics(means, windows.labels[first], names=windows.names)
    return score_metrics(scores, windows.labels, names=windows.names) | {"clips": by_clip}
