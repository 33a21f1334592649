"""What `har evaluate` says of a clip set: figures, what was left out and why, and clear lines where nothing can be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.errors import ClipError, ConfigError
from har.models.unknown import UnknownRule
from har.training.evaluate import answer, evaluate
from tests.training.builders import clip_set, moving_clip
from tests.training.judging import LABELS, untrained_bundle


def test_the_figures_agree_with_each_other_and_are_plain_json(tmp_path: Path) -> None:
    clips = clip_set(labels=LABELS)

    found = evaluate(untrained_bundle(tmp_path / "mine"), clips)

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["n"] == found["clips"]["n"] == found["n_clips"] == len(clips)
    matrix = np.array(found["confusion"]["matrix"])
    assert found["top1"] == pytest.approx(matrix.trace() / len(clips))
    low, high = found["top1_interval"]
    assert 0 <= low <= found["top1"] <= high <= 1
    assert sum(row["n"] for row in found["calibration"]["curve"]) == len(clips)
    assert found["risk_coverage"][-1]["accuracy"] == pytest.approx(found["top1"])
    assert found["unknown"] == {"rule": None, "known": None, "strange": None}


def test_clips_that_cannot_be_judged_are_named_with_the_reason(tmp_path: Path) -> None:
    seen = moving_clip("seen", "walk")
    hidden = replace(seen, id="hidden", joints=np.full_like(seen.joints, np.nan))
    clips = [seen, hidden, replace(seen, id="mute", label=None), replace(seen, id="other", label="juggle")]

    left_out = evaluate(untrained_bundle(tmp_path / "mine"), clips)["left_out"]

    assert left_out == {
        "n": 3,
        "clips": {
            "hidden": "it shows too little of a body where it is labelled",
            "mute": "it bears no label",
            "other": "the bundle does not know juggle",
        },
        "labels": {"juggle": 1},
    }


def test_windows_of_untrimmed_clips_count_once_a_stretch_in_the_interval(tmp_path: Path) -> None:
    clip = moving_clip("long", "walk", n_frames=120)
    spans = ((0.0, 4.0, "walk"), (4.0, 8.0, "stand"))

    found = evaluate(untrained_bundle(tmp_path / "mine"), [replace(clip, label=None, spans=spans)])

    low, high = found["top1_interval"]
    assert (found["clips"]["n"], found["n"] > 15) == (2, True)
    assert high - low > 0.5  # two stretches say little, however many windows are cut out of them


def test_actions_never_learnt_are_counted_as_refused_or_not(tmp_path: Path) -> None:
    known, strange = clip_set(labels=LABELS), clip_set(labels=("juggle", "cook"))
    rule = UnknownRule(threshold=0.5, keeps=0.95, n=100)
    bundle = untrained_bundle(tmp_path / "mine", unknown=rule)

    found = evaluate(bundle, [*known, *(replace(clip, id=f"x-{clip.id}") for clip in strange)])["unknown"]

    scores = answer(bundle, strange, names=("cook", "juggle")).scores
    assert found["rule"] == rule.as_dict()
    assert found["known"]["n"] == len(known)
    assert found["strange"]["labels"] == {"cook": 4, "juggle": 4}
    assert found["strange"]["refused"] == pytest.approx(np.mean(scores.max(axis=1) < 0.5))
    assert 0 <= found["strange"]["separation"] <= 1


def test_one_label_only_is_judged_all_the_same(tmp_path: Path) -> None:
    found = evaluate(untrained_bundle(tmp_path / "mine"), clip_set(labels=("walk",)))

    assert found["n"] == 4
    assert found["per_class"]["stand"] == {"precision": found["per_class"]["stand"]["precision"], "recall": None,
                                           "f1": found["per_class"]["stand"]["f1"], "n": 0}  # fmt: skip


def test_an_empty_set_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="the clip set is empty"):
        evaluate(untrained_bundle(tmp_path / "mine"), [])


def test_a_set_without_labels_is_told_in_a_line(tmp_path: Path) -> None:
    clips = [replace(clip, label=None) for clip in clip_set()]

    with pytest.raises(ClipError, match=r"none of the 12 clips bears a label.*clips\.jsonl"):
        evaluate(untrained_bundle(tmp_path / "mine"), clips)


def test_a_set_without_a_body_says_so_and_not_that_labels_are_missing(tmp_path: Path) -> None:
    clips = [replace(clip, joints=np.zeros_like(clip.joints)) for clip in clip_set()]

    with pytest.raises(ClipError, match=r"it shows too little of a body where it is labelled \(12 clips\)"):
        evaluate(untrained_bundle(tmp_path / "mine"), clips)


def test_a_split_that_leaves_nothing_to_judge_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaves no clip on the test side"):
        evaluate(untrained_bundle(tmp_path / "mine"), clip_set(), split="subject:1-4/9")


def test_a_layout_without_a_map_is_told_with_the_clip_and_the_layouts(tmp_path: Path) -> None:
    clip = moving_clip("mine-1", "walk")
    flat = replace(clip, layout="nite15", joints=np.ascontiguousarray(clip.joints[:, :, :15]))
    bundle = untrained_bundle(tmp_path / "mine")

    found = evaluate(bundle, [flat])  # nite15 has all that coco17 needs

    assert found["n"] == 1
    with pytest.raises(ClipError, match=r"clip 'mine-1': no map from 'jhmdb15' to 'blazepose33'"):
        evaluate(
            replace(bundle, config=replace(bundle.config, layout="blazepose33")), [replace(flat, layout="jhmdb15")]
        )


def test_the_accuracy_without_copies_of_what_was_learnt_stands_beside_the_published_one(tmp_path: Path) -> None:
    learnt = moving_clip("learnt", LABELS[0])
    new = moving_clip("new", LABELS[0], seed=1)
    copy = replace(learnt, id="copy")
    sides = (("train", learnt), ("test", copy), ("test", new))
    clips = [replace(clip, splits={"official": side}) for side, clip in sides]

    result = evaluate(untrained_bundle(tmp_path / "one"), clips, split="official")

    assert (result["n"], result["without_copies"]["n"]) == (2, 1)
    assert result["notes"][-1].startswith("without these copies: ")
    assert evaluate(untrained_bundle(tmp_path / "again"), clips)["without_copies"] is None
