from __future__ import annotations

import numpy as np

from graphs.layouts import LAYOUTS
from har.synth.body import N_ANGLES, N_COCO, POINTS, A, P, make_body, place_points, random_body

BONES = (
    ("left_shoulder", "left_elbow", "upper_arm"),
    ("right_elbow", "right_wrist", "forearm"),
    ("left_hip", "left_knee", "thigh"),
    ("right_knee", "right_ankle", "shin"),
)


def test_the_first_points_are_coco_in_its_order() -> None:
    assert POINTS[:N_COCO] == LAYOUTS["coco17"].joints


def test_bones_keep_their_length_in_any_posture() -> None:
    rng = np.random.default_rng(0)
    body = random_body(rng)

    points = place_points(body, rng.uniform(-2, 2, (200, N_ANGLES)))

    for start, end, part in BONES:
        length = np.linalg.norm(points[:, P[start]] - points[:, P[end]], axis=1)
        np.testing.assert_allclose(length, body.lengths_m[part], atol=1e-9)
    head = np.linalg.norm(points[:, P["nose"]] - points[:, P["left_ear"]], axis=1)
    np.testing.assert_allclose(head, head[0], atol=1e-9)


def test_an_upright_body_is_as_tall_as_its_stature() -> None:
    body = make_body(stature_m=1.8)

    points = place_points(body, np.zeros((1, N_ANGLES)))[0]

    top_m = points[P["head_top"], 2] + body.radius_m[P["head_top"]]
    sole_m = points[P["left_heel"], 2] - body.radius_m[P["left_heel"]]
    assert abs(top_m - sole_m - 1.8) < 0.04


def test_the_left_side_is_left_and_flexing_goes_forward() -> None:
    body = make_body(stature_m=1.7)
    angles = np.zeros((1, N_ANGLES))
    angles[0, A["left_hip_flex"]] = angles[0, A["left_arm_flex"]] = 1.0
    angles[0, A["right_knee"]] = 1.0

    points = place_points(body, angles)[0]

    assert points[P["left_shoulder"], 1] > 0.1 > -0.1 > points[P["right_shoulder"], 1]
    assert points[P["left_knee"], 0] > 0.2
    assert points[P["left_wrist"], 0] > 0.2
    assert points[P["right_ankle"], 0] < -0.2
    assert points[P["nose"], 0] > 0.05


def test_random_bodies_stay_within_human_statures() -> None:
    rng = np.random.default_rng(1)

    statures = [random_body(rng).stature_m for _ in range(200)]

    assert min(statures) >= 1.45
    assert max(statures) <= 1.95
    assert np.std(statures) > 0.05
