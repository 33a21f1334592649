"""Action models as ONNX files, and the stream on ONNX Runtime."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import har
from har.errors import BundleError, ConfigError, ShapeError
from har.models.beats import BeatFacts, BeatModel, Shape
from har.models.bundle import Bundle
from har.models.folded import FoldedModel

CLIP_FILE, STREAM_FILE = "clip.onnx", "stream.onnx"
MOST_DIFFERENCE = 1e-3
"""Of a number from what torch gives; rounding makes 1e-5 on the shipped bundle."""

_FACTS = "har"  # key of a file's metadata
_PEOPLE = 3  # of the example that a graph is traced with; neither 0 nor 1, which would be taken for constants
_BY = "ONNX needs packages that are not installed. Install them with: .venv/bin/pip install -c constraints.txt"

log = logging.getLogger(__name__)


def write_onnx(bundle: Bundle, folder: Path) -> list[Path]:
    """Write a bundle's action model as two ONNX files that any runtime can use.

    `clip.onnx` turns windows ("joints": N, T, V, D + 1, normalised as `har.windows` does) into "logits" (N, n_classes).
    `stream.onnx` does the same beat by beat: `har.models.beats` says what its inputs are; each output "new_X" is the
    next beat's input "X". What else a program has to know of them stands as JSON in their metadata, under "har".

    Args:
        bundle: a verified bundle.
        folder: where to; made if need be, files of these names are replaced.

    Raises:
        ConfigError: the packages are not there, or the folder cannot be written.
        BundleError: the bundle's networks answer at different rates.
    """
    about = {
        "model": bundle.model_id,
        "labels": list(bundle.labels),
        "layout": bundle.config.layout,
        "rate_hz": bundle.rate_hz,
        "normalisation": dict(bundle.norm),
    }
    beat, clip = _beat_model(bundle), FoldedModel(bundle.model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(clip, folder / CLIP_FILE, frames=bundle.window_frames, about=about)
        _write_stream(beat, folder / STREAM_FILE, about=about)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}). Give another folder.") from None
    return [folder / CLIP_FILE, folder / STREAM_FILE]


def write_clip(model: FoldedModel, file: Path, *, frames: int, about: Mapping[str, Any] | None = None) -> None:
    """Write a model of whole windows as an ONNX file, for `open_clip`.

    Args:
        model: it.
        file: where to.
        frames: length of a window.
        about: what its metadata tells.

    Raises:
        ConfigError: the packages are not there.
        OSError: the file cannot be written.
    """
    window = torch.zeros(_PEOPLE, frames, model.networks[0].n_joints, model.dims + 1)
    _export(_Clip(model), (window,), file, inputs=["joints"], outputs=["logits"], about=about or {})


def open_clip(file: Path) -> Callable[[Tensor], Tensor]:
    """Give what turns windows (N, T, V, D + 1) into logits (N, n_classes) on ONNX Runtime, one thread.

    Raises:
        ConfigError: ONNX Runtime is not there.
    """
    session = _open_session(file)
    return lambda windows: torch.from_numpy(session.run(None, {"joints": windows.numpy()})[0])


def write_stream(model: FoldedModel, file: Path) -> None:
    """Write a model's graph of one beat as an ONNX file, for `OnnxGraph`.

    Raises:
        ConfigError: the packages are not there.
        ShapeError: the model's networks answer at different rates.
        OSError: the file cannot be written.
    """
    _write_stream(BeatModel(model), file, about={})


def open_graph(bundle: Bundle, *, folder: Path, say: Callable[[str], None] = lambda line: None) -> OnnxGraph:
    """Make a bundle's stream ready on ONNX Runtime.

    The graph is made once and kept; whenever it is opened its answers are held against torch's, and a graph that gives
    others is made anew.

    Args:
        bundle: a verified bundle.
        folder: where graphs are kept.
        say: called with a line where it takes a while.

    Raises:
        ConfigError: a package is not there, or the folder cannot be written.
        BundleError: ONNX Runtime does not compute what torch does, or the bundle's networks answer at different rates.
    """
    _onnxruntime()
    beat = _beat_model(bundle)
    file = folder / f"{bundle.sha256[:24]}-{har.__version__}.onnx"
    if (graph := _kept(file, beat)) is not None:
        return graph
    say(f"making {bundle.name} ready for ONNX Runtime; this is done once and takes a quarter of a minute")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_stream(beat, file, about={"model": bundle.model_id})
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}). Use the engine torch.") from None
    graph = OnnxGraph(file)
    if not (difference := _difference(graph, beat)) < MOST_DIFFERENCE:
        raise BundleError(
            f"{bundle.model_id}: ONNX Runtime differs from torch by {difference:.1e} on this machine. Use the engine "
            "torch, and report this as a bug."
        )
    return graph


class OnnxGraph:
    """A graph of one beat on ONNX Runtime, one thread.

    Args:
        file: a stream file that `write_onnx` wrote.

    Attributes:
        facts: what it needs.

    Raises:
        ConfigError: ONNX Runtime is not there.
        BundleError: the file is not one of ours, or is damaged.
    """

    def __init__(self, file: Path) -> None:
        _onnxruntime()
        try:
            self._session = _open_session(file)
            self.facts = _read_facts(self._session.get_modelmeta().custom_metadata_map)
        except Exception as error:  # the runtime's errors are its own, one class for each code
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise BundleError(f"{file}: is no stream that har has written ({line}). Write it again.") from None
        self._inputs = [each.name for each in self._session.get_inputs()]

    def run(self, frames: Tensor, beats: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Take in a beat of some people, see `BeatModel.forward`."""
        given = [frames, beats, *state]
        found = self._session.run(None, dict(zip(self._inputs, (each.numpy() for each in given), strict=True)))
        logits, *kept = (torch.from_numpy(each) for each in found)
        return logits, kept


def _beat_model(bundle: Bundle) -> BeatModel:
    try:
        return BeatModel(bundle.streamed())
    except ShapeError as error:
        raise BundleError(
            f"{bundle.model_id}: {error} Serve it with the engine torch, or train networks of one recipe together."
        ) from None


class _Clip(nn.Module):
    """A folded model as torch exports it."""

    def __init__(self, model: FoldedModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, joints: Tensor) -> Tensor:
        return self._model(joints)


def _write_stream(beat: BeatModel, file: Path, *, about: Mapping[str, Any]) -> None:
    facts = beat.facts
    names = [each.name for each in facts.state]
    inputs = _example(facts)
    _export(
        beat,
        inputs,
        file,
        inputs=["frames", "beats", *names],
        outputs=["logits", *(f"new_{name}" for name in names)],
        about={**about, **dataclasses.asdict(facts)},
    )


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    file: Path,
    *,
    inputs: list[str],
    outputs: list[str],
    about: Mapping[str, Any],
) -> None:
    """Write a module as an ONNX file; all inputs and outputs have people on their first axis, however many."""
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError:
        raise ConfigError(f"{_BY} -e '.[onnx]'") from None
    people = torch.export.Dim("people")
    shapes: tuple[Any, ...] = tuple({0: people} for _ in example)
    if isinstance(module, BeatModel):
        shapes = (*shapes[:2], shapes[2:])  # its state is one argument
    with quiet_export(), torch.inference_mode():
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    forget_paths(proto)
    onnx.helper.set_model_props(proto, {_FACTS: json.dumps(about)})
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=".har-", suffix=".onnx")
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(proto.SerializeToString())
            target.flush()
            os.fsync(target.fileno())
        Path(part).chmod(0o644)
        Path(part).replace(file)
    finally:
        Path(part).unlink(missing_ok=True)


def _example(facts: BeatFacts) -> tuple[Tensor, ...]:
    """Give a beat of people who came long ago, now and not so long ago: frames, beats and state."""
    rng = torch.Generator().manual_seed(0)
    frames = torch.randn(_PEOPLE, facts.beat, facts.n_joints, facts.dims + 1, generator=rng)
    beats = torch.tensor([100, 0, 2])  # (P,)
    return frames, beats, *(torch.rand(_PEOPLE, *each.size, generator=rng) for each in facts.state)


@torch.inference_mode()
def _difference(graph: OnnxGraph, beat: BeatModel) -> float:
    """Give the largest difference of a graph from torch, in logits and state; infinite if it cannot be told."""
    if graph.facts != beat.facts:
        return math.inf
    frames, beats, *state = _example(beat.facts)
    (ours, our_state), (theirs, their_state) = (each.run(frames, beats, state) for each in (graph, beat))
    pairs = zip((ours, *our_state), (theirs, *their_state), strict=True)
    each = [float((a - b).abs().max()) for a, b in pairs]
    return max(each) if all(map(math.isfinite, each)) else math.inf


def _kept(file: Path, beat: BeatModel) -> OnnxGraph | None:
    """Open a kept graph; None if there is none, or one that does not compute what torch does."""
    if not file.is_file():
        return None
    try:
        graph = OnnxGraph(file)
        difference = _difference(graph, beat)
    except Exception as error:  # whatever a damaged file makes the runtime do
        log.warning("a kept graph is made anew: %s", error)
        return None
    return graph if difference < MOST_DIFFERENCE else None


def _read_facts(metadata: Mapping[str, str]) -> BeatFacts:
    facts = json.loads(metadata[_FACTS])
    state = tuple(Shape(each["name"], tuple(each["size"])) for each in facts["state"])
    names = (field.name for field in dataclasses.fields(BeatFacts) if field.name != "state")
    return BeatFacts(**{name: int(facts[name]) for name in names}, state=state)


def _open_session(file: Path) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _onnxruntime() -> Any:
    # On import it would write a device number into the user's cache and tell its makers of the machine.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(f"{_BY} -e '.[onnx]'; or use the engine torch.") from None
    return onnxruntime


def forget_paths(proto: Any) -> None:
    """Take out of an ONNX model where in our code it comes from, with the paths of this machine; changes it."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
        value.ClearField("doc_string")


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Keep back what torch's exporter tells its own developers."""
    told = logging.getLogger("torch.onnx")
    before = told.level
    told.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        told.setLevel(before)
