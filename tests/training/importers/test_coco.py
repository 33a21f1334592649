"""COCO's keypoint JSON, written as its format page describes it, and the samples of mmpose's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import layout
from har.errors import ClipError
from tests.training.importers.builders import Array, imported, in_pixels, moving_body


def content(joints: Array, *, video: bool = True, tracks: bool = True, name: str = "coco17") -> dict[str, Any]:
    """Write joints (T, M, V, 3) with visibility 2."""
    which = layout(name)
    images = [
        {"id": 10 + t, "file_name": f"{t:06d}.jpg", "width": 640, "height": 480}
        | ({"video_id": 7, "frame_id": t} if video else {})
        for t in range(len(joints))
    ]
    annotations = [
        {
            "id": 100 * t + m, "image_id": 10 + t, "category_id": 1, "num_keypoints": which.n_joints, "iscrowd": 0,
            "keypoints": [value for x, y, _ in body.astype(float) for value in (x, y, 2)],
        } | ({"track_id": m} if tracks else {})
        for t, frame in enumerate(joints) for m, body in enumerate(frame)
    ]  # fmt: skip
    category = {
        "id": 1, "name": "person", "keypoints": list(which.joints), "skeleton": [[a + 1, b + 1] for a, b in which.edges]
    }  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": [category]}


def bodies(*, n_people: int = 2) -> Array:
    joints = in_pixels(moving_body("coco17", n_people=n_people))
    joints[..., 2] = 1
    return joints


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_a_video_comes_in_as_it_was_written(tmp_path: Path) -> None:
    joints = bodies()
    value = content(joints) | {"videos": [{"id": 7, "name": "hall", "fps": 25, "label": "dance"}]}
    value["images"] = value["images"][::-1]

    clips, _ = imported("coco", write(tmp_path / "set.json", value), tmp_path / "clips")

    (clip,) = clips
    np.testing.assert_allclose(clip.joints, joints, atol=1 / 32)
    assert (clip.id, clip.label, clip.layout, clip.units, clip.up) == ("7", "dance", "coco17", "px", "-y")
    assert (clip.rate_hz, clip.rate_known, clip.width_px, clip.height_px) == (25.0, True, 640, 480)
    np.testing.assert_allclose(clip.time_s, np.arange(6) / 25)


def test_frames_that_were_left_out_are_gaps_in_time(tmp_path: Path) -> None:
    value = content(bodies(n_people=1))
    for image in value["images"]:
        image["frame_id"] = 1000 + 4 * image["frame_id"]

    clips, _ = imported("coco", write(tmp_path / "set.json", value), tmp_path / "clips")

    np.testing.assert_allclose(clips[0].time_s, np.arange(6) * 4 / 30)


def test_people_without_numbers_are_followed_and_a_table_gives_labels(tmp_path: Path) -> None:
    joints = bodies()
    shuffled = joints.copy()
    shuffled[1::2] = joints[1::2, ::-1]
    (tmp_path / "labels.csv").write_text("clip,label,subject,split\nset,fall,anna,test\n")
    path = write(tmp_path / "set.json", content(shuffled, video=False, tracks=False))

    clips, _ = imported("coco", path, tmp_path / "clips", labels=tmp_path / "labels.csv")

    (clip,) = clips
    np.testing.assert_allclose(clip.joints, joints, atol=1 / 32)
    assert (clip.id, clip.label, clip.danger, clip.subject) == ("set", "fall", True, "anna")
    assert dict(clip.splits) == {"official": "test"}


def test_folders_of_images_are_clips_and_hidden_joints_count_half(tmp_path: Path) -> None:
    value = content(bodies(n_people=1), video=False)
    for number, image in enumerate(value["images"]):
        image["file_name"] = f"{'ab'[number % 2]}/{number}.jpg"
    value["annotations"][0]["keypoints"][:6] = [0, 0, 0, 50, 60, 1]

    clips, _ = imported("coco", write(tmp_path / "set.json", value), tmp_path / "clips")

    assert [(clip.id, len(clip.time_s)) for clip in clips] == [("a", 3), ("b", 3)]
    assert np.isnan(clips[0].joints[0, 0, 0]).all()
    np.testing.assert_array_equal(clips[0].joints[0, 0, 1], [50, 60, 0.5])


def test_joints_of_no_known_layout_make_one_of_their_own(tmp_path: Path) -> None:
    value = content(bodies(n_people=1))
    value["categories"][0]["keypoints"][0] = "beak"

    clips, ledger = imported("coco", write(tmp_path / "set.json", value), tmp_path / "clips")

    assert clips[0].layout.startswith("own-")
    assert layout(clips[0].layout).joints[:2] == ("beak", "left_eye")
    assert (tmp_path / "clips" / "layouts.json").exists()
    assert any("8 pairs" in note for note in ledger.notes)


def spoilt(change: Any) -> dict[str, Any]:
    value = content(bodies())
    change(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "no list of images"),
        ({"images": []}, "no list of annotations"),
        (spoilt(lambda v: v["annotations"].clear()), "no annotation has keypoints"),
        (spoilt(lambda v: v["annotations"][3]["keypoints"].pop()), "annotation 101.*multiple of 3"),
        (spoilt(lambda v: v["annotations"][3].update(keypoints=[1, 2, 2] * 16)), "have 16 and 17 joints"),
        (spoilt(lambda v: v["annotations"][3]["keypoints"].__setitem__(0, "x")), "annotation 101.*must be numbers"),
        (spoilt(lambda v: v["annotations"][3].update(track_id=0)), "image 11: track_id 0 comes twice"),
        (spoilt(lambda v: v["images"][1].update(frame_id=0)), "clip 7: frame 0 comes twice"),
        (spoilt(lambda v: v["images"][1].update(frame_id=10**12)), "its frames are numbered"),
        (spoilt(lambda v: v["categories"][0]["keypoints"].pop()), "names 16 joints, annotations have 17"),
        (spoilt(lambda v: v["categories"][0].update(skeleton=[[1]])), "a list of pairs of joints"),
        (spoilt(lambda v: v["categories"][0]["keypoints"].__setitem__(0, "left_eye")), "comes twice"),
        (
            spoilt(lambda v: [i.pop("video_id") for i in v["images"]] and v["images"][0].update(width=9)),
            "of different sizes and name no video",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_place(tmp_path: Path, value: Any, text: str) -> None:
    path = write(tmp_path / "set.json", value)

    with pytest.raises(ClipError, match=text) as caught:
        imported("coco", path, tmp_path / "clips")

    assert str(path) in str(caught.value)
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize("blob", [b"", b"{", b"\x00\xff", json.dumps(content(bodies())).encode()[:900]])
def test_what_is_no_json_is_refused(tmp_path: Path, blob: bytes) -> None:
    (tmp_path / "a.json").write_bytes(blob)

    with pytest.raises(ClipError, match=r"a\.json"):
        imported("coco", tmp_path / "a.json", tmp_path / "clips")


@pytest.mark.data
def test_posetrack18_samples_of_mmpose_come_in(tmp_path: Path, har_data: Path) -> None:
    path = har_data / "mm_samples/tests/data/posetrack18/annotations/val/003418_mpii_test.json"

    clips, ledger = imported("coco", path, tmp_path / "clips")

    raw = json.loads(path.read_text())
    first = raw["annotations"][0]["keypoints"]
    joints = clips[0].joints
    assert joints.shape[2] == 17
    assert layout(clips[0].layout).joints[1] == "head_bottom"
    assert np.isclose(joints[..., 0], first[0], atol=1 / 16).any()
    assert len(clips) == len({image["vid_id"] for image in raw["images"]}) - sum(ledger.left_out.values())
    with pytest.raises(ClipError, match="different sizes and name no video"):
        imported("coco", har_data / "mm_samples/tests/data/coco/test_coco.json", tmp_path / "coco")
