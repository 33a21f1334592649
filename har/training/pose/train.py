"""From annotated pictures to the bundle of a pose estimator."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import psutil
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from har.errors import ConfigError, TrainingError
from har.models.bundle_files import refuse_existing
from har.pose.bundle import (
    CENTERNET,
    CROP_KINDS,
    DEEPPOSE,
    HOURGLASS,
    MASKRCNN,
    PoseBundle,
    load_pose_bundle,
    save_pose_bundle,
)
from har.pose.coco import Picture
from har.pose.networks.centernet import CenterNet, CenterNetSettings
from har.pose.networks.deeppose import DeepPose, DeepPoseSettings
from har.pose.networks.hourglass import Hourglass, HourglassSettings
from har.pose.networks.mask_rcnn import LIGHT, MaskRCNN, MaskRCNNSettings
from har.pose.trained import make_network
from har.training.checkpoint import forget_checkpoints, require_space
from har.training.devices import CPU, Device
from har.training.interrupts import heard_after_the_step
from har.training.pose.augment import STRONG, Chances
from har.training.pose.crops import CropLesson, people_in
from har.training.pose.detection import DetectorLesson
from har.training.pose.export import difference, to_onnx
from har.training.pose.export_instances import instances_difference, instances_to_onnx
from har.training.pose.instances import MaskRCNNLesson
from har.training.pose.loop import Fit, Given, Plan, Progress, fit
from har.training.pose.pictures import digest_of, hold_out

log = logging.getLogger(__name__)

AnyLesson: TypeAlias = CropLesson | DetectorLesson | MaskRCNNLesson
AnyNetwork: TypeAlias = Hourglass | DeepPose | CenterNet | MaskRCNN
AnySettings: TypeAlias = HourglassSettings | DeepPoseSettings | CenterNetSettings | MaskRCNNSettings
USUAL: dict[str, AnySettings] = {
    MASKRCNN: LIGHT,
    HOURGLASS: HourglassSettings(),
    DEEPPOSE: DeepPoseSettings(),
    CENTERNET: CenterNetSettings(),
}
"""What each kind is built from unless told otherwise."""
PLANS = {
    MASKRCNN: Plan(epochs=12, batch_size=8, learning_rate=2e-3, weight_decay=0.02, warm_up=0.5),
    HOURGLASS: Plan(epochs=20, batch_size=16, learning_rate=2e-3),
    DEEPPOSE: Plan(epochs=40, batch_size=32, learning_rate=2e-3),
    CENTERNET: Plan(epochs=25, batch_size=16, learning_rate=2e-3),
}
"""How each kind is trained."""
RESERVE_SHARE, RESERVE_MIN_S = 0.02, 20.0
"""Kept of a time limit for the export and for writing."""
MOST_DIFFERENCE = 1e-3
"""Of an exported network's answer from torch's."""
_COPIES_KEPT = 12  # times the size of the weights: state, its successor while it is written, and the bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """With what an estimator is trained; nothing of it says what is learnt.

    Attributes:
        device: where.
        threads: of torch; left as they are if None.
        time_limit_min: wall minutes from the start of the process to the bundle on disk; the plan is cut to fit.
        resume: go on with an interrupted run.
        report: called after every step.
        say: called with what a person should know before it begins.
    """

    device: Device = CPU
    threads: int | None = None
    time_limit_min: float | None = None
    resume: bool = False
    report: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = lambda line: None


def train_pose(
    kind: str,
    pictures: Sequence[Picture],
    *,
    out: Path,
    detector: Path | None = None,
    taught: Sequence[Picture] = (),
    test: Sequence[Picture] = (),
    start_from: Path | None = None,
    settings: AnySettings | None = None,
    epochs: int | None = None,
    seed: int = 0,
    command: str = "",
    machinery: Machinery | None = None,
) -> PoseBundle:
    """Train an estimator on annotated pictures and write it as a bundle.

    Its state is kept beside the bundle, in the folder `.<bundle>.training`, until the bundle is written.

    Args:
        kind: one of `PLANS`.
        pictures: to learn from; may be empty if there are taught ones.
        out: folder of the bundle; must not exist.
        detector: the bundle of the detector, for the kinds that see one person at a time.
        taught: pictures that another estimator labelled, see `label_videos`. Where there are any, a tenth of their
            videos is held out to choose the pass by, else a tenth of the scenes of the pictures.
        test: other pictures, to judge the result by.
        start_from: a bundle of the same kind to take the first weights from.
        settings: what to build it from; those of `USUAL` if None, those of the bundle with `start_from`.
        epochs: passes over the data; that of `PLANS` if None.
        seed: of the first weights, of order and chance.
        command: what was typed, for the manifest.
        machinery: device, time limit, resumption and so on.

    Returns:
        The bundle as loaded from disk.

    Raises:
        ConfigError: the kind is not known, a crop model has no detector, or the checkpoint is of another run.
        BundleError: the bundle exists already, or the detector does not verify.
        TrainingError: nothing to learn from, no time, no room, or the loss is no longer a number.
        KeyboardInterrupt: it was stopped; its state is kept.
    """
    machinery = machinery or Machinery()
    refuse_existing(out)
    check_kind(kind, detector)
    if machinery.threads is not None:
        torch.set_num_threads(machinery.threads)
    plan = PLANS[kind] if epochs is None else replace(PLANS[kind], epochs=epochs)
    if taught:
        learn_taught, check = hold_out(taught, seed=seed)
        learn = list(pictures)
    else:
        (learn, check), learn_taught = hold_out(pictures, seed=seed), []
    torch.manual_seed(seed)
    network = _begin_from(start_from, kind) if start_from else new_network(settings or USUAL[kind])
    lesson = make_lesson(network, learn, check, taught=learn_taught)
    machinery.say(
        f"{kind}: {len(lesson)} {lesson.unit} to learn from, {len(check)} pictures of other scenes to choose the pass "
        f"by; on {machinery.device}"
    )
    facts: dict[str, object] = {
        "kind": kind,
        "data": digest_of([*pictures, *taught]),
        "pictures": len(pictures),
        "taught": len(taught),
        "seed": seed,
        "command": command,
        "device": str(machinery.device),
    }
    found = run_lesson(lesson, plan, out=out, facts=facts, seed=seed, machinery=machinery)
    network.load_state_dict(found.state)
    facts["test"] = make_lesson(network, (), test).judge(network.eval(), machinery.device.where) if test else {}
    return write_pose_bundle(network, found, kind=kind, out=out, detector=detector, facts=facts)


def make_lesson(
    network: AnyNetwork, learn: Sequence[Picture], check: Sequence[Picture], *, taught: Sequence[Picture] = ()
) -> AnyLesson:
    """Give what a network learns from, and what it is judged by."""
    chances = STRONG if taught else Chances()
    if isinstance(network, CenterNet):
        return DetectorLesson(network, [*learn, *taught], check, chances)
    if isinstance(network, MaskRCNN):
        return MaskRCNNLesson(network, [*learn, *taught], check, chances)
    return CropLesson(network, [*people_in(learn), *people_in(taught, are_taught=True)], people_in(check))


def new_network(settings: AnySettings) -> AnyNetwork:
    """Give a network with random weights."""
    if isinstance(settings, HourglassSettings):
        return Hourglass(settings)
    if isinstance(settings, DeepPoseSettings):
        return DeepPose(settings)
    return CenterNet(settings) if isinstance(settings, CenterNetSettings) else MaskRCNN(settings)


def _begin_from(folder: Path, kind: str) -> AnyNetwork:
    """Give the network of a bundle.

    Raises:
        ConfigError: it is of another kind.
        BundleError: it does not verify.
    """
    bundle = load_pose_bundle(folder)
    if bundle.kind != kind:
        raise ConfigError(f"{folder}: is a {bundle.kind}. Give --from a {kind}.")
    if kind != MASKRCNN:
        return make_network(bundle)
    network = MaskRCNN(bundle.settings_as(MaskRCNNSettings))
    bundle.fill(network)
    return network


def read_settings(kind: str, changes: Sequence[str]) -> AnySettings:
    """Give what a kind is built from, changed as people write it: "channels=64".

    Raises:
        ConfigError: not NAME=VALUE, no such setting, or a value that it cannot have.
    """
    usual = USUAL[kind]
    given = asdict(usual)
    for change in changes:
        name, is_one, value = change.partition("=")
        if not is_one or name not in given:
            known = ", ".join(f"{key}={json.dumps(each)}" for key, each in asdict(usual).items())
            raise ConfigError(f"--set {change}: {kind} has no such setting. NAME=VALUE, of these: {known}.")
        try:
            given[name] = json.loads(value)
        except json.JSONDecodeError:
            given[name] = value
    try:
        settings = TypeAdapter(type(usual)).validate_json(json.dumps(given), strict=True)
        _try_out(new_network(settings))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise ConfigError(f"--set {where}: {detail['msg']}.".replace("--set :", "--set:")) from None
    except (ValueError, RuntimeError, TypeError, OverflowError, ZeroDivisionError, MemoryError) as error:
        line = str(error).splitlines()[0][:200]
        raise ConfigError(f"--set {' '.join(changes)}: no {kind} can be built from that ({line}).") from None
    return settings


@torch.inference_mode()
def _try_out(network: AnyNetwork) -> None:
    """Show a network an empty picture; RuntimeError if its layers do not fit each other."""
    if isinstance(network, MaskRCNN):
        return  # takes every size
    settings = network.settings
    assert isinstance(settings, HourglassSettings | DeepPoseSettings | CenterNetSettings)
    network.eval()(torch.zeros(1, 3, *_shown(settings)))


def _shown(settings: HourglassSettings | DeepPoseSettings | CenterNetSettings) -> tuple[int, int]:
    """Give height and width of what a network is shown."""
    if isinstance(settings, CenterNetSettings):
        return settings.height_px, settings.width_px
    return settings.size_px, settings.size_px


def check_kind(kind: str, detector: Path | None) -> None:
    """Find out before anything takes long whether the detector is one, and needed.

    Raises:
        ConfigError: the kind is not known, it needs a detector and has none, or the other way round.
        BundleError: the detector does not verify.
    """
    if kind not in PLANS:
        raise ConfigError(f"there is no estimator of the kind {kind!r} to train. Known: {', '.join(PLANS)}.")
    if kind in CROP_KINDS and detector is None:
        raise ConfigError(
            f"{kind} sees one person at a time, so it needs what finds them. Train one with `har pose train "
            f"{CENTERNET} DATA --out DETECTOR` and give it with --detector DETECTOR."
        )
    if kind not in CROP_KINDS and detector is not None:
        raise ConfigError(f"{kind} finds people by itself. Leave --detector out.")
    if detector is not None and (found := load_pose_bundle(detector).kind) != CENTERNET:
        raise ConfigError(f"{detector}: is a {found}, which finds no people for others. Give a {CENTERNET}.")


def run_lesson(
    lesson: AnyLesson,
    plan: Plan,
    *,
    out: Path,
    facts: dict[str, object],
    seed: int,
    machinery: Machinery,
) -> Fit:
    """Train what a lesson teaches, with a checkpoint beside the bundle that is to be.

    Raises:
        TrainingError: nothing to learn from, no time, no room, or the loss is no longer a number.
        ConfigError: the checkpoint is damaged or of another run.
        KeyboardInterrupt: it was stopped; its state is kept.
    """
    n_bytes = sum(4 * each.numel() for each in lesson.network.parameters())
    require_space(out.parent, _COPIES_KEPT * n_bytes)
    said = [facts["kind"], facts["data"], seed, asdict(plan), _settings(lesson.network)]
    checkpoint = state_folder(out) / "network.safetensors"
    if checkpoint.exists() and not machinery.resume:
        machinery.say("the state of an unfinished run is there; it will be overwritten, since --resume was not given")
    with heard_after_the_step() as is_stopped:
        given = Given(
            device=machinery.device,
            deadline_s=_deadline_s(machinery.time_limit_min),
            checkpoint=checkpoint,
            fingerprint=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
            resume=machinery.resume,
            report=machinery.report,
            is_stopped=is_stopped,
        )
        return fit(lesson, plan, seed=seed, given=given)


def write_pose_bundle(
    network: nn.Module, found: Fit, *, kind: str, out: Path, detector: Path | None, facts: dict[str, object]
) -> PoseBundle:
    """Export what was learnt, and write the bundle.

    Raises:
        BundleError: it cannot be written; the state of the run is kept.
        TrainingError: the exported network does not compute what torch does.
    """
    network.cpu().load_state_dict(found.state)
    blob, differs = _export(network)
    if differs is not None and not differs < MOST_DIFFERENCE:
        raise TrainingError(f"the exported network differs from torch's by {differs:.1e}. Report this as a bug.")
    chosen = found.history[found.epoch - 1]
    is_check = {name: name.startswith("validation ") for name in chosen}
    trained = {name: value for name, value in facts.items() if name != "kind"} | {
        "epoch": found.epoch,
        "epochs": len(found.history),
        "wall_min": found.wall_s / 60,
        "cpu_min": found.cpu_s / 60,
        "onnx_difference": differs,
        "losses": {name: value for name, value in chosen.items() if not is_check[name] and name != "epoch"},
        "validation": {name.removeprefix("validation "): value for name, value in chosen.items() if is_check[name]},
    }
    bundle = save_pose_bundle(
        out,
        kind=kind,
        settings=_settings(network),
        state=found.state,
        trained=trained,
        onnx=blob,
        detector=detector,
    )
    forget_checkpoints(state_folder(out))
    return bundle


def _export(network: nn.Module) -> tuple[bytes | None, float | None]:
    """Give a network as ONNX, and how far its answers are from torch's; None where the packages are not there."""
    if isinstance(network, MaskRCNN):
        blob = instances_to_onnx(network)
        return blob, None if blob is None else instances_difference(blob, network)
    settings = network.settings
    assert isinstance(settings, HourglassSettings | DeepPoseSettings | CenterNetSettings)
    height, width = _shown(settings)
    blob = to_onnx(network, width=width, height=height)
    return blob, None if blob is None else difference(blob, network, width=width, height=height)


def state_folder(out: Path) -> Path:
    """Give the folder of the state of a run, until its bundle is written."""
    return out.parent / f".{out.name}.training"


def _settings(network: nn.Module) -> dict[str, object]:
    """Give what a network is built from, as JSON can hold it."""
    settings = network.settings
    assert isinstance(settings, HourglassSettings | DeepPoseSettings | CenterNetSettings | MaskRCNNSettings)
    return asdict(settings)


def _deadline_s(time_limit_min: float | None) -> float | None:
    if time_limit_min is None:
        return None
    spent_s = time.time() - psutil.Process().create_time()
    limit_s = time_limit_min * 60
    return time.monotonic() + limit_s - spent_s - max(RESERVE_MIN_S, RESERVE_SHARE * limit_s)
