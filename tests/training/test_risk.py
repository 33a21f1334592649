from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from har.clips import Clip
from har.errors import ShapeError
from har.models.risk import RISK_TENSORS, RiskModel
from har.models.risk_features import FEATURES
from har.training.risk import EVERY_S, RiskWindows, cut_risk_windows, fit_risk, fit_risk_part
from tests.builders import Body, falling_body, seated_body, standing_body, walking_body

RATE_HZ = 15.0
FALL_S, GROUND_S = 5.0, 5.7


def recording(clip_id: str, body: Body, *, subject: str, duration_s: float = 10.0, seed: int = 0,
              fall: tuple[float, float] | None = None, source: str = "made in a test") -> Clip:  # fmt: skip
    """A clip of one person with joints that tremble; with a fall, its span says where."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    joints = np.full((len(time_s), 1, 17, 3), 0.9, dtype=np.float32)
    joints[:, 0, :, :2] = [body(float(at_s)) for at_s in time_s]
    joints[..., :2] += rng.normal(0, 1, joints[..., :2].shape).astype(np.float32)
    spans = () if fall is None else ((0.0, fall[0], "stand"), (*fall, "fall"), (fall[1], duration_s, "lie"))
    return Clip(id=clip_id, joints=joints, time_s=time_s, rate_hz=RATE_HZ, rate_known=True, danger=bool(spans),
                spans=spans, subject=subject, source=source, licence="CC0", width_px=640, height_px=480)  # fmt: skip


def fall_of(subject: str, *, seed: int = 0, source: str = "made in a test") -> Clip:
    body = falling_body(fall_s=FALL_S, lasting_s=GROUND_S - FALL_S, x_px=250 + 10 * seed, px_per_m=130 + 5 * seed)
    return recording(f"{subject}-fall", body, subject=subject, seed=seed, fall=(FALL_S, GROUND_S), source=source)


def day_of(subject: str, *, seed: int = 0, source: str = "made in a test") -> list[Clip]:
    return [
        recording(f"{subject}-sit", lambda at_s: seated_body() if at_s > 3 else standing_body(), subject=subject,
                  seed=seed + 50, duration_s=5.0, source=source),
        recording(f"{subject}-walk", walking_body(from_x_px=150, to_x_px=450, duration_s=5), subject=subject,
                  seed=seed + 90, duration_s=5.0, source=source),
    ]  # fmt: skip


def clips_of(n_subjects: int) -> list[Clip]:
    names = [f"S{number}" for number in range(n_subjects)]
    return [clip for n, name in enumerate(names) for clip in (fall_of(name, seed=n), *day_of(name, seed=n))]


@functools.cache
def windows_of_two() -> RiskWindows:
    windows = cut_risk_windows(clips_of(2))
    assert windows is not None
    return windows


def test_windows_say_fall_from_the_ground_to_shortly_after_and_nothing_next_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("har.training.risk.windows._ARRIVE_BEFORE_S", ())

    windows = cut_risk_windows([fall_of("A"), fall_of("B", seed=1)])

    # A window ends every 0.2 s from 1.0 s on; those up to 0.3 s into the fall and from 2.6 s after it on are no fall.
    frames_s = np.arange(150) / RATE_HZ
    ends_s = frames_s[np.searchsorted(frames_s, np.arange(5, 50) * EVERY_S)]
    of_fall = (ends_s >= GROUND_S - 0.15) & (ends_s <= GROUND_S + 1.3)
    of_neither = (ends_s >= FALL_S + 0.3) & (ends_s <= GROUND_S + 2.6) & ~of_fall
    assert windows is not None
    assert windows.danger.tolist() == [*of_fall[~of_neither], *of_fall[~of_neither]]
    assert windows.fall[windows.danger].tolist() == [0] * of_fall.sum() + [1] * of_fall.sum()
    assert set(windows.fall[~windows.danger]) == {-1}
    assert len(np.unique(windows.subject)) == 2


def test_falls_are_also_learnt_as_of_people_who_had_just_come_into_view() -> None:
    windows = windows_of_two()

    # Windows of somebody in view for 1 to 2.5 s only, from 0.2 s and from 0.6 s before the fall on.
    of_a_whole_clip = np.unique(windows.fall[windows.danger], return_counts=True)[1]
    assert (of_a_whole_clip >= 5 + 6).all()
    assert windows.features[windows.danger, FEATURES.index("shoulder drop")].min() > 0.05


def test_the_features_belong_to_the_truth_beside_them() -> None:
    windows = windows_of_two()

    drop = windows.features[:, FEATURES.index("shoulder drop")]
    assert np.median(drop[windows.danger]) > 0.6
    assert drop[windows.danger].min() > 0.05  # one that ends just before the ground has seen only half of the way
    assert np.quantile(drop[~windows.danger], 0.98) < 0.35
    assert np.isfinite(windows.features).all()


def test_of_a_clip_with_a_fall_only_the_one_who_falls_is_taken() -> None:
    alone = fall_of("A")
    bystander = recording("x", lambda _: standing_body(x_px=550), subject="A")
    both = replace(alone, joints=np.concatenate([bystander.joints, alone.joints], axis=1))

    with_bystander = cut_risk_windows([both, fall_of("B", seed=1)])
    without = cut_risk_windows([alone, fall_of("B", seed=1)])

    assert with_bystander is not None
    assert without is not None
    np.testing.assert_array_equal(with_bystander.features, without.features)


def test_every_source_of_clips_counts_alike() -> None:
    clips = [fall_of("A", source="small"), fall_of("B", seed=1), *day_of("B", seed=1), *day_of("C", seed=2)]

    windows = cut_risk_windows(clips)

    assert windows is not None
    of_small = windows.subject == 0
    assert windows.weight[of_small].sum() == pytest.approx(windows.weight[~of_small].sum())
    assert windows.weight.mean() == pytest.approx(1.0)


def test_clips_that_do_not_tell_of_danger_in_two_people_give_no_model() -> None:
    day = [*day_of("A"), *day_of("B", seed=1)]

    assert fit_risk_part([]) is None
    assert fit_risk_part(day) is None
    assert fit_risk_part([fall_of("A"), *day]) is None
    assert fit_risk_part([replace(clip, danger=None) for clip in clips_of(2)]) is None


def test_clips_of_other_units_are_left_out() -> None:
    clips = clips_of(2)

    windows = cut_risk_windows([*clips, replace(clips[0], id="norm", units="norm"), replace(clips[0], danger=None)])

    assert windows is not None
    np.testing.assert_array_equal(windows.features, windows_of_two().features)


def test_a_clip_with_hardly_a_pose_in_it_is_left_out() -> None:
    empty = fall_of("C", seed=2)
    joints = empty.joints.copy()
    joints[9:] = np.nan

    windows = cut_risk_windows([*clips_of(2), replace(empty, joints=joints)])

    assert windows is not None
    assert len(windows.danger) == len(windows_of_two().danger)


def test_the_fitted_model_finds_falls_of_people_it_did_not_see() -> None:
    windows = cut_risk_windows(clips_of(3))
    assert windows is not None
    unseen = cut_risk_windows([clip for n in (7, 8) for clip in (fall_of(f"U{n}", seed=n), *day_of(f"U{n}", seed=n))])
    assert unseen is not None

    fit = fit_risk(windows)

    assert 0.05 <= fit.model.threshold <= 0.5
    assert 0.0 < fit.explained_variance <= 1.0
    assert (fit.falls_noticed, fit.false_windows < 0.05) == (1.0, True)
    suspected = fit.model.probability(unseen.features) >= fit.model.threshold
    assert all(suspected[unseen.fall == fall].any() for fall in range(2))
    assert suspected[~unseen.danger].mean() < 0.05


def test_a_part_for_the_bundle_holds_the_model_its_threshold_and_golden_windows() -> None:
    part = fit_risk_part(clips_of(3))

    assert part is not None
    assert set(part.arrays) == set(RISK_TENSORS)
    assert part.meta["features"] == list(FEATURES)
    assert 0.05 <= part.meta["threshold"] <= 0.5
    assert (part.meta["falls"], part.meta["rate_hz"], part.meta["window_s"]) == (3, 15.0, 2.5)
    answers = RiskModel.from_arrays(part.arrays, threshold=part.meta["threshold"]).probability(part.golden_features)
    assert answers.shape == (16,)
    assert ((answers >= 0) & (answers <= 1)).all()


def test_the_same_clips_give_the_same_model() -> None:
    first, second = (fit_risk_part(clips_of(2)) for _ in range(2))

    assert first is not None
    assert second is not None
    for name in RISK_TENSORS:
        np.testing.assert_array_equal(first.arrays[name], second.arrays[name])


def test_the_model_without_somebody_has_its_thresholds_and_has_not_seen_them() -> None:
    windows = cut_risk_windows(clips_of(4))
    assert windows is not None
    fit = fit_risk(windows)

    judges = [fit.without(subject) for subject in range(len(windows.subjects))]

    assert all(judge.threshold == fit.model.threshold for judge in judges)
    assert any(not np.array_equal(judge.coef, fit.model.coef) for judge in judges)
    for subject, judge in enumerate(judges):
        expected = fit.suspicion.without(subject)
        assert expected is not None
        np.testing.assert_array_equal(judge.coef, expected.coef)
    if fit.model.confirm is not None:
        assert {judge.confirm.threshold for judge in judges if judge.confirm} == {fit.model.confirm.threshold}
    with pytest.raises(ShapeError, match="without subject 99"):
        fit.without(99)
