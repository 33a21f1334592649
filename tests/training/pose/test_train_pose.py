"""`har pose train`: from pictures to a bundle that runs as --pose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from har.cli import main as cli
from har.pose import open_estimator
from har.pose.bundle import load_pose_bundle
from har.pose.trained import TrainedPose, drop_duplicates, make_network, open_network
from har.records import Frame, Pose
from tests.training.pose.builders import draw_picture, make_person, write_set


def har(*words: str | Path) -> int:
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of pictures, a detector and a DeepPose, each after a pass or two."""
    folder = tmp_path_factory.mktemp("made")
    write_set(folder / "set", n=20, most=2)
    assert har("pose", "train", "centernet", folder / "set", "--out", folder / "eye", "--epochs", "2") == 0
    assert har("pose", "train", "deeppose", folder / "set", "--out", folder / "pose", "--detector", folder / "eye",
               "--epochs", "1", "--test", folder / "set", "--json", folder / "pose.json") == 0  # fmt: skip
    return folder


@pytest.mark.slow
def test_a_bundle_tells_what_it_was_trained_on_and_leaves_nothing_beside_it(made: Path) -> None:
    trained = load_pose_bundle(made / "pose").trained
    told = json.loads((made / "pose.json").read_text())

    assert trained["seed"] == 0
    assert trained["pictures"] == 20
    assert set(trained["validation"]) == set(trained["test"]) == {"pdj", "pdj_seen"}
    assert told["test"] == trained["test"]
    assert sorted(path.name for path in made.iterdir()) == ["eye", "pose", "pose.json", "set"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shown"), [("eye", (3, 3, 256, 320)), ("pose", (5, 3, 128, 128))])
def test_the_exported_network_computes_what_torch_does_for_any_number_of_pictures(made: Path, name: str, shown) -> None:
    bundle = load_pose_bundle(made / name)
    pictures = np.random.default_rng(0).random(shown, dtype=np.float32)
    network = make_network(bundle)

    exported, plain = (open_network(bundle, onnx=onnx)(pictures) for onnx in (True, False))

    assert not network.training
    assert np.abs(exported - plain).max() < 1e-3


@pytest.mark.slow
def test_a_trained_estimator_runs_as_pose_on_pictures_of_any_size(made: Path) -> None:
    estimator = open_estimator(str(made / "pose"), max_people=2)

    for width, height in ((160, 120), (16, 16), (3840, 2160), (50, 400)):
        image = np.zeros((height, width, 3), dtype=np.uint8)
        poses = estimator.estimate(Frame(image, time_s=0.0, source_time_s=0.0, camera="hall"))
        assert len(poses) <= 2
    estimator.close()


@pytest.mark.slow
def test_an_estimator_can_be_built_otherwise(made: Path, tmp_path: Path) -> None:
    changes = ["target=cauchy", "sigma=1.0", "size_px=64", "channels=16", "depth=2"]

    assert har("pose", "train", "hourglass", made / "set", "--out", tmp_path / "small", "--detector", made / "eye",
               "--epochs", "1", *(word for change in changes for word in ("--set", change))) == 0  # fmt: skip

    bundle = load_pose_bundle(tmp_path / "small")
    assert bundle.settings == {"size_px": 64, "channels": 16, "stacks": 2, "depth": 2, "target": "cauchy", "sigma": 1.0}
    estimator = open_estimator(str(tmp_path / "small"), max_people=3)
    assert len(estimator.estimate(Frame(draw_picture(()), 0.0, 0.0, "hall"))) <= 3


@pytest.mark.slow
def test_people_in_boxes_are_looked_at_in_one_batch_with_the_same_answer_as_one_by_one(made: Path) -> None:
    image = draw_picture((make_person(10, 10, 80), make_person(90, 20, 80)))
    boxes = np.array([[10, 10, 40, 80], [90, 20, 40, 80]], dtype=np.float32)
    estimator = TrainedPose(made / "pose")

    together = estimator.look(image, boxes)
    alone = [estimator.look(image, boxes[number : number + 1])[0] for number in (0, 1)]

    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.xy, other.xy, atol=1e-3)
    assert estimator.look(image, boxes[:0]) == []


@pytest.mark.slow
def test_preview_draws_joints_and_boxes(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = made / "set" / "images" / "000001.png"

    for name in ("eye", "pose"):
        assert har("pose", "preview", made / name, picture, picture, "--out", tmp_path / f"{name}.png") == 0
        with Image.open(tmp_path / f"{name}.png") as sheet:
            assert sheet.size == (960, 480)

    assert "in 2 pictures" in capsys.readouterr().out


@pytest.mark.slow
def test_mistakes_with_bundles_are_told_in_one_line(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--out", made / "pose", "--detector", made / "eye"], "exists already"),
        (["--out", made / "new", "--detector", made / "pose"], "finds no people for others"),
        (["--out", made / "new", "--detector", made / "eye", "--from", made / "eye"], "Give --from a hourglass"),
    ):
        assert har("pose", "train", "hourglass", made / "set", *words) == 2
        told = capsys.readouterr().err.strip().splitlines()
        assert said in told[-1]
    assert not (made / "new").exists()


def test_a_crop_model_without_a_detector_is_refused_and_told_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "set", n=2)

    code = har("pose", "train", "hourglass", tmp_path / "set", "--out", tmp_path / "pose")

    assert code == 2
    assert "har pose train centernet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["yolo", "set"], "there is no estimator of the kind 'yolo'"),
        (["centernet"], "nothing to learn from"),
        (["centernet", "nowhere"], "nowhere"),
        (["centernet", "set", "--detector", "set"], "finds people by itself"),
        (["centernet", "--teach", "empty", "--teacher", "nobody"], "nobody"),
        (["centernet", "set", "--set", "chanels=3"], "centernet has no such setting"),
        (["centernet", "set", "--set", "channels"], "NAME=VALUE, of these: width_px=320"),
        (["centernet", "set", "--set", "channels=many"], "--set channels: Input should be a valid integer"),
        (["centernet", "set", "--set", "width_px=100"], "no centernet can be built from that"),
        (["centernet", "set", "--set", "channels=0"], "channels must lie between 2 and 1024"),
        (["centernet", "set", "--set", "most=0"], "most between 1 and 10000"),
        (["centernet", "set", "--set", "channels=99999999999999999999"], "channels"),
        (["maskrcnn", "set", "--set", "anchors_px=[[],[],[],[]]"], "anchors_px must lie between"),
        (["maskrcnn", "set", "--set", "people_share=2"], "people_share must lie between 0 and 1"),
        (["centernet", "set", "--set", "channels=8", "--from", "set"], "--set and --from"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_set(Path("set"), n=2)
    Path("empty").mkdir()

    assert har("pose", "train", *words, "--out", "new") == 2

    told = capsys.readouterr().err.strip().splitlines()
    assert said in told[-1]


def test_of_two_poses_of_one_person_the_surer_stays() -> None:
    person, other = make_person(10, 10, 80), make_person(100, 10, 80)
    score = np.ones(17, dtype=np.float32)
    first, again, second = Pose(person.xy, score), Pose(person.xy + 1, score), Pose(other.xy, score)

    assert drop_duplicates([first, again, second]) == (first, second)
