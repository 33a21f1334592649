"""Recordings to be replayed: the poses of videos, found once and kept; skeleton clips; clip sets with their truth."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import har
from graphs.layouts import map_joints
from har.clips import Clip, find_clip, iterate_clips
from har.errors import ConfigError
from har.pose import BLAZEPOSE, MEDIAPIPE, USUAL, check_estimator, open_estimator, plain_people, usual_people
from har.pose.estimators import bundle_of
from har.pose.weights import blazepose_path, cache_folder
from har.records import SEEN_SCORE, Frame, Pose, PoseFrame
from har.redaction import redact
from har.service.camera_health import RateLimit
from har.sources import check_source, open_source
from har.sources.address import VIDEO_SUFFIXES, local_path, source_kind
from har.sources.source import Clock
from har.training.truth import Truth, truth_of_clip

START_S = 1_767_225_600.0
"""Capture time of every recording's first frame (1 January 2026): as large as real ones, and always the same."""
CAMERA = "replay"

Tell = Callable[[float], None]
"""Called with the seconds of a recording whose poses are found."""


@dataclass(frozen=True, slots=True)
class PoseSettings:
    """How bodies are found in videos, as the service does by default.

    Attributes:
        name: the estimator.
        max_people: most people looked for in a frame; None for as many as the service looks for.
        max_rate_hz: frames a second at most; None for every frame.
    """

    name: str = USUAL
    max_people: int | None = None
    max_rate_hz: float | None = None

    @property
    def most_people(self) -> int:
        """Most people looked for in a frame."""
        return self.max_people or usual_people(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One thing to replay.

    Attributes:
        name: as shown: the path given, or the clip set's folder and the clip's id.
        key: what a truth file may name the end of: the absolute path, or the clip's id.
        path: the file.
        clip: the clip of a clip set; None for a file of its own.
        truth: what the recording itself says of falls; None if nothing.
    """

    name: str
    key: str
    path: Path
    clip: Clip | None = None
    truth: Truth | None = None

    @property
    def is_video(self) -> bool:
        """Its poses must be found first."""
        return self.clip is None and self.path.suffix.lower() != ".npz"


def find_recordings(sources: Sequence[str]) -> list[Recording]:
    """Find what is to be replayed: files, the videos or skeleton clips of folders, the clips of clip sets.

    Raises:
        ConfigError: a live camera, a folder with nothing in it, a clip that is not in pixels.
        SourceError: a file is missing or cannot be read.
    """
    found = [recording for source in sources for recording in _find(source)]
    for recording in found:
        if recording.clip is None:
            check_source(str(recording.path))
    doubled = {name for name in (r.key for r in found) if sum(r.key == name for r in found) > 1}
    if doubled:
        raise ConfigError(f"{min(doubled)} is given twice. Give each recording once.")
    return found


def _find(source: str) -> list[Recording]:
    kind = source_kind(source)
    if kind in ("rtsp", "webcam"):
        raise ConfigError(f"{redact(source)} is a live camera; only recordings can be replayed. Record it first.")
    path = local_path(source)
    if kind != "folder":
        return [_file(path)]
    if (path / "clips.jsonl").is_file():
        return [_of_clip(clip, path) for clip in iterate_clips(path)]
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES | {".npz"} and f.is_file())
    if not files:
        raise ConfigError(f"{path}: holds no video, no skeleton clip and no clips.jsonl. Give the files themselves.")
    return [_file(file) for file in files]


def _file(path: Path) -> Recording:
    clip = find_clip(path) if path.suffix.lower() == ".npz" and path.is_file() else None
    return Recording(str(path), path.absolute().as_posix(), path, truth=truth_of_clip(clip) if clip else None)


def _of_clip(clip: Clip, folder: Path) -> Recording:
    if clip.layout != "coco17" or clip.units != "px":
        raise ConfigError(
            f"{folder}: clip {clip.id!r} has layout {clip.layout} in {clip.units}; cameras give coco17 in px. Leave "
            "it out, or import it in pixels."
        )
    return Recording(f"{folder}: {clip.id}", clip.id, folder, clip=clip, truth=truth_of_clip(clip))


def load_frames(recording: Recording, *, pose: PoseSettings, tell: Tell = lambda done_s: None) -> list[PoseFrame]:
    """Give a recording's poses frame by frame, as a camera's process gives them to the service.

    Raises:
        SourceError: the video cannot be read.
        WeightsError: the estimator's weights are missing.
    """
    if recording.clip is not None:
        frames = _clip_frames(recording.clip)
    elif recording.is_video:
        frames = video_frames(recording.path, pose=pose, tell=tell)
    else:
        with open_source(str(recording.path), camera=CAMERA, paced=False, clock=_clock()) as source:
            frames = [item for item in source if isinstance(item, PoseFrame)]
    if pose.max_rate_hz is not None and not recording.is_video:
        rate = RateLimit(pose.max_rate_hz)
        frames = [frame for frame in frames if rate.lets_through(frame.source_time_s)]
    return frames


def _clock() -> Clock:
    return Clock(wall=lambda: START_S)


def _clip_frames(clip: Clip) -> list[PoseFrame]:
    joints = clip.joints
    score = joints[..., 2] if joints.shape[3] > 2 else np.ones(joints.shape[:3], np.float32)
    seen = np.isfinite(joints[..., :2]).all(axis=-1) & np.isfinite(score)
    xy = np.where(seen[..., None], joints[..., :2], np.float32(np.nan))
    score = np.where(seen, np.clip(score, 0, 1), np.float32(0)).astype(np.float32)
    there = np.asarray((score > 0).any(axis=-1))
    reach = np.nanmax(np.where((score > SEEN_SCORE)[..., None], xy, 0).reshape(-1, 2), axis=0)
    width_px, height_px = clip.width_px or int(reach[0]) + 1, clip.height_px or int(reach[1]) + 1
    return [
        PoseFrame(CAMERA, START_S + (time_s - float(clip.time_s[0])), time_s, width_px, height_px,
                  tuple(Pose(xy[t, m], score[t, m]) for m in np.flatnonzero(there[t])))
        for t, time_s in enumerate(clip.time_s.tolist())
    ]  # fmt: skip


def video_frames(video: Path, *, pose: PoseSettings, tell: Tell = lambda done_s: None) -> list[PoseFrame]:
    """Give the poses of every frame of a video; kept in the user's cache, since finding them takes most of the time.

    What is kept is found again only for the same content and the same estimator, weights and code.
    """
    cached = _kept_poses(video, pose=pose)
    if cached.is_file():
        with np.load(cached, allow_pickle=False) as file:
            return _unpack(file["time_s"], file["pts_s"], file["joints"], file["size"])
    arrays = _estimate(video, pose=pose, tell=tell)
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_name(f"{cached.stem}.{os.getpid()}.partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(cached)
    return _unpack(arrays["time_s"], arrays["pts_s"], arrays["joints"], arrays["size"])


def has_poses(video: Path, *, pose: PoseSettings) -> bool:
    """Say whether the poses of a video have been found before."""
    return _kept_poses(video, pose=pose).is_file()


def _kept_poses(video: Path, *, pose: PoseSettings) -> Path:
    """Name the file where the poses of a video are kept once they are found."""
    with video.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    what = f"{content}:{pose.most_people}:{pose.max_rate_hz}"
    key = hashlib.sha256(f"{what}:{estimator_digest(pose.name)}".encode()).hexdigest()
    return cache_folder() / "poses" / f"{key[:24]}.npz"


def _estimate(video: Path, *, pose: PoseSettings, tell: Tell) -> dict[str, Any]:
    estimator, rate = open_estimator(pose.name, max_people=pose.most_people), RateLimit(pose.max_rate_hz)
    times, pts, joints, size = list[float](), list[float](), list[Any](), (0, 0)
    try:
        with open_source(str(video), camera=CAMERA, paced=False, clock=_clock()) as source:
            for frame in source.frames():
                if not rate.lets_through(frame.source_time_s):
                    continue
                size = (frame.image.shape[1], frame.image.shape[0])
                joints.append(_row(frame, estimator.estimate(frame), max_people=pose.most_people))
                times.append(frame.time_s)
                pts.append(frame.source_time_s)
                tell(frame.source_time_s)
    finally:
        estimator.close()
    return {"time_s": np.array(times), "pts_s": np.array(pts), "joints": np.stack(joints), "size": np.array(size)}


def _row(frame: Frame, poses: Sequence[Pose], *, max_people: int) -> Any:
    row = np.full((max_people, 17, 3), np.nan, np.float32)
    for m, pose in enumerate(poses[:max_people]):
        row[m, :, :2], row[m, :, 2] = pose.xy, pose.score
    return row


def _unpack(time_s: Any, pts_s: Any, joints: Any, size: Any) -> list[PoseFrame]:
    frames = []
    for at_s, source_time_s, row in zip(time_s.tolist(), pts_s.tolist(), joints, strict=True):
        poses = tuple(Pose(one[:, :2], one[:, 2]) for one in row if np.isfinite(one[:, 2]).all())
        frames.append(PoseFrame(CAMERA, at_s, source_time_s, int(size[0]), int(size[1]), poses))
    return frames


@cache
def estimator_digest(name: str) -> str:
    """Give what the poses of an estimator depend on besides the video: its weights, libraries and our own code.

    Comments and docstrings are left out, so that only what runs counts.

    Raises:
        WeightsError: the weights are missing.
    """
    check_estimator(name)
    is_own = name in (BLAZEPOSE, MEDIAPIPE) or plain_people(name) is not None
    weights = blazepose_path() if is_own else Path(name).expanduser()
    library, files = "mediapipe", ["mediapipe_pose.py"]
    parts = [str(plain_people(name))]
    if not is_own and not name.endswith(".task"):
        folder, short_px = bundle_of(name)
        weights = folder / "manifest.json"  # holds the digests of all else
        library = "torchvision"
        files = ["mask_rcnn.py", "trained.py", "views.py", "onnx_session.py", "../likeness.py"]
        parts += [version("onnxruntime") if find_spec("onnxruntime") else "torch"]
        files += [f"networks/{kind}.py" for kind in ("mask_rcnn", "hourglass", "deeppose", "centernet", "blocks")]
        parts.append(str(short_px))
    parts.append(hashlib.sha256(weights.read_bytes()).hexdigest())
    if name == BLAZEPOSE or name.endswith(".task"):
        names = ("blazepose", "mediapipe_pose", "blazepose_networks", "regions", "backdrop", "glances")
        library, files = "openvino", [f"{each}.py" for each in (*names, "../likeness")]
        parts.append(version("pillow"))  # cuts the regions out
    parts += [version(library), version("av")]
    house = Path(har.__file__).parent
    parts += [*(code_of(house / "pose" / file) for file in files), code_of(house / "sources" / "video.py")]
    probe = np.arange(33 * 3, dtype=np.float32).reshape(33, 3)
    parts.append(hashlib.sha256(map_joints(probe, "blazepose33", "coco17").tobytes()).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def code_of(file: Path) -> str:
    """Give a module's code without comments and docstrings, in one canonical form."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
