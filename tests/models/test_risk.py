from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from har.errors import ShapeError
from har.models.bundle import RiskPart, load_bundle, save_bundle
from har.models.confirm import fit_trees
from har.models.confirm_features import CONFIRM_FEATURES
from har.models.risk import RISK_TENSORS, RiskModel, fit_with_folds
from har.models.risk_features import FEATURES, MIN_HISTORY_S, RISK_WINDOW_S, Array, risk_features, trace_body
from har.models.stgcn import STGCN, STGCNConfig
from har.records import FloatArray
from tests.builders import HEIGHT_PX, WIDTH_PX, Body, falling_body, seated_body, standing_body, walking_body

RATE_HZ = 15.0
N_FRAMES = round(RISK_WINDOW_S * RATE_HZ)
FINITE = st.floats(-1e4, 1e4, width=32)
ANY = st.one_of(FINITE, st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 320.0]))


def window_of(body: Body, *, end_s: float = 4.5, score: float = 0.9) -> FloatArray:
    times_s = end_s - np.arange(N_FRAMES)[::-1] / RATE_HZ
    joints = np.full((N_FRAMES, 17, 3), score, dtype=np.float32)
    joints[..., :2] = [body(float(at_s)) for at_s in times_s]
    return joints


def features_of(joints: FloatArray, *, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> dict[str, float]:
    row = risk_features(joints, rate_hz=RATE_HZ, width_px=width_px, height_px=height_px)
    assert row is not None
    return dict(zip(FEATURES, row.tolist(), strict=True))


def moving_bodies() -> dict[str, FloatArray]:
    return {
        "stand": window_of(lambda _: standing_body()),
        "walk": window_of(walking_body(from_x_px=150, to_x_px=450, duration_s=4.5)),
        "sit": window_of(lambda at_s: seated_body() if at_s > 4 else standing_body()),
        "fall": window_of(falling_body(fall_s=3.0)),
    }


@st.composite
def windows(draw: st.DrawFn) -> FloatArray:
    """Windows of any length with any joints: missing, infinite, far outside, all at one point."""
    n_frames = draw(st.integers(0, 45))
    joints = np.empty((n_frames, 17, 3), dtype=np.float32)
    joints[..., :2] = draw(hnp.arrays(np.float32, (n_frames, 17, 2), elements=ANY, fill=ANY))
    scores = st.one_of(st.floats(0, 1, width=32), st.just(math.nan))
    joints[..., 2] = draw(hnp.arrays(np.float32, (n_frames, 17), elements=scores, fill=scores))
    return joints


@settings(max_examples=60, deadline=None)
@given(windows())
@example(np.full((N_FRAMES, 17, 3), np.nan, dtype=np.float32))
@example(np.zeros((N_FRAMES, 17, 3), dtype=np.float32))
@example(np.ones((N_FRAMES, 17, 3), dtype=np.float32))
@example(np.full((N_FRAMES, 17, 3), np.inf, dtype=np.float32))
def test_features_are_finite_for_any_joints(joints: FloatArray) -> None:
    before = joints.copy()

    row = risk_features(joints, rate_hz=RATE_HZ, width_px=WIDTH_PX, height_px=HEIGHT_PX)

    assert row is None or (row.shape == (len(FEATURES),) and np.isfinite(row).all())
    np.testing.assert_array_equal(joints, before)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.bool_, (N_FRAMES, 17)), st.sampled_from(["stand", "walk", "sit", "fall"]))
def test_features_are_finite_whatever_joints_are_hidden(hidden: np.ndarray, kind: str) -> None:
    joints = moving_bodies()[kind]
    joints[hidden] = [np.nan, np.nan, 0.0]

    row = risk_features(joints, rate_hz=RATE_HZ, width_px=WIDTH_PX, height_px=HEIGHT_PX)

    assert row is None or np.isfinite(row).all()


@pytest.mark.parametrize("kind", ["stand", "walk", "sit", "fall"])
@settings(max_examples=8, deadline=None)
@given(dx=st.floats(-60, 60), dy=st.floats(-60, 5))
def test_features_do_not_depend_on_the_place_in_the_picture(kind: str, dx: float, dy: float) -> None:
    joints = moving_bodies()[kind]
    moved = joints.copy()
    moved[..., :2] += np.float32([dx, dy])

    assert features_of(moved) == pytest.approx(features_of(joints), abs=1e-4)


@pytest.mark.parametrize("kind", ["stand", "walk", "sit", "fall"])
@settings(max_examples=8, deadline=None)
@given(scale=st.floats(0.25, 6))
def test_features_do_not_depend_on_the_size_of_the_picture(kind: str, scale: float) -> None:
    joints = moving_bodies()[kind]
    scaled = joints.copy()
    scaled[..., :2] *= np.float32(scale)
    width_px, height_px = round(WIDTH_PX * scale), round(HEIGHT_PX * scale)

    seen = features_of(scaled, width_px=width_px, height_px=height_px)

    assert seen == pytest.approx(features_of(joints), abs=1e-4)


@pytest.mark.parametrize("kind", ["stand", "walk", "sit", "fall"])
def test_a_mirrored_picture_gives_the_same_features(kind: str) -> None:
    joints = moving_bodies()[kind]
    mirrored = joints.copy()
    mirrored[..., 0] = WIDTH_PX - joints[..., 0]

    assert features_of(mirrored) == pytest.approx(features_of(joints), abs=1e-4)


def test_somebody_who_falls_drops_and_turns_level() -> None:
    fall, stand, sit = (features_of(moving_bodies()[kind]) for kind in ("fall", "stand", "sit"))

    assert fall["shoulder drop"] > 0.7
    assert fall["hip drop"] > 0.4
    assert fall["trunk angle at the start"] < 0.05
    assert fall["trunk angle at the end"] == pytest.approx(0.5, abs=0.05)
    assert fall["box aspect at the end"] > 0.5 > 0 > fall["box aspect at the start"]
    assert abs(stand["shoulder drop"]) < 0.01
    assert abs(stand["movement at the end"]) < 0.01
    assert 0.1 < sit["hip drop"] < 0.4 < fall["hip drop"]
    assert sit["trunk angle at the end"] < 0.05


def test_a_pose_lost_on_the_way_down_shows() -> None:
    joints = moving_bodies()["fall"]
    joints[-20:] = [np.nan, np.nan, 0.0]

    lost = features_of(joints)

    assert lost["found share at the end"] == 0.0
    assert lost["found share"] == pytest.approx(1 - 20 / N_FRAMES)
    assert features_of(moving_bodies()["fall"])["found share"] == 1.0


def test_touching_an_edge_shows() -> None:
    inside = features_of(moving_bodies()["stand"])
    at_side = features_of(window_of(lambda _: standing_body(x_px=30)))
    at_floor = features_of(window_of(lambda _: standing_body(floor_y_px=HEIGHT_PX + 10)))

    names = ("side edge touched at the end", "lower edge touched at the end")
    assert [inside[name] for name in names] == [0.0, 0.0]
    assert [at_side[name] for name in names] == [1.0, 0.0]
    assert [at_floor[name] for name in names] == [0.0, 1.0]


def test_nothing_is_said_of_somebody_just_come_into_view() -> None:
    joints = moving_bodies()["stand"]
    too_short, long_enough = joints.copy(), joints.copy()
    shortest = round(MIN_HISTORY_S * RATE_HZ)
    too_short[: N_FRAMES - shortest + 1] = np.nan
    long_enough[: N_FRAMES - shortest] = np.nan

    assert risk_features(too_short, rate_hz=RATE_HZ, width_px=WIDTH_PX, height_px=HEIGHT_PX) is None
    assert risk_features(long_enough, rate_hz=RATE_HZ, width_px=WIDTH_PX, height_px=HEIGHT_PX) is not None


@pytest.mark.parametrize("shape", [(38, 33, 3), (38, 17, 2), (38, 17), (1, 38, 17, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    joints = np.zeros(shape, dtype=np.float32)

    with pytest.raises(ShapeError, match=r"COCO-17 windows \(T, 17, 3\)"):
        trace_body(joints, rate_hz=RATE_HZ)
    with pytest.raises(ShapeError, match=r"COCO-17 windows \(T, 17, 3\)"):
        risk_features(joints, rate_hz=RATE_HZ, width_px=WIDTH_PX, height_px=HEIGHT_PX)


def some_windows(*, n_subjects: int = 6, n_each: int = 30, seed: int = 0) -> tuple[Array, np.ndarray, np.ndarray]:
    """Features that tell danger from the rest with some overlap, a third of them dangerous."""
    rng = np.random.default_rng(seed)
    danger = np.arange(n_subjects * n_each) % 3 == 0
    subject = np.repeat(np.arange(n_subjects), n_each)
    features = rng.normal(0, 1, (len(danger), len(FEATURES))) * np.linspace(0.01, 5, len(FEATURES))
    for name in ("shoulder drop", "hip drop", "trunk angle change"):
        column = FEATURES.index(name)
        features[:, column] = 0.8 * danger + rng.normal(0, 0.35, len(danger))
    return features, danger, subject


def test_the_arrays_answer_as_the_scikit_learn_pipeline_does() -> None:
    features, danger, subject = some_windows()
    weight = np.random.default_rng(1).uniform(0.2, 3, len(danger))

    model = fit_with_folds(features, danger, subject, n_components=12, c=0.3, weight=weight).model

    pipeline = make_pipeline(
        StandardScaler(), PCA(12, random_state=0), LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000)
    )
    pipeline.fit(features, danger, standardscaler__sample_weight=weight, logisticregression__sample_weight=weight)
    slope, offset = model.calibration
    wanted = 1 / (1 + np.exp(-(slope * pipeline.decision_function(features) + offset)))
    np.testing.assert_allclose(model.probability(features), wanted, atol=1e-6)
    assert 0 < wanted.min() < 0.1 < 0.9 < wanted.max() < 1


def test_the_fitted_model_knows_danger_in_people_it_did_not_see() -> None:
    features, danger, subject = some_windows()
    unseen, unseen_danger, _ = some_windows(seed=1)

    fit = fit_with_folds(features, danger, subject, n_components=12)
    model, by_others = fit.model, fit.unseen

    right = (model.probability(unseen) >= 0.5) == unseen_danger
    assert right.mean() > 0.9
    assert ((by_others >= 0.5) == danger).mean() > 0.9
    assert by_others.mean() == pytest.approx(danger.mean(), abs=0.05)  # calibrated


def test_the_same_windows_give_the_same_model() -> None:
    first = fit_with_folds(*some_windows(), n_components=12).model.to_arrays()
    second = fit_with_folds(*some_windows(), n_components=12).model.to_arrays()

    for name in RISK_TENSORS:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("lack", ["danger", "safety", "people"])
def test_windows_of_one_kind_or_one_person_cannot_be_fitted(lack: str) -> None:
    features, danger, subject = some_windows()
    if lack == "people":
        subject = np.zeros_like(subject)
    else:
        danger = np.full_like(danger, lack == "safety")

    with pytest.raises(ShapeError, match="with and without danger of at least two subjects"):
        fit_with_folds(features, danger, subject, n_components=12)


def test_a_model_survives_the_way_through_its_arrays() -> None:
    features, danger, subject = some_windows()
    model = replace(fit_with_folds(features, danger, subject, n_components=8).model, threshold=0.31)

    arrays = model.to_arrays()
    again = RiskModel.from_arrays(arrays, threshold=model.threshold)

    assert tuple(arrays) == RISK_TENSORS
    assert all(array.flags.c_contiguous and array.dtype == np.float64 for array in arrays.values())
    assert again.threshold == 0.31
    np.testing.assert_array_equal(again.probability(features), model.probability(features))


def test_probabilities_stay_between_0_and_1_however_far_out_the_features_are() -> None:
    features, danger, subject = some_windows()
    model = fit_with_folds(features, danger, subject, n_components=12).model

    far = model.probability(np.array([np.full(len(FEATURES), 1e12), np.full(len(FEATURES), -1e12)]))

    assert ((far >= 0) & (far <= 1)).all()
    assert model.probability(features[:0]).shape == (0,)


@pytest.mark.parametrize("name", RISK_TENSORS)
def test_arrays_that_do_not_fit_each_other_are_refused(name: str) -> None:
    arrays = fit_with_folds(*some_windows(), n_components=8).model.to_arrays()
    array = arrays[name]
    arrays[name] = np.zeros((*array.shape[:-1], array.shape[-1] + 1)) if array.ndim else np.zeros(1)

    with pytest.raises(ShapeError, match="risk model: "):
        RiskModel.from_arrays(arrays)


def test_the_features_that_speak_most_for_danger_are_named() -> None:
    features, danger, subject = some_windows()
    model = fit_with_folds(features, danger, subject, n_components=len(FEATURES)).model
    usual = model.mean.copy()
    dropped = usual.copy()
    dropped[FEATURES.index("shoulder drop")] += 2.0
    dropped[FEATURES.index("hip drop")] += 1.0

    assert model.strongest(dropped)[:2] == ("shoulder drop", "hip drop")
    assert model.strongest(usual) == ()
    assert len(model.strongest(features[0], n=2)) <= 2


def test_the_arrays_answer_alike_after_a_bundle_was_saved_and_loaded(tmp_path: Path) -> None:
    features, danger, subject = some_windows()
    fit = fit_with_folds(features, danger, subject, n_components=12)
    names = CONFIRM_FEATURES[5 : 5 + 2 * features.shape[1] : 2]
    confirming = fit_trees(features, danger, weight=np.ones(len(features)), n_trees=5)
    model = replace(fit.model, threshold=0.3, confirm=replace(confirming, threshold=0.9))
    meta = {"features": list(FEATURES), "threshold": 0.3}
    meta |= {"confirm": {"features": list(names), "threshold": 0.9}}

    loaded = saved_and_loaded(tmp_path, RiskPart(model.to_arrays(), meta, features[:4]))

    pipeline = make_pipeline(
        StandardScaler(), PCA(12, random_state=0), LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000)
    ).fit(features, danger)
    slope, offset = model.calibration
    wanted = 1 / (1 + np.exp(-(slope * pipeline.decision_function(features) + offset)))
    np.testing.assert_allclose(loaded.probability(features), wanted, atol=1e-6)
    assert loaded.confirm is not None
    assert (loaded.threshold, loaded.confirm.threshold, loaded.confirm.features) == (0.3, 0.9, names)
    np.testing.assert_allclose(loaded.confirm.probability(features), confirming.probability(features), atol=1e-12)


def test_a_model_fitted_on_fewer_features_looks_at_its_own_only(tmp_path: Path) -> None:
    features, danger, subject = some_windows()
    names = FEATURES[:32]
    older = fit_with_folds(features[:, :32], danger, subject, n_components=8, names=names).model

    meta = {"features": list(names), "threshold": 0.5}
    loaded = saved_and_loaded(tmp_path, RiskPart(older.to_arrays(), meta, features[:4, :32]))

    assert loaded.features == names
    np.testing.assert_array_equal(loaded.pick(features), features[:, :32])
    np.testing.assert_allclose(loaded.probability(loaded.pick(features)), older.probability(features[:, :32]))


def saved_and_loaded(folder: Path, part: RiskPart) -> RiskModel:
    torch.manual_seed(0)
    network = STGCN(STGCNConfig(n_classes=2, channels=(4,) * 9))
    windows = np.random.default_rng(0).normal(size=(1, 16, 17, 3)).astype(np.float32)
    save_bundle(folder / "bundle", name="b", version="1", model=network, labels=["a", "b"], rate_hz=15.0,
                golden_windows=windows, norm={}, metrics={}, card="", data_digest="", created=datetime.now(UTC),
                risk=part)  # fmt: skip
    loaded = load_bundle(folder / "bundle").risk_model
    assert loaded is not None
    return loaded


def test_every_subject_is_judged_by_a_model_that_did_not_see_them() -> None:
    features, danger, subject = some_windows()

    fit = fit_with_folds(features, danger, subject, n_components=12)

    for one in np.unique(subject):
        judge = fit.without(int(one))
        assert judge is not None
        np.testing.assert_allclose(judge.probability(features[subject == one]), fit.unseen[subject == one])
    assert fit.without(99) is None
