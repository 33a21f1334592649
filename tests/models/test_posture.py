from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from har.errors import ShapeError
from har.models.posture import assess_risk, read_posture
from har.models.risk import RiskModel
from har.models.risk_features import FEATURES, RISK_WINDOW_S, trace_body
from har.records import FloatArray, Posture, Risk
from tests.builders import HEIGHT_PX, WIDTH_PX, Body, falling_body, lying_body, seated_body, standing_body

RATE_HZ = 15.0
N_FRAMES = round(RISK_WINDOW_S * RATE_HZ)
BODY_PX = 1.58 * 150  # eyes to ankles of `standing_body`


def window_of(body: Body, *, end_s: float = 4.5) -> FloatArray:
    times_s = end_s - np.arange(N_FRAMES)[::-1] / RATE_HZ
    joints = np.full((N_FRAMES, 17, 3), 0.9, dtype=np.float32)
    joints[..., :2] = [body(float(at_s)) for at_s in times_s]
    return joints


def hide(joints: FloatArray, *, last: int) -> FloatArray:
    hidden = joints.copy()
    hidden[-last:] = [np.nan, np.nan, 0.0]
    return hidden


def posture_or_none(joints: FloatArray, *, body_px: float, at_edge: bool = False) -> Posture | None:
    body = trace_body(joints, rate_hz=RATE_HZ)
    return None if body is None else read_posture(body, time_s=4.5, body_px=body_px, at_edge=at_edge)


def risk_or_none(joints: FloatArray) -> Risk | None:
    body = trace_body(joints, rate_hz=RATE_HZ)
    size = {"width_px": WIDTH_PX, "height_px": HEIGHT_PX}
    return None if body is None else assess_risk(body, drop_model(), **size)


def posture_of(joints: FloatArray, *, body_px: float = BODY_PX) -> Posture:
    posture = posture_or_none(joints, body_px=body_px)
    assert posture is not None
    return posture


def drop_model() -> RiskModel:
    """A model that says danger when the shoulders drop by more than half a body length."""
    weights = np.zeros((1, len(FEATURES)))
    mean, zero, one = np.zeros(len(FEATURES)), np.zeros(len(FEATURES)), np.ones(len(FEATURES))
    weights[0, FEATURES.index("shoulder drop")] = 1.0
    # A level trunk, hips that drop and a body lost from sight speak for danger too, if ever so little.
    weights[0, [FEATURES.index("trunk angle at the end"), FEATURES.index("hip drop")]] = 1e-6
    weights[0, FEATURES.index("found share at the end")], mean[FEATURES.index("found share at the end")] = -1e-6, 1.0
    return RiskModel(mean, one, zero, weights, np.ones(1), np.asarray(-0.5), np.array([20.0, 0.0]))


def risk_of(joints: FloatArray) -> Risk:
    risk = risk_or_none(joints)
    assert risk is not None
    return risk


def test_upright_seated_and_lying_read_as_they_look() -> None:
    standing = posture_of(window_of(lambda _: standing_body()))
    seated = posture_of(window_of(lambda _: seated_body()))
    lying = posture_of(window_of(lambda _: lying_body(x_px=200)))

    assert standing.trunk_angle < 0.02
    assert seated.trunk_angle < 0.02
    assert lying.trunk_angle == pytest.approx(0.5, abs=0.05)
    assert standing.aspect < 0.5
    assert lying.aspect > 2
    assert standing.head_rise > 0.9
    assert standing.head_rise > seated.head_rise > 0.5 > 0.3 > lying.head_rise
    assert standing.hip_rise > seated.hip_rise > lying.hip_rise
    assert standing.shoulder_y < seated.shoulder_y < lying.shoulder_y
    assert standing.place == pytest.approx((320, 420 - 0.92 * 150), abs=0.5)
    assert standing.body_px == pytest.approx(BODY_PX, rel=0.05)


def test_a_posture_is_of_the_last_half_second() -> None:
    fallen = posture_of(window_of(falling_body(fall_s=3.0)))

    assert fallen.found
    assert fallen.trunk_angle == pytest.approx(0.5, abs=0.05)
    assert fallen.body_px == pytest.approx(BODY_PX, rel=0.05)  # as tall as they were, not as they lie


def test_a_person_lost_keeps_the_last_posture_that_was_known() -> None:
    fallen = window_of(falling_body(fall_s=3.0))

    seen, just_lost, lost = (posture_of(hide(fallen, last=n) if n else fallen) for n in (0, 5, 10))

    assert [seen.found, just_lost.found, lost.found] == [True, True, False]
    assert lost.trunk_angle == pytest.approx(seen.trunk_angle, abs=0.02)
    assert lost.place == pytest.approx(seen.place, abs=1.0)


def test_the_known_size_of_a_person_counts_where_the_window_shows_less() -> None:
    crouched = window_of(lambda _: seated_body(px_per_m=60))

    alone, known = posture_of(crouched, body_px=1.0), posture_of(crouched, body_px=500.0)

    assert known.body_px == 500.0
    assert alone.body_px < 150
    assert known.head_rise == pytest.approx(alone.head_rise * alone.body_px / 500.0)


ANY = st.one_of(st.floats(-1e4, 1e4, width=32), st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))
SCORE = st.one_of(st.floats(0, 1, width=32), st.just(math.nan))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, (N_FRAMES, 17, 2), elements=ANY, fill=ANY),
    hnp.arrays(np.float32, (N_FRAMES, 17, 1), elements=SCORE, fill=SCORE),
)
@example(np.zeros((N_FRAMES, 17, 2), np.float32), np.ones((N_FRAMES, 17, 1), np.float32))
@example(np.full((N_FRAMES, 17, 2), np.nan, np.float32), np.ones((N_FRAMES, 17, 1), np.float32))
def test_any_joints_give_finite_answers_or_none(xy: FloatArray, score: FloatArray) -> None:
    joints = np.concatenate([xy, score], axis=-1)

    posture = posture_or_none(joints, body_px=100.0, at_edge=True)
    risk = risk_or_none(joints)

    if posture is not None:
        numbers = (posture.trunk_angle, posture.aspect, posture.shoulder_y, posture.head_rise, posture.hip_rise)
        assert np.isfinite([*numbers, *posture.place, posture.body_px]).all()
        assert posture.at_edge
    if risk is not None:
        assert 0.0 <= risk.probability <= 1.0
        assert math.isfinite(risk.before.shoulder_y)
        assert risk.reason
        assert "nan" not in risk.reason


def test_an_empty_window_says_nothing() -> None:
    nothing = np.full((N_FRAMES, 17, 3), np.nan, dtype=np.float32)

    assert posture_or_none(nothing, body_px=100.0) is None
    assert risk_or_none(nothing) is None


def test_another_layout_is_refused() -> None:
    with pytest.raises(ShapeError, match="COCO-17"):
        trace_body(np.zeros((5, 33, 3), np.float32), rate_hz=RATE_HZ)


def test_a_fall_is_told_with_its_drop_and_how_the_body_lies() -> None:
    risk = risk_of(window_of(falling_body(fall_s=3.0, lasting_s=0.7)))

    assert risk.probability > 0.9
    assert risk.kind == "fall"
    # From a tenth to nine tenths of the way down: 1 - cos of (t / 0.7 s)^2 quarter turns, so from 0.38 to 0.69 s.
    assert risk.reason == "shoulders dropped 0.9 body lengths in 0.3 s, trunk level"


def test_a_fall_straight_down_is_told_by_the_hips() -> None:
    def sinking(at_s: float) -> FloatArray:
        joints = standing_body()
        joints[:13, 1] += np.float32(120 * np.clip(at_s - 3, 0, 1))
        joints[11:13, 1] += np.float32(5 * np.clip(at_s - 3, 0, 1))
        return joints

    assert risk_of(window_of(sinking)).reason.startswith("hips dropped 0.5 body lengths in 0.8 s")


def test_a_pose_lost_on_the_way_down_is_a_risk_and_says_so() -> None:
    falling = window_of(falling_body(fall_s=3.0, lasting_s=0.7), end_s=4.5)

    risk = risk_of(hide(falling, last=13))

    assert risk.kind == "risk"
    assert risk.reason.startswith("shoulders dropped 0.")
    assert risk.reason.endswith("lost from sight low down")


def test_standing_still_is_no_danger_and_drops_nothing() -> None:
    risk = risk_of(window_of(lambda _: standing_body()))

    assert risk.probability < 0.01
    assert "dropped" not in risk.reason


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_height_before_the_fall_is_kept_in_pixels(scale: float) -> None:
    joints = window_of(falling_body(fall_s=3.0))
    joints[..., :2] *= np.float32(scale)

    risk = risk_of(joints)

    standing_y = scale * (420 - 1.42 * 150)
    assert risk.before.shoulder_y == pytest.approx(standing_y, rel=0.05)


def test_what_does_not_speak_for_danger_is_not_told_as_a_reason() -> None:
    body = trace_body(window_of(falling_body(fall_s=3.0)), rate_hz=RATE_HZ)
    assert body is not None
    level_only = np.zeros(len(FEATURES))
    level_only[FEATURES.index("trunk angle at the end")] = 1.0

    risk = assess_risk(body, model_of(level_only), width_px=WIDTH_PX, height_px=HEIGHT_PX)
    nothing = assess_risk(body, model_of(-np.ones(len(FEATURES))), width_px=WIDTH_PX, height_px=HEIGHT_PX)

    assert risk is not None
    assert nothing is not None
    assert risk.reason == "trunk level"
    assert "dropped" in nothing.reason  # what was seen is better than nothing


def model_of(weights: np.ndarray) -> RiskModel:
    """A model with one component that weighs the features as told, about a mean of zeros."""
    n = len(FEATURES)
    return RiskModel(mean=np.zeros(n), scale=np.ones(n), pca_mean=np.zeros(n), components=weights[None],
                     coef=np.ones(1), intercept=np.array(0.0), calibration=np.array([1.0, 0.0]))  # fmt: skip
