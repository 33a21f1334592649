"""Mask R-CNN: the network, its official weights, and the estimator made of it. No weights are fetched here."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection import keypointrcnn_resnet50_fpn, maskrcnn_resnet50_fpn
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

from har.cli import main as cli
from har.cli.doctor import maskrcnn_findings
from har.errors import BundleError, ConfigError, WeightsError
from har.pose import check_estimator, gives_masks, open_estimator
from har.pose.bundle import load_pose_bundle, save_pose_bundle
from har.pose.coco_weights import maskrcnn_path, pull_maskrcnn
from har.pose.mask_rcnn import MaskRCNNEstimator
from har.pose.masks import paste
from har.pose.networks.mask_rcnn import LIGHT, OFFICIAL, MaskRCNN, MaskRCNNSettings, read_joints
from har.records import Frame, ImageArray, Silhouette
from tests.builders import standing_body

TINY = replace(LIGHT, short_px=96, long_px=128, fpn_channels=16, anchors_px=((16,), (32,), (64,), (96,)),
               box_channels=32, joint_layers=(16,), mask_layers=(16,), proposals=20, boxes_trained=16)  # fmt: skip
LOSSES = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_keypoint", "loss_mask"}


def network(settings: MaskRCNNSettings = TINY, *, seed: int = 0) -> MaskRCNN:
    torch.manual_seed(seed)
    return MaskRCNN(settings)


def picture_of_somebody(*, x_px: float = 64.0) -> tuple[Tensor, dict[str, Tensor]]:
    """A bright stick before a dark wall, 128 x 96, and where everything of it is."""
    joints = standing_body(x_px=x_px, px_per_m=40.0, floor_y_px=86.0)
    (left, top), (right, bottom) = joints.min(axis=0) - 4, joints.max(axis=0) + 4
    mask = torch.zeros(1, 96, 128, dtype=torch.uint8)
    mask[0, int(top) : int(bottom), int(left) : int(right)] = 1
    image = 0.2 + 0.6 * mask.float().expand(3, -1, -1)
    target = {
        "boxes": torch.tensor([[left, top, right, bottom]], dtype=torch.float32),
        "labels": torch.ones(1, dtype=torch.int64),
        "keypoints": torch.from_numpy(np.column_stack([joints, np.full(17, 2)])[None]).float(),
        "masks": mask,
    }
    return image, target


def frame_of(image: ImageArray) -> Frame:
    return Frame(image, 0.0, 0.0, "hall")


def test_in_bf16_boxes_and_depthwise_kernels_are_reckoned_in_fp32() -> None:
    model = network().train()
    kept: dict[str, Tensor] = {}
    depthwise = next(layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d) and layer.groups > 1)
    model.rpn.head.register_forward_hook(lambda *given: kept.update(shifts=given[2][1][0]))
    depthwise.register_forward_hook(lambda *given: kept.update(before=given[1][0], after=given[2]))
    image, target = picture_of_somebody()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model([image, image], [target, target])
    sum(losses.values()).backward()

    assert kept["shifts"].dtype == torch.float32
    assert kept["before"].dtype == kept["after"].dtype == torch.bfloat16
    exact = torch.nn.functional.conv2d(
        kept["before"].float(), depthwise.weight, None, depthwise.stride, depthwise.padding, groups=depthwise.groups
    )
    torch.testing.assert_close(kept["after"].float(), exact, rtol=0.004, atol=0)  # rounded once, at the end
    assert depthwise.weight.grad is not None
    assert depthwise.weight.grad.abs().sum() > 0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "har" / "maskrcnn"


@pytest.fixture(scope="module")
def learnt() -> MaskRCNN:
    """A network that has seen one picture often enough to know it."""
    net = network().train()
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    image, target = picture_of_somebody()
    for _ in range(90):
        losses = net([image, image.flip(2)], [target, _mirrored(target)])
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    return net.eval()


def _mirrored(target: dict[str, Tensor]) -> dict[str, Tensor]:
    boxes, joints = target["boxes"].clone(), target["keypoints"].clone()
    boxes[:, [0, 2]] = 128 - target["boxes"][:, [2, 0]]
    joints[..., 0] = 128 - joints[..., 0]
    return {**target, "boxes": boxes, "keypoints": joints, "masks": target["masks"].flip(2)}


@pytest.fixture(scope="module")
def bundle(learnt: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "mine"
    save_pose_bundle(folder, kind="maskrcnn", settings=asdict(TINY), state=learnt.state_dict(), trained={})
    return folder


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained one, made sure of everything: it sees people everywhere."""
    net = network()
    torch.nn.init.constant_(net.roi_heads.box_predictor.cls_score.bias[1:], 5.0)
    folder = tmp_path_factory.mktemp("bundles") / "sure"
    save_pose_bundle(folder, kind="maskrcnn", settings=asdict(TINY), state=net.state_dict(), trained={})
    return folder


# -- the network -----------------------------------------------------------------------------------------------------


def test_all_losses_are_told_and_are_numbers_also_where_nobody_is_or_no_joint_is_known() -> None:
    net = network().train()
    image, target = picture_of_somebody()
    nobody = {name: tensor[:0] for name, tensor in target.items()}
    jointless = {**target, "keypoints": target["keypoints"] * torch.tensor([1.0, 1.0, 0.0])}

    for batch in ([target, nobody], [nobody, nobody], [jointless, target]):
        losses = net([image, image], batch)

        assert set(losses) == LOSSES
        assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(buffer).all() for buffer in net.state_dict().values())


def test_weights_laid_out_with_channels_last_learn_too() -> None:
    net = network().train().to(memory_format=torch.channels_last)
    image, target = picture_of_somebody()

    losses = net([image], [target])

    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_the_same_seed_gives_the_same_answer() -> None:
    image, _ = picture_of_somebody()

    one, other = (network(seed=3).eval()([image])[0] for _ in range(2))

    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_it_can_learn_a_picture_by_heart(learnt: MaskRCNN) -> None:
    image, target = picture_of_somebody()

    with torch.no_grad():
        (found,) = learnt([image])

    assert found["scores"][0] > 0.7
    assert (found["boxes"][0] - target["boxes"][0]).abs().max() < 6
    assert (found["keypoints"][0] - target["keypoints"][0, :, :2]).norm(dim=1).median() < 5
    whole = paste(Silhouette(found["boxes"][0].numpy(), (255 * found["masks"][0]).byte().numpy()), width_px=128,
                  height_px=96)  # fmt: skip
    truth = target["masks"][0].bool().numpy()
    assert (whole & truth).sum() / (whole | truth).sum() > 0.7


def test_joints_are_read_off_smooth_heat_maps_as_torchvision_reads_them_and_between_the_cells() -> None:
    generator = torch.Generator().manual_seed(0)
    places = 4 + 48 * torch.rand(5, 17, 2, generator=generator)  # in cells
    cells = torch.arange(56.0) + 0.5
    far = (cells - places[..., :1])[..., None, :] ** 2 + (cells - places[..., 1:])[..., None] ** 2  # (5, 17, 56, 56)
    heat = 12 * torch.exp(-far / (2 * 2.0**2))
    boxes = torch.tensor([[10.0, 20.0, 66.0, 132.0]]).repeat(5, 1)

    xy, score = read_joints(heat, boxes)
    theirs, _ = heatmaps_to_keypoints(heat, boxes)

    truth = boxes[:, None, :2] + places * torch.tensor([1.0, 2.0])
    assert (xy - truth).abs().max() < 0.2
    assert (xy - theirs[..., :2]).abs().max() < 1.2  # theirs are whole pixels
    assert (score > 0.9).all()


def test_a_joint_whose_heat_is_spread_out_has_a_low_score() -> None:
    heat = torch.zeros(1, 17, 56, 56)

    xy, score = read_joints(heat, torch.tensor([[0.0, 0.0, 56.0, 56.0]]))

    assert (score < 0.02).all()
    assert torch.isfinite(xy).all()


@pytest.mark.parametrize("change", [
    {"anchors_px": ((16,), (32,))},
    {"fpn_channels": 10**6},
    {"short_px": 400},
    {"joint_layers": ()},
    {"proposals": 0},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|out of range"):
        replace(TINY, **change)


@pytest.mark.slow
def test_both_backbones_can_be_built_and_find_people_in_one_pass() -> None:
    small = replace(TINY, backbone="resnet50", anchors_px=((8,), (16,), (32,), (64,), (96,)))
    image, _ = picture_of_somebody()

    for masks in ("none", "shared", "apart"):
        (found,) = network(replace(small, masks=masks)).eval()([image])  # type: ignore[arg-type]

        assert found["keypoints"].shape[1:] == (17, 2)
        assert ("masks" in found) == (masks != "none")


# -- the estimator ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_trained_bundle_runs_as_an_estimator_and_gives_masks_only_where_asked(bundle: Path) -> None:
    image, target = picture_of_somebody()
    pixels = (255 * image).byte().numpy().transpose(1, 2, 0)
    check_estimator(str(bundle))

    plain, with_masks = (
        open_estimator(str(bundle), max_people=2, masks=masks).estimate(frame_of(pixels)) for masks in (False, True)
    )

    assert gives_masks(str(bundle))
    assert len(plain) >= 1
    assert plain[0].silhouette is None
    assert with_masks[0].silhouette is not None
    np.testing.assert_array_equal(plain[0].xy, with_masks[0].xy)
    errors = np.linalg.norm(plain[0].xy - target["keypoints"][0, :, :2].numpy(), axis=1)
    assert np.median(errors) < 5
    assert ((plain[0].score >= 0) & (plain[0].score <= 1)).all()


@pytest.mark.slow
def test_people_keep_their_place_when_a_picture_is_larger(bundle: Path) -> None:
    image, target = picture_of_somebody()
    pixels = (255 * image).byte().numpy().transpose(1, 2, 0).repeat(5, axis=0).repeat(5, axis=1)

    (pose, *_) = MaskRCNNEstimator(bundle, max_people=1).estimate(frame_of(pixels))

    errors = np.linalg.norm(pose.xy - 5 * target["keypoints"][0, :, :2].numpy(), axis=1)
    assert np.median(errors) < 25


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (7, 300), (2160, 3840), (240, 8), (96, 128)])
def test_pictures_of_any_size_do_not_trouble_it(sure: Path, shape: tuple[int, int]) -> None:
    estimator = MaskRCNNEstimator(sure, max_people=50, masks=True)
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    half_black = noise.copy()
    half_black[:, : shape[1] // 2] = 0

    for image in (noise, half_black, np.zeros_like(noise), np.asfortranarray(noise)):
        for pose in estimator.estimate(frame_of(image)):
            assert np.isfinite(pose.xy).all()


def test_there_are_never_more_people_than_asked_for(sure: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)

    counts = [len(MaskRCNNEstimator(sure, max_people=n).estimate(frame_of(noise))) for n in (1, 3, 50)]

    assert counts[:2] == [1, 3]
    assert 3 < counts[2] <= 50


def test_a_bundle_without_masks_is_refused_where_they_are_asked_for(tmp_path: Path) -> None:
    settings = replace(TINY, masks="none")
    state = network(settings).state_dict()
    save_pose_bundle(tmp_path / "plain", kind="maskrcnn", settings=asdict(settings), state=state, trained={})

    assert not gives_masks(str(tmp_path / "plain"))
    with pytest.raises(BundleError, match="gives no masks"):
        MaskRCNNEstimator(tmp_path / "plain", max_people=1, masks=True)


def test_a_bundle_of_another_kind_or_with_other_settings_is_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    save_pose_bundle(tmp_path / "finder", kind="centernet", settings=asdict(TINY), state=state, trained={})
    save_pose_bundle(tmp_path / "other", kind="maskrcnn", settings=asdict(replace(TINY, fpn_channels=8)), state=state,
                     trained={})  # fmt: skip

    with pytest.raises(BundleError, match="is of kind centernet"):
        MaskRCNNEstimator(tmp_path / "finder", max_people=1)
    with pytest.raises(BundleError, match="the network needs"):
        MaskRCNNEstimator(tmp_path / "other", max_people=1)


# -- choosing it -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cache")
def test_without_weights_one_line_says_how_to_get_them() -> None:
    for ask in (maskrcnn_path, lambda: check_estimator("maskrcnn"), lambda: open_estimator("maskrcnn", max_people=1)):
        with pytest.raises(WeightsError, match=r"are not there\. Run `har models pull maskrcnn` once"):
            ask()


def test_the_doctor_tells_of_the_weights_and_of_masks(cache: Path) -> None:
    (lacking,) = maskrcnn_findings()
    settings = replace(TINY, masks="none")
    save_pose_bundle(cache, kind="maskrcnn", settings=asdict(settings), state=network(settings).state_dict(),
                     trained={})  # fmt: skip
    (there,) = maskrcnn_findings()

    assert (lacking.state, lacking.cure) == ("lacking", "har models pull maskrcnn")
    assert there.state == "ok"
    assert there.found == f"{cache}, without masks"


@pytest.mark.usefixtures("cache")
def test_the_service_does_not_begin_without_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.sources.builders import write_video

    video = write_video(tmp_path / "in.mp4", [0.0, 0.1], images=[np.zeros((96, 128, 3), dtype=np.uint8)] * 2)

    code = cli.main(["run", "--source", str(video), "--once", "--pose", "maskrcnn"])

    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert last.startswith("har: ")
    assert "har models pull maskrcnn" in last


@pytest.mark.parametrize("name", ["maskrcnn:", "maskrcnn:0", "maskrcnn:9999", "maskrcnn:big", "maskrcnn:-480"])
def test_a_size_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        check_estimator(name)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle of a pose estimator"):
        check_estimator(str(tmp_path))


def test_a_bundle_cut_short_is_noticed_before_anything_starts(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    save_pose_bundle(folder, kind="maskrcnn", settings=asdict(TINY), state=network().state_dict(), trained={})
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])

    with pytest.raises(BundleError, match="is not a file of"):
        check_estimator(str(folder))


# -- official weights ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights as torchvision saves them, of networks that nobody trained but whose norms are not all one and nought."""
    folder = tmp_path_factory.mktemp("pth")
    paths = {}
    for name, build in (("keypoints", keypointrcnn_resnet50_fpn), ("masks", maskrcnn_resnet50_fpn)):
        torch.manual_seed(len(name))
        net = build(weights=None, weights_backbone=None)
        state = net.state_dict()
        for key, tensor in state.items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif key.endswith("running_mean"):
                tensor.normal_(0.0, 0.1)
        paths[name] = folder / f"{name}.pth"
        torch.save(state, paths[name])
    return paths


@pytest.mark.slow
def test_weights_from_files_give_what_torchvisions_own_networks_give(pth: dict[str, Path], cache: Path) -> None:
    told: list[str] = []
    assert pull_maskrcnn(files=[pth["masks"], pth["keypoints"]], say=told.append) == cache
    bundle = load_pose_bundle(maskrcnn_path())
    ours = MaskRCNN(bundle.settings_as(MaskRCNNSettings))
    bundle.fill(ours)
    theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=128, max_size=160).eval()
    theirs.load_state_dict(torch.load(pth["keypoints"], weights_only=True))
    masks = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    masks.load_state_dict(torch.load(pth["masks"], weights_only=True))
    ours.transform.min_size, ours.transform.max_size = (128,), 160
    theirs.roi_heads.detections_per_img = ours.roi_heads.detections_per_img = 3
    image = torch.rand(3, 128, 160, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        (mine,), (their,) = ours([image]), theirs([image])
        features = masks.backbone(ours.transform([image])[0].tensors)
        heads = masks.roi_heads
        cut = heads.mask_roi_pool(features, [mine["boxes"]], [(128, 160)])
        their_masks = heads.mask_predictor(heads.mask_head(cut))[:, 1].sigmoid()

    assert len(mine["boxes"]) == len(their["boxes"]) > 0
    torch.testing.assert_close(mine["boxes"], their["boxes"], atol=0.05, rtol=0)
    torch.testing.assert_close(mine["scores"], their["scores"], atol=1e-4, rtol=0)
    near = (mine["keypoints"] - their["keypoints"][..., :2]).norm(dim=2)
    cell = (mine["boxes"][:, 2:] - mine["boxes"][:, :2]).max() / 56
    assert near.median() < 2 * cell
    torch.testing.assert_close(mine["masks"], their_masks, atol=1e-3, rtol=0)
    assert bundle.trained["files"][
        "Keypoint R-CNN"].startswith("keypoints.pth, sha256 ")  # fmt: skip
    assert gives_masks("maskrcnn")
    assert cli.main(["models", "list", "--json", "-"]) == 0
    pull_maskrcnn(say=told.append)
    assert told[-1] == f"Mask R-CNN weights are in place: {cache}"


@pytest.mark.slow
def test_keypoints_alone_are_enough_and_masks_alone_are_not(
    pth: dict[str, Path], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WeightsError, match=r"has no joints\. Give the file of Keypoint R-CNN as well"):
        pull_maskrcnn(files=[pth["masks"]])
    assert not cache.exists()

    code = cli.main(["models", "pull", "maskrcnn", "--file", str(pth["keypoints"])])

    assert code == 0
    assert "without masks, which the file of Mask R-CNN would add" in capsys.readouterr().err
    check_estimator("maskrcnn:480")
    assert not gives_masks("maskrcnn")
    with pytest.raises(WeightsError, match="a second file of Keypoint R-CNN"):
        pull_maskrcnn(files=[pth["keypoints"], pth["keypoints"]])


class _Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (print, ("this must never run",))


def test_files_that_are_no_weights_are_refused_and_run_nothing(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "empty.pth": b"",
        "text.pth": b"<html>not found</html>",
        "evil.pth": pickle.dumps({"a": _Evil()}),
        "half.pth": _saved({"backbone.body.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path)[:200],
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{name}: ") as caught:
            pull_maskrcnn(files=[path])
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="cannot be read"):
        pull_maskrcnn(files=[tmp_path / "nowhere.pth"])

    assert "never run" not in capsys.readouterr().out
    assert not cache.exists()


@pytest.mark.parametrize(("state", "said"), [
    ({"layer.weight": torch.zeros(2)}, "these are no weights of Keypoint R-CNN"),
    ({"roi_heads.keypoint_head.0.weight": torch.zeros(2)}, "is not of Keypoint R-CNN with ResNet-50"),
    ({"roi_heads.mask_head.0.weight": torch.zeros(2)}, "is not of Mask R-CNN with ResNet-50"),
    ({"model": {"a": torch.zeros(2)}}, "holds other things than named tensors"),
    ({7: torch.zeros(2)}, "holds other things than named tensors"),
])  # fmt: skip
def test_weights_of_other_networks_are_refused(tmp_path: Path, cache: Path, state: dict[str, Any], said: str) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path)

    with pytest.raises(WeightsError, match=said) as caught:
        pull_maskrcnn(files=[path])

    assert "\n" not in str(caught.value)
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_a_network_that_cannot_be_reached_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")

    code = cli.main(["models", "pull", "maskrcnn"])

    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert "cannot be fetched" in last
    assert "--file" in last


def test_the_official_settings_are_those_of_torchvision() -> None:
    mine, theirs = (
        set(network(replace(OFFICIAL, masks="none")).state_dict()),
        {n for n in keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict() if "num_b" not in n},
    )

    assert mine == theirs


def _saved(state: dict[str, Tensor], folder: Path) -> bytes:
    torch.save(state, folder / "whole.pth")
    return (folder / "whole.pth").read_bytes()


def test_settings_pass_through_json() -> None:
    again = json.loads(json.dumps(asdict(LIGHT)))

    assert MaskRCNNSettings(**{**again, "anchors_px": LIGHT.anchors_px, "joint_layers": LIGHT.joint_layers,
                               "mask_layers": LIGHT.mask_layers}) == LIGHT  # fmt: skip


# -- in the service --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_service_draws_silhouettes_with_a_trained_estimator(bundle: Path, tmp_path: Path) -> None:
    from har.service.drawing import BACKDROP
    from har.sources import open_source
    from tests.sources.builders import write_video

    pixels = []
    for _ in range(12):
        image, _ = picture_of_somebody()
        pixels.append((255 * image).byte().numpy().transpose(1, 2, 0))
    times_s = [round(i / 10, 3) for i in range(12)]
    source = write_video(tmp_path / "in.mp4", times_s, images=pixels)
    out = tmp_path / "out.mp4"

    code = cli.main(["run", "--source", str(source), "--once", "--pose", str(bundle), "--overlay", str(out),
                     "--silhouette", "--json", str(tmp_path / "result.json")])  # fmt: skip

    assert code == 0
    with open_source(str(out), camera="c", paced=False) as video:
        pictures = [frame.image for frame in video.frames()]
    assert len(pictures) == 12
    corner = pictures[-1][10:40, 100:125].reshape(-1, 3).astype(int)  # far from the person, the wall is 51 throughout
    assert np.abs(corner.mean(axis=0) - 51).max() < 4
    assert np.abs(corner.mean(axis=0) - BACKDROP).max() > 6
    person = pictures[-1][40:80, 58:70].reshape(-1, 3).astype(int)
    assert (np.abs(person - 204).max(axis=1) < 12).mean() < 0.2  # of the person's own colour nothing is left
