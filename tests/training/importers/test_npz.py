"""The neutral npz: the five real sets, and made-up ones for what they do not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import layout
from har.errors import ClipError
from tests.training.importers.builders import imported, moving_body


def written(path: Path, **changes: Any) -> Path:
    """Write a set of three KARD-like clips of 4, 6 and 5 frames."""
    which = layout("nite15")
    keypoints = np.stack([moving_body("nite15", seed=i).transpose(1, 0, 2, 3) * 1000 for i in range(3)])
    length = np.array([4, 6, 5])
    for clip, n_frames in enumerate(length):
        keypoints[clip, :, n_frames:] = np.nan
    arrays: dict[str, Any] = {
        "keypoints": keypoints, "length": length, "labels": np.array([0, 1, 0]), "units": "millimetres x,y(up),z",
        "label_names": np.array(["walk", "fall down"]), "joint_names": np.array(which.joints),
        "edges": np.array(which.edges), "clip_ids": np.array(["a", "b", "c"]), "subject": np.array([1, 2, 1]),
        "split": np.array(["train", "test", ""]), "split2": np.array(["test", "train", "train"]),
    }  # fmt: skip
    np.savez_compressed(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def test_a_set_comes_in_as_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "set.npz")

    clips, ledger = imported("npz", path, tmp_path / "clips", licence="made in a test")

    assert [clip.id for clip in clips] == ["a", "b", "c"]
    assert [clip.label for clip in clips] == ["walk", "fall down", "walk"]
    assert [clip.danger for clip in clips] == [False, True, False]
    assert [clip.subject for clip in clips] == ["1", "2", "1"]
    assert [dict(clip.splits) for clip in clips] == [
        {"official": "train", "split2": "test"}, {"official": "test", "split2": "train"}, {"split2": "train"},
    ]  # fmt: skip
    for number, clip in enumerate(clips):
        want = moving_body("nite15", seed=number)[: len(clip.time_s)] * 1000
        np.testing.assert_array_equal(clip.joints, want)
    assert [len(clip.time_s) for clip in clips] == [4, 6, 5]
    first = clips[0]
    assert (first.layout, first.units, first.up, first.rate_hz, first.rate_known) == ("nite15", "mm", "+y", 30.0, False)
    assert (first.source, first.licence) == ("set", "made in a test")
    assert not ledger.left_out


def test_a_rate_that_is_given_is_known(tmp_path: Path) -> None:
    clips, _ = imported("npz", written(tmp_path / "set.npz"), tmp_path / "clips", rate_hz=15.0)

    assert (clips[0].rate_hz, clips[0].rate_known) == (15.0, True)
    np.testing.assert_allclose(clips[0].time_s, np.arange(4) / 15)


def test_zeros_and_padding_are_missing_and_told_of(tmp_path: Path) -> None:
    keypoints = np.stack([moving_body("nite15", seed=i).transpose(1, 0, 2, 3) for i in range(3)])
    keypoints[0, 0, 2] = 0
    keypoints[1, 0, 3, 4] = 0
    keypoints[2] = 0
    path = written(tmp_path / "set.npz", keypoints=keypoints, units=None, length=np.array([6, 6, 6]))

    clips, ledger = imported("npz", path, tmp_path / "clips")

    assert [clip.id for clip in clips] == ["a", "b"]
    assert np.isnan(clips[0].joints[2]).all()
    assert np.isfinite(np.delete(clips[0].joints, 2, axis=0)).all()
    assert np.flatnonzero(np.isnan(clips[1].joints[..., 0])).tolist() == [3 * 15 + 4]
    assert ledger.n_with_gaps == 1
    assert ledger.examples == {"no joint is seen in any frame": ["c"]}


def test_a_joint_at_the_origin_of_the_set_is_not_missing(tmp_path: Path) -> None:
    keypoints = np.stack([moving_body("nite15", seed=i).transpose(1, 0, 2, 3) for i in range(3)])
    keypoints -= keypoints[..., 8:9, :]

    clips, _ = imported("npz", written(tmp_path / "set.npz", keypoints=keypoints, units="metres"), tmp_path / "clips")

    assert np.isfinite(clips[0].joints).all()


def test_without_lengths_ids_names_and_labels_there_is_still_a_set(tmp_path: Path) -> None:
    bare = dict.fromkeys(("length", "clip_ids", "subject", "labels", "label_names", "split", "split2", "units"))

    clips, ledger = imported("npz", written(tmp_path / "my set.npz", **bare), tmp_path / "clips")

    assert [clip.id for clip in clips] == ["my set-00000", "my set-00001", "my set-00002"]
    assert [len(clip.time_s) for clip in clips] == [4, 6, 5]
    assert {clip.label for clip in clips} == {None}
    assert (clips[0].units, clips[0].up) == ("mm", "+y")
    assert any("units are not stated" in note for note in ledger.notes)


def test_joints_of_a_known_layout_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(15)
    which = layout("nite15")
    keypoints = np.stack([moving_body("nite15", seed=i).transpose(1, 0, 2, 3) for i in range(3)])
    path = written(
        tmp_path / "set.npz", keypoints=keypoints[..., order, :], length=None, edges=None,
        joint_names=np.array([which.joints[i].title() for i in order]), units="m, y up",
    )  # fmt: skip

    clips, _ = imported("npz", path, tmp_path / "clips")

    np.testing.assert_array_equal(clips[0].joints, keypoints[0].transpose(1, 0, 2, 3))
    assert clips[0].layout == "nite15"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"keypoints": None}, "keypoints is missing"),
        ({"keypoints": np.zeros((3, 6, 15, 3), np.float32)}, "keypoints has 4 axes"),
        ({"keypoints": np.zeros((0, 1, 6, 15, 3), np.float32)}, "there is nothing in them"),
        ({"keypoints": np.zeros((3, 1, 6, 15, 3), np.int32)}, "keypoints is of type"),
        ({"keypoints": np.ones((3, 1, 6, 15, 5), np.float32)}, r"clip 'a': joints must be \(T, M, 15, 2 to 4\)"),
        ({"keypoints": np.ones((3, 1, 6, 14, 3), np.float32)}, "joint_names has 15 names for 14 joints"),
        ({"length": np.array([4, 9, 5])}, "length of clip 1 is 9"),
        ({"length": np.array([4, -1, 5])}, "length of clip 1 is -1"),
        ({"length": np.array([4, 6])}, "length has 2 entries for 3 clips"),
        ({"labels": np.array([0, 2, 0])}, "label 2 of clip 1 has no name"),
        ({"clip_ids": np.array(["a", "b", "a"])}, "clip id 'a' comes twice"),
        ({"split": np.array(["train", "tset", "train"])}, "split of clip 1 is 'tset'"),
        ({"joint_names": np.array(["a"] * 15)}, "'a' comes twice"),
        ({"joint_names": np.array([f"j{i}" for i in range(15)]), "edges": None}, "no bones are named"),
        ({"joint_names": np.array([f"j{i}" for i in range(15)]), "edges": np.array([[0, 99]])}, "edges name joints"),
        ({"edges": np.zeros((4, 3), int), "joint_names": np.array([f"j{i}" for i in range(15)])}, r"must be \(E, 2\)"),
        ({"joint_names": None, "layout": "octopus_8"}, "Store joint_names and edges with it"),
        ({"label_names": np.array([{}, []], dtype=object)}, "plain numbers|of type"),
    ],
)
def test_a_set_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path, changes: Any, text: str) -> None:
    path = written(tmp_path / "set.npz", **changes)

    with pytest.raises(ClipError, match=text) as caught:
        imported("npz", path, tmp_path / "clips")

    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["set.npz"]


@pytest.mark.parametrize("cut", [0, 10, 500, -10])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "set.npz")
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(ClipError, match=r"set\.npz"):
        imported("npz", path, tmp_path / "clips")


EXPECTED = {  # clips, layout, units, up, splits of the first clip
    "nw_ucla": (1484, "kinect20", "m", "+y", {"official": "train"}),
    "msr_action3d": (566, "kinect20", "m", "+y", {"official": "train"}),
    "kard": (540, "nite15", "mm", "+y", {}),
    "jhmdb14": (609, "jhmdb15", "body", "-y", {"split1": "train", "split2": "train", "split3": "train"}),
    "le2i_md4fd": (67, "own-", "norm", "-y", {}),
}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_every_set_at_hand_comes_in_without_an_option(tmp_path: Path, har_data: Path, name: str) -> None:
    path = har_data / name / f"{name}.npz"
    with np.load(path, allow_pickle=False) as file:
        keypoints, lengths, labels, names = (file[key] for key in ("keypoints", "length", "labels", "label_names"))
        ids = file["clip_ids"] if "clip_ids" in file.files else [f"{name}-{i:05d}" for i in range(len(labels))]
    n_clips, layout_name, units, up, splits = EXPECTED[name]

    clips, ledger = imported("npz", path, tmp_path / "clips")

    assert len(clips) == n_clips == len(ids) - sum(ledger.left_out.values())
    assert clips[0].layout.startswith(layout_name)
    assert {(clip.units, clip.up, clip.rate_hz, clip.rate_known) for clip in clips} == {(units, up, 30.0, False)}
    assert dict(clips[0].splits) == splits
    row = {str(clip_id): number for number, clip_id in enumerate(ids)}
    for clip in clips[:: max(1, n_clips // 50)]:
        number = row[clip.id]
        raw = keypoints[number, 0, : lengths[number]]
        assert clip.label == str(names[labels[number]])
        assert len(clip.time_s) == lengths[number]
        height = raw[..., 1].mean(axis=1)
        ours = np.nanmean(clip.joints[:, 0, :, 1], axis=1) if np.isfinite(clip.joints).all() else height
        np.testing.assert_allclose(ours, height, rtol=1e-3, atol=1e-3)


@pytest.mark.data
@pytest.mark.slow
def test_heads_are_above_feet_and_sides_on_their_side_in_all_3d_sets(tmp_path: Path, har_data: Path) -> None:
    for name in ("nw_ucla", "msr_action3d", "kard"):
        clips, _ = imported("npz", har_data / name / f"{name}.npz", tmp_path / name)
        which = layout(clips[0].layout)
        head, foot, left, right = (which.joints.index(j) for j in ("head", "foot_left", "hip_left", "hip_right"))
        joints = np.concatenate([clip.joints[:, 0] for clip in clips])

        assert np.nanmedian(joints[:, head, 1] - joints[:, foot, 1]) > 0
        left_larger = np.nanmean(joints[:, left, 0] > joints[:, right, 0])
        assert (left_larger > 0.5) == (which.handedness == "anatomical")
