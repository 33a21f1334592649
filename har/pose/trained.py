"""Estimators of one's own: a detector finds people, a crop model their joints.

The two networks run on ONNX Runtime where it is installed and the bundle brings them along as ONNX, else on torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import nn

from graphs.layouts import COCO17
from har.errors import BundleError, ConfigError, PoseError
from har.likeness import oks
from har.pose.bundle import CENTERNET, CROP_KINDS, DEEPPOSE, HOURGLASS, PoseBundle, load_pose_bundle
from har.pose.networks import deeppose, hourglass
from har.pose.networks.centernet import CenterNet, CenterNetSettings, read_boxes
from har.pose.networks.deeppose import DeepPose, DeepPoseSettings
from har.pose.networks.hourglass import Hourglass, HourglassSettings
from har.pose.onnx_session import open_session
from har.pose.views import View
from har.records import FloatArray, Frame, ImageArray, Pose

SURE = 0.3
"""Of a person: whoever the detector is less sure of is taken for furniture, if its training found no better score."""
SAME_PERSON = 0.5
"""Two poses as alike as this (OKS, 1 the same) are of one person."""

Network: TypeAlias = Callable[[FloatArray], FloatArray]
"""Pictures (N, 3, H, W) in [0, 1] to an answer whose first axis is N."""


class TrainedPose:
    """Everybody's joints in pictures, by a detector and a crop model of one's own.

    Args:
        folder: the bundle of a crop model.
        max_people: most people looked for.
        flips: look at every crop and at its mirror image, and take the mean.
        onnx: use ONNX Runtime where it is installed.

    Raises:
        BundleError: the bundle does not verify.
        ConfigError: it is no bundle of a crop model.
    """

    def __init__(self, folder: Path, *, max_people: int = 2, flips: bool = True, onnx: bool = True) -> None:
        bundle = load_pose_bundle(folder)
        if bundle.kind not in CROP_KINDS:
            raise ConfigError(
                f"{folder}: is a {bundle.kind}, which finds people but not their joints. Train a {HOURGLASS} or "
                f"{DEEPPOSE} with it as --detector, and use that."
            )
        if bundle.detector is None:
            raise BundleError(f"{folder}: has no detector to find people with. Train it again with --detector.")
        self._detector = Detector(bundle.detector, onnx=onnx)
        self._settings: HourglassSettings | DeepPoseSettings
        if bundle.kind == HOURGLASS:
            self._settings = bundle.settings_as(HourglassSettings)
        else:
            self._settings = bundle.settings_as(DeepPoseSettings)
        self._network = open_network(bundle, onnx=onnx)
        self._max_people, self._flips = max_people, flips

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        """Find everybody's joints; the surest person comes first.

        Args:
            frame: a picture.

        Returns:
            COCO-17 poses in pixels.

        Raises:
            PoseError: a network failed on this picture.
        """
        try:
            boxes = self._detector.find(frame.image)
            # Some boxes may turn out to be of one person.
            return drop_duplicates(self.look(frame.image, boxes[: 2 * self._max_people, :4]))[: self._max_people]
        except Exception as error:  # those of ONNX Runtime have no class in common
            raise PoseError(f"the trained estimator failed on a frame of camera {frame.camera}: {error}") from error

    def look(self, image: ImageArray, boxes: FloatArray) -> list[Pose]:
        """Find the joints of the people in boxes (P, 4), x, y, width, height in pixels: all in one batch."""
        if not len(boxes):
            return []
        picture = Image.fromarray(image)
        views = [View.round_box(box, self._settings.size_px) for box in boxes]
        crops = np.stack([view.cut(picture) for view in views])  # (P, S, S, 3)
        if self._flips:
            crops = np.concatenate([crops, crops[:, :, ::-1]])  # (2P, S, S, 3)
        answer = self._network(as_input(crops))
        joints, scores = self._read(answer)  # (P, V, 2), (P, V)
        return [
            Pose(view.to_picture(places * np.float32(view.width)), np.clip(score, 0, 1).astype(np.float32))
            for view, places, score in zip(views, joints, scores, strict=True)
        ]

    def _read(self, answer: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Read joints off the answer to crops, or to crops and their mirror images."""
        model = hourglass if isinstance(self._settings, HourglassSettings) else deeppose
        if self._flips:
            straight, mirrored = np.split(answer, 2)
            answer = (straight + model.unmirror(mirrored, COCO17.mirror_order)) / 2
        if isinstance(self._settings, HourglassSettings):
            return hourglass.read_joints(answer, self._settings)
        return deeppose.read_joints(answer, self._settings)

    def close(self) -> None:
        """Nothing is held."""


class Detector:
    """People's boxes in pictures, by a detector of one's own.

    Args:
        bundle: of a CenterNet.
        onnx: use ONNX Runtime where it is installed.
    """

    def __init__(self, bundle: PoseBundle, *, onnx: bool = True) -> None:
        self._settings = bundle.settings_as(CenterNetSettings)
        self._network = open_network(bundle, onnx=onnx)
        self._sure = _sure(bundle)

    def find(self, image: ImageArray, *, threshold: float | None = None) -> FloatArray:
        """Give people's boxes (P, 5): x, y, width, height in pixels, and score; the surest first.

        Args:
            image: (H, W, 3) RGB.
            threshold: lowest score; None for what the training found best.
        """
        threshold = self._sure if threshold is None else threshold
        height, width = image.shape[:2]
        view = View.of_whole(width, height, self._settings.width_px, self._settings.height_px)
        maps = self._network(as_input(view.cut(Image.fromarray(image))[None]))
        (boxes,) = read_boxes(maps, threshold=threshold, most=self._settings.most)
        return np.column_stack([view.boxes_to_picture(boxes[:, :4]), boxes[:, 4]]).astype(np.float32)


def _sure(bundle: PoseBundle) -> float:
    """Give the score from which a detector's boxes are best taken for people, as its training found.

    Never more than `SURE`: on other pictures than those it has learnt from, a detector is less sure.
    """
    figures = bundle.trained.get("validation")
    sure = figures.get("sure") if isinstance(figures, dict) else None
    return min(float(sure), SURE) if isinstance(sure, int | float) and sure > 0 else SURE


def as_input(pictures: ImageArray) -> FloatArray:
    """Give pictures (N, H, W, 3) as networks want them: (N, 3, H, W) in [0, 1]."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def open_network(bundle: PoseBundle, *, onnx: bool = True) -> Network:
    """Make a bundle's network ready, on ONNX Runtime where that is installed and the bundle was exported."""
    session = open_session(bundle) if onnx else None
    if session is None:
        return _on_torch(make_network(bundle))
    name = session.get_inputs()[0].name

    def run(pictures: FloatArray) -> FloatArray:
        found: FloatArray = session.run(None, {name: pictures})[0]
        return found

    return run


def make_network(bundle: PoseBundle) -> Hourglass | DeepPose | CenterNet:
    """Make a bundle's network in torch, in evaluation mode.

    Raises:
        BundleError: settings and weights do not fit each other.
        ConfigError: the bundle is of another kind.
    """
    network: Hourglass | DeepPose | CenterNet
    if bundle.kind == HOURGLASS:
        network = Hourglass(bundle.settings_as(HourglassSettings))
    elif bundle.kind == DEEPPOSE:
        network = DeepPose(bundle.settings_as(DeepPoseSettings))
    elif bundle.kind == CENTERNET:
        network = CenterNet(bundle.settings_as(CenterNetSettings))
    else:
        raise ConfigError(f"{bundle.folder}: is a {bundle.kind}, no {HOURGLASS}, {DEEPPOSE} or {CENTERNET}.")
    bundle.fill(network)
    return network


def drop_duplicates(poses: list[Pose]) -> tuple[Pose, ...]:
    """Leave out poses of people whom one before shows already."""
    kept: list[Pose] = []
    for pose in poses:
        if all(oks(pose, other) < SAME_PERSON for other in kept):
            kept.append(pose)
    return tuple(kept)


def _on_torch(network: nn.Module) -> Network:
    network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(pictures: FloatArray) -> FloatArray:
        found: FloatArray = network(torch.from_numpy(pictures)).numpy()
        return found

    return run
