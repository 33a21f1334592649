"""Mask R-CNN as an estimator: a picture in, everybody's joints in pixels out, and where asked their silhouettes.

A bundle that brings the network along as ONNX runs on ONNX Runtime where that is installed: as fast as on torch, which
then is not loaded. Else it runs on torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from har.errors import BundleError, PoseError
from har.pose.bundle import MASKRCNN, PoseBundle, load_pose_bundle
from har.pose.onnx_session import open_session
from har.records import Frame, ImageArray, Pose, Silhouette

BOX_SCORE = 0.6
"""A box of which the network is less sure holds nobody."""
SMALLEST_PX = 8
"""A frame with a shorter side shows nobody."""

PICTURE = "picture"
OUTPUTS = ("boxes", "scores", "keypoints", "keypoint_scores", "masks")
"""What goes into the network as ONNX, and what comes out, in this order."""
SCORE_EXPORTED, MOST_EXPORTED = 0.3, 20
"""As ONNX it gives boxes from this score on, and at most so many."""

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Find: TypeAlias = Callable[[ImageArray], Arrays]
"""A picture (H, W, 3) to what `MaskRCNN.find_in` gives, the surest box first."""


class MaskRCNNEstimator:
    """Everybody's joints in one camera's frames; each frame is looked at by itself.

    Args:
        folder: a bundle of kind "maskrcnn".
        max_people: most people given; those of whom the network is surest.
        short_px: pictures are resized until their shorter side has this; None for what it was trained with.
        masks: give silhouettes too.
        onnx: use ONNX Runtime where it is installed, if the size is that of the training.

    Raises:
        BundleError: the bundle does not verify, or gives no masks although they are asked for.
    """

    def __init__(
        self, folder: Path, *, max_people: int, short_px: int | None = None, masks: bool = False, onnx: bool = True
    ) -> None:
        bundle = load_pose_bundle(folder)
        if bundle.kind != MASKRCNN:
            raise BundleError(f"{folder}: is of kind {bundle.kind}, not {MASKRCNN}. Give another bundle.")
        if masks and bundle.settings.get("masks") == "none":
            raise BundleError(
                f"{folder}: gives no masks. Run `har models pull maskrcnn` with the weights of Mask R-CNN too, or give "
                "an estimator that was trained with masks."
            )
        find = _on_onnxruntime(bundle) if onnx and short_px is None else None
        self._find = find or _on_torch(bundle, max_people=max_people, short_px=short_px, masks=masks)
        self._max_people, self._masks = max_people, masks

    def estimate(self, frame: Frame) -> tuple[Pose, ...]:
        """Find everybody's joints.

        Args:
            frame: a picture.

        Returns:
            COCO-17 poses in pixels, the surest box first. A joint's score is the probability that it lies where it was
            found, give or take 4 % of the person's box, times the score of the box.

        Raises:
            PoseError: the network failed on this picture.
        """
        if min(frame.image.shape[:2]) < SMALLEST_PX:
            return ()
        try:
            found = self._find(frame.image)
        except Exception as error:  # those of ONNX Runtime have no class in common
            raise PoseError(f"Mask R-CNN failed on a frame of camera {frame.camera}: {error}") from error
        if not self._masks:
            found.pop("masks", None)
        sure = found["scores"] >= BOX_SCORE
        return to_poses({name: array[sure][: self._max_people] for name, array in found.items()})

    def close(self) -> None:
        """Nothing has to be given back."""


def to_poses(found: Arrays) -> tuple[Pose, ...]:
    """Give what the network found as poses, with silhouettes if it gave masks."""
    sureness = found["scores"][:, None] * found["keypoint_scores"]
    covers = (255 * found["masks"]).round().astype(np.uint8) if "masks" in found else None
    return tuple(
        Pose(
            xy=xy.astype(np.float32),
            score=sureness[i].clip(0.0, 1.0).astype(np.float32),
            silhouette=None if covers is None else Silhouette(found["boxes"][i].astype(np.float32), covers[i].copy()),
        )
        for i, xy in enumerate(found["keypoints"])
    )


def _on_torch(bundle: PoseBundle, *, max_people: int, short_px: int | None, masks: bool) -> Find:
    """Run the network on torch, on pictures of any shape."""
    import torch

    from har.pose.networks.mask_rcnn import MaskRCNN, MaskRCNNSettings

    settings = bundle.settings_as(MaskRCNNSettings)
    network = MaskRCNN(settings)
    bundle.fill(network)
    if short_px is not None:
        longer = max(settings.long_px * short_px // settings.short_px, short_px)
        resized = replace(settings, short_px=short_px, long_px=longer)
        network.transform.min_size, network.transform.max_size = (resized.short_px,), resized.long_px
    network.roi_heads.detections_per_img = max_people
    network.roi_heads.score_thresh = BOX_SCORE

    def find(image: ImageArray) -> Arrays:
        picture = torch.from_numpy(_as_input(image))
        with torch.inference_mode():
            found = network.find_in(picture, with_masks=masks)
        return {name: tensor.numpy() for name, tensor in found.items()}

    return find


def _on_onnxruntime(bundle: PoseBundle) -> Find | None:
    """Run the network on ONNX Runtime, on pictures made to fit it; None if that cannot be."""
    session = open_session(bundle)
    if session is None:
        return None
    (height, width), names = session.get_inputs()[0].shape[2:], [each.name for each in session.get_outputs()]

    def find(image: ImageArray) -> Arrays:
        shown, scale = _fitted(image, width=width, height=height)
        found = dict(zip(names, session.run(None, {PICTURE: _as_input(shown)[None]}), strict=True))
        found["boxes"], found["keypoints"] = found["boxes"] / np.tile(scale, 2), found["keypoints"] / scale
        return found

    return find


def _fitted(image: ImageArray, *, width: int, height: int) -> tuple[ImageArray, npt.NDArray[np.float32]]:
    """Give a picture made to fit into a smaller or larger one, grey beside it; and how much larger it is in x and y."""
    ratio = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    whole = np.full((height, width, 3), _MEAN_GREY, dtype=np.uint8)
    whole[: size[1], : size[0]] = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    return whole, np.array([size[0] / image.shape[1], size[1] / image.shape[0]], dtype=np.float32)


_MEAN_GREY = 115  # what the network takes for nothing


def _as_input(image: ImageArray) -> npt.NDArray[np.float32]:
    """Give a picture (H, W, 3) as (3, H, W) in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
