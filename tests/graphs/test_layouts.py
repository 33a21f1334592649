from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs import (
    LAYOUTS,
    Layout,
    LayoutError,
    is_own,
    layout,
    map_joints,
    maps_from,
    mirror_joints,
    swap_sides,
    to_image_axes,
)

DATA = Path(os.environ.get("HAR_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
N_JOINTS = {
    "coco17": 17, "blazepose33": 33, "openpose18": 18, "ntu25": 25,
    "kinect20": 20, "nite15": 15, "jhmdb15": 15, "h36m17": 17,
}  # fmt: skip
names = st.sampled_from(sorted(LAYOUTS))


def some_joints(name: str, *, seed: int = 0, n_frames: int = 4, n_channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_frames, layout(name).n_joints, n_channels)).astype(np.float32)


def test_the_eight_layouts_have_their_published_number_of_joints() -> None:
    assert {name: each.n_joints for name, each in LAYOUTS.items() if not is_own(name)} == N_JOINTS


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_layout_names_each_joint_once_and_pairs_left_with_right(name: str) -> None:
    which = layout(name)

    sided = {joint for joint in which.joints if "left" in joint or "right" in joint}
    paired = [which.joints[index] for pair in which.pairs for index in pair]

    assert len(set(which.joints)) == which.n_joints
    assert sorted(paired) == sorted(sided)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_skeleton_looks_the_same_from_left_and_right(name: str) -> None:
    which = layout(name)
    order = which.mirror_order

    edges = {frozenset(edge) for edge in which.edges}

    assert {frozenset((order[a], order[b])) for a, b in edges} == edges
    assert {order[joint] for joint in which.centre} == set(which.centre)


def test_an_unknown_layout_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(LayoutError, match=r"'coco18'.*blazepose33, coco17, h36m17"):
        layout("coco18")


@pytest.mark.parametrize(
    "bones",
    [((1, 0),), ((1, 0), (1, 2)), ((1, 2), (2, 1)), ((1, 0), (2, 3))],
    ids=["hole", "two parents", "ring", "range"],
)
def test_bones_that_are_no_tree_are_refused(bones: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(LayoutError, match="layout 'bad'"):
        Layout(name="bad", joints=("a", "b", "c"), bones=bones, centre=(0,))


def test_blazepose_to_coco_picks_the_joints_of_the_same_name() -> None:
    joints = some_joints("blazepose33")

    mapped = map_joints(joints, "blazepose33", "coco17")

    for index, joint in enumerate(layout("coco17").joints):
        np.testing.assert_array_equal(mapped[:, index], joints[:, layout("blazepose33").joints.index(joint)])
    assert mapped.dtype == np.float32
    assert mapped.flags.c_contiguous


def test_the_neck_of_a_coco_skeleton_is_the_middle_of_its_shoulders() -> None:
    joints = some_joints("coco17")

    mapped = map_joints(joints, "coco17", "openpose18")

    np.testing.assert_allclose(mapped[:, 1], (joints[:, 5] + joints[:, 6]) / 2, rtol=1e-6)


def test_the_spine_of_a_coco_skeleton_is_the_middle_of_its_trunk() -> None:
    joints = some_joints("coco17")

    mapped = map_joints(joints, "coco17", "kinect20")

    np.testing.assert_allclose(mapped[:, 1], joints[:, [5, 6, 11, 12]].mean(axis=1), rtol=1e-5, atol=1e-6)


def test_a_hidden_shoulder_hides_the_neck_and_nothing_else() -> None:
    joints = some_joints("coco17")
    joints[:, 5] = np.nan

    mapped = map_joints(joints, "coco17", "openpose18")

    hidden = np.isnan(mapped).all(axis=(0, 2))
    assert [layout("openpose18").joints[i] for i in np.flatnonzero(hidden)] == ["neck", "left_shoulder"]
    assert not np.isnan(mapped[:, ~hidden]).any()


def test_a_pair_without_a_map_is_refused_with_the_maps_there_are() -> None:
    with pytest.raises(LayoutError, match=r"no map from 'coco17' to 'ntu25'.*can be mapped to: coco17, h36m17"):
        map_joints(some_joints("coco17"), "coco17", "ntu25")


def test_joints_of_another_layout_are_refused() -> None:
    with pytest.raises(LayoutError, match=r"'coco17' must be \(\.\.\., 17, C\).*18"):
        map_joints(some_joints("openpose18"), "coco17", "openpose18")


@given(source=names, seed=st.integers(0, 9))
def test_mapping_commutes_with_swapping_sides_and_keeps_a_layout_as_it_is(source: str, seed: int) -> None:
    joints = some_joints(source, seed=seed)

    for target in maps_from(source):
        one = map_joints(swap_sides(joints, source), source, target)
        other = swap_sides(map_joints(joints, source, target), target)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(map_joints(joints, source, source), joints)


@given(source=names, shift=st.floats(-5, 5, width=32))
def test_a_moved_body_maps_to_a_moved_body(source: str, shift: float) -> None:
    joints = some_joints(source)

    for target in maps_from(source):
        moved = map_joints(joints + np.float32(shift), source, target)
        np.testing.assert_allclose(moved, map_joints(joints, source, target) + np.float32(shift), rtol=1e-4, atol=1e-4)


@given(name=names, seed=st.integers(0, 9))
def test_mirroring_twice_gives_the_body_back(name: str, seed: int) -> None:
    joints = some_joints(name, seed=seed)
    before = joints.copy()

    twice = mirror_joints(mirror_joints(joints, name), name)

    np.testing.assert_array_equal(twice, joints)
    np.testing.assert_array_equal(joints, before)


def test_mirroring_in_pixels_turns_about_the_middle_of_the_picture() -> None:
    joints = np.zeros((17, 3), dtype=np.float32)
    joints[5] = (100.0, 7.0, 0.5)

    mirrored = mirror_joints(joints, "coco17", about_x=320.0)

    np.testing.assert_array_equal(mirrored[6], np.array([540.0, 7.0, 0.5], dtype=np.float32))


def test_kinect_axes_turn_into_image_axes() -> None:
    joints = np.ones((20, 3), dtype=np.float32)

    turned = to_image_axes(joints, "kinect20")

    np.testing.assert_array_equal(turned[0], [-1.0, -1.0, 1.0])
    np.testing.assert_array_equal(to_image_axes(np.ones((17, 3), dtype=np.float32), "coco17"), np.ones((17, 3)))


def test_importing_graphs_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, graphs, graphs.layouts, graphs.adjacency; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
@pytest.mark.parametrize(("folder", "name"), [("nw_ucla", "kinect20"), ("kard", "nite15"), ("jhmdb14", "jhmdb15")])
def test_layouts_agree_with_the_data_sets_own_joints_edges_and_sides(folder: str, name: str) -> None:
    path = DATA / folder / f"{folder}.npz"
    if not path.exists():
        pytest.skip(f"{folder} is not under HAR_DATA")
    which = layout(name)

    with np.load(path, allow_pickle=False) as archive:
        joint_names, edges, keypoints = archive["joint_names"], archive["edges"], archive["keypoints"]

    left, right = next(pair for pair in which.pairs if "shoulder" in which.joints[pair[0]])
    left_x, right_x = keypoints[:, 0, :, left, 0], keypoints[:, 0, :, right, 0]
    seen = ~np.isnan(left_x + right_x)
    share_of_left_larger = (left_x > right_x)[seen].mean()
    head = next(i for i, joint in enumerate(which.joints) if joint in ("head", "face"))
    head_up = np.nanmean(keypoints[:, 0, :, head, 1] - keypoints[:, 0, :, left, 1])
    assert tuple(map(str, joint_names)) == which.joints
    assert {frozenset(edge) for edge in edges.tolist()} == {frozenset(edge) for edge in which.edges}
    assert (share_of_left_larger > 0.5) == (which.handedness == "anatomical")
    assert (head_up > 0) == (which.y_axis == "up")
