from __future__ import annotations

import pytest
import torch

from har.errors import ShapeError
from har.models.inputs import features, n_channels, n_dims


def some_joints(n: int = 2, t: int = 5, *, dims: int = 2, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand((n, t, 17, dims + 1), generator=rng)


@pytest.mark.parametrize("dims", [2, 3])
def test_an_input_of_several_parts_is_these_parts_side_by_side(dims: int) -> None:
    joints, kind = some_joints(dims=dims), "joint+bone+motion+bone motion"

    parts = [features(joints, layout_name="coco17", kind=part) for part in kind.split("+")]
    together = features(joints, layout_name="coco17", kind=kind)

    assert torch.equal(together, torch.cat(parts, dim=-1))
    assert together.shape[-1] == n_channels(kind, layout_name="coco17", dims=dims) == 4 * (dims + 1)
    assert n_dims(kind, layout_name="coco17", channels=together.shape[-1]) == dims


def test_joints_alone_are_what_was_given() -> None:
    joints = some_joints()

    assert torch.equal(features(joints, layout_name="coco17", kind="joint"), joints)


def test_motion_is_the_way_since_the_frame_before_and_none_at_first() -> None:
    joints = some_joints()

    motion = features(joints, layout_name="coco17", kind="motion")

    torch.testing.assert_close(motion[:, 1:, :, :2], joints[:, 1:, :, :2] - joints[:, :-1, :, :2])
    assert (motion[:, 0, :, :2] == 0).all()
    assert torch.equal(motion[:, 1:, :, 2], torch.minimum(joints[:, 1:, :, 2], joints[:, :-1, :, 2]))


def test_motion_of_bones_does_not_see_a_body_that_moves_as_one() -> None:
    joints = some_joints(1, 4)
    joints[..., :2] = joints[:, :1, :, :2] + torch.arange(4).reshape(1, 4, 1, 1)

    bones = features(joints, layout_name="coco17", kind="bone motion")
    whole = features(joints, layout_name="coco17", kind="motion")

    torch.testing.assert_close(bones[..., :2], torch.zeros_like(bones[..., :2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole[:, 1:, :, :2], torch.ones_like(whole[:, 1:, :, :2]))


def test_a_joint_not_known_neither_moves_nor_seems_to_jump() -> None:
    joints = some_joints(1, 6)
    joints[0, 2:4, 9] = torch.nan

    motion = features(joints, layout_name="coco17", kind="motion")

    assert motion.isfinite().all()
    assert (motion[0, 2:5, 9] == 0).all()
    assert (motion[0, 5, 9, :2] != 0).all()


def test_motion_at_a_frame_does_not_depend_on_later_ones() -> None:
    joints = some_joints(1, 8)

    whole = features(joints, layout_name="coco17", kind="joint+motion+bone motion")
    early = features(joints[:, :5], layout_name="coco17", kind="joint+motion+bone motion")

    assert torch.equal(whole[:, :5], early)


@pytest.mark.parametrize("kind", ["", "joints", "joint+", "joint+joint", "bone+skin"])
def test_an_input_that_is_not_known_is_refused_with_those_that_are(kind: str) -> None:
    with pytest.raises(ShapeError, match="joint, bone, motion"):
        features(some_joints(), layout_name="coco17", kind=kind)


def test_channels_that_no_number_of_dimensions_gives_are_refused() -> None:
    with pytest.raises(ShapeError, match="5 channels"):
        n_dims("joint+bone", layout_name="coco17", channels=5)


@pytest.mark.parametrize("dims", [2, 3])
def test_distances_are_those_between_all_joints_and_no_turn_of_the_body_changes_them(dims: int) -> None:
    joints = some_joints(dims=dims)
    turn = torch.linalg.qr(torch.randn(dims, dims, generator=torch.Generator().manual_seed(1)))[0]
    turned = torch.cat([joints[..., :-1] @ turn + 3, joints[..., -1:]], dim=-1)

    here, there = (
        features(each, layout_name="coco17", kind="joint+distance")[..., dims + 1 :] for each in (joints, turned)
    )

    assert here.shape == (2, 5, 17, 17)
    assert here.shape[-1] + dims + 1 == n_channels("joint+distance", layout_name="coco17", dims=dims)
    assert n_dims("bone+distance", layout_name="coco17", channels=17 + dims + 1) == dims
    wanted = (joints[1, 2, 3, :-1] - joints[1, 2, 9, :-1]).norm()
    torch.testing.assert_close(here[1, 2, 3, 9], wanted)
    torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-5)


def test_the_distance_to_a_joint_not_known_is_zero() -> None:
    joints = some_joints()
    joints[0, 1, 4] = torch.nan

    away = features(joints, layout_name="coco17", kind="joint+distance")[0, 1, :, 3:]

    assert (away[4] == 0).all()
    assert (away[:, 4] == 0).all()
    assert (away[0, 1:4] > 0).all()


def test_distances_alone_are_refused_since_they_do_not_tell_the_dimensions() -> None:
    with pytest.raises(ShapeError, match="alone"):
        features(some_joints(), layout_name="coco17", kind="distance")
