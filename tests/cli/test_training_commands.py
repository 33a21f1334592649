"""Synthesise, train, evaluate and verify, as the commands are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HAR = Path(sys.executable).parent / "har"


def har(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(HAR), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=240, check=False)


@pytest.mark.slow
def test_simulated_clips_become_a_bundle_that_verifies_and_is_measured(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("epochs = 1\nchannels = [8, 8, 8]\nwindows_per_epoch = 64\n")
    options = ("--recipe", "recipe.toml", "--split", "sim", "--threads", "1")

    made = har("synth", "clips", "--out", "clips", "--n", "24", "--seed", "3", cwd=tmp_path)
    trained = har("train", "clips", "--out", "mine", *options, "--json", "train.json", cwd=tmp_path)
    verified = har("models", "verify", "mine", "--json", "-", cwd=tmp_path)
    shown = har("models", "show", "mine", cwd=tmp_path)
    judged = har("evaluate", "mine", "clips", "--split", "sim", "--json", "-", "--report", "report", cwd=tmp_path)
    again = har("train", "clips", "--out", "mine", *options, cwd=tmp_path)

    assert [done.returncode for done in (made, trained, verified, shown, judged)] == [0] * 5
    assert "100 %" in made.stderr
    told = json.loads((tmp_path / "train.json").read_text())
    assert json.loads(verified.stdout)["model"] == told["model"]
    assert "Not a medical device" in shown.stdout
    scores = json.loads(judged.stdout)
    assert 0.0 <= scores["top1"] <= scores["top5"] <= 1.0
    assert sum(map(sum, scores["confusion"]["matrix"])) == scores["n"] > 0
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == scores
    assert again.returncode == 2
    assert "never changes under its name" in again.stderr


def test_videos_that_are_not_there_and_labels_that_exclude_each_other_are_mistakes(tmp_path: Path) -> None:
    missing = har("extract", "nowhere.mp4", "--out", "clips", cwd=tmp_path)
    both = har("extract", "a.mp4", "--out", "clips", "--label", "walk", "--labels", "l.csv", cwd=tmp_path)

    assert (missing.returncode, both.returncode) == (2, 2)
    assert missing.stderr.splitlines()[-1].startswith("har: nowhere.mp4: no such file")
    assert "exclude each other" in both.stderr
    assert not (tmp_path / "clips").exists()
