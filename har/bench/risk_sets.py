"""Sets that the comparison of classifiers is judged by and that nothing is ever learnt from: UP-Fall and Le2i."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from har.bench.recordings import PoseSettings, video_frames
from har.clips import Clip
from har.records import PoseFrame
from har.track import follow
from har.training.truth import TruthRow, read_truth

LE2I_FILE = Path("le2i_md4fd") / "le2i_md4fd.npz"
_LE2I_SIZE = (320, 240)
# The file's joint names are one place off: by where they lie on people who stand, "wrists" are shoulders, "shoulders"
# hips, "hips" knees, "knees" ankles and "ankles" wrists (right before left).
_LE2I_JOINTS = (0, 5, 6, 11, 12, 13, 14, 15, 16, 10, 9)
_MIN_POSES = 10


def upfall_clips(data: Path) -> list[Clip]:
    """Give UP-Fall's videos as clips with the falls of the truth file; poses come from the cache if they are there."""
    rows = [row for row in read_truth(data / "fall_times.csv") if row.source.startswith("upfall_video/")]
    clips = [_as_clip(row, video_frames(data / row.source, pose=PoseSettings())) for row in rows]
    return [clip for clip in clips if clip is not None]


def _as_clip(row: TruthRow, frames: Sequence[PoseFrame]) -> Clip | None:
    """Follow everybody as the service does; each track is a person."""
    kept = [person.sightings for person in follow(frames) if len(person.sightings) >= _MIN_POSES]
    if not kept:
        return None
    joints = np.full((len(frames), len(kept), 17, 3), np.nan, dtype=np.float32)
    for m, sightings in enumerate(kept):
        for number, sighting in sightings.items():
            joints[number, m, :, :2], joints[number, m, :, 2] = sighting.pose.xy, sighting.pose.score
    name = Path(row.source).stem
    spans = ((row.start_s, row.ground_s, "fall"),) if row.is_fall and math.isfinite(row.ground_s) else ()
    time_s = np.array([frame.source_time_s for frame in frames], dtype=np.float64)
    # One person acts everything; the trials stand for people, since nothing here is learnt from.
    return Clip(id=name, joints=joints, time_s=time_s, rate_hz=18.0, rate_known=True, danger=bool(spans), spans=spans,
                subject="-".join(name.split("_")[2:]), source="UP-Fall", licence="research",
                width_px=frames[0].width_px, height_px=frames[0].height_px)  # fmt: skip


def le2i_clips(data: Path) -> list[tuple[Clip, bool]]:
    """Give Le2i's windows of 3 s as clips, each with whether somebody falls in it."""
    with np.load(data / LE2I_FILE, allow_pickle=False) as file:
        keypoints, labels = file["keypoints"], file["labels"]
        names, ids = file["label_names"].tolist(), file["clip_ids"].tolist()
    clips = []
    for points, label, name in zip(keypoints[:, 0], labels.tolist(), ids, strict=True):
        joints = np.full((len(points), 1, 17, 3), np.nan, dtype=np.float32)
        joints[:, 0, list(_LE2I_JOINTS), :2] = points * np.array(_LE2I_SIZE, dtype=np.float32)
        joints[:, 0, list(_LE2I_JOINTS), 2] = 1.0
        time_s = np.arange(len(points), dtype=np.float64) / 30.0
        clip = Clip(id=str(name), joints=joints, time_s=time_s, rate_hz=30.0, rate_known=True, danger=False,
                    subject=str(name), source="Le2i (MD4FD)", licence="research",
                    width_px=_LE2I_SIZE[0], height_px=_LE2I_SIZE[1])  # fmt: skip
        clips.append((clip, names[label] == "fall"))
    return clips
