"""Mask R-CNN as ONNX: one picture of one size in, everybody in it out.

torch's new exporter cannot follow a network in which the number of boxes depends on the picture (torch 2.15: "Could not
guard on data-dependent expression" in `batched_nms`); the older one, which traces, can.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from har.pose.mask_rcnn import MOST_EXPORTED, OUTPUTS, PICTURE, SCORE_EXPORTED
from har.pose.networks.mask_rcnn import MaskRCNN
from har.pose.onnx_session import start

SURE_JOINT = 0.5
"""A joint with more of its heat than this in one place cannot as well be elsewhere."""
_OPSET = 18


class _Whole(nn.Module):
    """From a picture (1, 3, short_px, long_px) in [0, 1] to the tensors of `OUTPUTS`; the last box is nobody's."""

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        settings, size_divisible = self.network.settings, self.network.transform.size_divisible
        normal = self.network.transform.normalize(picture[0])[None]  # (1, 3, S, L)
        beside = (-settings.long_px % size_divisible, -settings.short_px % size_divisible)
        padded = F.pad(normal, (0, beside[0], 0, beside[1]))  # (1, 3, H, W), multiples of 32
        size = (settings.short_px, settings.long_px)
        features = self.network.backbone(padded)  # each level (1, C, H/s, W/s)
        boxes, scores = self.network.find_boxes(padded, size, features)  # (M, 4), (M,)
        # One more, of nobody: ONNX Runtime cannot reshape what there is nothing of.
        boxes = torch.cat([boxes, boxes.new_tensor([[0.0, 0.0, settings.long_px, settings.short_px]])])  # (M + 1, 4)
        scores = torch.cat([scores, scores.new_zeros(1)])  # (M + 1,)
        found = self.network.describe(padded, size, features, boxes, with_masks=True)
        found["scores"] = scores
        return tuple(found[name] for name in OUTPUTS if name in found)


def instances_to_onnx(network: MaskRCNN) -> bytes | None:
    """Give the network as an ONNX file; None where the package for it is not installed."""
    try:
        import onnx
    except ImportError:
        return None
    settings = network.settings
    names = [name for name in OUTPUTS if name != "masks" or settings.masks != "none"]
    with tempfile.TemporaryDirectory(prefix="har-") as folder, warnings.catch_warnings(), torch.inference_mode():
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # it warns of being old, and of what tracing cannot see
        torch.onnx.export(
            _prepared(network),
            (_example(network),),
            file,
            input_names=[PICTURE],
            output_names=names,
            dynamic_axes={name: {0: "people"} for name in names},
            opset_version=_OPSET,
            dynamo=False,
        )
        model = onnx.load(file)
    for node in model.graph.node:
        node.ClearField("doc_string")  # where in our code it comes from, with the paths of this machine
    blob: bytes = model.SerializeToString()
    return blob


@torch.inference_mode()
def instances_difference(blob: bytes, network: MaskRCNN) -> float | None:
    """Give the largest difference between ONNX Runtime's and torch's answers to pictures; None without the runtime.

    Boxes and joints are compared in sides of the picture, all else is a probability. Joints of which the network is not
    sure are left out: where two places of a heat map are as hot as each other, the last bit of a number decides.
    """
    session = start(blob)
    if session is None:
        return None
    whole, largest = _prepared(network), 0.0
    for seed in (1, 2, 3):
        picture = _example(network, seed=seed)
        theirs: list[Any] = session.run(None, {PICTURE: picture.numpy()})
        mine = {name: tensor.numpy() for name, tensor in zip(OUTPUTS, whole(picture), strict=False)}
        is_sure = mine["keypoint_scores"] > SURE_JOINT
        for (name, our), their in zip(mine.items(), theirs, strict=True):
            if our.shape != their.shape:
                return float("inf")
            apart = np.abs(our - their)[is_sure] if name.startswith("keypoint") else np.abs(our - their)
            side = network.settings.long_px if name in ("boxes", "keypoints") else 1
            largest = max(largest, float(apart.max(initial=0.0)) / side)
    return largest


def _prepared(network: MaskRCNN) -> _Whole:
    network = network.cpu().eval().to(memory_format=torch.contiguous_format)
    network.roi_heads.score_thresh, network.roi_heads.detections_per_img = SCORE_EXPORTED, MOST_EXPORTED
    return _Whole(network).eval()


def _example(network: MaskRCNN, *, seed: int = 0) -> Tensor:
    """Give a picture (1, 3, short_px, long_px) of large blotches, in which something may be found."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    settings = network.settings
    return F.interpolate(coarse, size=(settings.short_px, settings.long_px), mode="bilinear", align_corners=False)
