"""`har synth` as it is typed: clips by kind, a preview, life, falls, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from har.cli.synth import app
from har.clips import read_clips
from har.errors import ConfigError
from har.synth.kinds import FALLS, KINDS, kind_of
from har.training.truth import read_truth


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_clips_of_chosen_kinds_are_written_and_drawn(tmp_path: Path) -> None:
    run("clips", "--out", tmp_path / "set", "--n", 2, "--kinds", "kneel,doze", "--preview", tmp_path / "sheet.png")

    assert [kind_of(clip.id) for clip in read_clips(tmp_path / "set")] == ["kneel", "doze"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
        assert len(sheet.convert("L").getcolors() or []) > 3  # something was drawn


def test_falls_only_gives_every_kind_of_fall_in_turn(tmp_path: Path) -> None:
    run("clips", "--out", tmp_path / "set", "--n", 3, "--falls-only")

    assert [kind_of(clip.id) for clip in read_clips(tmp_path / "set")] == list(FALLS[:3])


def test_life_and_falls_are_written_with_their_truth(tmp_path: Path) -> None:
    run("life", "--out", tmp_path / "life", "--hours", 0.02)
    run("falls", "--out", tmp_path / "falls", "--n", 1)

    (calm,), (fallen,) = read_clips(tmp_path / "life"), read_clips(tmp_path / "falls")
    assert (calm.danger, fallen.danger) == (False, True)
    assert [row.source for row in read_truth(tmp_path / "falls" / "truth.csv")] == [fallen.id]
    assert (tmp_path / "life" / "rest_zones.json").is_file()


def test_scenes_are_written_with_a_preview_and_counted(tmp_path: Path) -> None:
    told = run("scenes", "--out", tmp_path / "set", "--n", 2, "--size", "96x64", "--jobs", 1, "--preview",
               tmp_path / "sheet.png", "--json", "-")  # fmt: skip

    assert json.loads(told)["pictures"] == 2
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["annotations.json", "images"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 96, 64)


@pytest.mark.parametrize("size", ["320", "320*240", "x240", "-320x240", "32x24", "9000x9000"])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: str) -> None:
    with pytest.raises(ConfigError, match="--size"):
        CliRunner().invoke(app, ["scenes", "--out", str(tmp_path / "set"), "--size", size], catch_exceptions=False)
    assert not (tmp_path / "set").exists()


def test_the_kinds_can_be_listed(tmp_path: Path) -> None:
    assert run("clips", "--out", tmp_path / "set", "--kinds", "list").split() == list(KINDS)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--kinds", "somersault"), "fall-forward"),
        (("--kinds", "kneel", "--falls-only"), "exclude"),
        (("--kinds", ","), "empty"),
    ],
)
def test_a_kind_that_is_not_known_is_refused_with_those_that_are(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        CliRunner().invoke(app, ["clips", "--out", str(tmp_path / "set"), *options], catch_exceptions=False)
    assert not (tmp_path / "set").exists()
