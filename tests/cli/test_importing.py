"""`har import` as it is typed: the set, the summary, and what stops it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from har.cli import main as cli
from har.clips import read_clips

HEADER = "clip,frame,label,subject,split,hip_x,hip_y,left_paw_x,left_paw_y,right_paw_x,right_paw_y,head_x,head_y"


def dog_csv(path: Path, *, n_clips: int = 3, n_frames: int = 4) -> Path:
    lines = ["# units: px", "# edges: hip-left_paw, hip-right_paw, hip-head", HEADER]
    for clip in range(n_clips):
        side = "train" if clip else "test"
        lines += [f"c{clip},{t},{'run' if clip else 'sit'},rex,{side}," + ",".join(f"{10 * i + t + clip + 1}"
                  for i in range(8)) for t in range(n_frames)]  # fmt: skip
    path.write_text("\n".join(lines))
    return path


def test_a_set_is_imported_and_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = dog_csv(tmp_path / "dogs.csv")

    code = cli.main(["import", "csv", str(path), "--out", str(tmp_path / "clips"), "--licence", "mine"])
    shown = capsys.readouterr()

    assert code == 0
    assert "3 clips, 12 frames" in shown.out
    assert "run 2, sit 1" in shown.out
    assert "split:     official (test 1, train 2)" in shown.out
    assert "30 Hz (assumed) 3" in shown.out
    assert "centre: hip" in shown.out
    assert "importing" in shown.err
    assert {clip.licence for clip in read_clips(tmp_path / "clips")} == {"mine"}


def test_json_says_the_same_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = dog_csv(tmp_path / "dogs.csv")

    code = cli.main(["import", "csv", str(path), "--out", str(tmp_path / "clips"), "--json", "-"])
    told = json.loads(capsys.readouterr().out)

    assert code == 0
    assert (told["n"], told["frames"], told["format"], told["labels"]) == (3, 12, "csv", {"run": 2, "sit": 1})
    assert told["splits"] == {"official": {"test": 1, "train": 2}}
    assert (told["left_out"], told["with_missing_frames"]) == ([], 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["json", "dogs.csv"], "unknown format 'json'. Known: npz, pyskl, ntu, kinetics, coco, etri, csv"),
        (["csv", "nowhere.csv"], "nowhere.csv: no such file or folder"),
        (["csv", "dogs.csv", "--rate-hz", "0"], "--rate-hz must be above 0"),
        (["csv", "dogs.csv", "--layout", "coco17"], "holds 4 joints a body, coco17 has 17"),
        (["npz", "dogs.csv"], "dogs.csv: is not a readable npz file"),
        (["pyskl", "dogs.csv"], "dogs.csv: "),
        (["csv", "dogs.csv", "--out", "full"], "full: is not an empty folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    dog_csv(tmp_path / "dogs.csv")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")

    code = cli.main(["import", *arguments, *(() if "--out" in arguments else ("--out", "clips"))])

    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("har: ")]
    assert code == 2
    assert text in line
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dogs.csv", "full"]


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0.5, 1.5, (3000, 1, 40, 17, 2)).astype(np.float32)
    np.savez(tmp_path / "set.npz", keypoints=keypoints, layout="coco17", units="px")
    har = Path(sys.executable).parent / "har"
    process = subprocess.Popen(
        [str(har), "import", "npz", "set.npz", "--out", "clips"], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    until_s = time.monotonic() + 120
    while not any(tmp_path.glob(".clips.*.partial/*.npz")) and time.monotonic() < until_s:
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=60) == 130
    assert [each.name for each in tmp_path.iterdir()] == ["set.npz"]
