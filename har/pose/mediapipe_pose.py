"""BlazePose through MediaPipe Tasks: a picture in, everybody's COCO-17 joints in pixels out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphs import map_joints
from har.errors import PoseError, WeightsError
from har.pose.chatter import QuietStderr
from har.pose.weights import blazepose_path
from har.records import Frame, ImageArray, Pose

# Half of the Tasks API's defaults: on real falls 0.2-0.3 keeps the pose through a tenth more of the frames in which
# somebody lies, while a detection threshold under 0.5 gives almost only ghosts (measured on GMDCSA24 and UP-Fall).
DETECTION_THRESHOLD = 0.5
PRESENCE_THRESHOLD = 0.3
TRACKING_THRESHOLD = 0.3


class MediaPipePose:
    """Everybody's joints in one camera's frames, in order of time.

    The estimator carries poses from frame to frame (VIDEO mode), which finds people on the floor whom its detector
    alone misses; so one instance serves one camera.

    Args:
        weights: a `.task` file; None for the pulled one.
        max_people: most people looked for. At least 2: looking for one alone, the pose of a person who fell jumps to
            a bystander and stays there (measured).

    Raises:
        WeightsError: no such weights, or MediaPipe refuses them.
    """

    def __init__(self, weights: Path | None = None, *, max_people: int = 2) -> None:
        from mediapipe.tasks.python import vision
        from mediapipe.tasks.python.core.base_options import BaseOptions

        path = blazepose_path() if weights is None else weights
        if not path.is_file():
            raise WeightsError(f"{path}: no such weights file. Give a .task file, or run `har models pull blazepose`.")
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=max_people,
            min_pose_detection_confidence=DETECTION_THRESHOLD,
            min_pose_presence_confidence=PRESENCE_THRESHOLD,
            min_tracking_confidence=TRACKING_THRESHOLD,
        )
        self._quiet = QuietStderr()
        try:
            with self._quiet:
                self._landmarker: Any = vision.PoseLandmarker.create_from_options(options)
                # Its parts start on threads of their own; after a picture without anybody all of them have.
                self._landmarker.detect_for_video(_to_image(np.zeros((64, 64, 3), dtype=np.uint8)), 0)
        except (RuntimeError, ValueError) as error:
            self._quiet.close()
            line = str(error).strip().splitlines()[0]
            raise WeightsError(f"{path}: MediaPipe refuses these weights: {line}. Pull or fetch them again.") from None
        self._last_ms = 0

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        """Find everybody's joints.

        Args:
            frame: the next picture of the same camera.

        Returns:
            COCO-17 poses in pixels; the score is BlazePose's visibility.

        Raises:
            PoseError: MediaPipe failed on this picture.
        """
        # The Tasks API wants strictly increasing milliseconds; two frames may fall into the same one.
        self._last_ms = max(self._last_ms + 1, round(frame.time_s * 1000))
        try:
            with self._quiet:
                result = self._landmarker.detect_for_video(_to_image(frame.image), self._last_ms)
        except (RuntimeError, ValueError) as error:
            raise PoseError(f"BlazePose failed on a frame of camera {frame.camera}: {error}") from error
        if result.pose_landmarks:
            self._quiet.close()  # by now every part of the graph has had its say, and each says it once
        height_px, width_px = frame.image.shape[:2]
        return tuple(_to_pose(person, width_px=width_px, height_px=height_px) for person in result.pose_landmarks)

    def close(self) -> None:
        """Give MediaPipe's resources back; without it the interpreter complains when it ends."""
        self._landmarker.close()
        self._quiet.close()


def _to_image(image: ImageArray) -> Any:
    import mediapipe as mp

    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))


def _to_pose(landmarks: list[Any], *, width_px: int, height_px: int) -> Pose:
    """Turn MediaPipe's 33 landmarks, in fractions of the picture, into COCO-17 joints in pixels."""
    rows = [(mark.x * width_px, mark.y * height_px, mark.visibility) for mark in landmarks]
    joints = map_joints(np.array(rows, dtype=np.float32), "blazepose33", "coco17")
    joints = joints.astype(np.float32, copy=False)
    return Pose(xy=joints[:, :2].copy(), score=np.clip(joints[:, 2], 0.0, 1.0))
