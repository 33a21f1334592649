from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import map_joints
from har.clips import Clip, write_clips
from har.errors import SourceError
from har.records import PoseFrame
from har.sources import check_source, open_source
from tests.sources.test_video import SlowMotion


def walking_pair(n_frames: int = 30, *, n_joints: int = 17, n_channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    joints = rng.uniform(10, 200, (n_frames, 2, n_joints, n_channels)).astype(np.float32)
    joints[..., 2:] = 0.9
    return joints


def replay(path: Path, *, paced: bool = False, clock: SlowMotion | None = None) -> list[PoseFrame]:
    with open_source(str(path), camera="hall", paced=paced, clock=(clock or SlowMotion()).clock) as source:
        return [item for item in source if isinstance(item, PoseFrame)]


def test_a_clip_is_replayed_joint_by_joint(tmp_path: Path) -> None:
    joints = walking_pair()
    joints[10:, 1] = np.nan  # the second person has left
    joints[5, 0, 3] = np.nan
    time_s = np.arange(30) / 15 + 2.0
    np.savez(tmp_path / "a.npz", joints=joints, time_s=time_s, width_px=640, height_px=480)

    frames = replay(tmp_path / "a.npz")

    assert [len(frame.poses) for frame in frames] == [2] * 10 + [1] * 20
    assert [frame.source_time_s for frame in frames] == pytest.approx(time_s.tolist())
    assert frames[0].time_s == pytest.approx(1_700_001_000.3, abs=1e-3)
    assert frames[-1].time_s - frames[0].time_s == pytest.approx(29 / 15, abs=1e-6)
    assert (frames[0].width_px, frames[0].height_px) == (640, 480)
    np.testing.assert_array_equal(frames[7].poses[1].xy, joints[7, 1, :, :2])
    assert frames[5].poses[0].score[3] == 0
    assert np.isnan(frames[5].poses[0].xy[3]).all()


def test_the_size_follows_the_joints_when_none_is_stored(tmp_path: Path) -> None:
    joints = walking_pair(n_channels=2)
    joints[3, 0, 0] = (319.0, 199.5)
    joints[4, 0, 0] = (0.0, 239.0)
    np.savez_compressed(tmp_path / "a.npz", joints=joints, time_s=np.arange(30) / 15)

    frames = replay(tmp_path / "a.npz")

    assert (frames[0].width_px, frames[0].height_px) == (320, 240)
    assert frames[0].poses[0].score.tolist() == [1.0] * 17


def test_another_layout_is_mapped(tmp_path: Path) -> None:
    joints = walking_pair(n_joints=33)
    np.savez(tmp_path / "a.npz", joints=joints, time_s=np.arange(30) / 15, layout="blazepose33")

    frames = replay(tmp_path / "a.npz")

    np.testing.assert_array_equal(frames[0].poses[0].xy[0], joints[0, 0, 0, :2])  # nose
    np.testing.assert_array_equal(frames[0].poses[0].xy[15], joints[0, 0, 27, :2])  # left ankle


def test_a_paced_clip_plays_at_the_speed_of_life(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", joints=walking_pair(), time_s=np.arange(30) / 10)
    life = SlowMotion()

    frames = replay(tmp_path / "a.npz", paced=True, clock=life)

    assert len(frames) == 30
    assert life.now_s - 1000 == pytest.approx(2.9)


def written(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_what_is_no_clip_is_refused_in_one_line(tmp_path: Path) -> None:
    joints, time_s = walking_pair(), np.arange(30) / 15
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 2, 17, 3)})
    with zipfile.ZipFile(tmp_path / "lying.npz", "w") as archive:
        archive.writestr("joints.npy", header.getvalue() + bytes(100))
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("joints.npy", "w") as f,
    ):
        for _ in range(600):
            f.write(bytes(2**20))
    (tmp_path / "noise.npz").write_bytes(b"PK\x03\x04" + bytes(500))
    (tmp_path / "empty.npz").touch()
    whole = written(tmp_path / "cut.npz", joints=joints, time_s=time_s)
    whole.write_bytes(whole.read_bytes()[:3000])
    written(tmp_path / "objects.npz", joints=np.array([{}], dtype=object), time_s=time_s)
    written(tmp_path / "no_time.npz", joints=joints)
    written(tmp_path / "three_axes.npz", joints=joints[0], time_s=time_s)
    written(tmp_path / "times.npz", joints=joints, time_s=time_s[:-1])
    written(tmp_path / "backwards.npz", joints=joints, time_s=time_s[::-1])
    written(tmp_path / "nan_time.npz", joints=joints, time_s=time_s * np.nan)
    written(tmp_path / "crowd.npz", joints=np.zeros((2, 65, 17, 3), np.float32), time_s=time_s[:2])
    written(tmp_path / "metres.npz", joints=joints, time_s=time_s, units="m")
    written(tmp_path / "martian.npz", joints=joints, time_s=time_s, layout="martian")
    written(tmp_path / "misfit.npz", joints=joints, time_s=time_s, layout="blazepose33")
    written(tmp_path / "unknown.npz", joints=walking_pair(n_joints=18), time_s=time_s)
    written(tmp_path / "flat.npz", joints=joints, time_s=time_s, width_px=0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 17

    for name in [*names, "gone.npz"]:
        tracemalloc.start()
        with pytest.raises(SourceError, match=name) as caught:
            check_source(str(tmp_path / name))
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "\n" not in str(caught.value)
        assert peak_bytes < 20e6, name


def test_a_clip_in_fortran_order_is_read_right(tmp_path: Path) -> None:
    joints = walking_pair()
    np.savez(tmp_path / "a.npz", joints=np.asfortranarray(joints), time_s=np.arange(30) / 15)

    frames = replay(tmp_path / "a.npz")

    np.testing.assert_array_equal(frames[9].poses[0].xy, joints[9, 0, :, :2])


def in_set(folder: Path, **fields: Any) -> Path:
    """Write a clip set of one clip and give its npz file, which states neither layout nor units itself."""
    joints = walking_pair(n_joints=fields.pop("n_joints", 17))
    facts: dict[str, Any] = {"id": "a", "joints": joints, "time_s": np.arange(30) / 15, "rate_hz": 15.0}
    write_clips(folder, [Clip(**(facts | {"source": "made in a test", "licence": "Apache-2.0"} | fields))])
    return folder / "a.npz"


def test_a_clip_of_a_set_has_the_layout_and_picture_that_the_index_says(tmp_path: Path) -> None:
    path = in_set(tmp_path / "set", n_joints=33, layout="blazepose33", width_px=800, height_px=600)

    frames = replay(path)

    assert (frames[0].width_px, frames[0].height_px) == (800, 600)
    want = map_joints(walking_pair(n_joints=33), "blazepose33", "coco17")
    np.testing.assert_allclose(frames[9].poses[1].xy, want[9, 1, :, :2], atol=1 / 32)


def test_shares_of_a_picture_are_replayed_in_pixels(tmp_path: Path) -> None:
    path = in_set(tmp_path / "set", joints=walking_pair() / np.float32([400, 200, 1]), units="norm",
                  width_px=400, height_px=200)  # fmt: skip

    frames = replay(path)

    np.testing.assert_allclose(frames[9].poses[1].xy, walking_pair()[9, 1, :, :2], rtol=1e-5)


def test_a_clip_in_space_or_of_a_broken_set_is_no_source(tmp_path: Path) -> None:
    in_space = in_set(tmp_path / "space", units="m", up="+y")
    with pytest.raises(SourceError, match="its joints are in 'm'"):
        check_source(str(in_space))

    broken = in_set(tmp_path / "broken")
    (tmp_path / "broken" / "clips.jsonl").write_text("{")
    with pytest.raises(SourceError, match=r"clips\.jsonl:1: is not JSON"):
        check_source(str(broken))
