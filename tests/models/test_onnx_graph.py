"""ONNX files and ONNX Runtime: that they compute what torch does, for any number of people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import har.models.onnx_graph as onnx_graph
from har.errors import BundleError, ConfigError, ShapeError
from har.models.actions import ActionStream
from har.models.beats import BeatModel, BeatwiseModel
from har.models.bundle import Bundle, load_bundle
from har.models.engines import open_engine
from har.models.folded import FoldedModel
from har.models.onnx_graph import OnnxGraph, open_graph, write_onnx, write_stream
from har.models.shipped import find_bundle
from har.models.streams import Stream, Streams
from tests.models.test_online import CONFIGS, PLAIN, RICH, Hall, come_and_go, lone, spoil_one, trained

onnxruntime = onnx_graph._onnxruntime()
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Streams, Path]:
    """A model of two networks, one of which sees motion, and its stream as a file."""
    model = trained(Stream("joint+bone", RICH, 0.5), Stream("motion+bone motion", RICH, 0.5))
    file = tmp_path_factory.mktemp("onnx") / "stream.onnx"
    write_stream(FoldedModel(model), file)
    return model, file


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return load_bundle(find_bundle())


@pytest.fixture(scope="module")
def kept(shipped: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped bundle's graph."""
    folder = tmp_path_factory.mktemp("kept")
    open_graph(shipped, folder=folder)
    return folder


@pytest.mark.slow
def test_people_come_go_miss_frames_and_return_on_onnx_runtime(two_networks: tuple[Streams, Path]) -> None:
    model, file = two_networks
    hall = Hall(model, BeatwiseModel(OnnxGraph(file)))

    come_and_go(hall, n_clips=500)

    assert hall.n_answers > 1000
    assert hall.worst < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["causal", "all outputs pooled", "looks ahead in every block", "other joints"])
def test_any_network_gives_the_same_answers_on_onnx_runtime(name: str, tmp_path: Path) -> None:
    model = lone(CONFIGS[name])
    write_stream(FoldedModel(model), tmp_path / "stream.onnx")
    hall = Hall(model, BeatwiseModel(OnnxGraph(tmp_path / "stream.onnx")))
    for person in "abc":
        hall.enter(person)

    for _ in range(60):
        hall.tick(["a", "b", "c"])

    assert hall.n_answers > 10
    assert hall.worst < 1e-4


@pytest.mark.slow
def test_not_a_number_in_one_person_changes_nothing_for_another(two_networks: tuple[Streams, Path]) -> None:
    graph = OnnxGraph(two_networks[1])

    spoil_one(BeatwiseModel(graph), BeatwiseModel(graph))


@pytest.mark.slow
def test_no_graph_holds_an_einsum_or_a_path_of_this_machine(kept: Path) -> None:
    (file,) = kept.iterdir()
    operators = {node.op_type for node in onnx.load(file).graph.node}

    assert "Conv" in operators
    assert "Einsum" not in operators
    assert b".py" not in file.read_bytes()


def test_onnx_runtime_tells_its_makers_nothing(kept: Path, tmp_path: Path) -> None:
    (file,) = kept.iterdir()
    code = f"from pathlib import Path; from har.models.onnx_graph import OnnxGraph; OnnxGraph(Path({str(file)!r}))"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}

    subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
        timeout=60,
    )

    assert not [path for path in tmp_path.rglob("*") if "microsoft" in path.name.lower()]


@pytest.mark.slow
def test_exported_files_can_be_used_as_the_document_says(
    shipped: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip_file, _ = write_onnx(shipped, tmp_path / "new")

    clip = onnxruntime.InferenceSession(clip_file, providers=["CPUExecutionProvider"])
    about = json.loads(clip.get_modelmeta().custom_metadata_map["har"])
    assert about["labels"] == list(shipped.labels)
    assert about["rate_hz"] == shipped.rate_hz
    for n in (1, 5):
        windows = torch.randn(n, shipped.window_frames, 17, 3)
        (logits,) = clip.run(None, {"joints": windows.numpy()})
        np.testing.assert_allclose(logits, FoldedModel(shipped.model)(windows).numpy(), atol=1e-4)
    example = DOCUMENT.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path / "new")
    joints = torch.randn(42, 17, 3)
    exec(example, {"joints": joints.numpy()})
    model = BeatwiseModel(BeatModel(shipped.streamed()))
    model.enter("a")
    answers = [model.step(["a"], frame[None])[1] for frame in joints]
    labels = [shipped.labels[int(each[0].argmax())] for each in answers if len(each)]
    assert [line.split()[1:] for line in capsys.readouterr().out.splitlines()] == [each.split() for each in labels]


def test_the_service_names_the_same_actions_on_onnx_runtime(shipped: Bundle, kept: Path) -> None:
    streams = [ActionStream(shipped), ActionStream(shipped, engine=open_engine("onnxruntime", shipped, folder=kept))]
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.uniform(100, 400, (17, 2)), np.ones((17, 1))], axis=1).astype(np.float32)

    for number in range(80):
        joints[:, :2] += rng.normal(0, 3, (17, 2)).astype(np.float32)
        for stream in streams:
            stream.see("a", joints, time_s=number / 15, width_px=640, height_px=480)
        ours, theirs = (stream.answers() for stream in streams)
        assert [(who, at, named.label) for who, at, named in ours] == [(w, t, named.label) for w, t, named in theirs]
        for (_, _, a), (_, _, b) in zip(ours, theirs, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-4)


def test_a_kept_graph_is_opened_without_making_it_again(
    shipped: Bundle, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "_export", None)

    told: list[str] = []
    graph = open_graph(shipped, folder=kept, say=told.append)

    assert graph.facts == BeatModel(shipped.streamed()).facts
    assert not told


@pytest.mark.parametrize("harm", ["cut short", "of other weights", "without an output"])
def test_a_graph_that_gives_other_answers_is_made_again(
    harm: str, shipped: Bundle, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (good,) = kept.iterdir()
    file = tmp_path / good.name
    if harm == "cut short":
        file.write_bytes(good.read_bytes()[:-1000])
    elif harm == "without an output":
        proto = onnx.load(good)
        del proto.graph.output[-1]
        onnx.save(proto, file)
    else:
        proto = onnx.load(good)
        weights = next(each for each in proto.graph.initializer if len(each.dims) == 2 and each.dims[0] > 16)
        changed = onnx.numpy_helper.to_array(weights) * np.float32(1.1)
        weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
        onnx.save(proto, file)
    made: list[Path] = []

    def remake(*args: object, **kwargs: object) -> None:
        made.append(file)
        file.write_bytes(good.read_bytes())

    monkeypatch.setattr(onnx_graph, "_export", remake)
    open_graph(shipped, folder=tmp_path)

    assert made == [file]


@pytest.mark.parametrize("error", [0.1, float("nan")])
def test_an_engine_that_computes_something_else_is_not_used(
    error: float, shipped: Bundle, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxGraph.run
    monkeypatch.setattr(OnnxGraph, "run", lambda *args: (run(*args)[0] + error, run(*args)[1]))
    monkeypatch.setattr(onnx_graph, "_write_stream", lambda *args, **kwargs: None)

    with pytest.raises(BundleError, match="differs from torch"):
        open_graph(shipped, folder=kept)


def test_networks_that_answer_at_different_rates_are_refused(shipped: Bundle, tmp_path: Path) -> None:
    model = trained(Stream("joint+bone", PLAIN, 0.5), Stream("joint+bone", CONFIGS["no strides"], 0.5))

    with pytest.raises(ShapeError, match="every 1 and every 4 frames"):
        BeatModel(FoldedModel(model))
    with pytest.raises(BundleError, match=r"care-5@.*every 1 and every 4 frames.*the engine torch"):
        write_onnx(replace(shipped, model=model), tmp_path)


def test_without_the_packages_the_cure_is_named(
    shipped: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"\[onnx\].*engine torch"):
        open_graph(shipped, folder=tmp_path)

    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"pip install .*\[onnx\]"):
        write_onnx(shipped, tmp_path)


def test_a_file_that_is_no_stream_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no model")

    with pytest.raises(BundleError, match=r"other\.onnx: is no stream"):
        OnnxGraph(tmp_path / "other.onnx")


def test_a_folder_that_cannot_be_written_is_named(shipped: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"file/sub: cannot be written"):
        write_onnx(shipped, tmp_path / "file" / "sub")
