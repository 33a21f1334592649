"""Mask R-CNN as an estimator: a picture in, everybody's joints in pixels out, and where asked their silhouettes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from har.errors import BundleError, PoseError
from har.pose.bundle import MASKRCNN, load_pose_bundle
from har.records import Frame, Pose, Silhouette

if TYPE_CHECKING:
    from har.pose.networks.mask_rcnn import Found

BOX_SCORE = 0.6
"""A box of which the network is less sure holds nobody."""
SMALLEST_PX = 8
"""A frame with a shorter side shows nobody."""


class MaskRCNNEstimator:
    """Everybody's joints in one camera's frames; each frame is looked at by itself.

    Args:
        folder: a bundle of kind "maskrcnn".
        max_people: most people given; those of whom the network is surest.
        short_px: pictures are resized until their shorter side has this; None for what it was trained with.
        masks: give silhouettes too.

    Raises:
        BundleError: the bundle does not verify, or gives no masks although they are asked for.
    """

    def __init__(self, folder: Path, *, max_people: int, short_px: int | None = None, masks: bool = False) -> None:
        from har.pose.networks.mask_rcnn import MaskRCNN, MaskRCNNSettings

        bundle = load_pose_bundle(folder)
        if bundle.kind != MASKRCNN:
            raise BundleError(f"{folder}: is of kind {bundle.kind}, not {MASKRCNN}. Give another bundle.")
        settings = bundle.settings_as(MaskRCNNSettings)
        if masks and settings.masks == "none":
            raise BundleError(
                f"{folder}: gives no masks. Run `har models pull maskrcnn` with the weights of Mask R-CNN too, or give "
                "an estimator that was trained with masks."
            )
        self._network = MaskRCNN(settings)
        bundle.fill(self._network)
        if short_px is not None:
            longer = settings.long_px * short_px // settings.short_px
            resized = replace(settings, short_px=short_px, long_px=max(longer, short_px))
            self._network.transform.min_size, self._network.transform.max_size = (short_px,), resized.long_px
        self._network.roi_heads.detections_per_img = max_people
        self._network.roi_heads.score_thresh = BOX_SCORE
        self._masks = masks

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
        import torch

        if min(frame.image.shape[:2]) < SMALLEST_PX:
            return ()
        picture = torch.from_numpy(np.ascontiguousarray(frame.image.transpose(2, 0, 1))).float() / 255.0
        try:
            with torch.inference_mode():
                found = self._network.find_in(picture, with_masks=self._masks)
        except RuntimeError as error:
            raise PoseError(f"Mask R-CNN failed on a frame of camera {frame.camera}: {error}") from error
        return to_poses(found)

    def close(self) -> None:
        """Nothing has to be given back."""


def to_poses(found: Found) -> tuple[Pose, ...]:
    """Give what the network found as poses, with silhouettes if it gave masks."""
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    sureness = arrays["scores"][:, None] * arrays["keypoint_scores"]
    covers = (255 * arrays["masks"]).round().astype(np.uint8) if "masks" in arrays else None
    return tuple(
        Pose(
            xy=xy.copy(),
            score=sureness[i].clip(0.0, 1.0),
            silhouette=None if covers is None else Silhouette(arrays["boxes"][i].copy(), covers[i].copy()),
        )
        for i, xy in enumerate(arrays["keypoints"])
    )
