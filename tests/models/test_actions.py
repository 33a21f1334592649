"""The answer "unknown": how a bundle carries its threshold, and what the scorer makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from har.errors import BundleError
from har.models.actions import ActionStream
from har.models.bundle import Bundle, load_bundle, save_bundle
from har.models.stgcn import STGCN, STGCNConfig
from har.models.unknown import UNKNOWN, UnknownRule
from har.records import ActionScores

LABELS = ("stand", "walk", "fall")


def save(path: Path, *, unknown: UnknownRule | None) -> Bundle:
    torch.manual_seed(0)
    model = STGCN(STGCNConfig(n_classes=3, channels=(4,) * 9)).eval()
    torch.nn.init.normal_(model.head.weight, std=3.0)
    windows = np.random.default_rng(1).normal(size=(3, 12, 17, 3)).astype(np.float32)
    return save_bundle(
        path, name="care-9", version="1", model=model, labels=LABELS, rate_hz=15.0, golden_windows=windows,
        norm={}, metrics={}, card="# Care 9\n", data_digest="d" * 64, created=datetime(2026, 11, 21, tzinfo=UTC),
        unknown=unknown,
    )  # fmt: skip


def rule(threshold: float) -> UnknownRule:
    return UnknownRule(threshold=threshold, keeps=0.95, n=400)


def show(bundle: Bundle, *, n_people: int = 6, seconds: float = 2.0) -> list[ActionScores]:
    """What is said of people who move at random, in order."""
    stream = ActionStream(bundle)
    rng = np.random.default_rng(3)
    answers = []
    for number in range(round(seconds * 15)):
        for person in range(n_people):
            joints = np.concatenate([rng.uniform(50, 400, (17, 2)), np.full((17, 1), 0.9)], axis=1).astype(np.float32)
            stream.see(person, joints, time_s=number / 15, width_px=640, height_px=480)
        answers += [scores for _, _, scores in stream.answers()]
    return answers


def test_answers_below_the_threshold_are_unknown_and_keep_their_scores(tmp_path: Path) -> None:
    always = show(save(tmp_path / "always", unknown=None))
    confidences = sorted(each.score for each in always)
    between = (confidences[2] + confidences[3]) / 2

    careful = show(save(tmp_path / "careful", unknown=rule(between)))

    assert UNKNOWN not in {each.label for each in always}
    assert [each.label == UNKNOWN for each in careful] == [each.score < between for each in always]
    assert [(each.score, each.top) for each in careful] == [(each.score, each.top) for each in always]
    assert {each.unknown_below for each in always} == {0.0}
    assert {each.unknown_below for each in careful} == {between}


def test_a_threshold_travels_with_the_bundle_and_none_leaves_no_trace(tmp_path: Path) -> None:
    save(tmp_path / "careful", unknown=rule(0.4))
    save(tmp_path / "always", unknown=None)

    assert load_bundle(tmp_path / "careful").unknown == rule(0.4)
    assert load_bundle(tmp_path / "always").unknown is None
    assert json.loads((tmp_path / "always" / "labels.json").read_text()) == {"labels": list(LABELS)}


@pytest.mark.parametrize(
    "change", [{"threshold": 1.5}, {"threshold": 0.0}, {"keeps": 2.0}, {"n": 0}, {"score": "magic"}]
)
def test_a_bundle_with_a_threshold_that_means_nothing_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    values = rule(0.4).as_dict() | change

    with pytest.raises(BundleError, match=f"labels.json: unknown.{next(iter(change))}"):
        save(tmp_path / "bad", unknown=UnknownRule.from_dict(values))

    assert not (tmp_path / "bad").exists()
