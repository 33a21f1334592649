from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from har.synth.actor import Actor
from har.synth.body import FEET, A, P, lowest_m, make_body, random_body
from har.synth.falling import fall, roll_out_of_bed
from har.synth.falls import DIRECTIONS, FROM_STANDING_S, standing_fall_progress
from har.synth.low import bend, get_up, lie, lie_down, sit_on_floor, start_lying
from har.synth.motion import LABELS, RATE_HZ, Motion, Style, random_style
from har.synth.seat import sit, sit_down, stand_up
from har.synth.upright import stand, walk, walk_to


def an_actor(seed: int = 0) -> Actor:
    style = Style(pace=1.0, walk_m_s=1.0, stoop_deg=5.0, arm_swing_deg=20.0, walker=False)
    return Actor(make_body(stature_m=1.7), style, np.random.default_rng(seed))


def speed_down(motion: Motion, label: str, point: str = "head") -> float:
    """Largest downward speed of a point during a label, m/s."""
    height_m = motion.points[:, P[point], 2]
    falling = -np.gradient(height_m) * motion.rate_hz
    return float(falling[np.array(motion.labels) == label].max())


def test_feet_are_on_the_floor_while_standing() -> None:
    actor = an_actor()
    stand(actor, 3.0)

    points = actor.motion().points

    lowest = lowest_m(actor.body, points, among=FEET)
    np.testing.assert_allclose(lowest, 0.0, atol=1e-6)
    feet = points[:, list(FEET), :2].mean(axis=1)
    assert np.ptp(feet, axis=0).max() < 0.01


def test_nothing_sinks_into_the_floor_whatever_is_done() -> None:
    actor = an_actor(3)
    walk(actor, 3.0)
    bend(actor, "kneel")
    sit_on_floor(actor)
    lie_down(actor, "left side")
    lie(actor, 1.0)
    get_up(actor)
    fall(actor, direction="forward")

    lowest = lowest_m(actor.body, actor.motion().points)

    assert lowest.min() > -0.03


def test_bones_keep_their_length_through_a_fall() -> None:
    for seed in range(6):
        actor = an_actor(seed)
        fall(actor, direction=DIRECTIONS[seed % 4])
        lie(actor, 1.0)

        points = actor.motion().points

        for start, end, part in (("left_elbow", "left_wrist", "forearm"), ("right_hip", "right_knee", "thigh")):
            length = np.linalg.norm(points[:, P[start]] - points[:, P[end]], axis=1)
            np.testing.assert_allclose(length, actor.body.lengths_m[part], atol=0.002)


def test_walking_covers_ground_at_the_walker_s_own_speed() -> None:
    actor = an_actor(1)
    actor.xy = np.array([-2.0, 0.0])
    actor.posture[A["yaw"]] = 0.0

    walk_to(actor, 2.0, 0.0)

    motion = actor.motion()
    pelvis = motion.points[:, P["pelvis"]]
    middle = slice(len(pelvis) // 3, 2 * len(pelvis) // 3)
    speed = np.linalg.norm(np.diff(pelvis[middle, :2], axis=0), axis=1).mean() * RATE_HZ
    assert 0.7 < speed < 1.2
    np.testing.assert_allclose(pelvis[-1, :2], (2.0, 0.0), atol=0.35)
    strides = np.ptp(motion.points[:, P["left_ankle"], 0] - pelvis[:, 0])
    assert 0.4 < strides < 1.1


def test_a_fall_from_standing_reaches_the_ground_in_human_time_and_ever_faster() -> None:
    rng = np.random.default_rng(0)

    for _ in range(50):
        progress = standing_fall_progress(rng, stature_m=1.7, rate_hz=RATE_HZ)
        seconds = (len(progress) - 1) / RATE_HZ
        assert FROM_STANDING_S[0] <= seconds <= FROM_STANDING_S[1]
        steps = np.diff(progress)[:-2]  # the last steps are cut off at the ground
        assert (np.diff(steps) > -1e-9).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("slump", [False, True])
def test_after_a_fall_the_whole_trunk_lies_on_the_floor(direction: str, slump: bool) -> None:
    actor = an_actor(4)
    stand(actor, 1.0)
    fall(actor, direction=direction, slump=slump)
    lie(actor, 2.0)

    motion = actor.motion()

    end = motion.points[-1]
    assert max(end[P[name], 2] for name in ("head", "neck", "chest", "pelvis")) < 0.55
    assert motion.labels[-1] == "lie"
    assert [label for *_, label in motion.spans] == ["stand", "fall", "lie"]


def test_the_fall_s_direction_is_where_the_head_goes() -> None:
    ways = {"forward": (1, 0), "backward": (-1, 0), "left": (0, 1), "right": (0, -1)}
    for direction, way in ways.items():
        actor = an_actor(2)
        actor.posture[A["yaw"]] = actor.ease[A["yaw"]] = 0.0
        fall(actor, direction=direction)

        points = actor.motion().points

        moved = points[-1, P["head"], :2] - points[0, P["head"], :2]
        assert moved @ np.array(way) > 0.6


def test_lying_down_on_purpose_is_much_slower_than_a_fall() -> None:
    for seed in range(5):
        careful, falling, on_bed = an_actor(seed), an_actor(seed), an_actor(seed)
        lie_down(careful)
        sit_down(on_bed, furniture="bed")
        lie_down(on_bed)
        fall(falling, direction="left")

        fastest = speed_down(falling.motion(), "fall")
        for motion in (careful.motion(), on_bed.motion()):
            assert "fall" not in motion.labels
            assert motion.labels[-1] == "lie"
            assert max(speed_down(motion, label) for label in set(motion.labels)) < 0.7 * fastest


def test_rolling_out_of_bed_drops_to_the_floor() -> None:
    actor = an_actor(5)
    start_lying(actor, bed=True)
    lie(actor, 1.0)
    bed_m = actor.seat_m
    roll_out_of_bed(actor)

    motion = actor.motion()

    assert motion.points[0, P["pelvis"], 2] > bed_m > 0.3
    assert motion.points[-1, P["pelvis"], 2] < 0.3
    assert "fall" in motion.labels


def test_spans_cover_the_motion_without_holes() -> None:
    actor = Actor(
        random_body(np.random.default_rng(0)), random_style(np.random.default_rng(1)), np.random.default_rng(2)
    )
    walk(actor, 2.0)
    sit_down(actor)
    sit(actor, 2.0)
    stand_up(actor)

    motion = actor.motion()

    assert motion.spans[0][0] == 0.0
    assert motion.spans[-1][1] == pytest.approx(len(motion.labels) / motion.rate_hz)
    for before, after in pairwise(motion.spans):
        assert before[1] == after[0]
        assert before[2] != after[2]
    assert {label for *_, label in motion.spans} <= set(LABELS)


def test_sitting_on_a_chair_keeps_the_pelvis_at_the_seat() -> None:
    actor = an_actor(6)
    sit_down(actor)
    sit(actor, 4.0)

    motion = actor.motion()

    sitting = np.array(motion.labels) == "sit"
    pelvis_m = motion.points[sitting, P["pelvis"], 2]
    assert len(motion.supports) == 1
    assert 0.3 < motion.supports[0].height_m < 0.6
    assert np.ptp(pelvis_m) < 0.06
    assert pelvis_m.min() > motion.supports[0].height_m
