"""A heavy estimator labels frames of one's own cameras, for a light one to learn from (distillation).

Of what it says, joints it is sure of are labels, the others are unknown: what the running mean of the student makes of
them is asked of the student instead (mean teacher: Tarvainen and Valpola, NeurIPS 2017; see `CropLesson`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from har.errors import SourceError, TrainingError
from har.pose import open_estimator
from har.pose.coco import BODY_SHARE_OF_BOX, Person, Picture, read_pictures, write_pictures
from har.records import SEEN_SCORE, FloatArray, Frame, Pose
from har.sources import open_source
from har.sources.address import VIDEO_SUFFIXES

CONFIDENT = 0.7
"""Score from which a joint of the teacher's is a label."""
FEWEST_CONFIDENT = 6
"""Joints of a person who is kept; whoever shows fewer may be furniture."""
EVERY_S = 0.06
"""Time between two frames that are looked at: nearer ones show nearly the same."""
LONGEST_PX = 480
"""Longer side of the frames that are kept."""
_BODY_MARGIN = 0.1  # of the box round the joints on each side: hair, hands and feet
_QUALITY = 92  # of JPEG


def label_videos(
    videos: Path, *, teacher: str, folder: Path, tell: Callable[[str], None] = lambda line: None
) -> list[Picture]:
    """Let an estimator label the frames of all videos below a folder.

    The frames it sees somebody in are kept below `folder` until that is deleted; asked again, it reads them there.

    Args:
        videos: a folder, or one video.
        teacher: an estimator as in `har.pose.open_estimator`.
        folder: where to keep frames and labels.
        tell: called with the name of each video.

    Returns:
        Pictures whose people have visibility 2 where the teacher was sure of a joint, 1 where it was not but counts the
        joint as seen, and 0 otherwise. A picture's video is that it was taken from.

    Raises:
        SourceError: there is no video, or one cannot be read.
        TrainingError: the teacher saw nobody.
        ConfigError: there is no such estimator.
    """
    files = find_videos(videos)
    facts = [teacher, EVERY_S, LONGEST_PX, CONFIDENT, [(str(file), file.stat().st_size) for file in files]]
    kept = folder / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    annotations = kept / "annotations.json"
    if not annotations.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        pictures: list[Picture] = []
        for number, file in enumerate(files, start=1):
            tell(f"{teacher} looks at {file.name}, {number} of {len(files)}")
            pictures.extend(_label(file, teacher=teacher, folder=kept, first_id=len(pictures) + 1))
        write_pictures(pictures, annotations)
    found = read_pictures(annotations, kept)
    if not found:
        raise TrainingError(f"{videos}: {teacher} is sure of nobody in these videos. Give videos with people in view.")
    return found


def find_videos(path: Path) -> list[Path]:
    """Give all videos below a folder, or the one named.

    Raises:
        SourceError: there is none.
    """
    files = (
        [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.suffix.lower() in VIDEO_SUFFIXES)
    )
    if not files:
        raise SourceError(
            f"{path}: holds no video file ({', '.join(sorted(VIDEO_SUFFIXES))}). Name a folder of videos."
        )
    return files


def _label(file: Path, *, teacher: str, folder: Path, first_id: int) -> list[Picture]:
    """Look at one video, and keep the frames somebody is surely in."""
    pictures: list[Picture] = []
    estimator = open_estimator(teacher, max_people=2)
    try:
        with open_source(str(file), camera="teach", paced=False) as source:
            next_s = -np.inf
            for frame in source.frames():
                if frame.source_time_s < next_s:
                    continue
                next_s = frame.source_time_s + EVERY_S * 0.99
                people = people_of(estimator.estimate(frame), frame)
                if people:
                    pictures.append(_keep(frame, people, folder=folder, number=first_id + len(pictures), video=file))
    finally:
        estimator.close()
    return pictures


def people_of(poses: Sequence[Pose], frame: Frame) -> tuple[Person, ...]:
    """Give those whom the teacher is sure of, in pixels of the frame."""
    height, width = frame.image.shape[:2]
    people = []
    for pose in poses:
        is_inside = ((pose.xy >= 0) & (pose.xy < (width, height))).all(axis=-1)
        visibility = np.where(pose.score >= CONFIDENT, 2, np.where(pose.score >= SEEN_SCORE, 1, 0)) * is_inside
        if np.count_nonzero(visibility == 2) >= FEWEST_CONFIDENT:
            box = _box(pose.xy[visibility > 0], width=width, height=height)
            xy = np.where(visibility[:, None] > 0, pose.xy, 0).astype(np.float32)
            area = BODY_SHARE_OF_BOX * float(box[2] * box[3])
            people.append(Person(box, xy, visibility.astype(np.int8), None, area))
    return tuple(people)


def _box(joints: FloatArray, *, width: int, height: int) -> FloatArray:
    """Give the box of the body that has these joints (n, 2)."""
    low, high = joints.min(axis=0), joints.max(axis=0)
    margin = _BODY_MARGIN * (high - low).max()
    low, high = np.clip(low - margin, 0, (width, height)), np.clip(high + margin, 0, (width, height))
    return np.concatenate([low, high - low]).astype(np.float32)


def _keep(frame: Frame, people: tuple[Person, ...], *, folder: Path, number: int, video: Path) -> Picture:
    """Write a frame, made smaller, and give it with its people."""
    image = Image.fromarray(frame.image)
    scale = min(LONGEST_PX / max(image.size), 1.0)
    size = (round(image.width * scale), round(image.height * scale))
    file = folder / f"{number:06d}.jpg"
    image.resize(size, Image.Resampling.BOX).save(file, quality=_QUALITY)
    factor = np.array(size, dtype=np.float32) / np.array(image.size, dtype=np.float32)
    shrunk = tuple(
        replace(
            each,
            box=each.box * np.tile(factor, 2),
            xy=(each.xy * factor).astype(np.float32),
            area_px=each.area_px * float(factor.prod()),
        )
        for each in people
    )
    return Picture(number, file, *size, people=shrunk, video=str(video), time_s=frame.source_time_s)
