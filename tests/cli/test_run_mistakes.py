"""Mistakes of those who start `har run`: each is one line that says what, where and what to do, and exit code 2."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from har.cli.main import main
from har.models.bundle import save_bundle
from har.models.engines import ENGINES
from har.models.stgcn import STGCN, STGCNConfig

SAMPLES = Path(__file__).resolve().parents[2] / "sample_clips"
VIDEO, CLIP = SAMPLES / "fall_in_room.mp4", SAMPLES / "fall_in_room.npz"

Tell = Callable[..., str]


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run `har run` with a mistake in it and give the one line it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))

    def run(*arguments: str | Path, code: int = 2) -> str:
        assert main(["run", *map(str, arguments)]) == code
        told = capfd.readouterr()
        assert told.out == ""
        lines = told.err.splitlines()
        assert len(lines) == 1, told.err
        assert lines[0].startswith("har: ")
        assert lines[0].endswith((".", ")", "?"))
        return lines[0]

    return run


def test_an_engine_that_is_not_known(tell: Tell) -> None:
    assert ", ".join(ENGINES) in tell("--source", CLIP, "--once", "--engine", "tensorrt")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere.mp4", ("nowhere.mp4", "does not exist", "path")),
        ("empty", ("empty", "no video file")),
        ("text.mp4", ("text.mp4", "cannot be read as a video", "Give a video")),
        ("nothing.mp4", ("nothing.mp4", "is empty")),
        ("cut.mp4", ("cut.mp4",)),
        ("text.npz", ("text.npz", "skeleton clip")),
        ("http://10.0.0.7/video", ("http://10.0.0.7/video", "rtsp://")),
        ("rtsp:/10.0.0.7/main", ("rtsp:/10.0.0.7/main", "rtsp://")),
        ("webcam:93", ("webcam:93", "not there")),
        ("", ("source is empty",)),
    ],
)
def test_a_source_that_cannot_be_read(tell: Tell, tmp_path: Path, source: str, told: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("not a video\n")
    (tmp_path / "text.npz").write_text("not a clip\n")
    (tmp_path / "nothing.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(VIDEO.read_bytes()[:200])

    line = tell("--source", source)

    assert all(word in line for word in told), line


@pytest.mark.parametrize("name", ["Hall", "hall way", "alerts", "-hall", "flur-ä"])
def test_a_camera_name_that_cannot_stand_in_a_topic(tell: Tell, name: str) -> None:
    line = tell("--source", f"{CLIP}={name}")

    assert "camera name" in line


def test_two_cameras_of_one_name(tell: Tell) -> None:
    assert "'hall'" in tell("--source", f"{CLIP}=hall", "--source", f"{VIDEO}=hall")


def test_a_camera_of_the_command_line_that_the_config_has_already(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "har.toml").write_text(f'[cameras.hall]\nurl = "{VIDEO}"\n')

    line = tell("har.toml", "--source", f"{CLIP}=hall")

    assert "hall" in line
    assert "har.toml" in line


def test_no_camera_at_all(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "har.toml").write_text('site = "home"\n')

    for arguments in ([], ["--once"], ["har.toml"]):
        line = tell(*arguments)

        assert "--source" in line
        assert "har config init" in line


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('sight = "home"\n', ("har.toml", "sight", "site")),
        ('[cameras.hall]\nulr = "webcam:0"\n', ("har.toml", "cameras.hall.ulr", "cameras.hall.url")),
        ('[cameras.Hall]\nurl = "webcam:0"\n', ("har.toml", "cameras.Hall")),
        ('[cameras.hall]\nurl = "rtsp://u:s3cret@10.0.0.7/main\n', ("har.toml", "TOML")),
        ('[danger]\nconfirm_s = 99\n[cameras.hall]\nurl = "webcam:0"\n', ("danger.confirm_s", "2 to 3")),
    ],
)
def test_a_config_that_is_wrong(tell: Tell, tmp_path: Path, config: str, told: tuple[str, ...]) -> None:
    (tmp_path / "har.toml").write_text(config)

    line = tell("har.toml")

    assert all(word in line for word in told), line
    assert "s3cret" not in line


def test_a_live_camera_is_never_read_to_its_end(tell: Tell) -> None:
    line = tell("--once", "--source", "rtsp://user:s3cret@10.0.0.7/main=hall")

    assert "--once" in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--source", CLIP, "--overlay", "o.mp4"], "video file"),
        (["--source", VIDEO, "--source", CLIP, "--overlay", "o.mp4"], "2 cameras"),
        (["--source", "rtsp://10.0.0.7/main", "--overlay", "o.mp4"], "rtsp://10.0.0.7/main"),
        (["--source", VIDEO, "--overlay", "nowhere/o.mp4"], "nowhere"),
        (["--source", VIDEO, "--overlay", "o.avi"], ".mp4"),
        (["--source", VIDEO, "--overlay", VIDEO], "is the source itself"),
        (["--source", CLIP, "--json", "nowhere/r.json"], "--json nowhere/r.json"),
        (["--source", CLIP, "--json", "."], "folder"),
        (["--source", CLIP, "--model", "care-99"], "care-99"),
        (["--source", CLIP, "--model", "nowhere/care-1"], "--model"),
        (["--source", CLIP, "--model", "."], "is missing"),
        (["--source", CLIP, "--model", VIDEO], "neither a bundle"),
        (["--source", VIDEO, "--pose", "openpose"], "blazepose"),
        (["--source", VIDEO, "--pose", "mine.task"], "mine.task"),
    ],
)
@pytest.mark.weights
def test_an_option_that_cannot_be_followed(tell: Tell, arguments: list[str | Path], told: str) -> None:
    assert told in tell(*arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--once", "--events", "nowhere/e.jsonl"], "--events nowhere/e.jsonl"),
        (["--once", "--events", "."], "--events ."),
        (["--once", "--broker", "http://10.0.0.2"], "mqtt://"),
        (["--once", "--broker", "mqtt://user:s3cret@"], "no host"),
        (["--once", "--broker", "mqtt://10.0.0.2:99999"], "mqtt://10.0.0.2:99999"),
        (["--once", "--state", "file"], "a file is in its place"),
        (["--state", "file/below"], "a file is in its place"),
        (["--state", "/proc/har"], "/proc/har"),
    ],
)
def test_a_place_that_cannot_be_used(tell: Tell, bundle: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "file").touch()

    line = tell("--model", bundle, "--source", CLIP, *arguments)

    assert told in line
    assert "s3cret" not in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_folder_that_may_not_be_written(tell: Tell, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)

    assert "--state" in tell("--model", bundle, "--source", CLIP, "--state", "locked")


def test_a_bundle_with_one_flipped_byte(tell: Tell, bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    weights = bytearray((broken / "stgcn.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (broken / "stgcn.safetensors").write_bytes(weights)

    line = tell("--source", CLIP, "--model", broken)

    assert "stgcn.safetensors" in line
    assert "sha256" in line


def test_a_bundle_that_no_camera_can_feed(tell: Tell, tmp_path: Path) -> None:
    torch.manual_seed(0)
    windows = np.random.default_rng(0).random((1, 8, 15, 3), np.float32)
    save_bundle(
        tmp_path / "kinect", name="kinect", version="1", model=STGCN(STGCNConfig(n_classes=2, layout="nite15")),
        labels=("sit", "stand"), rate_hz=15.0, golden_windows=windows,
        norm={}, metrics={}, card="# Kinect\n", data_digest="", created=datetime(2026, 11, 21, tzinfo=UTC),
    )  # fmt: skip

    line = tell("--source", CLIP, "--model", tmp_path / "kinect")

    assert "cannot run live" in line
    assert "nite15" in line
    assert "recipe `stream`" in line


def test_missing_weights_are_told_with_the_command_that_fetches_them(
    tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert "har models pull blazepose" in tell("--source", VIDEO)
