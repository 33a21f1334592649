"""What the two models of one person's crop learn from: people cut out of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from graphs.layouts import COCO17
from har.pose.coco import Person, Picture, load_image
from har.pose.networks import deeppose, hourglass
from har.pose.networks.deeppose import DeepPose, deeppose_loss
from har.pose.networks.hourglass import Hourglass, heat_targets, hourglass_loss
from har.pose.views import View
from har.records import FloatArray, ImageArray, Pose
from har.training.pose.augment import STRONG, Chances, change_colours, draw_crop
from har.training.pose.judging import HIDDEN, SEEN, pdj

FEWEST_JOINTS = 4
"""Of a person who is learnt from."""
HIDDEN_SCORE = 0.5
"""What the score of a joint should be that is hidden, where the model has a score of its own."""
MEAN_SURE, MEAN_WEIGHT = 0.6, 0.5
"""Score from which the mean student's joint stands in for one that the teacher did not know, and how much it counts."""
_START_SPREAD = 0.06  # of the crop: how far DeepPose's first answer is off when it has learnt a little
_CHECK_BATCH = 32
_MIRROR = list(COCO17.mirror_order)


@dataclass(frozen=True, slots=True, eq=False)
class CropBatch:
    """People as a crop model is shown them.

    Attributes:
        crops: (N, 3, S, S) float32 in [0, 1].
        joints: (N, V, 2), (0, 0) the crop's top left corner and (1, 1) the other.
        seen: (N, V): 1 seen, 0.5 hidden, 0 not in the crop.
        weights: (N, V): 0 for a joint of which nothing is known.
        plain: (N, 3, S, S): the same without changes of light and colour; None where every joint is known.
    """

    crops: Tensor
    joints: Tensor
    seen: Tensor
    weights: Tensor
    plain: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One person in one picture.

    Attributes:
        picture: where they are.
        person: their box and joints.
        is_taught: a teacher's labels: joints that it is not sure of are unknown. Otherwise they are not to be seen.
    """

    picture: Picture
    person: Person
    is_taught: bool = False


def people_in(pictures: Iterable[Picture], *, are_taught: bool = False) -> list[Sample]:
    """Give everybody who can be learnt from."""
    return [
        Sample(picture, person, are_taught)
        for picture in pictures
        for person in picture.people
        if not person.crowd and np.count_nonzero(person.visibility) >= FEWEST_JOINTS
    ]


@dataclass(slots=True, eq=False)
class CropLesson:
    """People to learn from, and people to be judged by."""

    network: Hourglass | DeepPose
    learn: Sequence[Sample]
    check: Sequence[Sample]
    chances: Chances = field(default_factory=Chances)
    chances_taught: Chances = STRONG
    unit: str = "crops"

    def __len__(self) -> int:
        """Give how many people it learns from in a pass."""
        return len(self.learn)

    def batch(self, numbers: Sequence[int], rng: np.random.Generator) -> CropBatch:
        """Cut people out, changed by chance."""
        size = self.network.settings.size_px
        rows, plain = [], []
        for number in numbers:
            sample = self.learn[number]
            chances = self.chances_taught if sample.is_taught else self.chances
            view = draw_crop(sample.person, size, chances, rng)
            plain.append(view.cut(Image.fromarray(load_image(sample.picture))))
            shown = change_colours(plain[-1], chances, rng)
            rows.append((shown, *place_joints(view, sample.person, is_taught=sample.is_taught)))
        batch = as_batch(rows)
        return (
            replace(batch, plain=as_crops(plain)) if any(self.learn[number].is_taught for number in numbers) else batch
        )

    def losses(self, network: nn.Module, mean: nn.Module, batch: CropBatch, device: torch.device) -> dict[str, Tensor]:
        """Give the losses of a batch by name."""
        if batch.plain is not None:
            batch = fill_in(mean, batch, device)
        return crop_losses(network, batch, device)

    def judge(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Give PDJ at 0.2 of all joints annotated, and of those seen, on crops of the annotated boxes."""
        if not self.check:
            return {}
        return pdj(
            [each.person for each in self.check],
            look_at(network, self.check, device, size_px=self.network.settings.size_px),
        )


def look_at(network: nn.Module, samples: Sequence[Sample], device: torch.device, *, size_px: int) -> list[Pose]:
    """Give everybody's pose in pixels of their picture, as a network sees the crop of their annotated box."""
    poses = []
    for first in range(0, len(samples), _CHECK_BATCH):
        part = samples[first : first + _CHECK_BATCH]
        views = [View.round_box(each.person.box, size_px) for each in part]
        crops = [view.cut(Image.fromarray(load_image(each.picture))) for view, each in zip(views, part, strict=True)]
        joints, scores = answer(network, as_crops(crops).to(device))
        for view, places, score in zip(views, joints, scores, strict=True):
            poses.append(Pose(view.to_picture(places * np.float32(view.width)), score))
    return poses


def place_joints(view: View, person: Person, *, is_taught: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give a person's joints in a view (V, 2), what their scores should be (V,), and how much they count (V,)."""
    joints = view.to_view(person.xy) / np.float32(view.width)
    visibility = person.visibility
    if np.linalg.det(view.matrix[:, :2]) < 0:  # mirrored: the left hand is where the right one was
        joints, visibility = joints[_MIRROR], visibility[_MIRROR]
    is_inside = ((joints >= 0) & (joints < 1)).all(axis=-1)
    seen = np.where(visibility == SEEN, 1.0, np.where(visibility == HIDDEN, HIDDEN_SCORE, 0.0)) * is_inside
    weights = np.where(visibility == SEEN, 1.0, 0.0) if is_taught else np.ones(len(joints))
    return joints, seen.astype(np.float32), weights.astype(np.float32)


def fill_in(mean: nn.Module, batch: CropBatch, device: torch.device) -> CropBatch:
    """Ask the mean student for the joints that the teacher did not know; what it is sure of counts a little."""
    assert batch.plain is not None
    joints, scores = (torch.from_numpy(each) for each in answer(mean, batch.plain.to(device)))
    is_filled = (batch.weights == 0) & (scores >= MEAN_SURE)  # (N, V)
    return replace(
        batch,
        joints=torch.where(is_filled[..., None], joints, batch.joints),
        seen=torch.where(is_filled, scores.clamp(max=1), batch.seen),
        weights=torch.where(is_filled, MEAN_WEIGHT * scores, batch.weights),
    )


def as_batch(rows: Sequence[tuple[ImageArray, FloatArray, FloatArray, FloatArray]]) -> CropBatch:
    """Put people together: crop, joints, scores and weights of each."""
    crops, joints, seen, weights = zip(*rows, strict=True)
    return CropBatch(as_crops(crops), *(torch.from_numpy(np.stack(each)) for each in (joints, seen, weights)))


def as_crops(crops: Sequence[ImageArray]) -> Tensor:
    """Give pictures (H, W, 3) as networks want them: (N, 3, H, W) in [0, 1], colours next to each other in memory."""
    return (torch.from_numpy(np.stack(crops)).float() / 255).permute(0, 3, 1, 2)


def crop_losses(network: nn.Module, batch: CropBatch, device: torch.device) -> dict[str, Tensor]:
    """Give the losses of a crop model by name."""
    crops, joints, seen, weights = (each.to(device) for each in (batch.crops, batch.joints, batch.seen, batch.weights))
    if isinstance(network, Hourglass):
        maps = network(crops).float()  # (N, stacks, V, H, W)
        targets = heat_targets(joints, network.settings) * (seen > 0)[..., None, None]
        return {"heat": hourglass_loss(maps, targets, weights)}
    assert isinstance(network, DeepPose)
    starts = joints + _START_SPREAD * torch.randn(joints.shape, device=device)
    rows, others = network.answers(crops, starts.clamp(-0.2, 1.2))
    return deeppose_loss(rows, others, joints, seen, weights)


@torch.inference_mode()
def answer(network: nn.Module, crops: Tensor) -> tuple[FloatArray, FloatArray]:
    """Give a crop model's joints (N, V, 2) in shares of the crop, and their scores (N, V)."""
    found = network(crops).float().cpu().numpy()
    if isinstance(network, Hourglass):
        return hourglass.read_joints(found, network.settings)
    assert isinstance(network, DeepPose)
    return deeppose.read_joints(found, network.settings)
