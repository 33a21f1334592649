"""ETRI-Activity3D's CSV, written with the columns that its users' loaders name; no real file is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from har.errors import ClipError
from tests.training.importers.builders import Array, imported, moving_body

NAME = "A055_P006_G002_C003"
OF_JOINT = ("3dX", "3dY", "3dZ", "depthX", "depthY", "orientationX", "orientationY", "orientationZ", "orientationW",
            "trackingState")  # fmt: skip
HEADER = ["frameNum", "bodyindexID", "trackingID", *(f"joint{j}_{of}" for j in range(1, 26) for of in OF_JOINT)]


def etri_text(joints: Array, *, ids: tuple[str, ...] = ("3", "5"), state: str = "2", first: int = 1) -> str:
    """Write joints (T, M, 25, 3); a frame of NaN is a row without a body."""
    lines = [",".join(HEADER)]
    for t, frame in enumerate(joints):
        for m, body in enumerate(frame):
            nobody = np.isnan(body).all()
            cells = [str(t + first), "" if nobody else ids[m], "" if nobody else "720575"]
            for joint in body:
                cells += ["" if nobody else f"{v:.7g}" for v in joint] + [""] * 6 + ["" if nobody else state]
            lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def test_a_folder_comes_in_as_it_was_written(tmp_path: Path) -> None:
    joints = moving_body("ntu25", n_people=2)
    (tmp_path / "P001-P050").mkdir()
    (tmp_path / "P001-P050" / f"{NAME}.csv").write_text(etri_text(joints))
    (tmp_path / "names.txt").write_text("".join(f"act {i}\n" for i in range(1, 55)) + "fall on the floor\n")

    clips, _ = imported("etri", tmp_path, tmp_path / "clips", labels=tmp_path / "names.txt", rate_hz=20.0)

    (clip,) = clips
    np.testing.assert_allclose(clip.joints[..., :3], joints, rtol=1e-6)
    assert (clip.id, clip.label, clip.danger) == (NAME, "fall on the floor", True)
    assert (clip.subject, clip.view, dict(clip.splits)) == ("P006", "C003", {"official": "test"})
    assert (clip.layout, clip.units, clip.up, clip.rate_hz) == ("ntu25", "m", "+y", 20.0)


def test_frames_without_a_body_stay_empty_and_words_for_states_are_read(tmp_path: Path) -> None:
    joints = moving_body("ntu25")
    joints[2] = np.nan
    (tmp_path / "A001P001G001C001.csv").write_text(etri_text(joints, state="Inferred"))
    (tmp_path / "A002_P001_G001_C001.csv").write_text(etri_text(joints * np.nan))
    (tmp_path / "A003_P001_G001_C001.csv").write_text(etri_text(joints, state="NotTracked"))

    clips, ledger = imported("etri", tmp_path, tmp_path / "clips")

    (clip,) = clips
    assert (clip.label, dict(clip.splits), clip.rate_known) == ("A001", {"official": "train"}, False)
    assert np.isnan(clip.joints[2]).all()
    assert (clip.joints[3, ..., 3] == 0.5).all()
    assert ledger.n_with_gaps == 1
    assert set(ledger.left_out) == {"no body in any frame", "no joint is seen in any frame"}


GOOD = etri_text(moving_body("ntu25"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column frameNum"),
        (GOOD.replace("bodyindexID", "body"), "line 1: no column bodyindexID"),
        (GOOD.replace("joint25_3dZ", "joint26_3dZ"), "line 1: no column joint25_3dZ"),
        (GOOD[:-300], "line 7: its values are not as many as the columns"),
        (GOOD + "1,2\n", "line 8: its values are not as many as the columns"),
        (GOOD.replace("\n3,", "\nthree,"), "line 4: frameNum must be"),
        (GOOD.replace("\n3,", "\n1e300,"), "line 4: frameNum must be"),
        (GOOD.replace("\n3,", "\n2,"), "line 4: body 3 comes twice in frame 2"),
        (etri_text(moving_body("ntu25"), state="7"), "line 2: joint 1: trackingState '7'"),
        (etri_text(moving_body("ntu25"), state="often"), "line 2: joint 1: .* must be numbers"),
        (HEADER[0] + "\n", "no column bodyindexID"),
        (",".join(HEADER) + "\n", "nothing to import"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / f"{NAME}.csv").write_text(text)

    with pytest.raises(ClipError, match=message) as caught:
        imported("etri", tmp_path, tmp_path / "clips")

    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "clips").exists()


def test_a_joint_without_a_number_is_missing(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    cells = lines[1].split(",")
    cells[HEADER.index("joint4_3dX")] = "nan"
    (tmp_path / f"{NAME}.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))

    clips, _ = imported("etri", tmp_path, tmp_path / "clips")

    assert np.flatnonzero(np.isnan(clips[0].joints[0, 0, :, 0])).tolist() == [3]
