"""How well a model does by the number of clips it learnt from: what a place with few of its own may expect."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from har.clips import Clip
from har.models.bundle import Bundle
from har.training.dataset import labels_of
from har.training.evaluate import evaluate
from har.training.job import Machinery
from har.training.recipe import Recipe
from har.training.splits import split_clips
from har.training.train import train

N_PER_LABEL = (5, 10, 20, 50)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to train.

    Attributes:
        name: for people.
        recipe: how; if None, that of `start_from`, else the one that suits the clips.
        start_from: a bundle to take weights over from.
    """

    name: str
    recipe: Recipe | None = None
    start_from: Path | None = None


def learning_curve(
    clips: Sequence[Clip],
    *,
    split: str,
    ways: Sequence[Way],
    n_per_label: Sequence[int] = N_PER_LABEL,
    seeds: Sequence[int] = (0, 1, 2),
    machinery: Machinery | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """Train on ever more clips of the left side of a split, and judge each model by all of the right side.

    Args:
        clips: a clip set.
        split: see `split_clips`.
        ways: how to train, compared with each other on the same clips.
        n_per_label: clips of each label; where there are fewer, all there are, and larger numbers are left out.
        seeds: each draws clips of its own and trains with it; the 5 clips of a seed are among its 10.
        machinery: device, threads and so on.
        tell: called with each row when it is known.

    Returns:
        A row for each way, number and seed: "way", "n_per_label", "seed", "n_clips" learnt from and chosen by, "n"
        windows judged, "top1" and "macro_f1" by whole clips in 0..1, "passes", "wall_min" and "cpu_min".

    Raises:
        ConfigError, ClipError, TrainingError: as `train` and `evaluate`.
    """
    learn, judged = split_clips(clips, split)
    rows = []
    for seed in seeds:
        for number, chosen in draw_clips(learn, n_per_label=n_per_label, seed=seed):
            for way in ways:
                row = {"way": way.name, "n_per_label": number, "seed": seed, "n_clips": len(chosen)}
                row |= _row(chosen, judged, way, seed=seed, machinery=machinery)
                tell(row)
                rows.append(row)
    return rows


def draw_clips(clips: Sequence[Clip], *, n_per_label: Sequence[int], seed: int) -> Iterator[tuple[int, list[Clip]]]:
    """Draw so many clips of each label; give how many of the commonest label there are, and the clips in their order.

    A clip of several labels counts for each of them.
    """
    shuffled = list(clips)
    random.Random(seed).shuffle(shuffled)
    n_before = 0
    for wanted in sorted(n_per_label):
        counts: dict[str, int] = defaultdict(int)
        ids = set()
        for clip in shuffled:
            labels = labels_of(clip)
            if labels and any(counts[label] < wanted for label in labels):
                ids.add(clip.id)
                for label in labels:
                    counts[label] += 1
        if len(ids) > n_before:
            yield min(wanted, max(counts.values())), [clip for clip in clips if clip.id in ids]
        n_before = len(ids)


def _row(
    learn: Sequence[Clip], judged: Sequence[Clip], way: Way, *, seed: int, machinery: Machinery | None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        bundle: Bundle = train(
            learn,
            out_bundle=Path(folder) / "model",
            recipe=way.recipe,
            start_from=way.start_from,
            seed=seed,
            machinery=machinery,
        )
    found = evaluate(bundle, judged)
    training = bundle.metrics["training"]
    return {
        "n": found["n"],
        "top1": found["clips"]["top1"],
        "macro_f1": found["clips"]["macro_f1"],
        "passes": training["epochs"],
        "wall_min": training["wall_min"],
        "cpu_min": training["cpu_min"],
    }
