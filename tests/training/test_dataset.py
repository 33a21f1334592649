"""Windows of clips: labels at the right time, no future, no second person."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphs import LAYOUTS
from har.clips import Clip
from har.errors import ClipError
from har.records import FloatArray
from har.training.dataset import WindowSet, cut_windows
from har.training.instants import neighbours, stretched_instants, timed_instants
from har.training.persons import INFERRED_SCORE, people_joints
from har.training.recipe import RECIPES, Recipe
from har.windows import normalise, resample
from tests.training.builders import clip_set, moving_clip

NAMES = ("sit down", "stand", "walk", "wave")


PLAIN_TIMES = replace(Recipe(), joint_drop=0.0, part_drop=0.0, speed=0.0, crop=(1.0, 1.0))


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
        np.testing.assert_allclose(one(windows, number), normalise(live), atol=1e-5)


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
    hips = one(windows)[:, 11:13, 0].mean(axis=1)
    whole = normalise(clip.joints[:, 0])[:, 11:13, 0].mean(axis=1)
    assert abs(hips[-1]) == pytest.approx(abs(whole[-1]), rel=0.1)


@pytest.mark.parametrize("n_frames", [1, 2, 5])
def test_a_very_short_clip_still_gives_a_window(n_frames: int) -> None:
    clip = moving_clip("a", "stand", n_frames=n_frames)

    windows = cut_windows([clip], Recipe(), names=NAMES)

    assert len(windows) == 1
    assert (one(windows)[:, :, 2] > 0).all()


def test_clips_without_a_label_or_with_an_unknown_one_are_left_out() -> None:
    clips = [moving_clip("a", "juggle"), replace(moving_clip("b", "walk"), label=None), moving_clip("c", "walk")]

    windows = cut_windows(clips, Recipe(), names=NAMES)

    assert [windows.clip_ids[each] for each in windows.clip] == ["c"]


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one(windows: WindowSet, number: int = 0) -> FloatArray:
    return windows.draw(np.array([number])).joints[0]


def travel(joints: FloatArray) -> float:
    return float(abs(joints[-1, 11, 0] - joints[0, 11, 0]))


def test_playing_at_another_speed_moves_the_past_and_keeps_the_end() -> None:
    windows = cut_windows([untrimmed()], replace(PLAIN_TIMES, speed=0.15), names=NAMES)

    played = windows.draw(np.full(200, 9), rng=chance())

    ratios = np.array([travel(each) for each in played.joints]) / travel(one(windows, 9))
    assert ratios.min() == pytest.approx(0.85, abs=0.06)
    assert ratios.max() == pytest.approx(1.15, abs=0.06)
    assert (played.n_known == 32).all()


def test_the_person_seen_most_is_the_one() -> None:
    clip = moving_clip("a", "walk")
    two = np.full((40, 2, 17, 3), np.nan, dtype=np.float32)
    two[:30, 0], two[:, 1] = clip.joints[:30, 0] + 50, clip.joints[:, 0]

    found = people_joints(replace(clip, joints=two), layout="coco17")

    assert len(found) == 1
    np.testing.assert_array_equal(found[0], clip.joints[:, 0])


def test_joints_with_y_up_are_turned_into_a_picture() -> None:
    clip = moving_clip("a", "sit down")
    up = clip.joints.copy()
    up[..., 1] *= -1

    joints = people_joints(replace(clip, joints=up[..., :2], units="m", up="+y"), layout="coco17")[0]

    np.testing.assert_allclose(joints[..., :2], clip.joints[:, 0, :, :2])
    assert (joints[..., 2] == 1).all()


def test_joints_in_shares_of_the_picture_get_its_proportions_back() -> None:
    clip = moving_clip("a", "walk")
    shares = clip.joints / np.float32([640, 480, 1])

    pictured = replace(clip, joints=shares, units="norm", width_px=640, height_px=480)
    joints = people_joints(pictured, layout="coco17")[0]

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


def deep_clip(clip_id: str = "deep", *, label: str = "walk", n_frames: int = 40, **fields: Any) -> Clip:
    """Somebody in metres with y up, as sensors with depth write it, a metre nearer with every clip second."""
    flat = moving_clip(clip_id, label, n_frames=n_frames)
    joints = np.zeros((n_frames, 1, 17, 4), dtype=np.float32)
    joints[..., 0] = (flat.joints[..., 0] - 320) / 100
    joints[..., 1] = -(flat.joints[..., 1] - 420) / 100
    joints[..., 2] = 4 - flat.time_s[:, None, None].astype(np.float32)
    joints[..., 3] = 1
    return replace(flat, joints=joints, units="m", up="+y", **fields)


def test_depth_is_kept_and_grows_away_from_the_camera() -> None:
    clip = deep_clip()

    joints = people_joints(clip, layout="coco17", dims=3)[0]
    windows = cut_windows([clip, deep_clip("b", label="wave")], RECIPES["clip"], names=NAMES)

    assert joints.shape == (40, 17, 4)
    np.testing.assert_allclose(joints[..., 1], -clip.joints[:, 0, :, 1])
    assert windows.recipe.dims == 3
    drawn = one(windows)
    assert drawn.shape == (32, 17, 4)
    assert drawn[-1, :, 2].mean() - drawn[0, :, 2].mean() < -1  # came nearer, in trunk lengths


def test_joints_that_a_sensor_inferred_are_known_and_what_it_lost_is_not() -> None:
    clip = deep_clip()
    clip.joints[:, 0, 5, 3] = 0.0  # inferred from the others, as MSR-Action3D writes every neck and spine
    clip.joints[3, 0] = 0.0  # the whole body lost

    joints = people_joints(clip, layout="coco17", dims=3)[0]

    assert np.isfinite(joints[4, 5]).all()
    assert joints[4, 5, 3] == INFERRED_SCORE < joints[4, 6, 3]
    assert np.isnan(joints[3, :, 0]).all()
    flat = people_joints(replace(moving_clip("f", "walk"), joints=clip.joints[..., [0, 1, 3]]), layout="coco17")[0]
    assert np.isnan(flat[4, 5, 0])  # in a picture a score of 0 says that nobody knows


@pytest.mark.parametrize(("up", "layout"), [("+y", "coco17"), ("+y", "kinect20"), ("+z", "coco17"), ("-y", "coco17")])
def test_no_axes_turn_a_left_hand_into_a_right_one(up: str, layout: str) -> None:
    """Left x up must point where the face looks: towards smaller z for somebody who faces the camera."""
    which = LAYOUTS[layout]
    joints = np.random.default_rng(0).normal(0, 0.01, (2, 1, which.n_joints, 3)).astype(np.float32)
    for left, right in which.pairs:
        joints[:, :, left, 0] += 0.2 if which.handedness == "anatomical" else -0.2
        joints[:, :, right, 0] -= 0.2 if which.handedness == "anatomical" else -0.2
    head = [index for index, name in enumerate(which.joints) if name in ("nose", "head")]
    upwards = {"+y": (1, 1.0), "-y": (1, -1.0), "+z": (2, 1.0)}[up]
    joints[:, :, head, upwards[0]] += upwards[1]
    clip = Clip(
        id="a", joints=joints, time_s=np.arange(2.0), rate_hz=1, layout=layout, units="m", up=up, source="", licence=""
    )

    turned = people_joints(clip, layout=layout, dims=3)[0, 0]

    pairs = np.array(which.pairs)
    assert turned[pairs[:, 0], 0].mean() > turned[pairs[:, 1], 0].mean() + 0.2
    assert turned[head, 1].mean() < turned[:, 1].mean() - 0.5


def with_second(clip: Clip, *, frames: slice, shift: float = 2.0) -> Clip:
    both = np.full((len(clip.time_s), 2, *clip.joints.shape[2:]), np.nan, dtype=np.float32)
    both[:, 0] = clip.joints[:, 0]
    both[frames, 1] = clip.joints[frames, 0]
    both[..., 1, :, 0] += shift
    return replace(clip, joints=both)


def test_two_people_share_one_frame_of_reference_so_that_distance_counts() -> None:
    near, far = (
        with_second(deep_clip(str(shift), label="stand"), frames=slice(0, 40), shift=shift) for shift in (1.0, 3.0)
    )
    windows = cut_windows([near, deep_clip("alone"), far], RECIPES["clip"], names=NAMES)

    drawn = windows.draw(np.array([0, 1, 2]))

    assert drawn.owner.tolist() == [0, 0, 1, 2, 2]
    assert drawn.n_windows == 3
    gaps = [float((drawn.joints[second] - drawn.joints[first])[..., 0].mean()) for first, second in ((0, 1), (3, 4))]
    assert gaps[1] == pytest.approx(3 * gaps[0], rel=0.05)


@pytest.mark.parametrize(("n_frames", "people"), [(0, 1), (3, 1), (4, 2)])
def test_a_second_person_who_is_hardly_there_does_not_exist(n_frames: int, people: int) -> None:
    windows = cut_windows([with_second(deep_clip(), frames=slice(10, 10 + n_frames))], RECIPES["clip"], names=NAMES)

    assert windows.n_people().tolist() == [people]


def test_one_person_is_enough_for_a_recipe_that_says_so() -> None:
    clip = with_second(deep_clip(), frames=slice(0, 40))

    windows = cut_windows([clip], replace(RECIPES["clip"], persons=1), names=NAMES)

    assert windows.n_people().tolist() == [1]


def test_stretched_windows_drawn_plainly_take_the_same_instants_each_time() -> None:
    windows = cut_windows([moving_clip("a", "walk", n_frames=77)], Recipe(), names=NAMES)
    index = np.array([0])

    middles, again = (windows.draw(index).joints for _ in range(2))

    np.testing.assert_array_equal(middles, again)


def test_at_true_rate_a_short_clip_is_short_and_a_long_one_is_its_end() -> None:
    clips = [moving_clip(str(n), "walk", n_frames=n) for n in (7, 16, 90)]
    windows = cut_windows(clips, replace(Recipe(), length="rate"), names=NAMES)

    assert windows.lengths().tolist() == [8, 16, 32]
    short = windows.draw(np.array([0]))
    assert short.joints.shape[1] == 8
    assert short.n_known.tolist() == [7]
    assert not short.joints[0, 0, :, 2].any()
    np.testing.assert_allclose(one(windows, 2), normalise(clips[2].joints[-32:, 0]), atol=1e-4)


def test_training_sees_a_part_of_a_clip_as_large_as_the_recipe_says() -> None:
    recipe = replace(PLAIN_TIMES, crop=(0.5, 0.6), jitter=1.0, warp=0.3)
    clip = moving_clip("a", "walk", n_frames=50)
    whole = travel(one(cut_windows([clip], PLAIN_TIMES, names=NAMES)))

    drawn = cut_windows([clip], recipe, names=NAMES).draw(np.zeros(300, dtype=np.int64), rng=chance())

    shares = np.array([travel(each) for each in drawn.joints]) / whole
    assert 0.44 < shares.min() < 0.52
    assert 0.56 < shares.max() < 0.64


def test_a_warp_changes_the_speed_within_a_window_and_never_turns_time_back() -> None:
    recipe = replace(PLAIN_TIMES, warp=0.6)
    n_stored = np.full(500, 100)

    stretched = stretched_instants(n_stored, recipe, n_frames=32, rng=chance())
    timed = timed_instants(n_stored, np.ones(500, dtype=np.bool_), recipe, n_frames=32, rng=chance())

    for at in (stretched, timed):
        speeds = np.diff(at, axis=1)
        assert speeds.min() > 0.35 * speeds.mean()
        assert speeds.max() < 1.65 * speeds.mean()
        assert (speeds.max(axis=1) / speeds.min(axis=1)).max() > 1.8
    np.testing.assert_allclose(timed[:, -1], 99)
    np.testing.assert_allclose(timed[:, 0], 68)


def test_the_same_chance_draws_the_same_windows() -> None:
    windows = cut_windows(clip_set(), RECIPES["clip"], names=NAMES)
    every = np.arange(len(windows))

    once, again, other = (windows.draw(every, rng=chance(seed)).joints for seed in (1, 1, 2))

    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, other, atol=0.01)


def test_clips_of_two_layouts_are_mapped_to_the_commoner_one() -> None:
    clips = [*clip_set(n_subjects=1), replace(moving_clip("b", "walk"), layout="h36m17")]

    windows = cut_windows(clips, RECIPES["clip"], names=NAMES)

    assert windows.layout == "coco17"
    assert len(windows) == 4


def test_a_body_of_zeros_was_not_seen() -> None:
    clip = deep_clip()
    lost = clip.joints.copy()
    lost[5:8, ..., :3] = 0

    joints = people_joints(replace(clip, joints=lost), layout="coco17", dims=3)[0]

    assert np.isnan(joints[5:8, :, :3]).all()
    assert (joints[5:8, :, 3] == 0).all()
    assert np.isfinite(np.delete(joints, slice(5, 8), axis=0)).all()


def test_long_clips_are_kept_with_a_bounded_number_of_frames() -> None:
    windows = cut_windows([moving_clip("a", "walk", n_frames=3000)], Recipe(), names=NAMES)

    assert len(windows.frames) == 256


def test_while_training_a_window_may_look_at_some_of_its_frames_only() -> None:
    rng = np.random.default_rng(0)
    n_stored = np.array([30, 12])
    at = np.linspace(0, n_stored - 1, 16).T
    sparse = replace(RECIPES["clip"], frames_kept=(0.3, 0.3))

    before, after = neighbours(at, n_stored, sparse, rng=rng)
    plain = neighbours(at, n_stored, sparse)

    assert (before <= at).all()
    assert (after >= at).all()
    assert (after.max(axis=1) == n_stored - 1).all()
    assert len(np.unique(before[0])) < 16
    assert (plain[0] == np.floor(at)).all()
    assert (plain[1] == np.ceil(at)).all()
