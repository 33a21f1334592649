"""A resumed run takes the danger model that the interrupted one had fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.errors import ConfigError
from har.training.job import Machinery
from har.training.kept_risk import keep_risk, read_risk
from har.training.risk import fit_risk_part
from har.training.train import train
from tests.training.test_risk import clips_of, day_of
from tests.training.test_train import TINY, InterruptedRunError, stop_at


def test_no_danger_model_is_kept_as_such_and_another_run_does_not_get_it(tmp_path: Path) -> None:
    keep_risk(tmp_path / "risk.safetensors", None, fingerprint="mine")

    assert read_risk(tmp_path / "risk.safetensors", fingerprint="mine") is None
    with pytest.raises(ConfigError, match="other clips"):
        read_risk(tmp_path / "risk.safetensors", fingerprint="theirs")


def test_a_kept_danger_model_is_the_one_that_was_fitted(tmp_path: Path) -> None:
    part = fit_risk_part(clips_of(2))
    assert part is not None

    keep_risk(tmp_path / "risk.safetensors", part, fingerprint="mine")
    kept = read_risk(tmp_path / "risk.safetensors", fingerprint="mine")

    assert kept is not None
    assert kept.arrays.keys() == part.arrays.keys()
    for name, array in part.arrays.items():
        np.testing.assert_array_equal(kept.arrays[name], array)
    np.testing.assert_array_equal(kept.golden_features, part.golden_features)
    assert kept.meta == part.meta


def test_a_resumed_run_fits_no_second_danger_model_and_wants_the_same_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [replace(clip, label="walk", spans=()) for clip in day_of("X")] + clips_of(3)
    recordings = [replace(clip, id=f"long {clip.id}") for clip in day_of("L")]
    arguments: dict[str, Any] = {"out_bundle": tmp_path / "model", "recipe": TINY}
    with pytest.raises(InterruptedRunError):
        train(clips, recordings=recordings, machinery=Machinery(report=stop_at(2)), **arguments)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("har.training.train.fit_risk_part", refuse)
    with pytest.raises(ConfigError, match="other clips"):
        train(clips, recordings=recordings[:1], machinery=Machinery(resume=True), **arguments)
    bundle = train(clips, recordings=iter(recordings), machinery=Machinery(resume=True), **arguments)

    assert bundle.risk_model is not None
    assert not (tmp_path / ".model.training").exists()
