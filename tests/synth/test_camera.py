from __future__ import annotations

import numpy as np

from har.synth.camera import look_at, random_camera


def test_what_a_camera_looks_at_is_in_the_middle_of_its_picture() -> None:
    camera = look_at(np.array([3.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0]), field_of_view_deg=60, distortion=-0.1)

    xy, depth_m = camera.project(np.array([0.0, 0.0, 1.0]))

    np.testing.assert_allclose(xy, (320, 240), atol=1e-9)
    np.testing.assert_allclose(depth_m, np.sqrt(11))


def test_up_is_up_and_the_left_of_somebody_facing_the_camera_is_on_the_picture_s_right() -> None:
    camera = look_at(np.array([3.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]), field_of_view_deg=60)

    above, left = (camera.project(np.array(point))[0] for point in ([0.0, 0.0, 1.5], [0.0, 0.5, 1.0]))

    assert above[1] < 240
    assert left[0] > 320


def test_the_field_of_view_reaches_from_edge_to_edge() -> None:
    camera = look_at(np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0]), field_of_view_deg=90)

    xy, _ = camera.project(np.array([1.0, -1.0, 1.0]))

    np.testing.assert_allclose(xy, (640, 240), atol=1e-9)


def test_rays_lead_back_to_the_points_they_came_from() -> None:
    rng = np.random.default_rng(0)
    camera = look_at(np.array([3.0, 1.0, 2.5]), np.array([0.0, 0.0, 0.8]), field_of_view_deg=80, distortion=-0.08)
    points = rng.uniform(-0.8, 0.8, (50, 3))

    xy, _ = camera.project(points)
    rays = camera.rays(xy)

    towards = points - camera.position_m
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    np.testing.assert_allclose(rays, towards, atol=2e-3)


def test_what_is_behind_a_camera_has_no_pixel() -> None:
    camera = look_at(np.array([3.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]), field_of_view_deg=60)

    xy, depth_m = camera.project(np.array([4.0, 0.0, 1.0]))

    assert np.isnan(xy).all()
    assert depth_m < 0


def test_random_cameras_hang_where_cameras_hang() -> None:
    rng = np.random.default_rng(0)

    cameras = [random_camera(rng, np.zeros(2)) for _ in range(100)]

    heights = np.array([camera.position_m[2] for camera in cameras])
    distances = np.array([np.hypot(*camera.position_m[:2]) for camera in cameras])
    assert heights.min() >= 0.7
    assert heights.max() <= 3.2
    assert (heights > 2.1).mean() > 0.4
    assert distances.min() >= 0.6
    assert distances.max() <= 8.0
    for camera in cameras:
        assert abs(camera.axes[0, 2]) < 0.15  # the horizon is level
