"""Windows of clips: labels at the right time, no future, no second person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from har.clips import Clip
from har.errors import ClipError
from har.training.dataset import cut_windows, person_joints
from har.training.recipe import Recipe
from har.windows import normalise, resample
from tests.training.builders import clip_set, moving_clip

NAMES = ("sit down", "stand", "walk", "wave")


def untrimmed(*, seconds: int = 8) -> Clip:
    clip = moving_clip("long", "walk", n_frames=15 * seconds)
    return replace(clip, label=None, spans=((0.0, 3.0, "walk"), (4.0, 8.0, "stand")))


def test_a_window_is_labelled_by_what_was_done_shortly_before_its_end() -> None:
    windows = cut_windows([untrimmed()], Recipe(), names=NAMES)

    at_s = windows.end_s - Recipe().label_delay_s
    labels = np.array(NAMES)[windows.labels]
    assert set(labels) == {"walk", "stand"}
    assert (labels == np.where(at_s < 3, "walk", "stand")).all()
    assert not ((at_s >= 3) & (at_s < 4)).any()
    assert len(np.unique(windows.end_s)) == len(windows)
    assert 9 <= (labels == "walk").sum() <= 12


def test_a_window_is_what_the_live_service_would_see_at_that_moment() -> None:
    clip = untrimmed()
    windows = cut_windows([clip], Recipe(), names=NAMES)

    for number in range(0, len(windows), 5):
        end_s = float(windows.end_s[number])
        past = clip.time_s <= end_s
        live = resample(clip.time_s[past], clip.joints[past, 0], rate_hz=15, end_s=end_s, n_frames=32)
        np.testing.assert_allclose(windows.draw(np.array([number]))[0], normalise(live), atol=1e-5)


def test_windows_without_a_pose_in_the_last_second_are_left_out() -> None:
    clip = untrimmed()
    lost = clip.joints.copy()
    lost[(clip.time_s > 5) & (clip.time_s < 7.5)] = np.nan

    ends = cut_windows([replace(clip, joints=lost)], Recipe(), names=NAMES).end_s

    assert not ((ends > 5.9) & (ends < 7.5)).any()
    assert (ends > 7.7).any()


def test_a_trimmed_clip_gives_one_window_of_all_of_it() -> None:
    clip = moving_clip("a", "walk", n_frames=77)

    windows = cut_windows([clip], Recipe(), names=NAMES)

    assert len(windows) == 1
    hips = windows.draw(np.array([0]))[0, :, 11:13, 0].mean(axis=1)
    whole = normalise(clip.joints[:, 0])[:, 11:13, 0].mean(axis=1)
    assert abs(hips[-1]) == pytest.approx(abs(whole[-1]), rel=0.1)


@pytest.mark.parametrize("n_frames", [1, 2, 5])
def test_a_very_short_clip_still_gives_a_window(n_frames: int) -> None:
    clip = moving_clip("a", "stand", n_frames=n_frames)

    windows = cut_windows([clip], Recipe(), names=NAMES)

    assert len(windows) == 1
    assert (windows.draw(np.array([0]))[0, :, :, 2] > 0).all()


def test_clips_without_a_label_or_with_an_unknown_one_are_left_out() -> None:
    clips = [moving_clip("a", "juggle"), replace(moving_clip("b", "walk"), label=None), moving_clip("c", "walk")]

    windows = cut_windows(clips, Recipe(), names=NAMES)

    assert [windows.clip_ids[each] for each in windows.clip] == ["c"]


def test_playing_at_another_speed_moves_the_past_and_keeps_the_end() -> None:
    windows = cut_windows([untrimmed()], Recipe(), names=NAMES)
    last = np.array([8])

    usual, fast = (windows.draw(last, speed=np.array([speed]))[0] for speed in (1.0, 1.15))

    travelled, travelled_fast = (abs(each[-1, 11, 0] - each[0, 11, 0]) for each in (usual, fast))
    assert travelled_fast == pytest.approx(1.15 * travelled, rel=0.05)
    np.testing.assert_array_equal(usual, windows.draw(last)[0])


def test_the_person_seen_most_is_the_one() -> None:
    clip = moving_clip("a", "walk")
    two = np.full((40, 2, 17, 3), np.nan, dtype=np.float32)
    two[:30, 0], two[:, 1] = clip.joints[:30, 0] + 50, clip.joints[:, 0]

    np.testing.assert_array_equal(person_joints(replace(clip, joints=two), layout="coco17"), clip.joints[:, 0])


def test_joints_with_y_up_are_turned_into_a_picture() -> None:
    clip = moving_clip("a", "sit down")
    up = clip.joints.copy()
    up[..., 1] *= -1
    up[..., 2] = 0

    joints = person_joints(replace(clip, joints=up, units="m", up="+y"), layout="coco17")

    np.testing.assert_allclose(joints[..., :2], clip.joints[:, 0, :, :2])
    assert (joints[..., 2] == 1).all()


def test_joints_in_shares_of_the_picture_get_its_proportions_back() -> None:
    clip = moving_clip("a", "walk")
    shares = clip.joints / np.float32([640, 480, 1])

    joints = person_joints(replace(clip, joints=shares, units="norm", width_px=640, height_px=480), layout="coco17")

    np.testing.assert_allclose(joints, clip.joints[:, 0], rtol=1e-5)


def test_a_layout_that_cannot_be_mapped_names_the_clip() -> None:
    joints = np.ones((3, 1, 15, 3), dtype=np.float32)
    clip = Clip(
        id="odd", joints=joints, time_s=np.arange(3.0), rate_hz=1, layout="nite15", label="walk", source="", licence=""
    )

    with pytest.raises(ClipError, match=r"'odd'.*blazepose33"):
        cut_windows([clip], replace(Recipe(), layout="blazepose33"), names=NAMES)


def test_windows_know_their_clip() -> None:
    clips = clip_set()

    windows = cut_windows(clips, Recipe(), names=NAMES)

    for number, clip in enumerate(windows.clip):
        assert NAMES[windows.labels[number]] == next(c.label for c in clips if c.id == windows.clip_ids[clip])
