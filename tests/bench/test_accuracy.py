from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphs import layout
from har.bench.accuracy import FIGURES, Figure, as_text, choose_figures, run_accuracy, summarise
from har.errors import ConfigError
from har.training.recipe import RECIPES

TINY = replace(
    RECIPES["clip"],
    validation_share=0.0,
    epochs=2,
    least_per_epoch=0,
    n_frames=8,
    channels=(4, 4, 4),
    inputs=("joint",),
)
FIGURE = Figure("tiny", "tiny", "official", TINY, n_seeds=2)


def write_set(data: Path) -> None:
    """Two actions of four people: standing, and raising the left hand."""
    joints = layout("kinect20")
    rng = np.random.default_rng(0)
    body = rng.normal(size=(joints.n_joints, 3)).astype(np.float32)
    clips = np.repeat(np.repeat(body[None, None, None], 12, axis=2), 16, axis=0)  # (N, M, T, V, C)
    labels = np.arange(16) % 2
    hand = joints.joints.index("hand_left")
    clips[labels == 1, 0, :, hand, 1] += np.linspace(0, 3, 12, dtype=np.float32)
    clips += rng.normal(scale=0.01, size=clips.shape).astype(np.float32)
    (data / "tiny").mkdir(parents=True)
    np.savez(
        data / "tiny" / "tiny.npz",
        keypoints=clips,
        length=np.full(16, 12),
        labels=labels,
        label_names=np.array(["stand", "raise hand"]),
        joint_names=np.array(joints.joints),
        edges=np.array(joints.bones),
        layout=np.array("kinect_v1_20"),
        units=np.array("metres, y up"),
        clip_ids=np.array([f"clip{number}" for number in range(16)]),
        subject=np.arange(16) // 4,
        split=np.array(["train", "train", "train", "test"] * 4),
    )


def test_a_table_is_filled_figure_by_figure_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    write_set(tmp_path / "data")
    told: list[str] = []

    first = run_accuracy([FIGURE], data=tmp_path / "data", work=tmp_path / "work", n_seeds=1, say=told.append)
    with (tmp_path / "work" / "rows.jsonl").open("a") as table:
        table.write('{"figure": "tiny", "se')  # killed while it wrote
        table.write("\n")
    both = run_accuracy([FIGURE], data=tmp_path / "data", work=tmp_path / "work", say=told.append)

    assert [row["seed"] for row in both] == [0, 1]
    assert both[0] == first[0]
    assert [line for line in told if line.endswith("split official")] == [
        "tiny, seed 0: tiny, split official",
        "tiny, seed 1: tiny, split official",
    ]
    assert (first[0]["n_learn"], first[0]["n"], first[0]["passes"]) == (12, 4, 2)
    assert not list((tmp_path / "work").glob(".*.training"))


def test_a_changed_recipe_is_another_row(tmp_path: Path) -> None:
    write_set(tmp_path / "data")
    run_accuracy([FIGURE], data=tmp_path / "data", work=tmp_path / "work", n_seeds=1)
    changed = replace(FIGURE, recipe=replace(TINY, epochs=3))

    rows = run_accuracy([changed], data=tmp_path / "data", work=tmp_path / "work", n_seeds=1)

    assert rows[0]["passes"] == 3
    assert len((tmp_path / "work" / "rows.jsonl").read_text().splitlines()) == 2


def test_the_summary_tells_mean_spread_and_interval() -> None:
    rows = [
        {"figure": "nw_ucla", "seed": seed, "top1": top1, "n": 100, "asked": "much", "cpu_min": 10.0}
        | {"passes": 70, "parameters": 5}
        for seed, top1 in enumerate((0.8, 0.9, 1.0))
    ]

    [line] = summarise(rows)

    assert (line["least"], line["greatest"], line["seeds"]) == (0.8, 1.0, 3)
    assert line["top1"] == pytest.approx(0.9)
    assert line["interval"][0] < 0.9 < line["interval"][1]
    assert "90.0%" in as_text([line])


def test_figures_are_chosen_by_name_in_the_order_of_the_table() -> None:
    assert [each.name for each in choose_figures(["kard person", "nw_ucla"])] == ["nw_ucla", "kard person"]
    assert choose_figures([]) == list(FIGURES)
    with pytest.raises(ConfigError, match=r"no figure is called 'x'\. Known: nw_ucla"):
        choose_figures(["x"])
