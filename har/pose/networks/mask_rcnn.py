"""Mask R-CNN: boxes, joints and instance masks of everybody in a picture, in one pass.

K. He, G. Gkioxari, P. Dollar, R. Girshick, "Mask R-CNN", ICCV 2017, on a feature pyramid (T.-Y. Lin and others,
"Feature Pyramid Networks for Object Detection", CVPR 2017). The parts are torchvision's, named as torchvision names
them, so that its official weights fit: region proposals, RoIAlign, box, mask and keypoint heads. New is the reading of
the joints' heat maps: without loops, with a score that means something.

There are two official sets of weights, and none has both heads on one backbone. So masks come from a head beside the
keypoint head ("shared", as trained here) or from Mask R-CNN's own backbone and head ("apart", official).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet50
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

N_CLASSES = 2
"""Background and person."""
N_JOINTS = 17
BOX_POOL, MASK_POOL, JOINT_POOL = 7, 14, 14
"""Cells that a box is cut into for each head; masks come out with 28 x 28, heat maps with 56 x 56."""
PEAK_REACH = 2
"""A joint's score is the share of its heat map within so many cells of the peak, about 4 % of the box."""

Losses: TypeAlias = dict[str, Tensor]
Found: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class MaskRCNNSettings:
    """What the network is built from.

    Attributes:
        backbone: ResNet-50, or MobileNetV3-Large for light machines.
        norm: "frozen" as in the official weights, or "batch", which is trained.
        norm_eps: what is added to the variance.
        masks: "none", "shared" (a head beside the others) or "apart" (a backbone and head of its own).
        short_px: pictures are resized until the shorter side has this,
        long_px: unless the longer one would have more than this.
        fpn_channels: channels of the feature pyramid.
        anchors_px: sides of the anchors on each level, finest first; the last level is a pooled one.
        box_channels: channels of the box head.
        joint_layers: channels of each convolution of the keypoint head.
        mask_layers: the same of the mask head.
        proposals: regions kept after suppression; twice as many are kept before it in each level.
        boxes_trained: regions of a picture that the heads are trained on.
        people_share: most of them that may be people.
    """

    backbone: Literal["resnet50", "mobilenet_v3_large"]
    norm: Literal["frozen", "batch"]
    norm_eps: float
    masks: Literal["none", "shared", "apart"]
    short_px: int
    long_px: int
    fpn_channels: int
    anchors_px: tuple[tuple[int, ...], ...]
    box_channels: int
    joint_layers: tuple[int, ...]
    mask_layers: tuple[int, ...]
    proposals: int
    boxes_trained: int
    people_share: float

    def __post_init__(self) -> None:
        sizes = (self.fpn_channels, self.box_channels, *self.joint_layers, *self.mask_layers)
        if not all(1 <= size <= 2048 for size in sizes) or not self.joint_layers or not self.mask_layers:
            raise ValueError("layers must have 1 to 2048 channels")
        if not 32 <= self.short_px <= self.long_px <= 4096:
            raise ValueError("short_px and long_px must lie between 32 and 4096, in this order")
        if not (1 <= self.proposals <= 2000 and 4 <= self.boxes_trained <= 2048 and 0 <= self.norm_eps <= 0.1):
            raise ValueError("proposals, boxes_trained or norm_eps is out of range")
        if not 0 < self.people_share < 1:
            raise ValueError("people_share must lie between 0 and 1")
        n_levels = len(_LEVELS[self.backbone]) + 1
        if len(self.anchors_px) != n_levels or len({len(level) for level in self.anchors_px}) != 1:
            raise ValueError(f"anchors_px must have {n_levels} levels of equally many sides")
        if not self.anchors_px[0] or not all(1 <= side <= 4096 for level in self.anchors_px for side in level):
            raise ValueError("anchors_px must lie between 1 and 4096")


# Layers whose output the feature pyramid takes, with their channels. ResNet-50: strides 4 to 32. MobileNetV3-Large: 8
# to 32, the last layer of each stride; torchvision's own choice begins at 16 and cannot see people of 60 pixels.
_LEVELS: dict[str, dict[str, int]] = {
    "resnet50": {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048},
    "mobilenet_v3_large": {"6": 40, "12": 112, "15": 160},
}

OFFICIAL = MaskRCNNSettings(
    backbone="resnet50", norm="frozen", norm_eps=0.0, masks="apart", short_px=800, long_px=1333, fpn_channels=256,
    anchors_px=((32,), (64,), (128,), (256,), (512,)), box_channels=1024, joint_layers=(512,) * 8,
    mask_layers=(256,) * 4, proposals=1000, boxes_trained=512, people_share=0.25,
)  # fmt: skip
"""What torchvision's official weights were trained as."""

LIGHT = MaskRCNNSettings(
    backbone="mobilenet_v3_large", norm="batch", norm_eps=1e-3, masks="shared", short_px=240, long_px=320,
    fpn_channels=64, anchors_px=((24, 34), (48, 68), (96, 136), (192, 272)), box_channels=256, joint_layers=(128,) * 4,
    mask_layers=(64,) * 2, proposals=100, boxes_trained=32, people_share=0.5,
)  # fmt: skip
"""For light machines and for training from scratch on a processor: pictures of 320 x 240. Half as many regions as
usual, and half of them people, save a tenth of the time of a step; as many people teach the other heads."""


class MaskRCNN(GeneralizedRCNN):  # type: ignore[misc]
    """Boxes, joints and masks of everybody.

    Args:
        settings: what it is built from; its weights are random until they are trained or loaded.
    """

    def __init__(self, settings: MaskRCNNSettings) -> None:
        backbone = _backbone(settings)
        names = [str(level) for level in range(len(_LEVELS[settings.backbone]))]
        super().__init__(
            backbone,
            _proposals(settings),
            _heads(settings, names),
            GeneralizedRCNNTransform(settings.short_px, settings.long_px, _MEAN, _SPREAD),
        )
        self.settings = settings
        self.silhouettes = _Silhouettes(settings, names) if settings.masks == "apart" else None

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> Losses | list[Found]:
        """Give the losses in training, else everybody found.

        Args:
            images: each (3, H, W) in [0, 1], RGB; sizes may differ.
            targets: in training, for each image: "boxes" (M, 4) float32 left, top, right, bottom in pixels, "labels"
                (M,) int64, all 1, "keypoints" (M, 17, 3) float32 x, y, visibility 0..2, and with shared masks "masks"
                (M, H, W) uint8. M may be 0.

        Returns:
            In training: "loss_objectness" and "loss_rpn_box_reg" of the proposals, "loss_classifier", "loss_box_reg",
            "loss_keypoint" and with shared masks "loss_mask" of the heads. Else what `find_in` gives of each image.
        """
        if not self.training:
            return [self.find_in(image) for image in images]
        resized, targets = self.transform(images, targets)  # (N, 3, H', W'), padded to a multiple of 32
        features = self.backbone(resized.tensors)  # each level (N, C, H'/s, W'/s)
        proposals, losses = self.rpn(resized, features, targets)  # N of (P, 4), and two losses
        _, head_losses = self.roi_heads(features, proposals, resized.image_sizes, targets)  # 4 losses, or 3
        return {**losses, **head_losses}

    def find(self, picture: Tensor, size: tuple[int, int], *, with_masks: bool = True) -> Found:
        """Find everybody in one picture that is resized and normalised already.

        Args:
            picture: (1, 3, H, W), H and W multiples of 32.
            size: height and width of the part of it that is picture and not filling.
            with_masks: give masks too, if the network can.

        Returns:
            Best first: "boxes" (M, 4) left, top, right, bottom, "scores" (M,), "keypoints" (M, 17, 2),
            "keypoint_scores" (M, 17) in [0, 1] and, if asked, "masks" (M, 28, 28): the probability in each cell of the
            box that it is of this person.
        """
        features = self.backbone(picture)  # each level (1, C, H/s, W/s)
        boxes, scores = self.find_boxes(picture, size, features)  # (M, 4), (M,)
        return {"scores": scores, **self.describe(picture, size, features, boxes, with_masks=with_masks)}

    def find_boxes(self, picture: Tensor, size: tuple[int, int], features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Give the boxes (M, 4) of everybody and their scores (M,): the first half of `find`."""
        heads, sizes = self.roi_heads, [size]
        proposals, _ = self.rpn(_ImageList(picture, sizes), features)  # one (P, 4)
        regions = heads.box_head(heads.box_roi_pool(features, proposals, sizes))  # (P, box_channels)
        logits, shifts = heads.box_predictor(regions)  # (P, 2), (P, 8)
        boxes, scores, _ = heads.postprocess_detections(logits, shifts, proposals, sizes)  # one (M, 4), one (M,)
        return boxes[0], scores[0]

    def describe(
        self, picture: Tensor, size: tuple[int, int], features: dict[str, Tensor], boxes: Tensor, *, with_masks: bool
    ) -> Found:
        """Give joints and masks of those in boxes (M, 4): the second half of `find`."""
        heads, sizes = self.roi_heads, [size]
        cut = heads.keypoint_roi_pool(features, [boxes], sizes)  # (M, C, 14, 14)
        heat = heads.keypoint_predictor(heads.keypoint_head(cut))  # (M, 17, 56, 56)
        joints, sureness = read_joints(heat, boxes)  # (M, 17, 2), (M, 17)
        found = {"boxes": boxes, "keypoints": joints, "keypoint_scores": sureness}
        if with_masks and self.settings.masks != "none":
            found["masks"] = self._masks(picture, features, [boxes], sizes)  # (M, 28, 28)
        return found

    def _masks(self, picture: Tensor, features: dict[str, Tensor], boxes: list[Tensor],
               sizes: list[tuple[int, int]]) -> Tensor:  # fmt: skip
        """Give (M, 28, 28) probabilities that a cell of a box is of its person."""
        part = self.roi_heads
        if self.silhouettes is not None:
            part, features = self.silhouettes, self.silhouettes.backbone(picture)  # each level (1, C, H/s, W/s)
        cut = part.mask_roi_pool(features, boxes, sizes)  # (M, C, 14, 14)
        logits: Tensor = part.mask_predictor(part.mask_head(cut))  # (M, 2, 28, 28)
        return logits[:, 1].sigmoid()  # (M, 28, 28)

    def find_in(self, image: Tensor, *, with_masks: bool = True) -> Found:
        """Find everybody in one picture (3, H, W) of any size, as `find` does; boxes and joints in its own pixels."""
        resized, _ = self.transform([image])  # (1, 3, H', W'), padded to a multiple of 32
        size = resized.image_sizes[0]
        found = self.find(resized.tensors, size, with_masks=with_masks)
        back = image.new_tensor([image.shape[2] / size[1], image.shape[1] / size[0]])  # (2,)
        return {**found, "boxes": found["boxes"] * back.repeat(2), "keypoints": found["keypoints"] * back}


def read_joints(heat: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Read joints off their heat maps, between the cells, with how sure the network is of each.

    A heat map is trained as one choice among all its cells, so its softmax is a probability for each. A joint's score
    is the probability that it lies within `PEAK_REACH` cells of the place given; torchvision gives the peak's logit,
    which has no scale.

    Args:
        heat: (M, 17, S, S) logits over each box.
        boxes: (M, 4) left, top, right, bottom, pixels.

    Returns:
        (M, 17, 2) pixels and (M, 17) scores in [0, 1].
    """
    side = heat.shape[-1]
    share = heat.flatten(2).softmax(-1)  # (M, 17, S S)
    window = 2 * PEAK_REACH + 1
    near = F.avg_pool2d(share.view(heat.shape), window, stride=1, padding=PEAK_REACH) * window**2  # (M, 17, S, S)
    peak = heat.flatten(2).argmax(-1, keepdim=True)  # (M, 17, 1)
    score = near.flatten(2).gather(2, peak).squeeze(2).clamp(0.0, 1.0)  # (M, 17)
    row, column = peak // side, peak % side  # (M, 17, 1) each
    x = column + _offset(heat, row, column, along_x=True) + 0.5  # (M, 17, 1)
    y = row + _offset(heat, row, column, along_x=False) + 0.5  # (M, 17, 1)
    in_box = torch.cat([x, y], dim=2) / side  # (M, 17, 2)
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0)  # (M, 2)
    return boxes[:, None, :2] + in_box * extent[:, None], score  # (M, 17, 2), (M, 17)


def _offset(heat: Tensor, row: Tensor, column: Tensor, *, along_x: bool) -> Tensor:
    """Give (M, 17, 1) how far off its cell's middle a peak lies: the top of a parabola through three cells."""
    side = heat.shape[-1]
    flat = heat.flatten(2)  # (M, 17, S S)
    step = 1 if along_x else side
    at = row * side + column  # (M, 17, 1)
    along = column if along_x else row  # (M, 17, 1)
    inner = (along > 0) & (along < side - 1)  # (M, 17, 1)
    before = flat.gather(2, torch.where(inner, at - step, at))  # (M, 17, 1)
    here = flat.gather(2, at)  # (M, 17, 1)
    after = flat.gather(2, torch.where(inner, at + step, at))  # (M, 17, 1)
    bend = before - 2.0 * here + after  # (M, 17, 1), never positive
    return torch.where(bend < -1e-6, 0.5 * (before - after) / bend.clamp(max=-1e-6), torch.zeros_like(bend))


# -- parts -----------------------------------------------------------------------------------------------------------

_GROUP = 16  # channels that are normalised together, where the layer has as many
_MEAN, _SPREAD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet's colours, as the official weights want


class _ImageList:
    """What the proposals want to know of a batch: (N, 3, H, W) and the size of each picture in it."""

    def __init__(self, tensors: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.tensors, self.image_sizes = tensors, image_sizes


class _Silhouettes(nn.Module):
    """Mask R-CNN's own backbone and mask head, for boxes that another network found."""

    def __init__(self, settings: MaskRCNNSettings, names: list[str]) -> None:
        super().__init__()
        self.backbone = _backbone(settings)
        self.mask_roi_pool, self.mask_head, self.mask_predictor = _mask_part(settings, names)


def _backbone(settings: MaskRCNNSettings) -> BackboneWithFPN:
    """Picture (N, 3, H, W) -> for each level "0", "1", ... and "pool" (N, C, H/s, W/s); never fetches weights."""
    norm = partial(FrozenBatchNorm2d if settings.norm == "frozen" else nn.BatchNorm2d, eps=settings.norm_eps)
    if settings.backbone == "resnet50":
        body = resnet50(weights=None, norm_layer=norm)
    else:
        body = mobilenet_v3_large(weights=None, norm_layer=norm).features
        for name, layer in list(body.named_modules()):
            if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                body.set_submodule(name, _Depthwise.like(layer))
    levels = _LEVELS[settings.backbone]
    return BackboneWithFPN(
        body,
        {layer: str(level) for level, layer in enumerate(levels)},
        list(levels.values()),
        settings.fpn_channels,
        norm_layer=None if settings.norm == "frozen" else norm,
    )


class _Depthwise(nn.Conv2d):
    """A convolution of each channel by itself, in fp32 on processors also where all else is computed in bf16.

    In bf16 the way back through kernels of 5 x 5, or through strides, takes ten times as long as in fp32 (torch 2.15,
    measured): half of a whole training step.
    """

    @classmethod
    def like(cls, layer: nn.Conv2d) -> _Depthwise:
        """Give one of the same form, with the same weights; its kernel is square."""
        n, (side, _), (stride, _), (dilation, _) = layer.groups, layer.kernel_size, layer.stride, layer.dilation
        made: _Depthwise = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            cls, n, n, side, stride, dilation * (side // 2), dilation, n, layer.bias is not None
        )  # draws nothing: the same seed gives the other layers the same weights
        made.load_state_dict(layer.state_dict())
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Give (N, C, H', W')."""
        if not torch.is_autocast_enabled(x.device.type) or x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class _ProposalHead(RPNHead):  # type: ignore[misc]
    """Hands on in fp32 what it found: the anchors it shifts take its type, and bf16 would round them to two pixels."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Give for each level (N, A, H, W) logits and (N, 4A, H, W) shifts."""
        logits, shifts = super().forward(x)
        return [each.float() for each in logits], [each.float() for each in shifts]


def _proposals(settings: MaskRCNNSettings) -> RegionProposalNetwork:
    """Pyramid -> boxes (P, 4) that may hold somebody."""
    anchors = AnchorGenerator(settings.anchors_px, ((0.5, 1.0, 2.0),) * len(settings.anchors_px))
    kept = {"training": settings.proposals, "testing": settings.proposals}
    return RegionProposalNetwork(
        anchors,
        _ProposalHead(settings.fpn_channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=min(256, 2 * settings.proposals),
        positive_fraction=0.5,
        pre_nms_top_n={phase: 2 * number if settings.norm == "batch" else number for phase, number in kept.items()},
        post_nms_top_n=kept,
        nms_thresh=0.7,
    )


def _heads(settings: MaskRCNNSettings, names: list[str]) -> RoIHeads:
    """Pyramid and boxes -> boxes, joints and shared masks."""
    channels = settings.fpn_channels
    shared = settings.masks == "shared"
    mask_pool, mask_head, mask_predictor = _mask_part(settings, names) if shared else (None, None, None)
    return RoIHeads(
        MultiScaleRoIAlign(names, BOX_POOL, sampling_ratio=2),
        TwoMLPHead(channels * BOX_POOL**2, settings.box_channels),
        FastRCNNPredictor(settings.box_channels, N_CLASSES),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=settings.boxes_trained,
        positive_fraction=settings.people_share,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
        mask_roi_pool=mask_pool,
        mask_head=mask_head,
        mask_predictor=mask_predictor,
        keypoint_roi_pool=MultiScaleRoIAlign(names, JOINT_POOL, sampling_ratio=2),
        keypoint_head=_joint_head(settings),
        keypoint_predictor=_JointPredictor(settings.joint_layers[-1], N_JOINTS),
    )


def _joint_head(settings: MaskRCNNSettings) -> nn.Module:
    """(M, C, 14, 14) -> (M, C', 14, 14); normalised where it is trained from nothing (He and others, ICCV 2019)."""
    head: nn.Module = KeypointRCNNHeads(settings.fpn_channels, settings.joint_layers)
    if settings.norm == "batch":
        head = MaskRCNNHeads(settings.fpn_channels, settings.joint_layers, dilation=1, norm_layer=_region_norm)
    return head


def _region_norm(channels: int) -> nn.GroupNorm:
    """Normalise each region by itself, since a batch may hold few of them or none."""
    return nn.GroupNorm(max(1, channels // _GROUP), channels)


class _JointPredictor(KeypointRCNNPredictor):  # type: ignore[misc]
    """(M, C, 14, 14) -> (M, 17, 56, 56); laid out as torchvision's loss wants it also where memory is channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous()  # type: ignore[no-any-return]


def _mask_part(settings: MaskRCNNSettings, names: list[str]) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Pyramid and boxes -> (M, C, 14, 14) -> (M, C', 14, 14) -> (M, 2, 28, 28) logits."""
    norm = None if settings.norm == "frozen" else _region_norm
    return (
        MultiScaleRoIAlign(names, MASK_POOL, sampling_ratio=2),
        MaskRCNNHeads(settings.fpn_channels, settings.mask_layers, dilation=1, norm_layer=norm),
        MaskRCNNPredictor(settings.mask_layers[-1], settings.mask_layers[-1], N_CLASSES),
    )
