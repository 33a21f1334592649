"""NTU's `.skeleton` text, written line by line as the data set's page describes it; no real file is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from har.errors import ClipError
from har.training.importers.ntu import official_splits
from tests.training.importers.builders import Array, imported, moving_body

NAME = "S001C002P003R002A043"
WALKER, SITTER, CHAIR = "72057594037931101", "72057594037931368", "72057594037944738"


def skeleton_text(frames: Sequence[dict[str, Array]], *, states: Sequence[int] = (2,) * 25) -> str:
    """Write frames, each a dict of bodies (25, 3) by id."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, joints in bodies.items():
            lines += [f"{body} 0 1 1 1 1 0 0.0276 0.0551 2", "25"]
            for joint, state in zip(joints, states, strict=True):
                xyz = " ".join(f"{value:.7g}" for value in joint)
                lines.append(f"{xyz} 277.4 191.9 1036.0 519.1 -0.22 0.03 0.97 -0.08 {state}")
    return "\n".join(lines) + "\n"


def one_body(n_frames: int = 4) -> str:
    return skeleton_text([{WALKER: frame[0]} for frame in moving_body("ntu25", n_frames=n_frames)])


def test_a_file_comes_in_as_it_was_written(tmp_path: Path) -> None:
    joints = moving_body("ntu25", n_people=2)
    (tmp_path / f"{NAME}.skeleton").write_text(skeleton_text([{WALKER: f[0], SITTER: f[1]} for f in joints]))
    (tmp_path / "names.txt").write_text("".join(f"{i}. action {i}\n" for i in range(1, 43)) + "43. falling down\n")

    clips, _ = imported("ntu", tmp_path, tmp_path / "clips", labels=tmp_path / "names.txt")

    (clip,) = clips
    np.testing.assert_allclose(clip.joints[..., :3], joints, rtol=1e-6)
    assert (clip.joints[..., 3] == 1).all()
    assert (clip.id, clip.label, clip.danger, clip.subject, clip.view) == (NAME, "falling down", True, "P003", "C002")
    assert (clip.layout, clip.units, clip.up, clip.rate_hz, clip.rate_known) == ("ntu25", "m", "+y", 30.0, True)
    assert dict(clip.splits) == {"xsub": "test", "xview": "train", "xsub120": "test", "xset120": "test"}


def test_without_names_the_label_is_the_action_number(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.skeleton").write_text(one_body())

    clips, _ = imported("ntu", tmp_path / f"{NAME}.skeleton", tmp_path / "clips")

    assert (clips[0].label, clips[0].danger) == ("A043", None)


def test_a_body_that_gets_a_new_id_stays_one_person(tmp_path: Path) -> None:
    joints = moving_body("ntu25", n_frames=6)
    frames = [{WALKER if t < 2 else SITTER: joints[t, 0]} if t != 2 else {} for t in range(6)]
    (tmp_path / f"{NAME}.skeleton").write_text(skeleton_text(frames))

    clips, ledger = imported("ntu", tmp_path, tmp_path / "clips")

    assert clips[0].joints.shape == (6, 1, 25, 4)
    assert np.flatnonzero(np.isnan(clips[0].joints[:, 0, 0, 0])).tolist() == [2]
    assert ledger.n_with_gaps == 1


def test_of_three_bodies_the_two_that_move_stay(tmp_path: Path) -> None:
    joints = moving_body("ntu25", n_people=3)
    joints[:, 1] = joints[0, 1]  # a chair
    (tmp_path / f"{NAME}.skeleton").write_text(
        skeleton_text([{CHAIR: f[1], WALKER: f[0], SITTER: f[2]} for f in joints])
    )

    clips, ledger = imported("ntu", tmp_path, tmp_path / "clips")

    found = {round(float(clips[0].joints[0, person, 0, 0]), 4) for person in range(2)}
    assert found == {round(float(joints[0, person, 0, 0]), 4) for person in (0, 2)}
    assert ledger.left_out == {"bodies beyond the two that move most": 1}


def test_joints_that_are_not_tracked_are_missing_and_guessed_ones_count_half(tmp_path: Path) -> None:
    states = [2] * 23 + [1, 0]
    text = skeleton_text([{WALKER: frame[0]} for frame in moving_body("ntu25")], states=states)
    (tmp_path / f"{NAME}.skeleton").write_text(text)

    clips, _ = imported("ntu", tmp_path, tmp_path / "clips")

    assert (clips[0].joints[:, 0, 23, 3] == 0.5).all()
    assert np.isnan(clips[0].joints[:, 0, 24]).all()


def test_files_without_anybody_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.skeleton").write_text(one_body())
    (tmp_path / "S001C001P001R001A001.skeleton").write_text("0\n")
    (tmp_path / "S001C001P001R001A002.skeleton").write_text("3\n0\n0\n0\n")

    clips, ledger = imported("ntu", tmp_path, tmp_path / "clips")

    assert [clip.id for clip in clips] == [NAME]
    assert ledger.examples == {"no body in any frame": ["S001C001P001R001A001", "S001C001P001R001A002"]}


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("S017C001P038R002A060", {"xsub": "train", "xview": "test", "xsub120": "train", "xset120": "test"}),
        ("S018C002P103R001A001", {"xsub120": "train", "xset120": "train"}),
        ("S032C003P106R002A120", {"xsub120": "test", "xset120": "train"}),
        ("recording", {}),
    ],
)
def test_names_tell_the_published_splits(name: str, sides: dict[str, str]) -> None:
    assert official_splits(name) == sides


def test_the_published_splits_hold_so_many_people() -> None:
    sides = [official_splits(f"S002C001P{person:03d}R001A001") for person in range(1, 107)]

    assert sum(side["xsub"] == "train" for side in sides) == 20
    assert sum(side["xsub120"] == "train" for side in sides) == 53


def change_line(number: int, new: str | None) -> str:
    lines = one_body().splitlines()
    lines[number - 1 : number] = [] if new is None else [new]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", 1, "the file ends where the number of frames"),
        ("many\n", 1, "'many' where the number of frames"),
        ("99999999\n", 1, "a number up to"),
        (one_body()[:400], 9, "values where a joint should stand"),
        (change_line(1, "9"), 114, "the file ends where the number of bodies"),
        (change_line(3, "1 2 3"), 3, "3 values where a body should stand"),
        (change_line(4, "24"), 4, "24 joints, NTU's skeletons have 25"),
        (change_line(7, None), 29, "1 values where a joint should stand"),
        (change_line(6, "x " * 12), 6, "must be numbers"),
        (change_line(6, "1 " * 11 + "7"), 6, "tracking state 7"),
        (change_line(2, "65"), 2, "a number up to 64"),
        (skeleton_text([{}]).replace("0", "2") + skeleton_text([{WALKER: np.ones((25, 3))}])[4:] * 2, 0, "comes twice"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, place: int, message: str) -> None:
    path = tmp_path / f"{NAME}.skeleton"
    path.write_text(text)

    with pytest.raises(ClipError, match=message) as caught:
        imported("ntu", tmp_path, tmp_path / "clips")

    assert f"{path}, line {place or ''}" in str(caught.value)
    assert not (tmp_path / "clips").exists()


def test_a_joint_that_is_no_number_is_missing(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.skeleton").write_text(change_line(6, "nan " * 3 + "1 " * 8 + "2"))

    clips, _ = imported("ntu", tmp_path, tmp_path / "clips")

    assert np.isnan(clips[0].joints[0, 0, 1]).all()
    assert np.isfinite(clips[0].joints[0, 0, 2:]).all()


def test_junk_two_of_a_name_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "junk").mkdir()
    with pytest.raises(ClipError, match=r"holds no \*\.skeleton"):
        imported("ntu", tmp_path / "junk", tmp_path / "clips")
    (tmp_path / "junk" / "a.skeleton").write_bytes(bytes(range(256)))
    with pytest.raises(ClipError, match=r"a\.skeleton: is no text"):
        imported("ntu", tmp_path / "junk", tmp_path / "clips")
    (tmp_path / "junk" / "more").mkdir()
    (tmp_path / "junk" / "more" / "a.skeleton").write_text(one_body())
    with pytest.raises(ClipError, match="has the same name"):
        imported("ntu", tmp_path / "junk", tmp_path / "clips")
