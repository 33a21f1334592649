"""Splits: the grammar, and nobody on both sides."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.clips import Clip
from har.errors import ConfigError
from har.training.dataset import labels_of
from har.training.splits import hold_out, split_clips
from tests.training.builders import clip_set, moving_clip


def people(*subjects: str, **fields: str) -> list[Clip]:
    return [moving_clip(f"{number}", "walk", subject=subject, **fields) for number, subject in enumerate(subjects)]


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
    clips = [moving_clip(str(view), "walk", view=str(view)) for view in (1, 2, 3)]

    train, test = split_clips(clips, "view:1,2/3")

    assert [clip.view for clip in train] == ["1", "2"]
    assert [clip.view for clip in test] == ["3"]


def test_a_stored_split_goes_by_its_name() -> None:
    clips = [moving_clip(side, "walk", splits={"official": side}) for side in ("train", "test", "unused")]

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
    if len({subject for subject in subjects if subject}) > 1:
        assert not {clip.subject for clip in learn} & {clip.subject for clip in held}
    assert {each for clip in learn for each in labels_of(clip)} == {each for clip in clips for each in labels_of(clip)}


def test_about_the_share_asked_for_is_held_out_by_subject() -> None:
    learn, held = hold_out(clip_set(n_subjects=10), share=0.2, seed=3)

    assert len({clip.subject for clip in held}) == 2
    assert len(learn) == 24
