"""A bundle without a risk part: whatever reads it says so, and what it leaves undone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from har.cli.doctor import danger_findings
from har.cli.main import app
from har.clips import Clip, write_clips
from har.models.bundle import load_bundle, save_bundle, verify_bundle
from har.models.risk import NO_RISK_PART
from har.models.stgcn import STGCN, STGCNConfig
from har.training.card import _danger
from tests.builders import lying_body, standing_body

SENTENCE = " ".join(NO_RISK_PART.split())


def a_clip(name: str, label: str, body: np.ndarray) -> Clip:
    joints = np.full((45, 1, 17, 3), 0.9, dtype=np.float32)
    joints[..., :2] = body
    return Clip(id=name, joints=joints, time_s=np.arange(45) / 15.0, rate_hz=15.0, rate_known=True, label=label,
                subject=name, source="made in a test", licence="CC0", width_px=640, height_px=480)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without a risk part, and a clip set that tells of no danger."""
    folder = tmp_path_factory.mktemp("no-risk")
    torch.manual_seed(0)
    network = STGCN(STGCNConfig(n_classes=2, channels=(4,) * 9))
    windows = np.random.default_rng(0).normal(size=(1, 32, 17, 3)).astype(np.float32)
    norm = {"scheme": "har.windows.normalise 1", "max_gap_s": 0.5, "min_pose_share": 0.3, "label_delay_s": 0.0}
    save_bundle(folder / "bundle", name="calm", version="1", model=network, labels=["lie", "stand"], rate_hz=15.0,
                golden_windows=windows, norm=norm, metrics={}, card="# calm\n", data_digest="",
                created=datetime.now(UTC))  # fmt: skip
    write_clips(folder / "clips", iter([a_clip("a", "stand", standing_body()), a_clip("b", "lie", lying_body())]))
    return folder


def told(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_models_show_says_so(folder: Path) -> None:
    assert f"danger: {SENTENCE}" in told("models", "show", folder / "bundle")


def test_evaluate_says_so(folder: Path) -> None:
    assert SENTENCE in told("evaluate", folder / "bundle", folder / "clips")


def test_run_says_so_before_it_begins(folder: Path) -> None:
    clip = next((folder / "clips").glob("*.npz"))

    said = told("run", "--once", "--model", folder / "bundle", "--source", clip)

    assert f"has {SENTENCE}" in said


def test_doctor_says_so(folder: Path) -> None:
    (finding,) = danger_findings(verify_bundle(folder / "bundle"))

    assert (finding.state, SENTENCE in finding.found) == ("lacking", True)


def test_the_card_says_so(folder: Path) -> None:
    assert load_bundle(folder / "bundle").risk_model is None
    assert SENTENCE in _danger(None)
