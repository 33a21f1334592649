"""`har evaluate` as it is typed: figures on stdout, progress on stderr, a report in a folder, mistakes in a line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from har.cli.main import main
from har.clips import write_clips
from har.models.unknown import UnknownRule
from tests.training.builders import clip_set, moving_clip
from tests.training.judging import LABELS, untrained_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    untrained_bundle(tmp_path / "mine", unknown=UnknownRule(threshold=0.5, keeps=0.95, n=120))
    return str(tmp_path / "mine")


def test_figures_report_and_json_tell_the_same(bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "clips", [*clip_set(labels=LABELS), moving_clip("odd", "juggle")])
    words = [
        bundle,
        str(tmp_path / "clips"),
        "--report",
        str(tmp_path / "report"),
        "--json",
        str(tmp_path / "out.json"),
    ]

    code = main(["evaluate", *words])

    out, err = capsys.readouterr()
    result = json.loads((tmp_path / "out.json").read_text())
    assert code == 0
    assert result == json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(result) >= {"n", "top1", "top5", "macro_f1", "per_class", "confusion", "ece"}
    assert f"16 clips: top 1 {result['top1']:.1%} (95 % interval" in out
    assert "unknown: answered below 0.50; keeps" in out
    assert "windows of actions never learnt" in out
    assert "left out: 1 of 17 clips: 1 because the bundle does not know juggle" in out
    assert f"report: {tmp_path / 'report' / 'index.html'}" in out
    assert "judging" in err
    assert "How good is mine@" in (tmp_path / "report" / "index.html").read_text()


def test_json_alone_leaves_stdout_to_the_machine(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "clips", clip_set())

    code = main(["evaluate", bundle, str(tmp_path / "clips"), "--split", "subject:1-2/3-4", "--json", "-"])

    result = json.loads(capsys.readouterr().out)
    assert (code, result["n"], result["split"]) == (0, 6, "subject:1-2/3-4")
    assert "conditions" not in result  # only a report measures those


def test_a_report_that_cannot_be_written_is_a_mistake_told_before_the_work(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "clips", clip_set())
    (tmp_path / "file").write_text("")

    code = main(["evaluate", bundle, str(tmp_path / "clips"), "--report", str(tmp_path / "file" / "report")])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].endswith("Give --report another folder.")
    assert "judging" not in err


def test_clips_without_labels_are_a_mistake_told_in_a_line(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clips(tmp_path / "clips", [replace(clip, label=None) for clip in clip_set()])

    code = main(["evaluate", bundle, str(tmp_path / "clips"), "--report", str(tmp_path / "report")])

    assert code == 2
    assert capsys.readouterr().err.strip().startswith("har: none of the 12 clips bears a label")
