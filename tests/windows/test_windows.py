"""Even time grids and normalisation: no future, no invented movement, and a fall stays a fall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphs import LAYOUTS, find_layout
from har.errors import ShapeError
from har.records import FloatArray
from har.windows import clean, find_reference, normalise, pose_share, resample

STANDING = np.array(
    [
        *[(0.00, -1.62), (0.03, -1.66), (-0.03, -1.66), (0.07, -1.64), (-0.07, -1.64)],
        *[(0.20, -1.42), (-0.20, -1.42), (0.25, -1.14), (-0.25, -1.14), (0.27, -0.88), (-0.27, -0.88)],
        *[(0.12, -0.92), (-0.12, -0.92), (0.12, -0.50), (-0.12, -0.50), (0.12, -0.08), (-0.12, -0.08)],
    ],
    dtype=np.float32,
)  # metres from the feet, y down


def standing_person(*, n_frames: int, px_per_m: float = 120.0, x_px: float = 300.0, y_px: float = 400.0) -> FloatArray:
    joints = np.ones((n_frames, 17, 3), dtype=np.float32)
    joints[..., :2] = STANDING * px_per_m + np.float32([x_px, y_px])
    return joints


def falling_person(*, n_frames: int) -> FloatArray:
    """Turn about the feet to the side, in the middle third of the window."""
    joints = standing_person(n_frames=n_frames)
    angles = np.interp(np.linspace(0, 1, n_frames), [0.33, 0.66], [0, np.pi / 2 - 0.1])
    for frame, angle in enumerate(angles):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        joints[frame, :, :2] = STANDING @ turn.T * 120 + np.float32([300, 400])
    return joints


def hip_heights(joints: FloatArray) -> FloatArray:
    return joints[..., [11, 12], 1].mean(axis=-1)


def test_an_even_grid_of_even_frames_is_those_frames() -> None:
    joints = falling_person(n_frames=32)
    time_s = 1000 + np.arange(32) / 15

    grid = resample(time_s, joints, rate_hz=15, end_s=float(time_s[-1]), n_frames=32)

    np.testing.assert_allclose(grid, joints, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [10, 18, 25, 30])
def test_any_frame_rate_gives_the_same_window(rate_hz: float) -> None:
    time_s = np.arange(int(4 * rate_hz)) / rate_hz
    joints = standing_person(n_frames=len(time_s))
    joints[..., 0] += 50 * time_s[:, None].astype(np.float32)

    grid = resample(time_s, joints, rate_hz=15, end_s=3.0, n_frames=32)

    expected = STANDING[0, 0] * 120 + 300 + 50 * (3.0 - np.arange(31, -1, -1) / 15)
    np.testing.assert_allclose(grid[:, 0, 0], expected, atol=0.01)


def test_nothing_after_the_end_is_read() -> None:
    time_s = np.arange(60) / 15
    joints = falling_person(n_frames=60)
    other = joints.copy()
    other[31:] = 7

    grid = resample(time_s, joints, rate_hz=15, end_s=float(time_s[30]), n_frames=32)

    np.testing.assert_array_equal(grid, resample(time_s, other, rate_hz=15, end_s=float(time_s[30]), n_frames=32))


@given(
    joints=hnp.arrays(
        np.float32,
        (12, 17, 3),
        elements=st.floats(0, 1, width=32) | st.just(float("nan")),
        fill=st.floats(0, 1, width=32),
    ),
    steps=st.lists(st.floats(0.01, 0.6), min_size=12, max_size=12),
    cut=st.integers(0, 11),
    rate_hz=st.floats(5, 30),
)
@settings(deadline=None, max_examples=60)
def test_a_live_window_is_what_the_whole_recording_gives(
    joints: FloatArray, steps: list[float], cut: int, rate_hz: float
) -> None:
    time_s = np.cumsum(np.array(steps))
    end_s = float(time_s[cut])

    live = resample(time_s[: cut + 1], joints[: cut + 1], rate_hz=rate_hz, end_s=end_s, n_frames=20)
    later = resample(time_s, joints, rate_hz=rate_hz, end_s=end_s, n_frames=20)

    np.testing.assert_array_equal(live, later)
    assert np.isfinite(live[..., 2]).all()
    assert (np.isnan(live[..., 0]) == (live[..., 2] == 0)).all()
    assert np.nanmax(live, initial=0) <= 1 + 1e-6
    assert np.nanmin(live, initial=0) >= -1e-6


@pytest.mark.parametrize(("gap_s", "filled"), [(0.4, True), (0.6, False)])
def test_short_gaps_are_filled_on_a_line_and_long_ones_left_open(gap_s: float, filled: bool) -> None:
    time_s = np.concatenate([np.arange(0, 1.01, 0.1), np.arange(1 + gap_s, 2.05, 0.1)])
    joints = standing_person(n_frames=len(time_s))
    joints[..., 0] += time_s[:, None].astype(np.float32)

    grid = resample(time_s, joints, rate_hz=10, end_s=2.0, n_frames=21, max_gap_s=0.5)

    inside = (np.arange(21) / 10 > 1.05) & (np.arange(21) / 10 < 1 + gap_s - 0.05)
    if filled:
        np.testing.assert_allclose(grid[:, 0, 0], 300 + np.arange(21) / 10, atol=1e-3)
    else:
        assert np.isnan(grid[inside][..., :2]).all()
        assert (grid[inside][..., 2] == 0).all()
        assert np.isfinite(grid[~inside]).all()


def test_a_joint_that_is_hidden_for_long_is_missing_alone() -> None:
    time_s = np.arange(32) / 15
    joints = standing_person(n_frames=32)
    joints[5:25, 9, :2] = np.nan

    grid = resample(time_s, joints, rate_hz=15, end_s=float(time_s[-1]), n_frames=32)

    assert np.isnan(grid[5:25, 9, 0]).all()
    assert np.isfinite(np.delete(grid, 9, axis=1)).all()


def test_times_before_the_first_sighting_are_empty() -> None:
    time_s = 10 + np.arange(8) / 15

    grid = resample(time_s, standing_person(n_frames=8), rate_hz=15, end_s=float(time_s[-1]), n_frames=32)

    assert np.isnan(grid[:24, :, :2]).all()
    assert np.isfinite(grid[24:]).all()


def test_a_window_without_any_frame_is_empty() -> None:
    grid = resample(np.array([1.0]), standing_person(n_frames=1), rate_hz=15, end_s=90.0, n_frames=32)

    assert np.isnan(grid[..., :2]).all()
    assert (grid[..., 2] == 0).all()


def test_points_lines_and_joints_far_outside_the_picture_are_not_seen() -> None:
    joints = standing_person(n_frames=4)
    joints[0, :, :2] = 100
    joints[1, :, 0] = 100
    joints[2, 3, 0] = 900
    joints[3, 4, 2] = 0

    cleaned = clean(joints, width_px=640, height_px=480)

    assert np.isnan(cleaned[:2, :, :2]).all()
    assert np.isnan(cleaned[2, 3, :2]).all()
    assert np.isnan(cleaned[3, 4, :2]).all()
    assert np.isfinite(cleaned[2:]).sum() == 2 * 17 * 3 - 4


def test_joints_that_do_not_fit_their_times_are_a_bug() -> None:
    with pytest.raises(ShapeError):
        resample(np.arange(3.0), standing_person(n_frames=4), rate_hz=15, end_s=1, n_frames=8)


def test_the_drop_of_a_fall_stays_visible() -> None:
    heights = hip_heights(normalise(falling_person(n_frames=32)))

    assert heights[-1] - heights[0] > 0.8
    assert abs(heights[0]) < 0.01


def test_a_trunk_foreshortened_on_the_ground_does_not_blow_the_window_up() -> None:
    joints = falling_person(n_frames=32)
    shoulders_to_head, hips = joints[12:, :11, :2], joints[12:, 11:13, :2].mean(axis=1, keepdims=True)
    joints[12:, :11, :2] = hips + (shoulders_to_head - hips) * np.float32(0.1)

    heights = hip_heights(normalise(joints))

    assert 0.8 < heights[-1] - heights[0] < 2.5


@given(
    x_px=st.floats(-3000, 3000),
    y_px=st.floats(-3000, 3000),
    size=st.floats(0.2, 8),
)
@settings(deadline=None, max_examples=50)
def test_another_place_or_another_image_size_changes_nothing(x_px: float, y_px: float, size: float) -> None:
    joints = falling_person(n_frames=32)
    moved = joints.copy()
    moved[..., :2] = joints[..., :2] * np.float32(size) + np.float32([x_px, y_px])

    np.testing.assert_allclose(normalise(moved), normalise(joints), atol=5e-3)


def test_walking_stays_a_movement() -> None:
    joints = standing_person(n_frames=32)
    joints[..., 0] += np.linspace(0, 200, 32, dtype=np.float32)[:, None]

    hips_x = normalise(joints)[:, [11, 12], 0].mean(axis=-1)

    assert hips_x[-1] - hips_x[0] > 2


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_window_in_which_nobody_was_seen_is_all_zeros(layout: str) -> None:
    nothing = np.full((2, 32, LAYOUTS[layout].n_joints, 3), np.nan, dtype=np.float32)

    assert not normalise(nothing, layout=layout).any()


@given(
    joints=hnp.arrays(
        np.float32,
        (2, 6, 17, 3),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
        fill=st.floats(-10, 10, width=32) | st.just(float("nan")),
    )
)
@settings(deadline=None, max_examples=80)
def test_whatever_comes_in_finite_numbers_go_out(joints: FloatArray) -> None:
    with np.errstate(all="ignore"):
        result = normalise(joints)

    assert np.isfinite(result).all()
    assert np.abs(result[..., :2]).max() <= 10
    assert ((result[..., 2] >= 0) & (result[..., 2] <= 1)).all()


def test_windows_in_a_batch_are_normalised_as_they_are_alone() -> None:
    batch = np.stack([falling_person(n_frames=32), standing_person(n_frames=32, x_px=20)])
    batch[1, :4, 11:13] = np.nan

    together = normalise(batch)

    for alone, window in zip(together, batch, strict=True):
        np.testing.assert_allclose(alone, normalise(window), atol=1e-6)


def test_an_unseen_joint_stays_where_it_was_last_with_a_score_of_zero() -> None:
    joints = standing_person(n_frames=32)
    joints[:, 9, 0] += np.arange(32, dtype=np.float32)
    hidden = joints.copy()
    hidden[:4, 9] = np.nan
    hidden[20:, 9] = np.nan

    whole, result = normalise(joints), normalise(hidden)

    np.testing.assert_allclose(result[4:20, 9], whole[4:20, 9], atol=1e-5)
    np.testing.assert_allclose(result[:4, 9, :2], np.tile(whole[4, 9, :2], (4, 1)), atol=1e-5)
    np.testing.assert_allclose(result[20:, 9, :2], np.tile(whole[19, 9, :2], (12, 1)), atol=1e-5)
    assert not result[[*range(4), *range(20, 32)], 9, 2].any()
    assert (np.delete(result, 9, axis=1)[..., 2] == 1).all()


def test_a_joint_never_seen_goes_with_the_nearest_joint_of_the_body() -> None:
    joints = standing_person(n_frames=32)
    joints[:, [13, 15]] = np.nan

    result = normalise(joints)

    np.testing.assert_array_equal(result[:, 13, :2], result[:, 11, :2])
    np.testing.assert_array_equal(result[:, 15, :2], result[:, 11, :2])
    assert not result[:, [13, 15], 2].any()


def test_the_share_of_frames_with_a_pose_needs_more_than_a_face() -> None:
    joints = standing_person(n_frames=4)
    joints[0, :, :2] = np.nan
    joints[1, 5:, :2] = np.nan

    assert pose_share(joints) == 0.5


def deep(joints: FloatArray, *, turned_rad: float = 0.0) -> FloatArray:
    """Give flat people (T, V, 3) a depth, three metres away, turned about the vertical through x 300."""
    x = joints[..., 0] - 300
    z = np.float32(360) + np.float32(np.sin(turned_rad)) * x
    x = 300 + np.float32(np.cos(turned_rad)) * x
    return np.stack([x, joints[..., 1], z, joints[..., 2]], axis=-1)


def test_joints_with_depth_are_put_on_a_grid_alike() -> None:
    joints = deep(falling_person(n_frames=32))
    joints[5:8, 9, :3] = np.nan
    time_s = np.arange(32) / 15

    grid = resample(time_s, joints, rate_hz=15, end_s=float(time_s[-1]), n_frames=32)

    assert grid.shape == (32, 17, 4)
    np.testing.assert_allclose(np.delete(grid, 9, axis=1), np.delete(joints, 9, axis=1), atol=1e-3)
    assert np.isfinite(grid).all()


def test_depth_of_nothing_gives_what_flat_joints_give() -> None:
    flat = falling_person(n_frames=32)
    flat[3:9, 9] = np.nan

    result = normalise(deep(flat))

    np.testing.assert_allclose(result[..., [0, 1, 3]], normalise(flat), atol=1e-5)
    np.testing.assert_allclose(result[..., 2], 0, atol=1e-5)


@given(size=st.floats(0.001, 8), place=st.tuples(*[st.floats(-3000, 3000)] * 3))
@settings(deadline=None, max_examples=40)
def test_units_and_place_change_nothing_with_depth_either(size: float, place: tuple[float, float, float]) -> None:
    joints = deep(falling_person(n_frames=32), turned_rad=0.7)
    moved = joints.copy()
    moved[..., :3] = (joints[..., :3] + np.float32(place)) * np.float32(size)

    np.testing.assert_allclose(normalise(moved), normalise(joints), atol=1e-2)


@pytest.mark.parametrize("turned_rad", [0.0, 0.6, -1.4, 3.0])
def test_a_body_can_be_turned_to_face_the_camera(turned_rad: float) -> None:
    facing, other = (normalise(deep(standing_person(n_frames=8), turned_rad=at), facing=True) for at in (0, turned_rad))

    np.testing.assert_allclose(other, facing, atol=1e-5)
    assert other[0, 5, 0] > 0.2  # the left shoulder, to the right in the picture


def test_turning_to_the_camera_is_by_the_first_frames_so_that_a_turn_stays_a_turn() -> None:
    joints = np.concatenate([deep(standing_person(n_frames=8), turned_rad=at) for at in (0.5, 1.5)])

    result = normalise(joints, facing=True)

    across = result[:, 5] - result[:, 6]
    assert abs(across[0, 2]) < 0.01
    assert np.arctan2(across[-1, 2], across[-1, 0]) == pytest.approx(1.0, abs=0.01)


def test_a_body_whose_sides_are_never_seen_is_not_turned() -> None:
    joints = deep(standing_person(n_frames=8), turned_rad=0.5)
    joints[:, [5, 11], :3] = np.nan

    np.testing.assert_allclose(normalise(joints, facing=True), normalise(joints), atol=1e-6)


def test_a_second_person_can_be_seen_in_the_frame_of_the_first() -> None:
    first = deep(standing_person(n_frames=8))
    second = first + np.float32([240, 0, 0, 0])
    both = np.stack([first, second])
    own = normalise(both)

    shared = normalise(both, reference=find_reference(both[:1])[np.array([0, 0])])

    np.testing.assert_allclose(shared[0], own[0])
    np.testing.assert_allclose(own[1], own[0], atol=1e-5)
    trunk_px = 120 * (1.42 - 0.92)
    np.testing.assert_allclose(shared[1, ..., 0] - shared[0, ..., 0], 240 / trunk_px, rtol=0.05)


def test_a_flat_body_with_depth_is_seen_but_a_line_is_not() -> None:
    joints = deep(standing_person(n_frames=2))
    joints[1, :, 0] = 300

    cleaned = clean(joints)

    assert np.isfinite(cleaned[0]).all()
    assert np.isnan(cleaned[1, :, :3]).all()


def test_a_skeleton_without_hips_or_shoulders_goes_by_its_box() -> None:
    dog = find_layout(["nose", "withers", "tail_base", "paw"], [(0, 1), (1, 2), (1, 3)]).layout
    joints = np.random.default_rng(0).normal(size=(6, 4, 4)).astype(np.float32)
    joints[..., 3] = 1

    one, other = normalise(joints, layout=dog.name), normalise(joints * np.float32([9, 9, 9, 1]), layout=dog.name)

    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    sides = one[..., :3].max(axis=1) - one[..., :3].min(axis=1)
    assert 2 < np.quantile(sides.max(axis=1), 0.8) < 5  # a box's longer side is 1 / 0.3 of what stands for the trunk
    assert pose_share(joints) == 1
