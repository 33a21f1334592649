"""Choosing an estimator by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from har.errors import ConfigError, WeightsError
from har.pose.blazepose import BlazePose
from har.pose.bundle import DEEPPOSE, HOURGLASS, MASKRCNN, pose_bundle_kind, pose_bundle_settings
from har.pose.coco_weights import maskrcnn_path
from har.pose.mask_rcnn import MaskRCNNEstimator
from har.pose.mediapipe_pose import MediaPipePose
from har.pose.weights import blazepose_path
from har.records import Frame, Pose

BLAZEPOSE, MEDIAPIPE = "blazepose", "mediapipe"
USUAL = MEDIAPIPE
"""What the service takes unless told otherwise. BlazePose by our own tracking sees far more people, but the danger
model is fitted on MediaPipe's poses: on ours it found 30 of 31 falls of real videos, not all, and suspected 14 times
outside falls, not 8."""
_USUAL_PEOPLE = {MEDIAPIPE: 2}
_PLAIN = re.compile(r"num_poses=([1-9]|10)")


class Estimator(Protocol):
    """One camera's pose estimator."""

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        """Find everybody's COCO-17 joints, in pixels."""
        ...

    def close(self) -> None:
        """Give its resources back."""
        ...


class Opener(Protocol):
    """Opens a trained estimator: the bundle's folder, most people in a frame, size of the pictures, masks or not."""

    def __call__(self, folder: Path, *, max_people: int, short_px: int | None = None, masks: bool = False) -> Estimator:
        """Open it."""
        ...


def _open_crop_model(folder: Path, *, max_people: int, short_px: int | None = None, masks: bool = False) -> Estimator:
    from har.pose.trained import TrainedPose  # brings torch along

    return TrainedPose(folder, max_people=max_people)


TRAINED: dict[str, Opener] = {
    MASKRCNN: MaskRCNNEstimator,
    HOURGLASS: _open_crop_model,
    DEEPPOSE: _open_crop_model,
}
"""What runs a bundle, by its kind."""
_SIZES_PX = range(32, 2049)


def open_estimator(name: str, *, max_people: int, masks: bool = False) -> Estimator:
    """Open a pose estimator for one camera.

    Args:
        name: "blazepose", "mediapipe", "maskrcnn" (or, for smaller pictures, "maskrcnn:480"), the path of a
            MediaPipe `.task` file of one's own, or the folder of a trained estimator.
        max_people: most people looked for in a frame.
        masks: give silhouettes too, if the estimator can.

    Raises:
        ConfigError: no such estimator.
        BundleError: a trained estimator does not verify.
        WeightsError: its weights are missing or refused.
    """
    if plain := plain_people(name):
        return MediaPipePose(max_people=plain)
    if name == BLAZEPOSE:
        return BlazePose(max_people=max_people)
    if name == MEDIAPIPE:
        return MediaPipePose(max_people=max_people)
    check_estimator(name)
    if name.endswith(".task"):
        return BlazePose(Path(name).expanduser(), max_people=max_people)
    folder, short_px = bundle_of(name)
    masks = masks and gives_masks(name)
    return TRAINED[pose_bundle_kind(folder)](folder, max_people=max_people, short_px=short_px, masks=masks)


def usual_people(name: str) -> int:
    """Give how many people are looked for in a frame unless somebody says otherwise.

    MediaPipe looks for two: asked for one, the pose of a person who fell jumps to a bystander; each more costs much.
    """
    return plain_people(name) or _USUAL_PEOPLE.get(name, 4)


def plain_people(name: str) -> int | None:
    """Give N of "num_poses=N", MediaPipe's own search for several people: what others are held against."""
    named = _PLAIN.fullmatch(name)
    return int(named[1]) if named else None


def check_estimator(name: str) -> None:
    """Find a user's mistake before anything starts: an unknown estimator, or weights that are not there.

    Raises:
        ConfigError: no such estimator.
        BundleError: a trained estimator is not whole.
        WeightsError: its weights are missing or damaged.
    """
    if name in (BLAZEPOSE, MEDIAPIPE) or plain_people(name):
        blazepose_path()
    elif name.endswith(".task"):
        if not Path(name).expanduser().is_file():
            raise WeightsError(f"{name}: no such weights file. Give a .task file, or use blazepose.")
    else:
        folder, _ = bundle_of(name)
        kind = pose_bundle_kind(folder)
        if kind not in TRAINED:
            raise ConfigError(f"{name}: a bundle of kind {kind} finds no joints by itself. Give another one.")


def bundle_of(name: str) -> tuple[Path, int | None]:
    """Give the folder of a trained estimator, and the size to which pictures are made if the name says one.

    Raises:
        ConfigError: the name is of none.
        WeightsError: the weights of Mask R-CNN were never pulled.
    """
    stem, colon, size = name.partition(":")
    if stem == MASKRCNN:
        if colon and not (size.isascii() and size.isdigit() and int(size) in _SIZES_PX):
            raise ConfigError(
                f"pose estimator {name!r}: {size!r} is no size. Give the shorter side of the picture in pixels, from "
                f"{_SIZES_PX[0]} to {_SIZES_PX[-1]}, as in maskrcnn:480."
            )
        return maskrcnn_path(), int(size) if colon else None
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise ConfigError(
            f"pose estimator {name!r} is not known. Use blazepose, mediapipe, maskrcnn, or the path of a .task "
            "file or of a trained estimator's folder."
        )
    return folder, None


def gives_masks(name: str) -> bool:
    """Say whether an estimator, once checked, can give silhouettes of people beside their joints."""
    if name in (BLAZEPOSE, MEDIAPIPE) or name.endswith(".task") or plain_people(name):
        return False
    return pose_bundle_settings(bundle_of(name)[0]).get("masks", "none") in ("shared", "apart")
