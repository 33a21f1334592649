"""Splits: the grammar, and nobody on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.clips import Clip
from har.errors import ConfigError
from har.training.dataset import labels_of
from har.training.splits import find_copied, hold_out, split_clips, split_notes
from tests.training.builders import clip_set, moving_clip


def people(*subjects: str, **fields: Any) -> list[Clip]:
    return [
        moving_clip(f"{number}", "walk", seed=number, subject=subject, **fields)
        for number, subject in enumerate(subjects)
    ]


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [
        ("subject:1-2/3-9", ["1", "S02"], ["Subject 3", "7"]),
        ("subject:odd/even", ["1", "Subject 3", "7"], ["S02"]),
        ("subject:1,7/2", ["1", "7"], ["S02"]),
        ("subject:S*/ann", ["S02", "Subject 3"], ["ann"]),
        ("subject: 1 , 2 / ann", ["1", "S02"], ["ann"]),
        ("subject:1/a1b2", ["1"], ["a1b2"]),
    ],
)
def test_a_rule_parts_people(split: str, train: list[str], test: list[str]) -> None:
    clips = people("1", "S02", "Subject 3", "7", "ann", "a1b2")

    sides = split_clips(clips, split)

    assert [[clip.subject for clip in side] for side in sides] == [train, test]


def test_a_rule_parts_views() -> None:
    clips = [moving_clip(str(view), "walk", seed=view, view=str(view)) for view in (1, 2, 3)]

    train, test = split_clips(clips, "view:1,2/3")

    assert [clip.view for clip in train] == ["1", "2"]
    assert [clip.view for clip in test] == ["3"]


def test_a_stored_split_goes_by_its_name() -> None:
    clips = [
        moving_clip(side, "walk", seed=seed, splits={"official": side})
        for seed, side in enumerate(("train", "test", "unused"))
    ]

    train, test = split_clips(clips, "official")

    assert ([clip.id for clip in train], [clip.id for clip in test]) == (["train"], ["test"])


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("offical", "not known.*Stored in these clips: official"),
        ("subject:1-5", "not known"),
        ("subject:1/2/3", "not known"),
        ("hair:red/black", "not known"),
        ("subject:1-3/3-4", "subject 3 would be on both sides"),
        ("subject:1-3/8", "no clip on the test side.*subjects in these clips: 1, 2, 3"),
        ("subject:/1", "no clip on the train side"),
        ("view:1/2", "views in these clips: none"),
    ],
)
def test_a_split_that_does_not_fit_says_what_would(split: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        split_clips(people("1", "2", "3", splits={"official": "train"}), split)


@given(
    subjects=st.lists(st.none() | st.sampled_from("ABCDEF"), min_size=1, max_size=25),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_nobody_and_no_clip_is_held_out_and_learnt_from(subjects: list[str | None], share: float, seed: int) -> None:
    labels = ["stand", "walk", "wave"]
    clips = [moving_clip(str(i), labels[i % 3], subject=subject, n_frames=2) for i, subject in enumerate(subjects)]

    learn, held = hold_out(clips, share=share, seed=seed)

    assert sorted(clip.id for clip in [*learn, *held]) == sorted(clip.id for clip in clips)
    assert not {clip.id for clip in learn} & {clip.id for clip in held}
    if share == 0:
        assert not held
    assert {each for clip in learn for each in labels_of(clip)} == {each for clip in clips for each in labels_of(clip)}


def test_about_the_share_asked_for_is_held_out_by_subject() -> None:
    learn, held = hold_out(clip_set(n_subjects=10), share=0.2, seed=3)

    assert len({clip.subject for clip in held}) == 2
    assert len(learn) == 24


def test_one_of_five_subjects_is_held_out_though_that_is_more_than_asked_for() -> None:
    learn, held = hold_out(clip_set(n_subjects=5), share=0.15, seed=0)

    assert len({clip.subject for clip in held}) == 1
    assert not {clip.subject for clip in learn} & {clip.subject for clip in held}


def test_of_two_subjects_clips_are_held_out_since_neither_can_be_missed() -> None:
    learn, held = hold_out(clip_set(n_subjects=2, n_each=10), share=0.2, seed=0)

    assert len(held) == pytest.approx(12, abs=2)
    assert len(learn) + len(held) == 60


def test_without_subjects_a_view_is_held_out_where_there_are_several() -> None:
    clips = [
        moving_clip(f"{label}-{view}", label, view=str(view), seed=view)
        for label in ("walk", "wave")
        for view in range(5)
    ]

    _, held = hold_out(clips, share=0.2, seed=0)

    assert len(held) == 2
    assert len({clip.view for clip in held}) == 1


def cuts_of_videos(n_videos: int, n_cuts: int = 3) -> list[Clip]:
    """Make clips as `har extract` cuts them: named after their video, on the video's clock."""
    return [
        replace(clip, time_s=clip.time_s + 10.0 * cut)
        for video in range(n_videos)
        for cut in range(1, n_cuts + 1)
        for clip in [moving_clip(f"video{video}-{cut:03d}", ("walk", "wave", "stand")[cut % 3], seed=10 * video + cut)]
    ]


def test_clips_of_one_video_are_held_out_together() -> None:
    learn, held = hold_out(cuts_of_videos(8), share=0.3, seed=1)

    videos = [{clip.id.split("-")[0] for clip in side} for side in (learn, held)]
    assert videos[1]
    assert not videos[0] & videos[1]


def on_sides(clips: list[Clip], *sides: str) -> list[Clip]:
    return [replace(clip, splits={"mine": side}) for clip, side in zip(clips, sides, strict=True)]


def test_a_split_through_a_recording_is_refused_with_both_clips_named() -> None:
    clips = on_sides(cuts_of_videos(1), "train", "train", "test")

    with pytest.raises(ConfigError, match="'video0-002' and 'video0-003' are of one recording"):
        split_clips(clips, "mine")


def test_clips_that_are_only_numbered_are_no_recording() -> None:
    clips = on_sides([moving_clip(f"walk-{n:03d}", "walk", seed=n) for n in range(2)], "train", "test")

    train, test = split_clips(clips, "mine")

    assert (len(train), len(test)) == (1, 1)


def test_a_clip_on_both_sides_is_refused() -> None:
    clips = on_sides([moving_clip("same", "walk"), moving_clip("same", "walk", seed=1)], "train", "test")

    with pytest.raises(ConfigError, match="clip same would be on both sides"):
        split_clips(clips, "mine")


def test_clips_of_two_sets_may_bear_one_name() -> None:
    clips = [moving_clip("a", "walk"), moving_clip("a", "walk", seed=1, source="another set")]

    assert len(split_clips(on_sides(clips, "train", "test"), "mine")[0]) == 1


def test_the_same_joints_under_another_name_are_told_of_and_kept_only_where_a_split_was_published_so() -> None:
    clip = replace(moving_clip("front", "walk"), view="1")
    other = replace(moving_clip("other", "walk", seed=1), view="1")
    clips = on_sides([other, clip, replace(clip, id="back", view="2")], "train", "train", "test")

    published, test = split_clips(clips, "mine")
    by_rule, _ = split_clips(clips, "view:1/2")

    assert [each.id for each in published] == ["other", "front"]
    assert [each.id for each in by_rule] == ["other"]
    assert [each.id for each in test] == ["back"]
    assert split_clips(clips, "mine", keep_twins=False)[0] == by_rule
    assert find_copied(clips, "mine") == {"back"}
    assert not find_copied(clips, "view:1/2")
    assert "published so; read the accuracy without them" in split_notes(clips, "mine")[0]
    assert "they are not learnt from" in split_notes(clips, "view:1/2")[0]


def test_subjects_on_both_sides_of_a_split_are_told_of() -> None:
    clips = [
        moving_clip(f"{subject}{view}", "walk", seed=10 * subject + view, subject=f"S{subject}", view=str(view))
        for subject in (1, 2)
        for view in (1, 2)
    ]

    assert split_notes(clips, "subject:1/2") == []
    assert split_notes(clips, "view:1/2") == [
        "split 'view:1/2': subjects on both sides (S1, S2), so the figures say nothing about people never seen."
    ]


def test_clips_in_which_nobody_is_seen_are_no_twins() -> None:
    empty = replace(moving_clip("a", "walk"), joints=np.full((40, 1, 17, 3), np.nan, dtype=np.float32))

    assert len(split_clips(on_sides([empty, replace(empty, id="b")], "train", "test"), "mine")[0]) == 1
