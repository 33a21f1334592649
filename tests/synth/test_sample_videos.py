from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from har.clips import find_clip, read_clips
from har.pose import open_estimator
from har.pose.weights import blazepose_path
from har.records import Frame
from har.synth.video import STORIES, VIDEO_HZ

SAMPLES = Path(__file__).parents[2] / "sample_clips"


def test_each_sample_video_has_its_skeletons_frame_by_frame() -> None:
    clips = {clip.id: clip for clip in read_clips(SAMPLES)}

    for story in STORIES:
        name = story(seed=0).name
        with av.open(str(SAMPLES / f"{name}.mp4")) as container:
            times_s = [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]
        np.testing.assert_allclose(times_s, clips[name].time_s, atol=0.01)
        assert (SAMPLES / f"{name}.mp4").stat().st_size < 3_000_000


def test_the_sample_fall_is_long_enough_to_raise_an_alert() -> None:
    clip = find_clip(SAMPLES / "fall_in_room.npz")

    assert clip is not None
    assert clip.danger
    start_s, end_s, label = clip.spans[-1]
    assert label == "lie"
    assert end_s - start_s > 10.0
    assert {label for *_, label in clip.spans} >= {
        "stand",
        "walk",
        "sit down",
        "sit",
        "stand up",
        "bend",
        "fall",
        "lie",
    }


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.skipif(not blazepose_path().is_file(), reason="BlazePose's weights are missing: har models pull blazepose")
def test_blazepose_keeps_the_person_of_the_sample_fall_upright_and_lying() -> None:
    clip = find_clip(SAMPLES / "fall_in_room.npz")
    assert clip is not None
    labels = [next(label for _, end_s, label in clip.spans if time_s <= end_s + 1e-6) for time_s in clip.time_s]
    estimator = open_estimator("blazepose", max_people=2)

    on_body = []
    with av.open(str(SAMPLES / "fall_in_room.mp4")) as container:
        for frame, truth in zip(container.decode(video=0), clip.joints[:, 0, :, :2], strict=True):
            time_s = float(frame.time or 0.0)
            poses = estimator.estimate(Frame(frame.to_ndarray(format="rgb24"), time_s, time_s, "sample"))
            trunk_px = np.linalg.norm(truth[[5, 6]].mean(axis=0) - truth[[11, 12]].mean(axis=0))
            errors = [np.median(np.linalg.norm(pose.xy - truth, axis=1)) / trunk_px for pose in poses]
            on_body.append(min(errors, default=9.0) < 0.5)
    estimator.close()

    assert len(on_body) == round(43.0 * VIDEO_HZ)
    upright = [found for found, label in zip(on_body, labels, strict=True) if label in ("stand", "walk")]
    lying = [found for found, label in zip(on_body, labels, strict=True) if label == "lie"]
    assert np.mean(upright) >= 0.95
    assert np.mean(lying) >= 0.9
