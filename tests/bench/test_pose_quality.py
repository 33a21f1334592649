"""`har pose evaluate` on pictures: what counts as found, how pictures of every kind are taken, the page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphs.layouts import COCO17
from har.bench import pose_quality
from har.bench.contenders import Contender
from har.bench.pose_failures import draw_failure, worst_in_pictures
from har.bench.pose_page import write_page
from har.bench.pose_quality import Answers, answer, as_text, find_everybody, judge, nobodys
from har.cli import main as cli
from har.clips import find_clip
from har.errors import AnnotationError
from har.pose.bundle import save_pose_bundle
from har.pose.coco import Person, Picture, write_pictures
from har.pose.metrics import Guess, guess
from har.pose.networks.mask_rcnn import LIGHT, MaskRCNN
from har.records import ImageArray, Pose
from har.sources import open_source
from tests.builders import standing_body

SAMPLE = Path(__file__).resolve().parents[2] / "sample_clips" / "fall_in_room.mp4"
ME = Contender("me", 4)


def person(xy: np.ndarray, *, crowd: bool = False, joints: int = 17) -> Person:
    low, high = xy.min(axis=0), xy.max(axis=0)
    box = np.concatenate([low, high - low]).astype(np.float32)
    visibility = np.where(np.arange(17) < joints, 2, 0).astype(np.int8)
    return Person(box, xy.astype(np.float32), visibility, None, 0.5 * float(box[2] * box[3]), crowd)


def seen_at(x_px: float, *, px_per_m: float = 150.0, score: float = 0.9) -> Pose:
    return Pose(standing_body(x_px=x_px, px_per_m=px_per_m), np.full(17, score, np.float32))


def room(folder: Path, *people: Person, number: int = 1) -> Picture:
    file = folder / f"{number}.png"
    Image.new("RGB", (640, 480), (90, 90, 90)).save(file)
    return Picture(number, file, 640, 480, people)


def guessed(pose: Pose) -> Guess:
    return guess(pose, width_px=640, height_px=480)


def said(picture: Picture, poses: Sequence[Pose]) -> Answers:
    return Answers(ME, {picture.id: [guessed(pose) for pose in poses]}, [0.02])


def test_a_person_is_found_by_a_pose_of_their_own_and_one_low_in_the_picture_is_not_counted(tmp_path: Path) -> None:
    tall, small = person(standing_body(x_px=150)), person(standing_body(x_px=450, px_per_m=50))
    picture = room(tmp_path, tall, small)

    result = judge([picture], [said(picture, [seen_at(150), seen_at(152)])], shows=1)

    (row,) = result["rows"]
    assert (result["people"], result["tall_people"]) == (2, 1)
    assert (row["tall_found"]["found"], row["tall_found"]["n"]) == (1, 1)
    assert row["tall_found"]["interval"] == [pytest.approx(0.025, abs=1e-3), 1.0]
    assert row["pdj"]["0.2"] == row["pck"]["0.2"] == row["joint_oks"]["nose"] == 0.5
    assert row["pdj_of_found"]["0.2"] == row["joint_oks_of_found"]["nose"] == 1.0
    assert row["on_nobody"] == 0
    assert row["ms_per_frame"] == 20.0
    assert "1 of 1: 1.000 (0.03 to 1.00)" in as_text(result)


def test_groups_and_people_without_joints_are_neither_missed_nor_haunted(tmp_path: Path) -> None:
    group, faceless = person(standing_body(x_px=150), crowd=True), person(standing_body(x_px=450), joints=0)
    picture = room(tmp_path, group, faceless, person(standing_body(x_px=300)))
    guesses = [guessed(seen_at(x_px)) for x_px in (150, 300, 450)]

    assert [each.oks for each in find_everybody([picture], {1: guesses})] == [1.0]
    assert nobodys(picture, guesses) == []


def test_a_pose_far_from_everybody_lies_on_nobody(tmp_path: Path) -> None:
    picture = room(tmp_path, person(standing_body(x_px=150)))
    ghost = guessed(seen_at(550))

    assert nobodys(picture, [guessed(seen_at(150)), ghost]) == [ghost]
    assert nobodys(room(tmp_path, number=2), [ghost]) == [ghost]


def test_pictures_without_anybody_annotated_give_nothing_to_judge_by(tmp_path: Path) -> None:
    picture = room(tmp_path)

    with pytest.raises(AnnotationError, match="nobody in these pictures has an annotated joint"):
        judge([picture], [said(picture, [])], shows=1)


def test_failures_are_the_largest_people_missed_and_the_surest_ghosts(tmp_path: Path) -> None:
    picture = room(tmp_path, person(standing_body(x_px=100, px_per_m=60)), person(standing_body(x_px=300)))
    answers = said(picture, [seen_at(500, score=0.5), seen_at(600, score=0.8)])

    failures = worst_in_pictures([picture], answers, most=1)

    assert [each.of_truth for each in failures] == [True, False]
    assert failures[0].box[3] > 200
    assert "0.80 sure" in failures[1].told
    for each in failures:
        drawn = np.asarray(draw_failure(each))
        blue, orange = ((drawn == colour).all(axis=2).sum() for colour in ((30, 110, 180), (217, 92, 20)))
        assert blue > 500 or orange > 500
    assert "1.png: somebody 237 px high is not found" in failures[0].told


def test_a_failure_at_the_edge_or_of_no_size_is_drawn_all_the_same(tmp_path: Path) -> None:
    picture = room(tmp_path, person(standing_body(x_px=100)))
    nowhere = Pose(np.full((17, 2), 1e4, np.float32), np.full(17, 0.9, np.float32))

    for failure in worst_in_pictures([picture], said(picture, [nowhere]), most=5):
        assert max(draw_failure(failure).size) == 960


@dataclass
class _Reader(HTMLParser):
    """Counts pictures and says what a page asks for from elsewhere."""

    def __post_init__(self) -> None:
        super().__init__()
        self.pictures, self.foreign = 0, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src") or dict(attrs).get("href") or ""
        self.pictures += tag == "img"
        self.foreign += [source] if source and not source.startswith("data:") else []


def test_the_page_needs_nothing_beside_it_and_names_are_escaped(tmp_path: Path) -> None:
    picture = room(tmp_path, person(standing_body(x_px=300)))
    answers = Answers(Contender("<b>.task", 2), {1: [guessed(seen_at(600))]}, [0.01])
    result = judge([picture], [answers], shows=3)

    page = write_page(tmp_path / "out", result, [picture], [answers], command="har pose evaluate '<b>'")

    reader = _Reader()
    reader.feed(page.read_text())
    assert (reader.pictures, reader.foreign) == (2, [])
    assert "<b>.task" not in page.read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == result


def test_whoever_an_estimator_is_unsure_of_counts_in_ap_alone(tmp_path: Path) -> None:
    picture = room(tmp_path, person(standing_body(x_px=150)), person(standing_body(x_px=450)))
    sure, unsure = guessed(seen_at(150)), guessed(seen_at(450, score=0.3))

    result = judge([picture], [Answers(ME, {1: [sure]}, unsure={1: [sure, unsure]})], shows=1)

    (row,) = result["rows"]
    assert row["keypoints"]["AP"] == pytest.approx(1)
    assert (row["tall_found"]["found"], row["guesses"]) == (1, 1)


def test_a_trained_network_is_judged_by_its_masks_too(tmp_path: Path) -> None:
    tiny = replace(LIGHT, short_px=96, long_px=128, fpn_channels=16, anchors_px=((16,), (32,), (64,), (96,)),
                   box_channels=32, joint_layers=(16,), mask_layers=(16,), proposals=20, boxes_trained=16)  # fmt: skip
    torch.manual_seed(0)
    net = MaskRCNN(tiny)
    torch.nn.init.constant_(net.roi_heads.box_predictor.cls_score.bias[1:], 5.0)  # it sees people everywhere
    save_pose_bundle(tmp_path / "net", kind="maskrcnn", settings=asdict(tiny), state=net.state_dict(), trained={})
    somebody = standing_body(x_px=60, px_per_m=40, floor_y_px=90)
    outline = [[40.0, 20.0, 80.0, 20.0, 80.0, 90.0]]
    picture = replace(room(tmp_path, replace(person(somebody), mask=outline)), width_px=640, height_px=480)
    contender = Contender(str(tmp_path / "net"), 3)

    answers = answer([picture], [contender], shows=4, tell=lambda done, of: None)
    (row,) = judge([picture], answers, shows=4)["rows"]

    assert not contender.remembers
    assert len(answers[0].frame_s) == 1
    assert len(answers[0].guesses[1]) <= 3 <= len(answers[0].unsure[1])
    assert all(each.mask is not None for each in answers[0].unsure[1])
    assert row["mask"]["AP"] is not None


# -- the estimator on pictures of every kind --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standing() -> tuple[ImageArray, np.ndarray]:
    """A frame of the sample video, and where its person was drawn."""
    with open_source(str(SAMPLE), camera="hall", paced=False) as source:
        frame = next(itertools.islice(source.frames(), 10, None))
    truth = find_clip(SAMPLE.with_suffix(".npz"))
    assert truth is not None
    nearest = np.abs(truth.time_s - frame.source_time_s).argmin()
    return frame.image, truth.joints[nearest, 0, :, :2]


def set_of(folder: Path, image: Image.Image, xy: np.ndarray) -> Path:
    image.save(folder / "room.png", compress_level=0)
    picture = Picture(1, folder / "room.png", *image.size, (person(xy),))
    write_pictures([picture], folder / "people.json")
    return folder / "people.json"


@pytest.mark.weights
@pytest.mark.parametrize("kind", ["RGB", "RGBA", "grey", "4K", "turned", "half black", "P"])
def test_the_person_is_found_in_pictures_of_every_kind(
    kind: str, standing: tuple[ImageArray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, xy = Image.fromarray(standing[0]), standing[1]
    if kind in ("RGBA", "P"):
        image = image.convert(kind)
    elif kind == "grey":
        image = image.convert("L")
    elif kind == "4K":
        image, xy = image.resize((3840, 2880)), xy * 6
    elif kind == "half black":
        image.paste((0, 0, 0), (int(xy[:, 0].max()) + 60, 0, *image.size))
    file = set_of(tmp_path, image, xy)
    if kind == "turned":  # stored lying on its side, with the tag that says so
        tags = Image.Exif()
        tags[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "room.png", exif=tags)

    code = cli.main(["pose", "evaluate", "blazepose", "--data", str(file), "--shows", "1", "--json", "-"])

    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert code == 0
    assert row["tall_found"]["found"] == 1


@pytest.mark.weights
@pytest.mark.parametrize(("width_px", "height_px"), [(16, 16), (1, 1), (3, 900)])
def test_a_picture_too_small_for_anybody_gives_an_answer(
    width_px: int, height_px: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = set_of(tmp_path, Image.new("L", (width_px, height_px)), standing_body(px_per_m=5, x_px=8, floor_y_px=15))

    code = cli.main(["pose", "evaluate", "blazepose", "num_poses=4", "--data", str(file)])

    assert code == 0
    assert "num_poses=4" in capsys.readouterr().out


@pytest.mark.weights
def test_fifty_people_are_counted_and_nobody_at_all_is_told(
    standing: tuple[ImageArray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, xy = Image.fromarray(standing[0]).resize((128, 96)), standing[1] / 5
    crowd = Image.new("RGB", (1280, 480))
    corners = [(128 * (n % 10), 96 * (n // 10)) for n in range(50)]
    for corner in corners:
        crowd.paste(image, corner)
    crowd.save(tmp_path / "room.png")
    people = tuple(person(xy + np.float32(corner)) for corner in corners)
    write_pictures([Picture(1, tmp_path / "room.png", 1280, 480, people)], tmp_path / "people.json")
    write_pictures([Picture(1, tmp_path / "room.png", 1280, 480)], tmp_path / "nobody.json")

    many = cli.main(["pose", "evaluate", "num_poses=4", "--data", str(tmp_path / "people.json"), "--shows", "1"])
    text = capsys.readouterr().out
    nobody = cli.main(["pose", "evaluate", "num_poses=4", "--data", str(tmp_path / "nobody.json"), "--shows", "1"])

    assert (many, nobody) == (0, 2)
    assert "50 people annotated" in text
    assert "nobody in these pictures" in capsys.readouterr().err


@pytest.mark.weights
def test_each_picture_is_met_by_an_estimator_that_has_seen_nothing(
    standing: tuple[ImageArray, np.ndarray], tmp_path: Path
) -> None:
    Image.fromarray(standing[0]).save(tmp_path / "1.png")
    Image.new("RGB", (640, 480), (90, 90, 90)).save(tmp_path / "2.png")
    pictures = [Picture(n, tmp_path / f"{1 + n % 2}.png", 640, 480, (person(standing[1]),)) for n in range(4)]

    (answers,) = answer(pictures, [Contender("blazepose", 2)], shows=2, tell=lambda done, of: None)

    assert [len(answers.guesses[n]) for n in range(4)] == [1, 0, 1, 0]
    np.testing.assert_array_equal(answers.guesses[0][0].pose.xy, answers.guesses[2][0].pose.xy)
    assert len(answers.frame_s) == 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["blazepose", "--data", "nowhere.json"], "nowhere.json: cannot be read"),
        (["openpose", "--data", "nowhere.json"], "'openpose' is not known"),
        (["num_poses=11", "--data", "nowhere.json"], "'num_poses=11' is not known"),
        (["blazepose", "blazepose", "--data", "nowhere.json"], "blazepose is given twice"),
        (["blazepose", "--people", "nowhere.csv", "--data", "."], "nowhere.csv: cannot be read"),
        (["blazepose", "--people", "a.csv", "--data", ".", "--images", "x"], "--images is for annotated pictures"),
    ],
)
@pytest.mark.weights
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    code = cli.main(["pose", "evaluate", *arguments])

    error = capsys.readouterr().err
    assert code == 2
    assert told in error
    assert error.count("\n") == 1


def test_every_joint_has_a_line_in_the_text(tmp_path: Path) -> None:
    picture = room(tmp_path, person(standing_body(x_px=150)))

    text = pose_quality.as_text(judge([picture], [said(picture, [seen_at(150)])], shows=1))

    assert all(any(line.startswith(name) for line in text.splitlines()) for name in COCO17.joints)
