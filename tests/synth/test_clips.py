from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from har.clips import Clip, read_clips
from har.synth.actor import Actor
from har.synth.body import make_body
from har.synth.camera import look_at
from har.synth.clips import simulate_clips, write_synth_clips
from har.synth.falling import fall
from har.synth.low import lie
from har.synth.motion import LABELS, RATE_HZ, Style
from har.synth.noise import Weather, observe
from har.synth.upright import exercise, stand, turn

CLEAR = Weather(
    roughness=1.0, lag_s=0.0, upright_loss=0.0, falling_loss=0.0, lying_loss=0.0, mean_loss_s=0.3, swaps_hz=0.0,
    bad_limbs_hz=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return list(simulate_clips(60, seed=5))


def test_the_same_seed_gives_the_same_clips_and_another_seed_others() -> None:
    first, again, other = (list(simulate_clips(3, seed=seed)) for seed in (1, 1, 2))

    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.joints, two.joints)
        np.testing.assert_array_equal(one.time_s, two.time_s)
        assert one.spans == two.spans
    assert not np.array_equal(first[0].time_s, other[0].time_s)
    assert first[0].subject != other[0].subject


def test_a_clip_does_not_depend_on_how_many_are_asked_for() -> None:
    few, many = list(simulate_clips(2, seed=9)), list(simulate_clips(4, seed=9))

    np.testing.assert_array_equal(few[1].joints, many[1].joints)


def test_spans_cover_each_clip_from_its_first_frame_to_its_last(clips: list[Clip]) -> None:
    for clip in clips:
        assert clip.spans[0][0] == 0.0
        assert clip.spans[-1][1] == pytest.approx(clip.time_s[-1])
        for before, after in pairwise(clip.spans):
            assert before[1] == pytest.approx(after[0])
        assert {label for *_, label in clip.spans} <= set(LABELS)


def test_danger_says_whether_somebody_falls_and_both_kinds_are_common(clips: list[Clip]) -> None:
    for clip in clips:
        assert clip.danger == any(label == "fall" for *_, label in clip.spans)

    assert 0.25 < np.mean([bool(clip.danger) for clip in clips]) < 0.6


def test_a_fall_is_followed_by_lying(clips: list[Clip]) -> None:
    for clip in clips:
        labels = [label for *_, label in clip.spans]
        for before, after in pairwise(labels):
            if before == "fall":
                assert after == "lie"
        assert labels[-1] != "fall"


def test_every_label_appears(clips: list[Clip]) -> None:
    assert {label for clip in clips for *_, label in clip.spans} == set(LABELS)


def test_clips_last_8_to_20_seconds_at_camera_rates(clips: list[Clip]) -> None:
    durations = [clip.duration_s for clip in clips]

    assert min(durations) > 7.5
    assert max(durations) < 20.1
    assert {clip.rate_hz for clip in clips} >= {15.0, 30.0}
    for clip in clips:
        assert np.median(np.diff(clip.time_s)) == pytest.approx(1 / clip.rate_hz, rel=0.1)


def test_most_joints_are_in_the_picture(clips: list[Clip]) -> None:
    shares = []
    for clip in clips:
        assert clip.width_px is not None
        assert clip.height_px is not None
        xy = clip.joints[..., :2][np.isfinite(clip.joints[..., 0])]
        shares.append(((xy > 0) & (xy < (clip.width_px, clip.height_px))).all(axis=1).mean())

    assert np.mean(shares) > 0.85


def test_joints_are_missing_together_with_their_scores(clips: list[Clip]) -> None:
    for clip in clips:
        lost = np.isnan(clip.joints[..., 0])
        assert (clip.joints[..., 2][lost] == 0).all()
        assert (clip.joints[..., 2][~lost] > 0).all()
        assert (clip.joints[..., 2] <= 1).all()
        assert (lost.all(axis=2) == lost.any(axis=2)).all()


def test_written_clips_are_read_back(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    n = write_synth_clips(tmp_path / "set", n=3, seed=1, progress=lambda done, of: seen.append((done, of)))

    read = read_clips(tmp_path / "set")
    assert n == len(read) == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert read[0].spans == next(simulate_clips(1, seed=1)).spans
    assert read[0].licence == "Apache-2.0"


def filmed(actor: Actor, weather: Weather, *, from_m: tuple[float, float, float], seed: int = 0) -> np.ndarray:
    motion = actor.motion()
    camera = look_at(np.array(from_m), np.array([*actor.xy, 0.8]), field_of_view_deg=70)
    rng = np.random.default_rng(seed)
    return observe(
        motion.points, list(motion.labels), body=actor.body, camera=camera, rate_hz=RATE_HZ, weather=weather, rng=rng
    )


def standing_actor(seconds: float) -> Actor:
    style = Style(pace=1.0, walk_m_s=1.0, stoop_deg=0.0, arm_swing_deg=20.0, walker=False)
    actor = Actor(make_body(stature_m=1.7), style, np.random.default_rng(0))
    actor.xy[:] = 0
    for posture in (actor.ease, actor.posture):
        posture[0] = 0.0
    turn(actor, 0.0)
    exercise(actor, seconds)
    return actor


def test_the_arm_behind_the_body_scores_lower_than_the_one_in_front() -> None:
    actor = standing_actor(0.2)
    stand(actor, 2.0)

    joints = filmed(actor, CLEAR, from_m=(0.0, 4.0, 1.2))  # from the person's left
    scores = np.median(joints[..., 2], axis=0)

    assert scores[7] > 0.8 > 0.5 > scores[8]


def test_noise_of_a_still_person_is_a_few_hundredths_of_the_trunk() -> None:
    actor = standing_actor(0.2)
    stand(actor, 6.0)

    joints = filmed(actor, CLEAR, from_m=(4.0, 0.0, 1.5))

    trunk_px = np.median(np.linalg.norm(joints[:, 5, :2] - joints[:, 11, :2], axis=-1))
    jitter_px = np.std(np.diff(joints[:, [5, 6, 11, 12], :2], axis=0))
    assert 0.002 < jitter_px / trunk_px < 0.03


def test_poses_get_lost_while_lying_when_the_weather_says_so() -> None:
    rough = Weather(
        roughness=1.0, lag_s=0.05, upright_loss=0.0, falling_loss=0.1, lying_loss=0.6, mean_loss_s=0.5, swaps_hz=0.1,
        bad_limbs_hz=0.1,
    )  # fmt: skip
    actor = standing_actor(2.0)
    fall(actor, direction="left")
    lie(actor, 20.0)

    labels = np.array(actor.motion().labels)
    lost = np.isnan(filmed(actor, rough, from_m=(4.0, 0.0, 1.8))[:, 0, 0])

    assert lost[labels == "stand"].mean() == 0.0
    assert 0.3 < lost[labels == "lie"].mean() < 0.9
