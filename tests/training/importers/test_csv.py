"""Our own CSV, as docs/formats.md describes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from graphs import layout
from har.errors import ClipError
from tests.training.importers.builders import Array, imported, in_pixels, moving_body

COCO = layout("coco17").joints
HEADER = ",".join(["frame", "person", *(f"{joint}_{axis}" for joint in COCO for axis in ("x", "y", "score"))])


def rows(joints: Array, *, before: Sequence[str] = ()) -> str:
    """Write joints (T, M, V, C) row by row, each with the same cells before it."""
    lines = []
    for t, frame in enumerate(joints):
        for m, body in enumerate(frame):
            cells = ["" if np.isnan(value) else f"{value:.6g}" for value in body.ravel()]
            lines.append(",".join([*before, str(t), f"p{m}", *cells]))
    return "\n".join(lines) + "\n"


def test_a_file_comes_in_as_it_was_written(tmp_path: Path) -> None:
    joints = in_pixels(moving_body("coco17", n_people=2))
    joints[2] = np.nan
    joints[3, 0, 4] = np.nan
    text = "# units: px\n# rate_hz: 25\n# width_px: 640\n# height_px: 480\n# source: my hall\n" + HEADER + "\n"
    (tmp_path / "hall.csv").write_text(text + rows(joints))

    clips, ledger = imported("csv", tmp_path / "hall.csv", tmp_path / "clips")

    (clip,) = clips
    np.testing.assert_allclose(clip.joints, joints, atol=1 / 32)
    assert (clip.id, clip.label, clip.layout, clip.units, clip.up) == ("hall", None, "coco17", "px", "-y")
    assert (clip.rate_hz, clip.rate_known, clip.width_px, clip.height_px) == (25.0, True, 640, 480)
    assert clip.source == "my hall"
    assert ledger.n_with_gaps == 1


def test_several_clips_with_what_is_known_of_them(tmp_path: Path) -> None:
    joints = in_pixels(moving_body("coco17"))
    header = "clip,label,danger,subject,view,camera,split," + HEADER
    text = "\n".join(
        [
            header,
            rows(joints, before=["a", "fall", "true", "anna", "front", "hall", "train"]).strip(),
            rows(joints, before=["b", "walk", "false", "otto", "side", "hall", "test"]).strip(),
        ]
    )
    (tmp_path / "set.csv").write_text(text)

    clips, ledger = imported("csv", tmp_path / "set.csv", tmp_path / "clips", rate_hz=12.5)

    assert [(c.id, c.label, c.danger, c.subject, c.view, c.camera) for c in clips] == [
        ("a", "fall", True, "anna", "front", "hall"), ("b", "walk", False, "otto", "side", "hall"),
    ]  # fmt: skip
    assert [dict(clip.splits) for clip in clips] == [{"official": "train"}, {"official": "test"}]
    assert clips[0].rate_hz == 12.5
    assert any("units are not stated" in note for note in ledger.notes)


def test_labels_that_change_become_spans_and_times_are_kept(tmp_path: Path) -> None:
    lines = ["time_s,label,hip_x,hip_y,head_x,head_y,neck_x,neck_y"]
    times = [1.0, 1.1, 1.25, 1.3, 1.4]
    for time_s, label in zip(times, ["walk", "walk", "", "fall", "fall"], strict=True):
        lines.append(f"{time_s},{label},{100 * time_s},200,100,50,100,80")
    (tmp_path / "a.csv").write_text("# edges: hip-neck, neck-head\n" + "\n".join(lines))

    clips, _ = imported("csv", tmp_path / "a.csv", tmp_path / "clips")

    assert clips[0].spans == ((1.0, 1.25, "walk"), (1.3, pytest.approx(1.4 + 1 / 30), "fall"))
    assert clips[0].label is None
    np.testing.assert_allclose(clips[0].time_s, times)
    assert (clips[0].rate_hz, clips[0].rate_known) == (10.0, True)


def test_joints_in_space_of_an_animal_make_a_layout_of_their_own(tmp_path: Path) -> None:
    joints = ["Nose", "Withers", "L_Paw", "R_Paw", "TailBase"]
    lines = ["frame," + ",".join(f"{joint}_{axis}" for joint in joints for axis in "xyz")]
    lines += [f"{t}," + ",".join(f"{0.1 * (t + i) + 0.2:.2f}" for i in range(15)) for t in range(4)]
    said = "# units: m\n# up: +z\n# edges: Nose-Withers, Withers-L_Paw, Withers-R_Paw, Withers-TailBase\n"
    (tmp_path / "dog.csv").write_text(said + "\n".join(lines))

    clips, _ = imported("csv", tmp_path, tmp_path / "clips")

    assert layout(clips[0].layout).joints == ("nose", "withers", "left_paw", "right_paw", "tail_base")
    assert layout(clips[0].layout).pairs == ((2, 3),)
    assert (clips[0].units, clips[0].up) == ("m", "+z")
    np.testing.assert_allclose(clips[0].joints[1, 0, 0], [0.3, 0.4, 0.5], atol=1e-6)


GOOD = HEADER + "\n" + rows(in_pixels(moving_body("coco17")))


def with_cell(line: int, cell: int, text: str) -> str:
    lines = GOOD.splitlines()
    cells = lines[line - 1].split(",")
    cells[cell] = text
    lines[line - 1] = ",".join(cells)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: needs a column frame or time_s"),
        ("a,b\n1,2\n", "line 1: needs a column frame or time_s"),
        ("frame,label\n1,2\n", "line 1: has no column of a joint"),
        (HEADER + "\n", "has no row below the column names"),
        ("# note\n" + HEADER + "\n1,2,3\n", "line 3: 3 values for 53 columns"),
        (GOOD[:900], r"line 2: \d+ values for 53 columns"),
        (with_cell(3, 4, "far"), "line 3: nose_score is 'far'"),
        (with_cell(3, 2, "inf"), "line 3: nose_x is 'inf'"),
        (with_cell(3, 0, "-1"), "line 3: frame must be a whole number"),
        (with_cell(3, 0, "1e9"), "line 3: frame must be a whole number"),
        (with_cell(3, 0, "99999999"), "frames go from"),
        (with_cell(3, 0, "0"), "line 3: the same frame and person as in line 2"),
        (GOOD.replace("nose_x", "nose_y", 1), "line 1: column 'nose_y' comes twice"),
        (GOOD.replace("nose_x", "nose_w", 1), "line 1: unknown column 'nose_w'"),
        (GOOD.replace("nose_score", "nose_z", 1), "line 1: joint 'left_eye' has x, y, score"),
        (GOOD.replace("nose_", "beak_"), "no known layout.*# edges"),
        ("# edges: nose-beak\n" + GOOD, "edges: 'nose-beak' is not two joints"),
        ("# units: feet\n" + GOOD, "units must be one of"),
        ("# units: m\n" + GOOD, "a score in m needs z too"),
        ("# rate_hz: often\n" + GOOD, "rate_hz must be above 0"),
        ("# layout: ntu25\n" + GOOD, "holds 17 joints a body, ntu25 has 25"),
        ("# width_px: wide\n" + GOOD, "width_px must be a whole number"),
        ("split," + GOOD.replace("\n", "\ndev,").removesuffix("dev,"), "split must be train or test"),
        ("danger," + GOOD.replace("\n", "\nmaybe,").removesuffix("maybe,"), "danger must be true or false"),
        ("label," + "x" * 200_000 + "\n", "is no CSV|needs a column"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_line_and_cure(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)

    with pytest.raises(ClipError, match=message) as caught:
        imported("csv", tmp_path / "a.csv", tmp_path / "clips")

    assert str(tmp_path / "a.csv") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "clips").exists()


def test_one_clip_is_of_one_person_and_one_split(tmp_path: Path) -> None:
    lines = ("subject," + GOOD).splitlines()
    lines[1:] = [f"{'anna' if i < 3 else 'otto'},{line}" for i, line in enumerate(lines[1:])]
    (tmp_path / "a.csv").write_text("\n".join(lines))

    with pytest.raises(ClipError, match=r"a\.csv, line 5: subject is 'otto', line 2 has 'anna'"):
        imported("csv", tmp_path / "a.csv", tmp_path / "clips")


def test_binary_junk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))

    with pytest.raises(ClipError, match=r"a\.csv: is no text"):
        imported("csv", tmp_path, tmp_path / "clips")


def test_two_files_with_one_clip_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = "clip," + GOOD.replace("\n", "\nsame,").removesuffix("same,")
        (tmp_path / f"{name}.csv").write_text(text)

    with pytest.raises(ClipError, match="clip id 'same' comes twice"):
        imported("csv", tmp_path, tmp_path / "clips")
