from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from har.synth import incidents
from har.synth.actor import Actor
from har.synth.body import N_ANGLES, P, make_body, place_points, random_body
from har.synth.incidents import act_aftermath, act_fall
from har.synth.kinds import FALLS
from har.synth.motion import RATE_HZ, Motion, random_style
from har.synth.physics import Ragdoll

BONES = (
    ("left_shoulder", "left_elbow", "upper_arm"),
    ("right_elbow", "right_wrist", "forearm"),
    ("left_hip", "left_knee", "thigh"),
    ("right_knee", "right_ankle", "shin"),
)
FASTEST_M_S = 25.0
"""Of a joint in a fall: a wrist that is flung about reaches half of it, a jump between frames much more."""


@cache
def a_fall(kind: str, seed: int) -> tuple[Actor, Motion, float]:
    """Act a fall by physics; gives who fell, what was done and when the body was down."""
    rng = np.random.default_rng([seed, 40])
    actor = Actor(random_body(rng), random_style(rng), rng)
    ground_s = act_fall(actor, kind=kind, before_s=1.0)
    act_aftermath(actor, way="still", duration_s=2.0)
    return actor, actor.motion(), ground_s


@pytest.fixture(autouse=True)
def physics_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "PHYSICS_SHARE", 1.0)


def falling(motion: Motion) -> slice:
    labels = list(motion.labels)
    return slice(labels.index("fall"), len(labels) - labels[::-1].index("fall"))


def test_the_body_of_the_physics_is_the_body_of_the_joint_angles() -> None:
    rng = np.random.default_rng(0)
    body = random_body(rng)
    doll = Ragdoll(body)

    for _ in range(20):
        angles = rng.uniform(-0.6, 0.6, N_ANGLES)
        angles[:4] = rng.uniform((-3, -1.5, -0.6, -1.5), (3, 1.5, 0.6, 1.5))
        pelvis_m = rng.uniform(-1, 1, 3)
        doll.put(angles, pelvis_m)

        wanted = place_points(body, angles[None])[0] + pelvis_m
        np.testing.assert_allclose(doll.points, wanted, atol=1e-5)
        np.testing.assert_allclose(place_points(body, doll.angles[None])[0] + pelvis_m, wanted, atol=1e-4)


def test_a_body_let_go_falls_as_fast_as_things_fall() -> None:
    doll = Ragdoll(make_body(stature_m=1.7))
    doll.put(np.zeros(N_ANGLES), np.array([0.0, 0.0, 3.0]))
    doll.brace(np.zeros(N_ANGLES), 1.0)
    n_frames = 20

    for _ in range(n_frames):
        doll.step()

    fallen_m = 3.0 - doll.points[P["pelvis"], 2]
    assert fallen_m == pytest.approx(0.5 * 9.81 * (n_frames / RATE_HZ) ** 2, rel=0.03)


@pytest.mark.parametrize("kind", FALLS)
def test_whoever_falls_reaches_the_floor_and_stays_there(kind: str) -> None:
    for seed in range(3):
        actor, motion, ground_s = a_fall(kind, seed)

        after = motion.points[round(ground_s * RATE_HZ) :]
        assert after[:, P["pelvis"], 2].max() < 0.45
        assert after[-1, P["pelvis"], 2] < 0.32
        assert after[-1, P["head"], 2] < 0.65 * actor.body.stature_m
        assert motion.labels[-1] in ("lie", "sit")


@pytest.mark.parametrize("kind", FALLS)
def test_nothing_goes_through_the_floor_and_bones_keep_their_length(kind: str) -> None:
    for seed in range(3):
        actor, motion, _ = a_fall(kind, seed)

        assert motion.points[..., 2].min() > -0.05
        for start, end, part in BONES:
            length = np.linalg.norm(motion.points[:, P[start]] - motion.points[:, P[end]], axis=1)
            np.testing.assert_allclose(length, actor.body.lengths_m[part], rtol=0.02)


@pytest.mark.parametrize("kind", FALLS)
def test_a_fall_takes_human_time_and_joints_move_at_human_speeds_without_a_jump(kind: str) -> None:
    for seed in range(3):
        _, motion, ground_s = a_fall(kind, seed)

        part = falling(motion)
        assert 0.25 <= ground_s - part.start / RATE_HZ <= 5.0
        speed = np.linalg.norm(np.diff(motion.points, axis=0), axis=-1) * RATE_HZ
        assert speed.max() < FASTEST_M_S
        before, first = motion.points[part.start - 1], motion.points[part.start]
        assert np.linalg.norm(first - before, axis=-1).max() < 0.08


def test_falling_adds_no_more_energy_than_the_height_and_the_push_give() -> None:
    for seed in range(3):
        _, motion, ground_s = a_fall("fall-backward", seed)

        part = falling(motion)
        pelvis = motion.points[part.start : round(ground_s * RATE_HZ) + 5, P["pelvis"]]
        speed = np.linalg.norm(np.diff(pelvis, axis=0), axis=1) * RATE_HZ
        drop_m = pelvis[0, 2] - pelvis[:, 2].min()
        pushed_m_s = 3.0  # the strongest push and the quickest walk together
        assert speed.max() < np.sqrt(2 * 9.81 * drop_m) + pushed_m_s


def test_a_slow_slide_takes_longer_than_a_push_and_a_wall_holds_the_back() -> None:
    slides = [a_fall("fall-slide", seed) for seed in range(3)]
    pushes = [a_fall("fall-backward", seed) for seed in range(3)]

    def seconds(falls: list[tuple[Actor, Motion, float]]) -> float:
        return float(np.median([ground_s - falling(motion).start / RATE_HZ for _, motion, ground_s in falls]))

    assert seconds(slides) > 1.5 * seconds(pushes)
    _, motion, _ = a_fall("fall-slump", 1)
    wall = next(support for support in motion.supports if support.kind == "wall")
    ahead = np.array([np.cos(wall.yaw_rad), np.sin(wall.yaw_rad)])
    distance_m = (motion.points[:, P["pelvis"], :2] - (wall.x_m, wall.y_m)) @ ahead
    assert distance_m[falling(motion)].min() > 0.0


def test_the_same_seed_falls_the_same_way() -> None:
    one = a_fall("fall-sideways", 2)[1]
    a_fall.cache_clear()
    other = a_fall("fall-sideways", 2)[1]

    np.testing.assert_array_equal(one.points, other.points)
