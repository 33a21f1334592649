"""The networks to train oneself: shapes, seeds, and that each of them can learn eight samples by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphs.layouts import COCO17
from har.pose.networks import deeppose, hourglass
from har.pose.networks.centernet import CenterNet, CenterNetSettings, centre_loss, centre_targets, read_boxes
from har.pose.networks.deeppose import DeepPose, DeepPoseSettings, deeppose_loss
from har.pose.networks.hourglass import Hourglass, HourglassSettings, heat_targets, hourglass_loss

SMALL_GLASS = HourglassSettings(size_px=64, channels=32, depth=2)
SMALL_DEEP = DeepPoseSettings(size_px=64, channels=16)
SMALL_EYE = CenterNetSettings(width_px=96, height_px=64, channels=16)


def dots(n: int, *, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give pictures (N, 3, S, S) with a spot of its own colour at every joint, and the joints (N, V, 2)."""
    rng = torch.Generator().manual_seed(0)
    joints = torch.rand(n, COCO17.n_joints, 2, generator=rng) * 0.8 + 0.1
    colours = torch.rand(COCO17.n_joints, 3, generator=rng)
    middles = (torch.arange(size) + 0.5) / size
    across, down = middles - joints[..., :1], middles - joints[..., 1:]
    spots = torch.exp(-(across[..., None, :] ** 2 + down[..., None] ** 2) / (2 * 0.03**2))  # (N, V, S, S)
    return torch.einsum("nvhw,vc->nchw", spots, colours).clamp(0, 1), joints


@pytest.mark.parametrize(
    ("network", "shown", "answer"),
    [
        (Hourglass(SMALL_GLASS), (2, 3, 64, 64), (2, 2, 17, 16, 16)),
        (DeepPose(SMALL_DEEP), (2, 3, 64, 64), (2, 3, 17, 3)),
        (CenterNet(SMALL_EYE), (2, 3, 64, 96), (2, 5, 16, 24)),
    ],
)
def test_a_network_gives_an_answer_of_the_shape_it_promises(network, shown, answer) -> None:
    assert network(torch.rand(shown)).shape == answer


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: Hourglass(SMALL_GLASS), (1, 3, 64, 64)),
        (lambda: DeepPose(SMALL_DEEP), (1, 3, 64, 64)),
        (lambda: CenterNet(SMALL_EYE), (1, 3, 64, 96)),
    ],
)
def test_the_same_seed_gives_the_same_answer(make, shown) -> None:
    answers = []
    for _ in range(2):
        torch.manual_seed(5)
        answers.append(make().eval()(torch.rand(shown)))

    assert torch.equal(*answers)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["gaussian", "cauchy"])
def test_an_hourglass_learns_eight_people_by_heart(target) -> None:
    torch.manual_seed(0)
    settings = HourglassSettings(size_px=64, channels=32, depth=2, target=target)
    network, (crops, joints) = Hourglass(settings), dots(8, size=64)
    optimiser, weights = torch.optim.AdamW(network.parameters(), lr=5e-3), torch.ones(8, COCO17.n_joints)

    for _ in range(100):
        loss = hourglass_loss(network(crops), heat_targets(joints, settings), weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        found, scores = hourglass.read_joints(network(crops).numpy(), settings)

    assert np.linalg.norm(found - joints.numpy(), axis=-1).mean() < 0.02
    assert scores.mean() > 0.7


@pytest.mark.slow
def test_deeppose_learns_eight_people_by_heart_and_its_stages_come_nearer() -> None:
    torch.manual_seed(0)
    network, (crops, joints) = DeepPose(SMALL_DEEP), dots(8, size=64)
    optimiser, ones = torch.optim.AdamW(network.parameters(), lr=3e-3), torch.ones(8, COCO17.n_joints)

    for _ in range(200):
        rows, others = network.answers(crops, joints + 0.05 * torch.randn(joints.shape))
        loss = sum(deeppose_loss(rows, others, joints, ones, ones).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        rows = network(crops)
    errors = (rows[..., :2] - joints[:, None]).norm(dim=-1).mean(dim=(0, 2))  # (stages + 1,)

    assert errors[-1] < 0.02
    assert errors[-1] < errors[0]


@pytest.mark.slow
def test_the_detector_learns_eight_pictures_by_heart() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = CenterNet(SMALL_EYE)
    pictures, boxes = torch.full((8, 3, 64, 96), 0.2), []
    for picture in pictures:
        box = np.array([rng.uniform(5, 60), rng.uniform(5, 25), rng.uniform(12, 30), rng.uniform(20, 35)])
        x, y, width, height = box.astype(int)
        picture[:, y : y + height, x : x + width] = 0.9
        boxes.append(np.array([[x, y, width, height]], dtype=np.float32))
    targets = torch.from_numpy(np.stack([centre_targets(each / 4, width=24, height=16) for each in boxes]))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)

    for _ in range(120):
        loss = sum(centre_loss(network(pictures), targets).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        found = read_boxes(network(pictures).numpy(), threshold=0.3, most=5)

    assert [len(each) for each in found] == [1] * 8
    assert np.abs(np.concatenate(found)[:, :4] - np.concatenate(boxes)).max() < 4


def test_joints_are_read_off_between_the_pixels() -> None:
    joints = torch.rand(4, COCO17.n_joints, 2, generator=torch.Generator().manual_seed(3)) * 0.7 + 0.15

    for target in ("gaussian", "cauchy"):
        settings = HourglassSettings(target=target)
        maps = heat_targets(joints, settings)[:, None].numpy()
        found, _ = hourglass.read_joints(maps, settings)
        assert np.abs(found - joints.numpy()).max() * 32 < 0.15  # pixels of the map; the nearest pixel is up to 0.5 off


def test_the_answer_to_a_mirrored_crop_turns_back_into_that_to_the_crop() -> None:
    joints = torch.rand(2, COCO17.n_joints, 2) * 0.7 + 0.15
    mirrored = (joints * torch.tensor([-1, 1]) + torch.tensor([1, 0]))[:, list(COCO17.mirror_order)]
    settings = HourglassSettings()

    maps = hourglass.unmirror(heat_targets(mirrored, settings)[:, None].numpy(), COCO17.mirror_order)
    rows = torch.cat([mirrored, torch.zeros(2, COCO17.n_joints, 1)], dim=-1)[:, None].numpy()
    places = deeppose.unmirror(rows, COCO17.mirror_order)

    np.testing.assert_allclose(maps[:, 0], heat_targets(joints, settings).numpy(), atol=1e-5)
    np.testing.assert_allclose(places[:, 0, :, :2], joints.numpy(), atol=1e-6)
