from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from har.pose import open_estimator
from har.pose.weights import blazepose_path
from har.records import Frame, ImageArray
from har.synth.actor import Actor
from har.synth.body import N_COCO, A, P, make_body
from har.synth.camera import Camera, look_at
from har.synth.motion import Style
from har.synth.render import PAINTS, Look, Renderer, make_limbs
from har.synth.shapes import Box, Limb, hit_box, hit_limb
from har.synth.upright import stand
from har.synth.video import STORIES, exact_joints, write_video


def a_ball(radius_m: float = 0.5) -> Limb:
    return Limb(np.zeros(3), np.array([0.0, 0.0, 1e-9]), radius_m, radius_m, "skin", np.eye(3))


def a_standing_actor() -> Actor:
    style = Style(pace=1.0, walk_m_s=1.0, stoop_deg=0.0, arm_swing_deg=20.0, walker=False)
    actor = Actor(make_body(stature_m=1.7), style, np.random.default_rng(1))
    actor.xy[:] = 0
    for posture in (actor.ease, actor.posture):
        posture[A["yaw"]] = 0.2
    stand(actor, 0.5)
    return actor


def a_camera(*, width_px: int, height_px: int) -> Camera:
    return look_at(
        np.array([3.0, -0.4, 1.6]), np.array([0.0, 0.0, 0.8]), field_of_view_deg=60, width_px=width_px,
        height_px=height_px,
    )  # fmt: skip


def test_a_ray_meets_a_ball_where_it_should() -> None:
    rays = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    reach, normal, _ = hit_limb(a_ball(), origin_m=np.array([-2.0, 0.0, 0.0]), rays=rays)

    assert reach[0] == pytest.approx(1.5)
    assert np.isinf(reach[1])
    np.testing.assert_allclose(normal[0], (-1, 0, 0), atol=1e-6)


def test_a_ray_meets_the_mantle_of_a_cone_with_round_ends() -> None:
    limb = Limb(np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.2, 0.1, "skin", np.eye(3))

    reach, normal, _ = hit_limb(limb, origin_m=np.array([-2.0, 0.0, 0.5]), rays=np.array([[1.0, 0.0, 0.0]]))

    # On the mantle every point touches a sphere between the ends: its distance to the axis is that sphere's
    # radius over cos(a), with sin(a) = 0.1, and the radius falls by sin(a) per metre of height.
    cosine = np.sqrt(1 - 0.1**2)
    assert reach[0] == pytest.approx(2 - (0.2 - 0.5 * 0.1) / cosine)
    np.testing.assert_allclose(normal[0], (-cosine, 0, 0.1), atol=1e-9)


def test_a_flattened_limb_is_thinner_in_depth_than_in_width() -> None:
    limb = Limb(np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.2, 0.2, "top", np.eye(3), depth=0.5)

    front, *_ = hit_limb(limb, origin_m=np.array([2.0, 0.0, 0.5]), rays=np.array([[-1.0, 0.0, 0.0]]))
    side, *_ = hit_limb(limb, origin_m=np.array([0.0, 2.0, 0.5]), rays=np.array([[0.0, -1.0, 0.0]]))

    assert front[0] == pytest.approx(1.9)
    assert side[0] == pytest.approx(1.8)


def test_a_ray_meets_the_near_side_of_a_turned_box() -> None:
    box = Box(np.array([2.0, 0.0, 0.0]), np.array([0.5, 0.2, 1.0]), np.pi / 2, (1, 1, 1))

    reach, normal = hit_box(box, origin_m=np.zeros(3), rays=np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))

    assert reach[0] == pytest.approx(1.8)
    assert np.isinf(reach[1])
    np.testing.assert_allclose(normal[0], (-1, 0, 0), atol=1e-9)


def test_every_limb_has_a_paint() -> None:
    actor = a_standing_actor()

    limbs = make_limbs(actor.motion().points[0], actor.body)

    assert {limb.paint for limb in limbs} <= set(PAINTS)


def test_the_person_is_drawn_where_the_camera_sees_the_joints() -> None:
    actor = a_standing_actor()
    camera = a_camera(width_px=160, height_px=120)
    renderer = Renderer(camera, actor.body, look=Look(top=(0.9, 0.05, 0.05)))

    points = actor.motion().points[-1]
    picture = renderer.draw(points)

    assert picture.shape == (120, 160, 3)
    x, y = np.round(camera.project(points[P["chest"]])[0]).astype(int)
    red, green, blue = (int(value) for value in picture[y, x])
    assert red > 2 * max(green, blue)
    assert np.array_equal(picture[:5], renderer.draw(points)[:5])


def test_a_video_holds_every_picture(tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), 10 * i, dtype=np.uint8) for i in range(12)]

    write_video(tmp_path / "small.mp4", pictures)

    with av.open(str(tmp_path / "small.mp4")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 12
    assert abs(float(decoded[11].mean()) - 110) < 6
    assert [path.name for path in tmp_path.iterdir()] == ["small.mp4"]


def test_a_video_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[ImageArray]:
        yield np.zeros((48, 64, 3), dtype=np.uint8)
        raise RuntimeError("the renderer failed")

    with pytest.raises(RuntimeError, match="the renderer failed"):
        write_video(tmp_path / "small.mp4", broken())

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("story", STORIES)
def test_a_sample_story_stays_in_the_picture(story) -> None:  # type: ignore[no-untyped-def]
    film = story(seed=0)

    xy = exact_joints(film)[..., :2]

    inside = (xy > 0).all(axis=-1) & (xy[..., 0] < film.camera.width_px) & (xy[..., 1] < film.camera.height_px)
    assert inside.mean() > 0.98
    assert len(xy) == len(film.frames)


@pytest.mark.weights
@pytest.mark.skipif(not blazepose_path().is_file(), reason="BlazePose's weights are missing: har models pull blazepose")
def test_blazepose_finds_the_rendered_person_where_the_joints_are() -> None:
    actor = a_standing_actor()
    camera = a_camera(width_px=480, height_px=360)
    points = actor.motion().points[-1]
    picture = Renderer(camera, actor.body, look=Look()).draw(points)
    truth, _ = camera.project(points[:N_COCO])

    estimator = open_estimator("blazepose", max_people=2)
    try:
        poses = [estimator.estimate(Frame(picture, t, t, "test")) for t in (0.0, 0.1, 0.2)][-1]
    finally:
        estimator.close()

    assert len(poses) == 1
    trunk_px = np.linalg.norm(truth[[5, 6]].mean(axis=0) - truth[[11, 12]].mean(axis=0))
    error = np.linalg.norm(poses[0].xy - truth, axis=1) / trunk_px
    assert np.median(error) < 0.12
