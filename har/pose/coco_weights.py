"""Mask R-CNN's official COCO weights: read once through torchvision's own loader, kept as a bundle in the user's cache.

torchvision publishes pickled weights of two networks: Keypoint R-CNN, which has no masks, and Mask R-CNN for 91 kinds
of things, which has no joints. They are read with `weights_only=True`, checked against the networks they are of, and
put together as one network with two backbones; the service loads nothing but the bundle made of them.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import urllib.error
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from har.errors import BundleError, WeightsError
from har.pose.bundle import MASKRCNN, load_pose_bundle, pose_bundle_kind, save_pose_bundle
from har.pose.weights import cache_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

MAX_BYTES = 2**30
"""Larger files are not read: the official ones have about 230 MB."""
PERSON = 1
"""The class of people, of COCO's 91."""
_OTHER_EPS = 1e-5
"""What networks add to the variance when they normalise; torchvision's present official weights want 0 instead."""
_KEYPOINTS, _MASKS = "Keypoint R-CNN", "Mask R-CNN"
_PULL = "Run `har models pull maskrcnn` once, or give the weights with --file."


def maskrcnn_path() -> Path:
    """Give the bundle of the pulled weights, after a quick look at it.

    Raises:
        WeightsError: they were never pulled, or are damaged.
    """
    folder = cache_folder() / MASKRCNN
    if not folder.is_dir():
        raise WeightsError(f"{folder}: the Mask R-CNN weights are not there. {_PULL}")
    try:
        pose_bundle_kind(folder)
    except BundleError as error:
        raise WeightsError(f"{error} Run `har models pull maskrcnn` to make it again.") from None
    return folder


def pull_maskrcnn(*, files: Sequence[Path] = (), say: Callable[[str], None] = log.info) -> Path:
    """Read the official weights and keep them in the user's cache; without files, does nothing if they are there.

    Args:
        files: weights as torchvision saves them (.pth) of Keypoint R-CNN and, for masks, of Mask R-CNN, both with
            ResNet-50 and feature pyramid; what each is of is seen by what it holds. Without any, they are fetched.
        say: called with a line of progress.

    Returns:
        The bundle's folder.

    Raises:
        WeightsError: the weights cannot be had, or are not of these networks.
    """
    target = cache_folder() / MASKRCNN
    if not files and _is_whole(target):
        say(f"Mask R-CNN weights are in place: {target}")
        return target
    with tempfile.TemporaryDirectory(prefix="har-weights-") as folder:
        paths = files or _download(Path(folder), say)
        states: dict[str, dict[str, Tensor]] = {}
        sources: dict[str, str] = {}
        for path in paths:
            say(f"reading {path.name}")
            what, state, digest = _read(path)
            if what in states:
                raise WeightsError(f"{path}: a second file of {what}. Give one of each.")
            states[what], sources[what] = state, f"{path.name}, sha256 {digest}"
    if _KEYPOINTS not in states:
        raise WeightsError(f"{paths[0]}: is of {_MASKS}, which has no joints. Give the file of {_KEYPOINTS} as well.")
    _keep(target, states, sources)
    size = sum(path.stat().st_size for path in target.iterdir())
    masks = "" if _MASKS in states else f"; without masks, which the file of {_MASKS} would add"
    say(f"Mask R-CNN weights: {target} ({size / 1e6:.0f} MB{masks})")
    return target


def _is_whole(folder: Path) -> bool:
    try:
        load_pose_bundle(folder)
    except BundleError:
        return False
    return True


def _download(folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Let torchvision fetch its official weights and check their digests."""
    from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights, MaskRCNN_ResNet50_FPN_Weights

    for weights in (KeypointRCNN_ResNet50_FPN_Weights.COCO_V1, MaskRCNN_ResNet50_FPN_Weights.COCO_V1):
        say(f"fetching {weights.url} ({weights.meta['_file_size']:.0f} MB)")
        try:
            weights.get_state_dict(
                progress=True, check_hash=True, weights_only=True, model_dir=str(folder), map_location="cpu"
            )
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            why = " ".join(str(getattr(error, "reason", error)).split())
            raise WeightsError(
                f"{weights.url}: cannot be fetched ({why}). Check the network, or fetch that file elsewhere and give "
                "it with --file."
            ) from None
    return sorted(folder.iterdir())


def _read(path: Path) -> tuple[str, dict[str, Tensor], str]:
    """Read one file of weights; give what it is of, its tensors as torchvision names them today, and its digest."""
    from torchvision.models.detection import keypointrcnn_resnet50_fpn, maskrcnn_resnet50_fpn

    state = _load(path)
    if any(".keypoint_" in name for name in state):
        what, build = _KEYPOINTS, keypointrcnn_resnet50_fpn
    elif any(".mask_" in name for name in state):
        what, build = _MASKS, maskrcnn_resnet50_fpn
    else:
        raise WeightsError(
            f"{path}: these are no weights of {_KEYPOINTS} or {_MASKS}. Give {' or '.join(_official_names())}."
        )
    tensors = _fit(path, what, build(weights=None, weights_backbone=None), state)
    digest = _sha256(path)
    if not any(digest.startswith(name.rsplit("-")[-1].removesuffix(".pth")) for name in _official_names()):
        tensors = {n: tensor + _OTHER_EPS if n.endswith("running_var") else tensor for n, tensor in tensors.items()}
    return what, tensors, digest


def _load(path: Path) -> dict[str, Any]:
    """Unpickle a file of weights, tensors only."""
    import torch

    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(f"{path}: has more than {MAX_BYTES} bytes, too many for these weights. Check the path.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what it then refuses
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from None
    except Exception as error:  # of damaged files torch says nearly anything
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"{path}: is no file of weights alone ({why}). Give a .pth as torchvision has it.") from None
    is_named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not is_named or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: holds other things than named tensors. Give a network's state_dict alone.")
    return dict(state)


def _fit(path: Path, what: str, network: nn.Module, state: dict[str, Any]) -> dict[str, Tensor]:
    """Give the tensors as torchvision's own network names them today; every one must fit."""
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise WeightsError(f"{path}: is not of {what} with ResNet-50 ({lines[1][:200]}). Check the file.") from None
    tensors = {n: tensor for n, tensor in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{path}: {name} holds NaN or infinity. Check the file.")
    return tensors


def _keep(target: Path, states: dict[str, dict[str, Tensor]], sources: dict[str, str]) -> None:
    """Put the weights together as one network's, and keep them in place of what was there."""
    from har.pose.networks.mask_rcnn import OFFICIAL

    state = dict(states[_KEYPOINTS])
    for name, tensor in states.get(_MASKS, {}).items():
        if name.startswith("backbone."):
            state[f"silhouettes.{name}"] = tensor
        elif ".mask_fcn_logits." in name:  # of 91 classes, only people and, to keep the shape, the background
            state[name.replace("roi_heads.", "silhouettes.")] = tensor[[0, PERSON]]
        elif ".mask_" in name:
            state[name.replace("roi_heads.", "silhouettes.")] = tensor
    settings = OFFICIAL if _MASKS in states else replace(OFFICIAL, masks="none")
    trained = {"data": "COCO 2017, by torchvision", "files": sources}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".maskrcnn-") as folder:
        made = Path(folder) / MASKRCNN
        save_pose_bundle(made, kind=MASKRCNN, settings=asdict(settings), state=state, trained=trained)
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)


def _official_names() -> list[str]:
    """Give the file names of torchvision's present weights; each ends with the beginning of its sha256."""
    from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights, MaskRCNN_ResNet50_FPN_Weights

    official = (KeypointRCNN_ResNet50_FPN_Weights.COCO_V1, MaskRCNN_ResNet50_FPN_Weights.COCO_V1)
    return [weights.url.rsplit("/", 1)[-1] for weights in official]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
