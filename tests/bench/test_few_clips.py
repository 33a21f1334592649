from __future__ import annotations

from pathlib import Path
from typing import Any

from har.bench.few_clips import Way, as_text, draw_clips, learning_curve
from har.training.recipe import Recipe
from har.training.train import train
from tests.training.builders import clip_set

TINY = Recipe(n_frames=16, channels=(8, 8, 8), epochs=1, batch_size=8, pool_last=0, validation_share=0.0)


def test_the_few_clips_of_a_seed_are_among_its_many_and_no_number_is_tried_twice() -> None:
    clips = clip_set(n_subjects=4)

    drawn = dict(draw_clips(clips, n_per_label=(1, 3, 10, 20), seed=3))

    assert list(drawn) == [1, 3, 4]
    assert [len(each) for each in drawn.values()] == [3, 9, 12]
    ids = [{clip.id for clip in each} for each in drawn.values()]
    assert ids[0] < ids[1] < ids[2]


def test_every_way_is_tried_on_the_same_clips_and_judged_by_the_same_people(tmp_path: Path) -> None:
    clips = clip_set(n_subjects=5)
    train(clips, out_bundle=tmp_path / "parent", recipe=TINY)
    told: list[dict[str, Any]] = []

    rows = learning_curve(
        clips,
        split="subject:1-3/4-5",
        ways=[Way("from nothing", TINY), Way("from a bundle", TINY, tmp_path / "parent")],
        n_per_label=(1, 2),
        seeds=(0,),
        tell=told.append,
    )

    assert rows == told
    assert [(row["way"], row["n_per_label"], row["n_clips"], row["n"]) for row in rows] == [
        ("from nothing", 1, 3, 6),
        ("from a bundle", 1, 3, 6),
        ("from nothing", 2, 6, 6),
        ("from a bundle", 2, 6, 6),
    ]
    assert all(0 <= row["top1"] <= 1 for row in rows)


def test_rows_that_are_known_are_not_measured_again(tmp_path: Path) -> None:
    clips = clip_set(n_subjects=5)
    known = {"way": "mine", "n_per_label": 1, "seed": 0, "top1": 0.123}
    told: list[dict[str, Any]] = []

    rows = learning_curve(
        clips,
        split="subject:1-3/4-5",
        ways=[Way("mine", TINY)],
        n_per_label=(1, 2),
        seeds=(0,),
        known=[known],
        tell=told.append,
    )

    assert rows[0] == known
    assert [row["n_per_label"] for row in told] == [2]


def test_the_table_tells_mean_and_spread_of_each_way() -> None:
    rows = [
        {"way": way, "n_per_label": number, "seed": seed, "top1": top1}
        for way, number, seed, top1 in [("a", 5, 0, 0.5), ("a", 5, 1, 0.7), ("a", 10, 0, 0.8), ("b", 5, 0, 0.25)]
    ]

    head, a, b = as_text(rows).splitlines()

    assert head.split() == ["clips", "a", "label", "5", "10"]
    assert a.split() == ["a", "60.0%", "(50.0%-70.0%)", "80.0%", "(80.0%-80.0%)"]
    assert b.split() == ["b", "25.0%", "(25.0%-25.0%)", "-"]
