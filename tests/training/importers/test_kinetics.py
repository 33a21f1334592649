"""Kinetics-skeleton's JSON, written as st-gcn's documents describe it; no real file is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.errors import ClipError
from tests.training.importers.builders import Array, imported, in_pixels, moving_body

PICTURE = np.float32([340, 256])


def bodies(*, n_people: int = 2) -> Array:
    """Give joints (T, M, 18, 3) as shares of the picture, with scores."""
    joints = in_pixels(moving_body("openpose18", n_people=n_people))
    joints[..., :2] = np.round(joints[..., :2] / np.float32([640, 480]), 3)
    return joints


def video(joints: Array, *, label: str = "juggling") -> dict[str, Any]:
    data = [
        {
            "frame_index": number + 1,
            "skeleton": [
                {"pose": body[:, :2].ravel().tolist(), "score": body[:, 2].tolist()}
                for body in frame
                if np.isfinite(body).all()
            ],
        }
        for number, frame in enumerate(joints.astype(float).round(3))
    ]
    return {"data": data, "label": label, "label_index": 3}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_a_folder_comes_in_as_it_was_written(tmp_path: Path) -> None:
    joints = bodies()
    write(tmp_path / "set" / "kinetics_train" / "-0aBc.json", video(joints))
    write(tmp_path / "set" / "kinetics_val" / "xyz.json", video(joints[:3], label="waving"))
    write(tmp_path / "set" / "kinetics_val_label.json", {"xyz": {"has_skeleton": True, "label": "bowing"}})

    clips, _ = imported("kinetics", tmp_path / "set", tmp_path / "clips")

    first, second = clips
    np.testing.assert_allclose(first.joints, joints, atol=1e-6)
    assert (first.id, first.label, dict(first.splits)) == ("-0aBc", "juggling", {"official": "train"})
    assert (second.label, dict(second.splits), len(second.time_s)) == ("bowing", {"official": "test"}, 3)
    assert (first.layout, first.units, first.up) == ("openpose18", "norm", "-y")
    assert (first.rate_hz, first.rate_known, first.width_px, first.height_px) == (30.0, True, 340, 256)


def test_people_keep_their_place_when_they_come_in_another_order(tmp_path: Path) -> None:
    joints = bodies()
    shuffled = joints.copy()
    shuffled[1::2] = joints[1::2, ::-1]
    write(tmp_path / "a.json", video(shuffled))

    clips, _ = imported("kinetics", tmp_path / "a.json", tmp_path / "clips")

    np.testing.assert_allclose(clips[0].joints, joints, atol=1e-6)


def test_zeros_are_missing_gaps_stay_and_empty_videos_are_left_out(tmp_path: Path) -> None:
    joints = bodies(n_people=1)
    joints[2, 0, 5] = 0
    content = video(joints)
    del content["data"][4]
    write(tmp_path / "set" / "a.json", content)
    write(tmp_path / "set" / "b.json", video(joints) | {"data": []})
    write(tmp_path / "set" / "c.json", video(joints[:, :0]))

    clips, ledger = imported("kinetics", tmp_path / "set", tmp_path / "clips")

    assert len(clips[0].time_s) == 6
    assert np.isnan(clips[0].joints[4]).all()
    assert np.isnan(clips[0].joints[2, 0, 5]).all()
    assert ledger.examples == {"nobody in any frame": ["b", "c"]}


def spoilt(change: Any) -> dict[str, Any]:
    content = video(bodies())
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([], "a list of frames called data"),
        ({"data": 3}, "a list of frames called data"),
        (spoilt(lambda c: c["data"][1]["skeleton"][0]["pose"].pop()), "frame 2, person 0: pose has 35 values"),
        (spoilt(lambda c: c["data"][1]["skeleton"][1]["score"].append(1)), "frame 2, person 1: score has 19 values"),
        (spoilt(lambda c: c["data"][1]["skeleton"].append(None)), "frame 2, person 2: pose has no values"),
        (spoilt(lambda c: c["data"][1]["skeleton"][0]["pose"].__setitem__(0, "a")), "must be lists of numbers"),
        (spoilt(lambda c: c["data"][1]["skeleton"][0]["pose"].__setitem__(0, 10**400)), "must be lists of numbers"),
        (spoilt(lambda c: c["data"][1].update(frame_index=1)), "frame_index must be"),
        (spoilt(lambda c: c["data"][1].update(frame_index=10**9)), "frame_index must be"),
        (spoilt(lambda c: c["data"][1].update(skeleton={})), "frame 2: skeleton must be a list"),
        (spoilt(lambda c: c.update(label=3)), "label must be text"),
        (spoilt(lambda c: c.update(label="", data=[])), "nothing to import"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_frame_and_person(tmp_path: Path, content: Any, text: str) -> None:
    write(tmp_path / "set" / "a.json", content)

    with pytest.raises(ClipError, match=text) as caught:
        imported("kinetics", tmp_path / "set", tmp_path / "clips")

    assert str(tmp_path / "set") in str(caught.value)
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize("blob", [b"", b"{", b"\xff\xfe", b"[" * 100_000, json.dumps(video(bodies())).encode()[:500]])
def test_what_is_no_json_is_refused(tmp_path: Path, blob: bytes) -> None:
    (tmp_path / "a.json").write_bytes(blob)

    with pytest.raises(ClipError, match=r"a\.json"):
        imported("kinetics", tmp_path / "a.json", tmp_path / "clips")
