"""What Mask R-CNN learns from, how it is judged, and the network as ONNX."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphs.layouts import COCO17
from har.pose.bundle import save_pose_bundle
from har.pose.coco import Person, Picture
from har.pose.mask_rcnn import MaskRCNNEstimator
from har.pose.masks import paste, read_mask, write_mask
from har.pose.networks.mask_rcnn import MaskRCNN
from har.pose.views import View
from har.records import Frame, Silhouette
from har.training.pose.export_instances import instances_difference, instances_to_onnx
from har.training.pose.instances import MaskRCNNLesson, judge_pictures, targets_of
from tests.builders import standing_body
from tests.pose.test_mask_rcnn import LOSSES, TINY

CPU = torch.device("cpu")


def picture(folder: Path, *, n: int = 1, with_people: bool = True) -> Picture:
    """One person of 40 x 72 pixels in a picture of 128 x 96; the left arm is hidden, the right ear not annotated."""
    xy = standing_body(x_px=50.0, px_per_m=40.0, floor_y_px=86.0)
    visibility = np.full(17, 2, dtype=np.int8)
    visibility[[7, 9]], visibility[4] = 1, 0
    bits = np.zeros((96, 128), dtype=bool)
    bits[15:87, 30:70] = True
    person = Person(np.array([30, 15, 40, 72], dtype=np.float32), xy, visibility, write_mask(bits), float(bits.sum()))
    crowd = replace(person, crowd=True)
    file = folder / f"{n}.png"
    Image.fromarray(np.where(bits[..., None], 200, 40).astype(np.uint8).repeat(3, axis=2)).save(file)
    return Picture(n, file, 128, 96, (person, crowd) if with_people else ())


def test_targets_are_those_of_the_picture_where_it_is_shown_as_it_is(tmp_path: Path) -> None:
    shown = picture(tmp_path)

    target = targets_of(shown, View.of_whole(128, 96, 128, 96), with_masks=True)

    assert target["boxes"].tolist() == [[30, 15, 70, 87]]  # groups are left out
    assert target["labels"].tolist() == [1]
    assert torch.allclose(target["keypoints"][0, :, :2], torch.from_numpy(shown.people[0].xy), atol=1e-3)
    assert target["keypoints"][0, :, 2].tolist() == shown.people[0].visibility.tolist()
    assert target["masks"].sum() == 40 * 72


def test_mirrored_people_have_left_and_right_change_places(tmp_path: Path) -> None:
    shown = picture(tmp_path)

    target = targets_of(shown, View.of_whole(128, 96, 128, 96, mirrored=True), with_masks=True)

    assert torch.allclose(target["boxes"], torch.tensor([[58.0, 15.0, 98.0, 87.0]]), atol=1e-3)
    left, right = COCO17.joints.index("left_wrist"), COCO17.joints.index("right_wrist")
    assert target["keypoints"][0, right, 0] == pytest.approx(128 - shown.people[0].xy[left, 0], abs=1e-3)
    assert target["keypoints"][0, right, 2] == 1
    assert target["masks"][0, 50, 60] == 1
    assert target["masks"][0, 50, 50] == 0


def test_who_is_hardly_in_the_view_is_left_out_and_joints_outside_are_not_asked_for(tmp_path: Path) -> None:
    shown = picture(tmp_path)

    half = targets_of(shown, View.of_whole(128, 96, 128, 96, shift=(0.39, 0.0)), with_masks=True)
    none = targets_of(shown, View.of_whole(128, 96, 128, 96, shift=(0.5, 0.0)), with_masks=True)

    assert half["boxes"][0, 0] == 0
    asked = half["keypoints"][0, :, 2] > 0
    assert 0 < asked.sum() < 16
    assert (half["keypoints"][0, asked, 0] >= 0).all()
    assert none["boxes"].shape == (0, 4)
    assert none["keypoints"].shape == (0, 17, 3)
    assert none["masks"].shape == (0, 96, 128)


def test_batches_teach_and_come_out_the_same_for_the_same_chance(tmp_path: Path) -> None:
    pictures = [picture(tmp_path, n=1), picture(tmp_path, n=2, with_people=False)]
    torch.manual_seed(0)
    lesson = MaskRCNNLesson(MaskRCNN(TINY), pictures, [])

    batch, again = (lesson.batch([0, 1], np.random.default_rng(5)) for _ in range(2))
    losses = lesson.losses(lesson.network.train(), lesson.network, batch, CPU)

    assert all(torch.equal(one, other) for one, other in zip(batch[0], again[0], strict=True))
    assert [image.shape for image in batch[0]] == [(3, 96, 128)] * 2
    assert set(losses) == LOSSES
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_a_network_that_finds_nobody_is_judged_as_nothing_worth(tmp_path: Path) -> None:
    torch.manual_seed(0)

    figures = judge_pictures(MaskRCNN(TINY).eval(), [picture(tmp_path)], device=CPU)

    assert set(figures) == {f"{what}_{ap}" for what in ("keypoint", "box", "mask") for ap in ("ap", "ap50")}
    assert figures["keypoint_ap"] < 0.1


def test_a_mask_survives_its_forms() -> None:
    rng = np.random.default_rng(0)
    bits = rng.random((96, 128)) < 0.5

    assert (read_mask(write_mask(bits), width_px=128, height_px=96) == bits).all()
    polygon = [[10.0, 10.0, 50.0, 10.0, 50.0, 40.0, 10.0, 40.0]]
    assert read_mask(polygon, width_px=128, height_px=96).sum() == 40 * 30


def test_a_full_silhouette_fills_its_box_and_an_empty_one_nothing() -> None:
    box = np.array([-10.0, 20.0, 40.0, 70.0], dtype=np.float32)

    full = paste(Silhouette(box, np.full((28, 28), 255, dtype=np.uint8)), width_px=128, height_px=96)
    empty = paste(Silhouette(box, np.zeros((28, 28), dtype=np.uint8)), width_px=128, height_px=96)
    outside = paste(Silhouette(box + 500, np.full((28, 28), 255, dtype=np.uint8)), width_px=128, height_px=96)

    assert full[21:69, :39].all()
    assert not full[:, 41:].any()
    assert not full[:19].any()
    assert not empty.any()
    assert not outside.any()


@pytest.mark.slow
def test_as_onnx_it_gives_what_torch_gives_and_runs_as_an_estimator(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = MaskRCNN(TINY).eval()
    torch.nn.init.constant_(network.roi_heads.box_predictor.cls_score.bias[1:], 5.0)  # sees people everywhere
    torch.nn.init.normal_(network.roi_heads.keypoint_predictor.kps_score_lowres.weight, std=5.0)  # and sharply

    blob = instances_to_onnx(network)
    assert blob is not None
    difference = instances_difference(blob, network)

    assert difference is not None
    assert difference < 1e-3
    folder = tmp_path / "b"
    save_pose_bundle(folder, kind="maskrcnn", settings=asdict(TINY), state=network.state_dict(), trained={}, onnx=blob)
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    by_onnx, by_torch = (
        MaskRCNNEstimator(folder, max_people=3, masks=True, onnx=onnx).estimate(Frame(noise, 0.0, 0.0, "hall"))
        for onnx in (True, False)
    )
    assert len(by_onnx) == len(by_torch) == 3
    for one, other in zip(by_onnx, by_torch, strict=True):
        assert (one.score > 0.5).sum() >= 5
        np.testing.assert_allclose(one.xy, other.xy, atol=0.1)
        np.testing.assert_allclose(one.score, other.score, atol=1e-3)
        assert one.silhouette is not None
    for shape in ((240, 320), (16, 16), (300, 100), (2160, 3840)):
        image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
        for pose in MaskRCNNEstimator(folder, max_people=3).estimate(Frame(image, 0.0, 0.0, "hall")):
            assert np.isfinite(pose.xy).all()
            assert (pose.xy[:, 0] < shape[1] + 2).all()
            assert (pose.xy[:, 1] < shape[0] * 1.5 + 40).all()
