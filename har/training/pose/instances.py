"""What Mask R-CNN learns from: whole pictures with the box, joints and mask of everybody in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from graphs.layouts import COCO17
from har.pose.coco import Person, Picture, load_image
from har.pose.coco_protocol import coco_figures, have_masks
from har.pose.mask_rcnn import to_poses
from har.pose.masks import paste, read_mask, write_mask
from har.pose.metrics import Guess
from har.pose.networks.mask_rcnn import MaskRCNN
from har.pose.views import View
from har.training.pose.augment import Chances, change_colours, draw_whole
from har.training.pose.detection import LEAST_LEFT

Targets = list[dict[str, Tensor]]
_MIRROR = list(COCO17.mirror_order)
_LEAST_PX = 3.0  # a narrower box teaches nothing
_LOWEST_SCORE = 0.05  # average precision wants the unsure ones too
_MOST_CHECKED = 100


@dataclass(slots=True, eq=False)
class MaskRCNNLesson:
    """Pictures to learn from, and pictures to be judged by."""

    network: MaskRCNN
    learn: Sequence[Picture]
    check: Sequence[Picture]
    chances: Chances = field(default_factory=Chances)
    unit: str = "pictures"

    def __post_init__(self) -> None:
        self.chances = replace(self.chances, full_turn_share=0.0)  # whole pictures stay upright

    def __len__(self) -> int:
        """Give how many pictures it learns from in a pass."""
        return len(self.learn)

    def batch(self, numbers: Sequence[int], rng: np.random.Generator) -> tuple[list[Tensor], Targets]:
        """Give pictures, each (3, H, W) in [0, 1], and what is to be found in each."""
        settings = self.network.settings
        shown, targets = [], []
        for number in numbers:
            picture = self.learn[number]
            image = Image.fromarray(load_image(picture))
            view = draw_whole(image.size, (settings.long_px, settings.short_px), self.chances, rng)
            pixels = change_colours(view.cut(image), self.chances, rng)
            shown.append(_as_tensor(pixels))
            targets.append(targets_of(picture, view, with_masks=settings.masks == "shared"))
        return shown, targets

    def losses(
        self, network: nn.Module, mean: nn.Module, batch: tuple[list[Tensor], Targets], device: torch.device
    ) -> dict[str, Tensor]:
        """Give the losses of a batch by name: two of the proposals, four of the heads."""
        pictures, targets = batch
        there = [{name: tensor.to(device) for name, tensor in target.items()} for target in targets]
        losses: dict[str, Tensor] = network([picture.to(device) for picture in pictures], there)
        return losses

    def judge(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Give the average precision of joints, boxes and masks, as COCO reckons them."""
        assert isinstance(network, MaskRCNN)
        step = max(1, len(self.check) // _MOST_CHECKED)
        pictures = self.check[::step]
        if not any(picture.people for picture in pictures):
            return {}
        return judge_pictures(network, pictures, device=device)


def judge_pictures(network: MaskRCNN, pictures: Sequence[Picture], *, device: torch.device) -> dict[str, float]:
    """Give "keypoint_ap", "box_ap" and, where all have masks, "mask_ap" with their values at an overlap of a half."""
    guesses = {picture.id: guess_people(network, picture, device=device) for picture in pictures}
    figures: dict[str, float] = {}
    with_masks = network.settings.masks != "none" and have_masks(pictures)
    for kind, name in (("keypoints", "keypoint"), ("bbox", "box"), *((("segm", "mask"),) if with_masks else ())):
        found = coco_figures(pictures, guesses, kind)
        figures |= {f"{name}_ap": found["AP"] or 0.0, f"{name}_ap50": found["AP50"] or 0.0}
    return figures


@torch.inference_mode()
def guess_people(network: MaskRCNN, picture: Picture, *, device: torch.device) -> list[Guess]:
    """Find everybody in a picture, the unsure ones too."""
    image = load_image(picture)
    network.roi_heads.score_thresh = _LOWEST_SCORE
    answer = network.find_in(_as_tensor(image).to(device))
    found = {name: tensor.float().cpu().numpy() for name, tensor in answer.items()}
    guesses = []
    for pose, box, score in zip(to_poses(found), found["boxes"], found["scores"].tolist(), strict=True):
        mask = None
        if pose.silhouette is not None:
            mask = write_mask(paste(pose.silhouette, width_px=image.shape[1], height_px=image.shape[0]))
        guesses.append(Guess(pose, score, np.concatenate([box[:2], box[2:] - box[:2]]).astype(np.float32), mask))
    return guesses


def targets_of(picture: Picture, view: View, *, with_masks: bool) -> dict[str, Tensor]:
    """Give what is to be found in a picture seen so: "boxes", "labels", "keypoints" and, if asked, "masks".

    Groups, and people of whom the view shows too little, are left out.
    """
    kept = [(person, box) for person in picture.people if (box := _box_in(person, view)) is not None]
    joints = np.array([_joints_in(person, view) for person, _ in kept], dtype=np.float32).reshape(
        -1, COCO17.n_joints, 3
    )
    targets = {
        "boxes": torch.tensor(np.array([box for _, box in kept], dtype=np.float32).reshape(-1, 4)),  # (M, 4)
        "labels": torch.ones(len(kept), dtype=torch.int64),  # (M,)
        "keypoints": torch.from_numpy(joints),  # (M, 17, 3)
    }
    if with_masks:
        masks = [_mask_in(person, picture, view) for person, _ in kept]
        empty = np.zeros((0, view.height, view.width), dtype=np.uint8)
        targets["masks"] = torch.from_numpy(np.stack(masks) if masks else empty)  # (M, H, W)
    return targets


def _box_in(person: Person, view: View) -> list[float] | None:
    """Give left, top, right, bottom of a person's box in a view; None if too little of it is in there."""
    ((x, y, width, height),) = view.boxes_to_view(person.box[None]).tolist()
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(view.width)), min(y + height, float(view.height))
    if person.crowd or right - left < _LEAST_PX or bottom - top < _LEAST_PX:
        return None
    return [left, top, right, bottom] if (right - left) * (bottom - top) >= LEAST_LEFT * width * height else None


def _joints_in(person: Person, view: View) -> list[list[float]]:
    """Give x, y and visibility (17, 3) in a view; one outside of it is as good as not annotated."""
    xy, visibility = view.to_view(person.xy), person.visibility
    if np.linalg.det(view.matrix[:, :2]) < 0:  # mirrored: the left hand is where the right one was
        xy, visibility = xy[_MIRROR], visibility[_MIRROR]
    inside = (xy >= 0).all(axis=1) & (xy[:, 0] < view.width) & (xy[:, 1] < view.height)
    return np.column_stack([xy, visibility * inside]).tolist()  # type: ignore[no-any-return]


def _mask_in(person: Person, picture: Picture, view: View) -> np.ndarray:
    """Give a person's mask (H, W) of 0 and 1 as a view shows it."""
    if person.mask is None:
        raise ValueError("masks are learnt only from pictures in which everybody has one")
    whole = read_mask(person.mask, width_px=picture.width_px, height_px=picture.height_px)
    return (view.cut(Image.fromarray(255 * whole)) >= 128).astype(np.uint8)


def _as_tensor(pixels: np.ndarray) -> Tensor:
    """Give a picture (H, W, 3) uint8 as (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255.0
