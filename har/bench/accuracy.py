"""How well recipes do on public sets: one training run a figure and seed, each written down as it ends."""

from __future__ import annotations

import hashlib
import shutil
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from har.bench.joined import join_clips
from har.bench.public_sets import Row, append_row, load_set, read_rows, recipe_text
from har.errors import ConfigError
from har.models.stgcn import STGCNConfig
from har.training.evaluate import evaluate
from har.training.job import Machinery
from har.training.metrics import wilson_interval
from har.training.recipe import RECIPES, Recipe
from har.training.splits import split_clips
from har.training.train import train

WHOLE = replace(RECIPES["clip"], validation_share=0.0)
"""The recipe for trimmed clips, untouched, on all of the training side: the last pass is taken, nothing is chosen."""
ONE_NETWORK = replace(WHOLE, inputs=("joint+bone",))
"""One network alone, on joints and bones."""
TRUE_RATE = replace(ONE_NETWORK, length="rate", n_frames=64)
"""Windows at 15 Hz, as the service cuts them, and as long as a clip lasts, up to 4.3 s."""
JOINED = replace(TRUE_RATE, windows_per_epoch=1000, epochs=40, pool_last=3)
"""The same on clips joined into recordings, an answer every 0.27 s from the 4.3 s before; each is judged by what was
done as long ago as the network looks ahead."""


def _joined(look_ahead: str) -> Recipe:
    recipe = replace(JOINED, look_ahead=look_ahead)
    network = STGCNConfig(n_classes=1, look_ahead=recipe.ahead, kernels=recipe.spans)
    return replace(recipe, label_delay_s=network.frames_ahead / recipe.rate_hz)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        name: unique.
        data: folder and stem of the set below the data folder.
        split: stored split or rule.
        recipe: how.
        n_seeds: how many times, with seeds from 0.
        asked: what is to be reached, in words.
        joined: join the clips of each side into recordings first.
        keep_twins: learn also from clips that are copies of clips to be judged by, as in published figures.
    """

    name: str
    data: str
    split: str
    recipe: Recipe = WHOLE
    n_seeds: int = 3
    asked: str = ""
    keep_twins: bool = True
    joined: bool = False


FIGURES: Sequence[Figure] = (
    Figure("nw_ucla one network", "nw_ucla", "official", ONE_NETWORK, asked=">= 90 % in 20 core min"),
    Figure("nw_ucla", "nw_ucla", "official", asked=">= 94 % with any budget"),
    Figure("nw_ucla person", "nw_ucla", "subject:1-5/6-10", asked=">= 86 %; extra-trees 75.5"),
    Figure("kard person", "kard", "subject:1-5/6-10", asked=">= 99 %; extra-trees 98.5"),
    Figure("jhmdb14 split 1", "jhmdb14", "split1", asked="mean of three >= 82 %; extra-trees 75.0"),
    Figure("jhmdb14 split 2", "jhmdb14", "split2"),
    Figure("jhmdb14 split 3", "jhmdb14", "split3"),
    Figure("msr_action3d", "msr_action3d", "subject:odd/even", asked=">= 90 %; extra-trees 77.5"),
    Figure("nw_ucla centred", "nw_ucla", "official", TRUE_RATE, asked="what the next two are held against"),
    Figure(
        "nw_ucla served",
        "nw_ucla",
        "official",
        replace(TRUE_RATE, look_ahead="served", pool_last=3),
        asked="at most 1 point lost",
    ),
    Figure(
        "nw_ucla causal",
        "nw_ucla",
        "official",
        replace(TRUE_RATE, look_ahead="causal", pool_last=3),
        asked="at most 3 points lost",
    ),
    Figure(
        "nw_ucla joined centred",
        "nw_ucla",
        "official",
        _joined("centred"),
        asked="what the next two are held against",
        joined=True,
    ),
    Figure(
        "nw_ucla joined served",
        "nw_ucla",
        "official",
        _joined("served"),
        asked="at most 1 point lost",
        joined=True,
    ),
    Figure(
        "nw_ucla joined causal",
        "nw_ucla",
        "official",
        _joined("causal"),
        asked="at most 3 points lost",
        joined=True,
    ),
    Figure("nw_ucla joint", "nw_ucla", "official", replace(WHOLE, inputs=("joint",))),
    Figure("nw_ucla without copies", "nw_ucla", "official", keep_twins=False),
    Figure(
        "nw_ucla fused",
        "nw_ucla",
        "official",
        replace(WHOLE, inputs=("joint+bone", "joint+bone+distance", "joint", "bone", "motion+bone motion")),
        asked=">= 96 %",
    ),
)


def choose_figures(names: Sequence[str]) -> list[Figure]:
    """Give the figures of these names, in the order of the table; all of them for no name.

    Raises:
        ConfigError: there is no such figure.
    """
    known = [figure.name for figure in FIGURES]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"no figure is called {unknown[0]!r}. Known: {', '.join(known)}.")
    return [figure for figure in FIGURES if not names or figure.name in names]


def run_accuracy(
    figures: Iterable[Figure],
    *,
    data: Path,
    work: Path,
    n_seeds: int | None = None,
    threads: int = 1,
    say: Callable[[str], None] = lambda line: None,
    machinery: Machinery | None = None,
) -> list[Row]:
    """Train and judge what the table lacks; a run that was broken off goes on where it stopped.

    Args:
        figures: which lines.
        data: folder of the public sets.
        work: folder of the table `rows.jsonl`, imported clip sets and unfinished runs.
        n_seeds: seeds a figure; those of the figure if None.
        threads: of torch.
        say: told what is under way.
        machinery: device and report of a run; its other fields are set here.

    Returns:
        All rows of these figures, old and new, by figure and seed.
    """
    work.mkdir(parents=True, exist_ok=True)
    table = work / "rows.jsonl"
    figures = list(figures)
    plan = [(figure, seed) for figure in figures for seed in range(n_seeds or figure.n_seeds)]
    plan.sort(key=lambda each: each[1])  # every figure once before any figure twice
    done = {(row["figure"], row["seed"], row["recipe"]): row for row in read_rows(table)}
    rows = []
    for figure, seed in plan:
        key = (figure.name, seed, recipe_text(figure.recipe))
        if key not in done:
            say(f"{figure.name}, seed {seed}: {figure.data}, split {figure.split}")
            given = replace(machinery or Machinery(), threads=threads, say=lambda line: None)
            row = _run(figure, seed, data=data, work=work, machinery=given)
            append_row(table, row)
            say(f"{figure.name}, seed {seed}: {row['top1']:.1%} in {row['cpu_min']:.1f} core min")
            done[key] = row
        rows.append(done[key])
    names = [figure.name for figure in figures]
    return sorted(rows, key=lambda row: (names.index(row["figure"]), row["seed"]))


def _run(figure: Figure, seed: int, *, data: Path, work: Path, machinery: Machinery) -> Row:
    clips = load_set(figure.data, data=data, work=work)
    learn, judged = split_clips(clips, figure.split, keep_twins=figure.keep_twins)
    if figure.joined:
        learn, judged = join_clips(learn), join_clips(judged)
    recipe_key = hashlib.sha256(recipe_text(figure.recipe).encode()).hexdigest()[:8]
    out = work / f"{figure.name.replace(' ', '-')}-{seed}-{recipe_key}"
    shutil.rmtree(out, ignore_errors=True)  # it was written, but its row was not
    unfinished = (out.parent / f".{out.name}.training").exists()
    bundle = train(
        learn, out_bundle=out, recipe=figure.recipe, seed=seed, machinery=replace(machinery, resume=unfinished)
    )
    result, training = evaluate(bundle, judged), bundle.metrics["training"]
    shutil.rmtree(out)
    return {
        "figure": figure.name,
        "seed": seed,
        "recipe": recipe_text(figure.recipe),
        "split": figure.split,
        "asked": figure.asked,
        "n_learn": len(learn),
        "n": result["n"],
        **{key: result[key] for key in ("top1", "macro_f1", "ece")},
        "parameters": sum(each.numel() for each in bundle.model.parameters()),
        "passes": sum(each["epochs"] for each in training["networks"]),
        "cpu_min": training["cpu_min"],
        "wall_min": training["wall_min"],
        "threads": machinery.threads,
    }


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Give one row a figure: mean, least and greatest accuracy over its seeds, and the mean cost."""
    summary = []
    for name in dict.fromkeys(row["figure"] for row in rows):
        of_name = [row for row in rows if row["figure"] == name]
        top1 = [row["top1"] for row in of_name]
        low, high = wilson_interval(statistics.mean(top1), of_name[0]["n"])
        summary.append(
            {
                "figure": name,
                "asked": of_name[0]["asked"],
                "n": of_name[0]["n"],
                "seeds": len(top1),
                "top1": statistics.mean(top1),
                "least": min(top1),
                "greatest": max(top1),
                "interval": [low, high],
                "cpu_min": statistics.mean(row["cpu_min"] for row in of_name),
                "passes": of_name[0]["passes"],
                "parameters": of_name[0]["parameters"],
            }
        )
    return summary


def as_text(summary: Sequence[Mapping[str, Any]]) -> str:
    """Write the table for people; accuracies in percent."""
    head = f"{'figure':24}{'clips':>6}{'seeds':>6}{'top-1':>8}{'spread':>14}{'95 %':>14}{'core min':>10}  asked"
    lines = [head]
    for row in summary:
        spread = f"{row['least']:.1%}-{row['greatest']:.1%}"
        interval = f"{row['interval'][0]:.0%}-{row['interval'][1]:.0%}"
        lines.append(
            f"{row['figure']:24}{row['n']:6}{row['seeds']:6}{row['top1']:8.1%}{spread:>14}{interval:>14}"
            f"{row['cpu_min']:10.1f}  {row['asked']}"
        )
    return "\n".join(lines)
