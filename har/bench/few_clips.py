"""How well a model does by the number of clips it learnt from: what a place with few of its own may expect."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from har.bench.public_sets import Row, append_row, load_set, read_rows, recipe_text
from har.clips import Clip
from har.models.bundle import Bundle, load_bundle
from har.models.shipped import find_bundle
from har.training.dataset import labels_of
from har.training.evaluate import evaluate
from har.training.job import Machinery
from har.training.recipe import RECIPES, Recipe
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
    known: Iterable[Row] = (),
    tell: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Train on ever more clips of the left side of a split, and judge each model by all of the right side.

    Args:
        clips: a clip set.
        split: see `split_clips`.
        ways: how to train, compared with each other on the same clips.
        n_per_label: clips of each label; where there are fewer, all there are, and larger numbers are left out.
        seeds: each draws clips of its own and trains with it; the 5 clips of a seed are among its 10.
        machinery: device, threads and so on.
        known: rows of an earlier call, which are not measured again.
        tell: called with each new row.

    Returns:
        A row for each way, number and seed: "way", "n_per_label", "seed", "n_clips" learnt from and chosen by, "n"
        windows judged, "top1" and "macro_f1" by whole clips in 0..1, "passes", "wall_min" and "cpu_min".

    Raises:
        ConfigError, ClipError, TrainingError: as `train` and `evaluate`.
    """
    learn, judged = split_clips(clips, split)
    done = {(row["way"], row["n_per_label"], row["seed"]): row for row in known}
    rows = []
    for seed in seeds:
        for number, chosen in draw_clips(learn, n_per_label=n_per_label, seed=seed):
            for way in ways:
                key = (way.name, number, seed)
                if key not in done:
                    head = {"way": way.name, "n_per_label": number, "seed": seed, "n_clips": len(chosen)}
                    done[key] = head | _row(chosen, judged, way, seed=seed, machinery=machinery)
                    tell(done[key])
                rows.append(done[key])
    return rows


def bench_few_clips(
    *,
    data: Path,
    work: Path,
    model: str | None = None,
    n_seeds: int = 3,
    machinery: Machinery | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Measure on KARD, by people never seen, what beginning with a bundle is worth to somebody with few clips.

    Args:
        data: folder of the public sets.
        work: folder of the table and the imported set; a run that was broken off goes on there.
        model: name or path of the bundle to begin with; None for the shipped one.
        n_seeds: seeds a number of clips.
        machinery: device, threads and so on.
        say: told each row.

    Returns:
        The rows of `learning_curve`. In the table each also tells the bundle and the recipes: others make rows anew.
    """
    work.mkdir(parents=True, exist_ok=True)
    parent = find_bundle(model)
    model_id = load_bundle(parent).model_id
    table = work / "few-clips.jsonl"
    head = {"from": model_id, "recipes": [recipe_text(RECIPES[name]) for name in ("stream", "clip")]}
    ways = [
        Way("recipe stream, from nothing", RECIPES["stream"]),
        Way(f"recipe stream, from {parent.name}", start_from=parent),
        Way("recipe clip, from nothing", RECIPES["clip"]),
    ]

    def tell(row: Row) -> None:
        append_row(table, row | head)
        say(f"{row['way']}, {row['n_per_label']} clips a label, seed {row['seed']}: {row['top1']:.1%}")

    return learning_curve(
        load_set("kard", data=data, work=work),
        split="subject:1-5/6-10",
        ways=ways,
        seeds=range(n_seeds),
        machinery=machinery,
        known=[row for row in read_rows(table) if head.items() <= row.items()],
        tell=tell,
    )


def as_text(rows: Sequence[Row]) -> str:
    """Write the curves for people: mean accuracy over the seeds, least and greatest behind it, in percent."""
    numbers = sorted({row["n_per_label"] for row in rows})
    lines = [f"{'clips a label':32}" + "".join(f"{number:>20}" for number in numbers)]
    for way in dict.fromkeys(row["way"] for row in rows):
        cells = []
        for number in numbers:
            top1 = [row["top1"] for row in rows if row["way"] == way and row["n_per_label"] == number]
            cells.append(f"{statistics.mean(top1):.1%} ({min(top1):.1%}-{max(top1):.1%})" if top1 else "-")
        lines.append(f"{way:32}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


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


def _row(learn: Sequence[Clip], judged: Sequence[Clip], way: Way, *, seed: int, machinery: Machinery | None) -> Row:
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
