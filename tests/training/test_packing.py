"""Packing: windows of one length together, everybody counted, nobody computed who is not there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from har.clips import Clip
from har.training.dataset import WindowSet, cut_windows
from har.training.packing import as_batch, plan_batches
from har.training.recipe import RECIPES, Recipe
from tests.training.builders import clip_set, moving_clip

NAMES = ("stand", "walk", "wave")
TIMED = replace(Recipe(), length="rate", persons=2)


def windows_of(lengths: list[int]) -> WindowSet:
    clips = [moving_clip(str(number), "walk", n_frames=length) for number, length in enumerate(lengths)]
    return cut_windows(clips, TIMED, names=NAMES)


def with_second(clip: Clip) -> Clip:
    return replace(clip, joints=np.concatenate([clip.joints, clip.joints + np.float32([90, 0, 0])], axis=1))


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=60), batch_size=st.integers(1, 16), seed=st.integers(0, 9)
)
@settings(deadline=None, max_examples=40)
def test_every_window_is_in_one_batch_and_no_batch_is_tiny(lengths: list[int], batch_size: int, seed: int) -> None:
    windows = windows_of(lengths)
    order = np.random.default_rng(seed).permutation(len(windows))

    plan = plan_batches(windows, order, batch_size=batch_size, rng=np.random.default_rng(seed))

    assert sorted(np.concatenate(plan).tolist()) == sorted(order.tolist())
    sizes = [len(batch) for batch in plan]
    assert max(sizes) <= 2 * batch_size
    assert len(plan) == 1 or min(sizes) >= batch_size / 2


def test_windows_of_one_length_fill_batches_in_their_order() -> None:
    windows = windows_of([32] * 20)
    order = np.random.default_rng(0).permutation(20)

    plan = plan_batches(windows, order, batch_size=5, rng=np.random.default_rng(0))

    assert sorted(tuple(batch) for batch in plan) == sorted(tuple(each) for each in order.reshape(4, 5))


def test_long_and_short_clips_do_not_meet_where_there_are_enough_of_both() -> None:
    windows = windows_of([8, 32] * 12)

    plan = plan_batches(windows, np.arange(24), batch_size=4, rng=np.random.default_rng(1))

    assert all(len(set(windows.lengths()[batch])) == 1 for batch in plan)
    assert any(windows.lengths()[one[0]] != windows.lengths()[other[0]] for one, other in pairwise(plan))


def test_no_windows_make_no_batches() -> None:
    empty = np.zeros(0, dtype=np.int64)

    assert plan_batches(windows_of([8]), empty, batch_size=4, rng=np.random.default_rng(0)) == []


def test_the_same_chance_gives_the_same_plan() -> None:
    windows = windows_of([8, 12, 32] * 9)

    plans = [plan_batches(windows, np.arange(27), batch_size=4, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)]

    assert [batch.tolist() for batch in plans[0]] == [batch.tolist() for batch in plans[1]]
    assert [batch.tolist() for batch in plans[0]] != [batch.tolist() for batch in plans[2]]


def test_a_batch_is_a_graph_a_window_with_a_node_for_each_person() -> None:
    windows = cut_windows(
        [moving_clip("a", "walk"), with_second(moving_clip("b", "wave")), moving_clip("c", "stand")], TIMED, names=NAMES
    )
    packed = windows.draw(np.arange(3))

    batch = as_batch(packed, windows.labels)

    assert batch.num_graphs == 3
    assert batch.batch.tolist() == packed.owner.tolist() == [0, 1, 1, 2]
    assert batch.ptr.tolist() == [0, 1, 3, 4]
    assert batch.y.tolist() == [1, 2, 0]
    torch.testing.assert_close(batch.x, torch.from_numpy(packed.joints))
    assert batch.get_example(1).x.shape == (2, 32, 17, 3)


def test_the_frames_before_a_short_clip_and_the_people_who_are_not_there_are_told() -> None:
    windows = cut_windows(
        [moving_clip("a", "walk", n_frames=6), with_second(moving_clip("b", "wave", n_frames=8))], TIMED, names=NAMES
    )

    packed = windows.draw(np.arange(2))

    assert packed.joints.shape[:2] == (3, 8)
    assert packed.n_known.tolist() == [6, 8, 8]


def test_one_person_in_every_clip_costs_one_person() -> None:
    windows = cut_windows(clip_set(), RECIPES["clip"], names=NAMES)

    packed = windows.draw(np.arange(len(windows)))

    assert packed.joints.shape[:2] == (len(windows), 32)
    assert (packed.n_known == 32).all()
