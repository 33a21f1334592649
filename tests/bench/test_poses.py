"""Finding the poses of several videos at once."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from har.bench.poses import find_poses
from har.bench.recordings import PoseSettings, Recording, find_recordings, has_poses, load_frames
from har.errors import SourceError
from har.pose import BLAZEPOSE
from har.pose.weights import blazepose_path
from har.sources import open_source

SAMPLE = Path(__file__).resolve().parents[2] / "sample_clips" / "fall_in_room.mp4"
POSE = PoseSettings(name=BLAZEPOSE)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache but for the weights, for this process and those that it starts."""
    weights = blazepose_path()
    cache = tmp_path / "cache" / "har"
    cache.mkdir(parents=True)
    for file in weights.parent.glob(f"{weights.stem}.*"):
        shutil.copy(file, cache / file.name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    return cache


def recordings(folder: Path, *, n: int) -> list[Recording]:
    """Videos of the first pictures of the sample, one more in each."""
    folder.mkdir()
    with open_source(str(SAMPLE), camera="hall", paced=False) as source:
        images = [frame.image for frame in itertools.islice(source.frames(), 10 + n)]
    for number in range(n):
        with av.open(str(folder / f"{number}.mp4"), "w") as out:
            stream = out.add_stream("libx264", rate=15)
            stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
            for image in images[: 10 + number]:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(stream.encode())
    return find_recordings([str(folder)])


@pytest.mark.slow
@pytest.mark.weights
def test_several_processes_keep_the_poses_that_one_finds(empty_cache: Path, tmp_path: Path) -> None:
    videos = recordings(tmp_path / "videos", n=3)
    told: dict[str, float] = {}

    find_poses(videos, pose=POSE, jobs=2, tell=lambda recording, done_s: told.update({recording.name: done_s}))

    assert all(has_poses(video.path, pose=POSE) for video in videos)
    assert set(told) == {video.name for video in videos}
    kept = [load_frames(video, pose=POSE) for video in videos]
    shutil.rmtree(empty_cache / "poses")
    for video, frames in zip(videos, kept, strict=True):
        again = load_frames(video, pose=POSE)
        assert [frame.source_time_s for frame in again] == [frame.source_time_s for frame in frames]
        for one, other in zip(again, frames, strict=True):
            assert len(one.poses) == len(other.poses)
            for a, b in zip(one.poses, other.poses, strict=True):
                np.testing.assert_array_equal(a.xy, b.xy)


@pytest.mark.slow
@pytest.mark.weights
def test_a_video_that_cannot_be_read_is_named_and_no_process_stays(empty_cache: Path, tmp_path: Path) -> None:
    videos = recordings(tmp_path / "videos", n=2)
    videos[1].path.write_bytes(b"no video")

    with pytest.raises(SourceError, match=r"1\.mp4"):
        find_poses(videos, pose=POSE, jobs=2, tell=lambda *_: None)


@pytest.mark.weights
def test_one_job_finds_nothing_ahead(empty_cache: Path, tmp_path: Path) -> None:
    videos = recordings(tmp_path / "videos", n=2)

    find_poses(videos, pose=POSE, jobs=1, tell=lambda *_: None)

    assert not any(has_poses(video.path, pose=POSE) for video in videos)
