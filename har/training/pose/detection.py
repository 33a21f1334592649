"""What the detector learns from: whole pictures and the boxes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from har.pose.coco import Picture, load_image
from har.pose.networks.centernet import STRIDE, CenterNet, centre_loss, centre_targets, read_boxes
from har.pose.views import View
from har.records import FloatArray
from har.training.pose.augment import Chances, change_colours, draw_whole
from har.training.pose.crops import as_crops
from har.training.pose.judging import judge_boxes

LEAST_LEFT = 0.3
"""Of a box that a view cuts: whoever shows less is not asked for, and not held against the detector either."""
_CHECK_BATCH = 16
_LOWEST_SCORE = 0.02  # average precision wants the unsure ones too


@dataclass(slots=True, eq=False)
class DetectorLesson:
    """Pictures to learn from, and pictures to be judged by."""

    network: CenterNet
    learn: Sequence[Picture]
    check: Sequence[Picture]
    chances: Chances = field(default_factory=Chances)
    unit: str = "pictures"

    def __len__(self) -> int:
        """Give how many pictures it learns from in a pass."""
        return len(self.learn)

    def batch(self, numbers: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Give pictures (N, 3, H, W), changed by chance, and their targets (N, 6, H / 4, W / 4)."""
        settings = self.network.settings
        pictures, targets = [], []
        for number in numbers:
            picture = self.learn[number]
            image = Image.fromarray(load_image(picture))
            view = draw_whole(image.size, (settings.width_px, settings.height_px), self.chances, rng)
            pictures.append(change_colours(view.cut(image), self.chances, rng))
            targets.append(targets_of(picture, view))
        return as_crops(pictures), torch.from_numpy(np.stack(targets))

    def losses(
        self, network: nn.Module, mean: nn.Module, batch: tuple[Tensor, Tensor], device: torch.device
    ) -> dict[str, Tensor]:
        """Give the losses of a batch by name."""
        pictures, targets = (each.to(device) for each in batch)
        return centre_loss(network(pictures).float(), targets)

    @torch.inference_mode()
    def judge(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Give how well boxes are found at an overlap of a half, and from which score on."""
        settings, found = self.network.settings, []
        if not self.check:
            return {}
        for first in range(0, len(self.check), _CHECK_BATCH):
            pictures = self.check[first : first + _CHECK_BATCH]
            views = [
                View.of_whole(each.width_px, each.height_px, settings.width_px, settings.height_px) for each in pictures
            ]
            shown = [view.cut(Image.fromarray(load_image(each))) for view, each in zip(views, pictures, strict=True)]
            maps = network(as_crops(shown).to(device)).float().cpu().numpy()
            for view, boxes in zip(views, read_boxes(maps, threshold=_LOWEST_SCORE, most=settings.most), strict=True):
                found.append(np.column_stack([view.boxes_to_picture(boxes[:, :4]), boxes[:, 4]]))
        true = [
            np.array([each.box for each in picture.people if not each.crowd], dtype=np.float32).reshape(-1, 4)
            for picture in self.check
        ]
        return judge_boxes(found, true)


def targets_of(picture: Picture, view: View) -> FloatArray:
    """Draw what a detector should say of a picture seen so, (6, H / 4, W / 4)."""
    width, height = view.width // STRIDE, view.height // STRIDE
    boxes = np.array([each.box for each in picture.people], dtype=np.float32).reshape(-1, 4)
    shown = view.boxes_to_view(boxes) / STRIDE
    low = np.clip(shown[:, :2], 0, (width, height))
    high = np.clip(shown[:, :2] + shown[:, 2:], 0, (width, height))
    cut = np.concatenate([low, high - low], axis=1)  # (P, 4)
    left = cut[:, 2:].prod(axis=1) / np.maximum(shown[:, 2:].prod(axis=1), 1e-9)
    is_asked = (left >= LEAST_LEFT) & np.array([not each.crowd for each in picture.people], dtype=bool)
    target = centre_targets(cut[is_asked], width=width, height=height)
    for x, y, wide, high_px in cut[~is_asked]:  # whatever is found in there is neither right nor wrong
        rows = slice(int(y), int(np.ceil(y + high_px)))
        target[0, rows, int(x) : int(np.ceil(x + wide))] = 1
    return target
