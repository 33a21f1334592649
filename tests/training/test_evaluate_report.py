"""The report: clips under changed conditions, pictures, words, and a page that needs nothing beside it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from har.clips import Clip
from har.errors import ConfigError
from har.models.bundle import Bundle
from har.training.report import measure, words
from har.training.report.charts import Axis, Line, draw_lines
from har.training.report.conditions import at_rate, turned, with_lost_joints
from har.training.report.markdown import as_html
from har.training.report.measure import Mistake
from har.training.report.pictures import draw_confusion, draw_strip
from har.training.report.strangers import measure_strangers, refuse_bad_names
from har.training.report.write import write_report
from tests.training.builders import clip_set, moving_clip
from tests.training.judging import LABELS, untrained_bundle

# -- changed conditions ----------------------------------------------------------------------------------------------


def solid_clip(clip_id: str = "solid", label: str = "walk", **fields: Any) -> Clip:
    """Give a clip with depth: metres, y up."""
    flat = moving_clip(clip_id, label, **fields)
    x, y = (flat.joints[..., 0] - 320) / 110, -(flat.joints[..., 1] - 420) / 110
    depth = np.linspace(2, 3, 17, dtype=np.float32) + np.zeros_like(x)
    return replace(flat, joints=np.stack([x, y, depth], axis=-1), units="m", up="+y")


def test_a_lower_frame_rate_leaves_frames_out_and_moves_none() -> None:
    clip = moving_clip("a", "walk", n_frames=45)

    slow = at_rate(clip, rate_hz=5.0)

    assert len(slow.time_s) == 15
    assert set(slow.time_s) <= set(clip.time_s)
    kept = np.isin(clip.time_s, slow.time_s)
    np.testing.assert_array_equal(slow.joints, clip.joints[kept])
    assert slow.rate_hz == 5.0


def test_a_higher_frame_rate_puts_frames_between_those_that_are_there() -> None:
    clip = moving_clip("a", "walk", n_frames=16)
    clip = replace(clip, joints=np.where(np.arange(16)[:, None, None, None] == 8, np.float32(np.nan), clip.joints))

    fast = at_rate(clip, rate_hz=30.0)

    assert len(fast.time_s) == 31
    np.testing.assert_allclose(fast.joints[0:14:2], clip.joints[0:7], atol=1e-2)
    np.testing.assert_allclose(fast.joints[1], (clip.joints[0] + clip.joints[1]) / 2, atol=1e-2)
    assert np.isnan(fast.joints[15:18]).all()  # nothing is made up beside a frame without a body


def test_a_clip_of_one_frame_has_no_rate_to_change() -> None:
    clip = moving_clip("a", "walk", n_frames=1)

    assert at_rate(clip, rate_hz=10.0) is clip


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5])
def test_the_share_of_joints_asked_for_is_lost_for_spells_of_a_second(share: float) -> None:
    clip = moving_clip("a", "walk", n_frames=1500)

    worse = with_lost_joints(clip, share=share, seed=0)

    lost = np.isnan(worse.joints[:, 0, :, 0])  # (T, V)
    assert lost.mean() == pytest.approx(share, abs=0.05)
    changes = (np.diff(lost.astype(int), axis=0) != 0).mean()
    assert changes <= 1 / 15 + 1e-6  # at most once a second
    assert not np.isnan(clip.joints).any()
    np.testing.assert_array_equal(worse.joints, with_lost_joints(clip, share=share, seed=0).joints)


@pytest.mark.parametrize(("up", "axis"), [("+y", 1), ("-y", 1), ("+z", 2)])
def test_a_turned_person_keeps_height_and_size(up: str, axis: int) -> None:
    clip = solid_clip()
    clip = replace(clip, up=up, joints=clip.joints if up != "+z" else np.ascontiguousarray(clip.joints[..., [0, 2, 1]]))

    quarter = turned(clip, angle_deg=90)
    whole = turned(turned(quarter, angle_deg=90), angle_deg=180)

    np.testing.assert_array_equal(quarter.joints[..., axis], clip.joints[..., axis])
    bone = lambda each: np.linalg.norm(each.joints[..., 11, :] - each.joints[..., 13, :], axis=-1)  # noqa: E731
    np.testing.assert_allclose(bone(quarter), bone(clip), atol=1e-5)
    assert np.abs(quarter.joints - clip.joints).max() > 0.5
    np.testing.assert_allclose(whole.joints, clip.joints, atol=1e-5)


def test_flat_clips_have_no_camera_angle_and_solid_ones_have(tmp_path: Path) -> None:
    bundle = untrained_bundle(tmp_path / "mine")
    flat = measure.measure(bundle, [moving_clip("a", "walk")])
    steps: list[tuple[int, int]] = []

    solid = measure.measure(
        bundle, [solid_clip(), moving_clip("b", "wave")], progress=lambda what, done, total: steps.append((done, total))
    )

    assert flat["conditions"]["camera_angle"] is None
    assert [row["at"] for row in solid["conditions"]["camera_angle"]] == list(measure.ANGLES_DEG)
    assert {row["n"] for row in solid["conditions"]["camera_angle"]} == {1}
    assert (solid["conditions"]["n_clips"], solid["conditions"]["n_clips_3d"]) == (2, 1)
    assert steps[-1][0] == steps[-1][1] == 17
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_of_a_large_set_some_clips_stand_for_all_under_changed_conditions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "MOST_WINDOWS", 5)

    found = measure.measure(untrained_bundle(tmp_path / "mine"), clip_set(labels=LABELS))["conditions"]

    assert (found["n_clips"], found["all_clips"]) == (5, False)
    assert {row["n"] for row in found["frame_rate"]} == {5}


# -- people, views, worst mistakes -----------------------------------------------------------------------------------


def test_people_and_views_are_counted_apart(tmp_path: Path) -> None:
    clips = [replace(clip, view="left" if number % 2 else "right") for number, clip in enumerate(clip_set())]

    found = measure.measure(untrained_bundle(tmp_path / "mine"), clips)

    assert {name: row["n"] for name, row in found["by_subject"].items()} == {f"S0{each}": 3 for each in range(1, 5)}
    assert {name: row["n"] for name, row in found["by_view"].items()} == {"left": 6, "right": 6}
    share = sum(row["n"] * row["top1"] for row in found["by_subject"].values()) / 12
    assert share == pytest.approx(found["clips"]["top1"])


def test_the_worst_mistakes_are_the_surest_wrong_answers_one_a_clip(tmp_path: Path) -> None:
    clips = clip_set(labels=LABELS, n_subjects=6)

    found = measure.measure(untrained_bundle(tmp_path / "mine"), clips)["worst"]

    assert 0 < len(found) <= measure.N_WORST
    assert len({row["clip"] for row in found}) == len(found)
    labels = {clip.id: clip.label for clip in clips}
    assert all(row["given"] != row["true"] == labels[row["clip"]] for row in found)
    confidences = [row["confidence"] for row in found]
    assert confidences == sorted(confidences, reverse=True)


def test_slips_at_the_seam_of_two_actions_come_after_whole_mistakes(tmp_path: Path) -> None:
    clip = replace(
        moving_clip("long", "walk", n_frames=150), label=None, spans=((0.0, 0.7, "wave"), (0.7, 10.0, "sit down"))
    )
    whole = moving_clip("whole", "stand")

    found = measure.measure(untrained_bundle(tmp_path / "mine"), [clip, whole])["worst"]

    lengths = [row["end_s"] - row["start_s"] >= measure.LEAST_WORST_S for row in found]
    assert lengths == sorted(lengths, reverse=True)


# -- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 8, 60])
def test_a_confusion_matrix_is_readable_from_two_labels_to_sixty(n: int) -> None:
    matrix = np.eye(n, dtype=int) * 9
    matrix[0, 1] = 6
    labels = [f"label number {each}" for each in range(n)]

    image = draw_confusion({"labels": [*labels, "never"], "matrix": np.pad(matrix, (0, 1)).tolist()})

    assert 400 < image.width < 3600
    red, blue = (np.asarray(image)[..., channel].astype(np.int16) for channel in (0, 2))
    n_right, n_wrong = int((blue > red + 30).sum()), int((red > blue + 30).sum())
    assert n_right / n_wrong == pytest.approx(n, rel=0.25)  # as many right cells to one wrong
    assert n_right > n * 30**2  # each large enough to hold a number


def test_a_strip_shows_a_body_in_every_frame_and_its_fall() -> None:
    clip = moving_clip("fallen", "sit down", n_frames=60)

    image = draw_strip(clip, Mistake("fallen", "sit down", "stand", 0.9, 0.05, 0.0, float(clip.time_s[-1])))

    pixels = np.asarray(image).astype(int)
    cells = np.split(pixels[80:320], 9, axis=1)
    inked = [np.argwhere(np.abs(cell - 255).max(axis=-1) > 60) for cell in cells]
    tops = [int(each[:, 0].min()) for each in inked]
    assert all(len(each) > 500 for each in inked)
    assert tops[-1] > tops[0] + 25  # the head comes down


def test_a_strip_of_a_moment_shows_what_was_around_it() -> None:
    clip = moving_clip("a", "walk", n_frames=90)

    image = draw_strip(clip, Mistake("a", "walk", "stand", 0.9, 0.05, 2.9, 3.1))

    bar = np.asarray(image)[2 * (34 + 132) + 1, 132::264].astype(int)  # under the middle of each cell
    assert (bar[:, 2] > bar[:, 0] + 30).tolist() == [each == 4 for each in range(9)]


def test_a_strip_without_a_body_is_drawn_empty() -> None:
    clip = moving_clip("a", "walk")
    clip = replace(clip, joints=np.full_like(clip.joints, np.nan))

    assert isinstance(draw_strip(clip, Mistake("a", "walk", "stand", 0.9, 0.05, 0.0, 2.0)), Image.Image)


# -- words -----------------------------------------------------------------------------------------------------------


def test_the_page_says_in_words_what_the_numbers_mean(tmp_path: Path) -> None:
    result = measure.measure(untrained_bundle(tmp_path / "mine"), clip_set(labels=LABELS))
    right = round(16 * result["clips"]["top1"])

    told = " ".join([words.headline(result), *words.findings(result)]).replace(words.NO_BREAK, " ")

    assert f"Of 16 clips, {right} are labelled right" in told
    assert "It mixes up “" in told
    assert "With 30 % of the joints lost" in told


def test_figures_that_flatter_are_called_so(tmp_path: Path) -> None:
    result = measure.measure(untrained_bundle(tmp_path / "mine"), clip_set(), split=None)

    same = words.cautions(result, {"split": None}, same_data=True)
    other = words.cautions(result, {"split": "subject:1-2/3-4"}, same_data=False)
    fair = words.cautions(result, {"split": None}, same_data=False)

    assert "the very clips that the model learnt from" in same[0]
    assert "clips or people may be on both sides" in other[0]
    assert not any("learnt" in each for each in fair)


# -- the page --------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Collects what a page refers to, and complains of tags that do not match."""

    EMPTY = frozenset({"meta", "img", "br", "line", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.EMPTY

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, list[Clip], dict[str, Any], Path]:
    """A report on clips whose labels and names would break a careless page."""
    folder = tmp_path_factory.mktemp("report")
    labels = ("<b>walk</b>", "sit & down", "“stand”")
    history = [{"epoch": each, "loss": 1.0, "train_top1": 0.1 * each, "top1": 0.12 * each} for each in range(1, 6)]
    bundle = untrained_bundle(
        folder / "mine", labels=labels, metrics={"training": {"history": history, "temperature": 1.3}, "split": None}
    )
    clips = [replace(clip, id=f"<i>{clip.id}</i>") for clip in clip_set(labels=labels)]
    result = measure.measure(bundle, clips)
    command = "har evaluate mine '<script>'"
    write_report(folder / "report", result, bundle=bundle, clips=clips, command=command, same_data=False)
    return bundle, clips, result, folder / "report"


def test_a_page_holds_everything_in_itself(reported: tuple[Bundle, list[Clip], dict[str, Any], Path]) -> None:
    page = (reported[3] / "index.html").read_text(encoding="utf-8")

    tags = Tags()
    tags.feed(page)

    assert tags.open == []
    assert len(tags.sources) == 1 + len(reported[2]["worst"])
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        ET.fromstring(svg)


def test_labels_and_names_are_text_on_the_page(reported: tuple[Bundle, list[Clip], dict[str, Any], Path]) -> None:
    page = (reported[3] / "index.html").read_text(encoding="utf-8")

    assert "<b>walk</b>" not in page
    assert "&lt;b&gt;walk&lt;/b&gt;" in page
    assert "<i>s1" not in page
    assert "<script" not in page


def test_the_pictures_and_the_numbers_lie_beside_the_page(
    reported: tuple[Bundle, list[Clip], dict[str, Any], Path],
) -> None:
    _, _, result, folder = reported

    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == result
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["confusion.png", *(f"worst-{n:02d}.png" for n in range(1, len(result["worst"]) + 1))]
    for name in pictures:
        with Image.open(folder / name) as image:
            image.verify()


def test_a_newer_report_leaves_no_picture_of_the_older_one(
    reported: tuple[Bundle, list[Clip], dict[str, Any], Path], tmp_path: Path
) -> None:
    bundle, clips, result, _ = reported
    common: dict[str, Any] = {"bundle": bundle, "clips": clips, "command": "har", "same_data": False}
    write_report(tmp_path, result, **common)

    write_report(tmp_path, result | {"worst": result["worst"][:1]}, **common)

    assert [path.name for path in tmp_path.glob("worst-*.png")] == ["worst-01.png"]


def test_a_folder_that_cannot_be_written_is_told_in_a_line(
    reported: tuple[Bundle, list[Clip], dict[str, Any], Path], tmp_path: Path
) -> None:
    bundle, clips, result, _ = reported
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="Give --report another folder"):
        write_report(tmp_path / "file" / "x", result, bundle=bundle, clips=clips, command="har", same_data=False)


def test_a_chart_puts_its_points_where_they_belong() -> None:
    chart = draw_lines([Line("", [(0.0, 0.0), (1.0, 1.0)])], x=Axis("a < b"), y=Axis("c"), title="t", mark_x=0.5)

    root = ET.fromstring(chart)
    dots = [(float(dot.get("cx", "nan")), float(dot.get("cy", "nan"))) for dot in root.iter("circle")]
    mark = next(line for line in root.iter("line") if line.get("class") == "mark")
    assert dots[0][0] < dots[1][0]
    assert dots[0][1] > dots[1][1]
    assert float(mark.get("x1", "nan")) == pytest.approx((dots[0][0] + dots[1][0]) / 2, abs=0.1)


def test_the_card_becomes_html_and_nothing_of_it_gets_through_as_such() -> None:
    card = "# Name 1\n\nPlain `code` and **bold**.\n\n| a | b |\n| --- | --- |\n| 1 | <x> |\n\n- one\n- two\n"

    found = as_html(card)

    assert "<h1>Name 1</h1>" in found
    assert "<p>Plain <code>code</code> and <b>bold</b>.</p>" in found
    assert "<tr><th>a</th><th>b</th></tr><tr><td>1</td><td>&lt;x&gt;</td></tr>" in found
    assert "<ul><li>one</li><li>two</li></ul>" in found


# -- actions left out of training ------------------------------------------------------------------------------------


def test_labels_left_out_of_a_second_training_are_strange_to_it(tmp_path: Path) -> None:
    tiny = {"channels": [4, 4, 4], "epochs": 1, "windows_per_epoch": 16, "validation_share": 0.0}
    bundle = untrained_bundle(tmp_path / "mine", metrics={"recipe": tiny, "split": "subject:1-2/3-4", "seed": 0})
    clips = clip_set(labels=LABELS)

    found = measure_strangers(bundle, clips, ["wave"], split="subject:1-2/3-4")

    assert found["left_out"] == ["wave"]
    assert found["strange"]["labels"] == {"wave": 2}
    assert found["rule"] is None  # nothing was held out to choose a threshold by
    assert 0 <= found["strange"]["separation"] <= 1


@pytest.mark.parametrize(
    ("names", "split", "complaint"),
    [
        (["juggle"], "a", "juggle is not among the labels of mine: sit down, stand"),
        (["walk", "wave", "stand"], "a", "at least 2 of the bundle's labels must be left"),
        (["walk"], None, "Give the --split"),
        ([], "a", "no label is not among"),
    ],
)
def test_labels_that_cannot_be_left_out_are_told_in_a_line(
    tmp_path: Path, names: list[str], split: str | None, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        refuse_bad_names(untrained_bundle(tmp_path / "mine"), names, split=split)


def test_a_page_tells_of_the_second_model(
    reported: tuple[Bundle, list[Clip], dict[str, Any], Path], tmp_path: Path
) -> None:
    bundle, clips, result, _ = reported
    experiment = {
        "left_out": ["fly"],
        "rule": {"threshold": 0.61, "keeps": 0.95, "n": 90, "score": "max_probability"},
        "known": {"right_kept": 0.94},
        "strange": {"n": 40, "labels": {"fly": 40}, "refused": 0.35, "separation": 0.8},
    }
    told = result | {"unknown": result["unknown"] | {"experiment": experiment}}

    page = write_report(tmp_path, told, bundle=bundle, clips=clips, command="har", same_data=False)

    text = page.read_text(encoding="utf-8").replace(words.NO_BREAK, " ")
    assert "without <b>fly</b>" in text
    assert "Below its threshold of 0.61 it calls <b>35 %</b> of 40 windows of them “unknown”" in text
