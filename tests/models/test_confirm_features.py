"""How somebody came down: what the confirming model looks at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from har.models.confirm import ConfirmModel
from har.models.confirm_features import CONFIRM_FEATURES, CONFIRM_WINDOW_S, confirm_features
from har.models.posture import assess_fall
from har.models.risk_features import trace_body
from har.records import FloatArray
from tests.builders import Body, falling_body, seated_body, standing_body

RATE_HZ = 15.0
N_FRAMES = round(CONFIRM_WINDOW_S * RATE_HZ)


def window_of(body: Body, *, end_s: float = CONFIRM_WINDOW_S) -> FloatArray:
    times_s = end_s - np.arange(N_FRAMES)[::-1] / RATE_HZ
    joints = np.full((N_FRAMES, 17, 3), 0.9, dtype=np.float32)
    joints[..., :2] = [body(float(at_s)) for at_s in times_s]
    return joints


def features_of(joints: FloatArray) -> dict[str, float]:
    body = trace_body(joints, rate_hz=RATE_HZ)
    assert body is not None
    return dict(zip(CONFIRM_FEATURES, confirm_features(body).tolist(), strict=True))


def test_a_fall_comes_down_faster_than_somebody_who_lies_down() -> None:
    fall = features_of(window_of(falling_body(fall_s=3.0, lasting_s=0.7)))
    on_purpose = features_of(window_of(falling_body(fall_s=1.5, lasting_s=3.5)))

    for part in ("head", "shoulder"):
        assert fall[f"{part} speed"] > 2 * on_purpose[f"{part} speed"]
        assert fall[f"{part} time on the way"] < 0.5 * on_purpose[f"{part} time on the way"]
    assert fall["shoulder drop"] == pytest.approx(on_purpose["shoulder drop"], abs=0.1)
    assert fall["time down"] == pytest.approx(2.5, abs=0.4)


def test_somebody_who_sits_is_low_with_an_upright_trunk() -> None:
    sitting = features_of(window_of(lambda at_s: seated_body() if at_s > 3 else standing_body()))
    fall = features_of(window_of(falling_body(fall_s=3.0)))

    assert sitting["time low with upright trunk"] == pytest.approx(3.0, abs=0.2)
    assert fall["time low with upright trunk"] < 0.5
    assert sitting["trunk angle"] < 0.1 < fall["trunk angle"]
    assert sitting["head rise"] > fall["head rise"]


def test_the_course_of_a_fall_is_told_half_second_by_half_second() -> None:
    fall = features_of(window_of(falling_body(fall_s=3.0, lasting_s=0.5)))
    shoulder = [fall[f"shoulder in half second {step}"] for step in range(1, 13)]

    assert max(shoulder[:6]) - min(shoulder[:6]) < 0.05
    assert max(shoulder[7:]) - min(shoulder[7:]) < 0.05
    assert shoulder[-1] - shoulder[0] == pytest.approx(fall["shoulder drop"], abs=0.05)
    assert fall["box width in half second 12"] > fall["box height in half second 12"]
    assert fall["box width in half second 1"] < fall["box height in half second 1"]
    assert fall["trunk angle in half second 1"] < 0.1 < fall["trunk angle in half second 12"]


def test_what_was_not_seen_is_no_height() -> None:
    joints = window_of(falling_body(fall_s=2.0))
    joints[60:75] = [np.nan, np.nan, 0.0]
    seen = features_of(joints)

    assert seen["hip in half second 9"] == -20.0
    assert abs(seen["hip in half second 1"]) < 2
    assert (seen["times lost"], seen["longest loss"]) == (1.0, pytest.approx(1.0))


def test_a_pose_that_jumps_down_and_back_is_no_way_down() -> None:
    fall = features_of(window_of(falling_body(fall_s=3.0, lasting_s=0.7)))
    joints = window_of(lambda at_s: seated_body())
    joints[40:50, :, 1] += np.float32(150)  # an estimator that takes the legs for the whole body for a while
    jumping = features_of(joints)

    for part in ("hip", "shoulder", "head"):
        assert jumping[f"{part} step"] > 2 * fall[f"{part} step"]
        assert jumping[f"{part} step up"] > 1 > fall[f"{part} step up"]
        assert jumping[f"{part} way up"] == pytest.approx(jumping[f"{part} detour"] / 2, rel=0.1)
        assert fall[f"{part} detour"] < 0.2 < jumping[f"{part} detour"]


def test_a_body_that_shrinks_for_a_while_is_told() -> None:
    joints = window_of(lambda at_s: seated_body())
    middle = joints[0, :, :2].mean(axis=0)
    joints[30:60, :, :2] = middle + (joints[30:60, :, :2] - middle) / 2
    shrinking, still = features_of(joints), features_of(window_of(lambda at_s: seated_body()))

    for size in ("trunk length", "box side"):
        assert shrinking[f"{size} least"] == pytest.approx(0.5, abs=0.02)
        assert shrinking[f"{size} at the end"] == pytest.approx(1.0, abs=0.02)
        assert shrinking[f"{size} largest change"] == pytest.approx(np.log(2), abs=0.05)
        assert still[f"{size} largest change"] < 0.02


def test_features_depend_neither_on_the_size_of_the_picture_nor_on_the_side() -> None:
    joints = window_of(falling_body(fall_s=3.0))
    scaled, mirrored = joints.copy(), joints.copy()
    scaled[..., :2] *= np.float32(2.5)
    mirrored[..., 0] = 640 - joints[..., 0]

    assert features_of(scaled) == pytest.approx(features_of(joints), abs=1e-3)
    assert features_of(mirrored) == pytest.approx(features_of(joints), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.bool_, (N_FRAMES, 17)))
def test_features_are_finite_whatever_joints_are_hidden(hidden: np.ndarray) -> None:
    joints = window_of(falling_body(fall_s=3.0))
    joints[hidden] = [np.nan, np.nan, 0.0]
    body = trace_body(joints, rate_hz=RATE_HZ)

    assert body is None or np.isfinite(confirm_features(body)).all()


def test_a_fall_out_of_sight_is_asked_about_and_somebody_found_lying_is_not() -> None:
    fallen, found = window_of(falling_body(fall_s=2.0)), window_of(falling_body(fall_s=2.0))
    fallen[52:] = [np.nan, np.nan, 0.0]  # lost right after the ground
    found[:52] = [np.nan, np.nan, 0.0]  # seen only once they lie
    bodies = [trace_body(joints, rate_hz=RATE_HZ) for joints in (fallen, found)]

    assert [assess_fall(body, always_sure()) for body in bodies if body is not None] == [pytest.approx(1.0), 0.0]


def always_sure() -> ConfirmModel:
    nodes = np.full((1, 1), -1.0)
    return ConfirmModel(nodes, *np.zeros((3, 1, 1)), np.asarray(0.0), np.array([1.0, 50.0]))
