"""`har replay`: the alerts of `har run`, held against the truth; and the mistakes of those who type it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from har.bench.recordings import find_recordings
from har.cli.main import main
from har.clips import read_clips, write_clips
from har.models.bundle import save_bundle
from har.models.stgcn import STGCN, STGCNConfig

SAMPLES = Path(__file__).resolve().parents[2] / "sample_clips"
Replay = Callable[..., dict[str, Any]]
Tell = Callable[..., str]


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path) -> Replay:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> dict[str, Any]:
        assert main(["replay", *map(str, arguments), "--model", str(bundle), "--json", "result.json"]) == 0
        result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
        return result

    return run


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], bundle: Path) -> Tell:
    """Run `har replay` with a mistake in it and give the one line it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> str:
        assert main(["replay", "--model", str(bundle), *map(str, arguments)]) == 2
        told = capfd.readouterr()
        assert told.out == ""
        lines = told.err.splitlines()
        assert len(lines) == 1, told.err
        assert lines[0].startswith("har: ")
        return lines[0]

    return run


def short_fall(folder: Path, *, first_s: float = 28.0, last_s: float = 37.0) -> Path:
    """Cut the sample's joints to shortly before its fall; on the ground at 3.48 s."""
    with np.load(SAMPLES / "fall_in_room.npz", allow_pickle=False) as file:
        joints, time_s = file["joints"], file["time_s"]
    kept = (time_s >= first_s) & (time_s < last_s)
    folder.mkdir(exist_ok=True)
    np.savez(folder / "short_fall.npz", joints=joints[kept], time_s=time_s[kept] - first_s)
    return folder / "short_fall.npz"


def run_alerts(source: Path, folder: Path, bundle: Path) -> list[tuple[float, str, str, bool]]:
    """Give the alerts that `har run` tells of a file."""
    events = folder / f"{source.name}.jsonl"
    arguments = [
        "run",
        "--once",
        "--source",
        source,
        "--model",
        bundle,
        "--events",
        events,
        "--json",
        folder / "s.json",
    ]
    assert main([str(word) for word in arguments]) == 0
    bodies = [json.loads(line) for line in events.read_text().splitlines()]
    raised = [b["data"] for b in bodies if b["type"] == "har.alert.v1" and b["data"]["state"] == "raised"]
    return [
        (round(a["source_time_s"], 3), a["kind"], a["reason"], a.get("change_reason") == "source_ended")
        for a in raised
        if a["change"] == "state"
    ]


def replay_alerts(row: dict[str, Any]) -> list[tuple[float, str, str, bool]]:
    return [(a["at_s"], a["kind"], a["reason"], a["by_end"]) for a in row["alerts"]]


@pytest.mark.parametrize("last_s", [37.0, pytest.param(33.0, marks=pytest.mark.slow)])
def test_replay_tells_the_very_alerts_of_the_service(
    replay: Replay, tmp_path: Path, bundle: Path, last_s: float
) -> None:
    clip = short_fall(tmp_path / "clips", last_s=last_s)

    result = replay(clip)

    alerts = replay_alerts(result["rows"][0])
    assert alerts == run_alerts(clip, tmp_path, bundle)
    assert [by_end for *_, by_end in alerts] == [last_s == 33.0]


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", ["fall_in_room.mp4", "daily_living.mp4"])
def test_replay_tells_the_very_alerts_of_the_service_on_the_sample_videos(
    replay: Replay, tmp_path: Path, bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses = tmp_path / "cache"
    monkeypatch.setattr("har.bench.recordings.cache_folder", lambda: poses)
    first, again = (replay(SAMPLES / name, "--truth", SAMPLES / "truth.csv") for _ in range(2))
    listed = replay(SAMPLES / name)

    assert replay_alerts(listed["rows"][0]) == run_alerts(SAMPLES / name, tmp_path, bundle)
    assert first["rows"] == again["rows"]
    assert len(list((poses / "poses").glob("*.npz"))) == 1
    (figures,) = first["models"].values()
    assert (figures["missed"], figures["false_alerts"]) == (0, 0)


def test_a_fall_of_a_truth_file_is_found_and_the_report_shows_it(
    replay: Replay, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = short_fall(tmp_path / "clips")
    (tmp_path / "truth.csv").write_text(
        "source,start_s,ground_s,end_s,kind\nshort_fall.npz,,,2.8,stand\nshort_fall.npz,2.88,3.48,9,fall\n"
    )

    result = replay(clip, "--truth", "truth.csv", "--report", "report")

    (figures,) = result["models"].values()
    assert (figures["found"], figures["missed"], figures["false_alerts"]) == (1, 0, 0)
    assert 1.0 < figures["delay_median_s"] < 4.0
    assert set(figures["label_share"]) == {"stand"}
    assert {"name", "machine", "rows"} <= set(result)
    assert "falls found    1 of 1" in capfd.readouterr().out
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<svg") == 1
    assert "fall alert at" in page
    assert f"{figures['delay_median_s']:.2f}" in page


def test_a_miss_and_a_false_alert_are_drawn_and_named_with_a_command_to_look_at_them(
    replay: Replay, tmp_path: Path
) -> None:
    clip = short_fall(tmp_path / "clips")
    (tmp_path / "truth.csv").write_text("source,start_s,ground_s,end_s,kind\nshort_fall.npz,8.5,8.8,9,fall\n")

    result = replay(clip, "--truth", "truth.csv", "--report", "report")

    assert [one["what"] for one in result["look_at"]] == ["missed", "false alert"]
    assert all(one["command"].startswith("har run --once --source ") for one in result["look_at"])
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<svg") == 3
    assert "missed, on the ground at 8.8 s" in page


def test_a_clip_set_brings_its_own_truth_and_two_models_are_held_against_each_other(
    replay: Replay, tmp_path: Path, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (clip,) = [clip for clip in read_clips(SAMPLES) if clip.danger]
    late = clip.time_s >= 28.0
    spans = tuple(span for span in clip.spans if span[0] > 30.0)
    fall = replace(clip, joints=clip.joints[late], time_s=clip.time_s[late], spans=spans)
    write_clips(tmp_path / "set", [fall])
    other = blunt(tmp_path / "blunt", bundle)

    result = replay("set", "--against", other)

    a, b = result["models"].values()
    assert (a["found"], b["found"]) == (1, 0)
    assert len(result["compare"]["falls"]["only_first"]) == 1
    assert result["compare"]["falls"]["only_second"] == []
    assert "1 only by" in capfd.readouterr().out


def test_a_model_without_a_risk_part_is_refused_where_falls_are_counted_and_told_of_where_they_are_not(
    tell: Tell, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = short_fall(tmp_path / "clips")
    labels_only = save_labels_only(tmp_path / "labels-only")
    (tmp_path / "truth.csv").write_text("source,start_s,ground_s,end_s,kind\nshort_fall.npz,2.88,3.48,9,fall\n")

    assert main(["replay", str(clip), "--model", str(labels_only)]) == 0
    told = capfd.readouterr()
    assert main(["replay", str(clip), "--model", str(labels_only), "--truth", "truth.csv"]) == 2
    refused = capfd.readouterr()

    assert "labels-only" in told.err
    assert "has no risk part: it raises no alert but that of the floor timer" in told.err
    assert "no alert" in told.out
    assert "has no risk part, so it finds no falls" in refused.err.splitlines()[-1]


def blunt(folder: Path, bundle: Path) -> Path:
    """Copy a bundle under another name, with a threshold of suspicion that nothing reaches."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["name"], manifest["risk"]["threshold"] = "blunt", 1 - 1e-12
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def save_labels_only(folder: Path) -> Path:
    """Save a bundle with a small action network and no risk part."""
    torch.manual_seed(0)
    model = STGCN(STGCNConfig(n_classes=2, channels=(4,) * 9)).train()
    with torch.no_grad():
        model.scores(torch.rand(4, 12, 17, 3))
    save_bundle(
        folder, name="labels-only", version="1", model=model, labels=("stand", "walk"), rate_hz=15.0,
        golden_windows=np.random.default_rng(1).normal(size=(2, 12, 17, 3)).astype(np.float32), norm={}, metrics={},
        card="# Labels only\n", data_digest="d" * 64, created=datetime(2026, 11, 21, tzinfo=UTC),
    )  # fmt: skip
    return folder


def test_recordings_may_be_files_folders_and_clip_sets(tmp_path: Path) -> None:
    clip = short_fall(tmp_path / "clips")

    found = find_recordings([str(SAMPLES), str(tmp_path / "clips"), str(SAMPLES / "fall_in_room.mp4")])

    assert [recording.path.name for recording in found] == ["sample_clips"] * 2 + [clip.name, "fall_in_room.mp4"]
    assert [recording.is_video for recording in found] == [False, False, False, True]
    assert [recording.truth is not None for recording in found] == [True, True, False, False]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere.mp4", "does not exist"),
        ("text.mp4", "cannot be read as a video"),
        ("empty", "holds no video"),
        ("webcam:0", "live camera"),
        ("rtsp://user:secret@10.0.0.7/main", "live camera"),
    ],
)
def test_a_source_that_cannot_be_replayed(tell: Tell, tmp_path: Path, source: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("not a video\n")

    line = tell(source)

    assert told in line
    assert "secret" not in line


def test_a_truth_file_that_does_not_fit(tell: Tell, tmp_path: Path) -> None:
    clip = short_fall(tmp_path / "clips")
    (tmp_path / "other.csv").write_text("file,from,to\n")
    (tmp_path / "unknown.csv").write_text("source,start_s,ground_s,end_s,kind\nelse.npz,1,2,3,fall\n")

    assert "no column 'source'" in tell(clip, "--truth", "other.csv")
    assert "else.npz is none of the recordings given" in tell(clip, "--truth", "unknown.csv")


def test_one_model_against_itself_and_a_report_that_cannot_be_written(tell: Tell, tmp_path: Path, bundle: Path) -> None:
    clip = short_fall(tmp_path / "clips")
    (tmp_path / "taken").touch()

    assert "the same bundle" in tell(clip, "--against", bundle)
    assert "--report taken: cannot be written" in tell(clip, "--report", "taken")
    assert "the folder" in tell(clip, "--json", "nowhere/result.json")
    assert "given twice" in tell(clip, clip)
