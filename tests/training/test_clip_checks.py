"""Clips that teach nothing: refused or told of, with a clip's name and the cure."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from har.clips import Clip
from har.errors import ClipError
from har.training.clip_checks import check_clips
from tests.training.builders import clip_set, moving_clip


def unseen(clip: Clip, *, value: float) -> Clip:
    return replace(clip, joints=np.full_like(clip.joints, value))


def still(clip: Clip) -> Clip:
    return replace(clip, joints=clip.joints[:1], time_s=clip.time_s[:1])


WALK, WAVE, LONE = moving_clip("w1", "walk"), moving_clip("v1", "wave"), moving_clip("s1", "stand")


def test_good_clips_need_no_words() -> None:
    assert check_clips(clip_set()) == []


@pytest.mark.parametrize(
    ("clips", "text"),
    [
        ([], "there are no clips to learn from. Check"),
        ([replace(WALK, label=None)], "none of the 1 clips has a label, clip 'w1' for one.*--labels"),
        ([WALK, moving_clip("w2", "walk", seed=1)], "all labelled clips show 'walk', clip 'w1' for one.*at least one"),
        ([WALK, unseen(WAVE, value=0)], "clip 'v1': joints are all missing or zero.*Record 'wave' again"),
        ([WALK, unseen(WAVE, value=np.nan)], "clip 'v1': joints are all missing or zero.*Record 'wave' again"),
        ([WALK, still(WAVE)], "clip 'v1': it has one frame.*Record 'wave' again"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(clips: list[Clip], text: str) -> None:
    with pytest.raises(ClipError, match=text):
        check_clips(clips)


@pytest.mark.parametrize(
    ("clip", "text"),
    [
        (replace(LONE, label=None), "clip 's1', without a label, is not learnt from; label"),
        (
            unseen(replace(LONE, label="walk"), value=0),
            "clip 's1', with joints all missing or zero, is not learnt from",
        ),
        (still(replace(LONE, label="walk")), "clip 's1', of one frame, is learnt from as if the person stood still"),
        (replace(LONE, label="dance"), "label 'dance' is shown by one clip only, 's1'.*Record more, or take"),
    ],
)
def test_one_bad_clip_among_good_ones_is_told_of(clip: Clip, text: str) -> None:
    notes = check_clips([*clip_set(), clip])

    assert len(notes) == 1
    assert re.search(text, notes[0])


def test_many_bad_clips_are_told_of_in_one_line() -> None:
    bad = [replace(WALK, id=f"x{n}", label=None) for n in range(7)]

    assert check_clips([*clip_set(), *bad]) == [
        "7 clips without a label, 'x0' for one, are not learnt from; label what they show."
    ]
