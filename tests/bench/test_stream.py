"""The benchmarks of the action stage: that what they compare is the same work, not how fast it is."""

from __future__ import annotations

import math

import pytest
import torch

from har.bench.clip import as_text as clip_text
from har.bench.clip import bench_clip
from har.bench.continual import ContinualSTGCN
from har.bench.reference import ReferenceSTGCN
from har.bench.stream import as_text, bench_soak, bench_stream, largest_difference, paper_model, soak_as_text
from har.bench.timing import in_turns, ratios
from har.models.engines import ENGINES, TORCH_BF16, computes_bf16
from har.models.folded import FoldedModel
from har.models.online import OnlineModel


def test_all_take_turns_after_one_round_that_warms_up() -> None:
    calls: list[str] = []

    took = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)

    assert calls == ["a", "b"] * 3
    assert {name: len(each) for name, each in took.items()} == {"a": 2, "b": 2}


def test_ratios_are_taken_within_a_round() -> None:
    assert ratios([10.0, 40.0, 90.0], [1.0, 2.0, 3.0]) == (20.0, 10.0, 30.0)


def test_reference_and_stream_have_the_same_blocks() -> None:
    reference = ReferenceSTGCN(in_channels=3, n_classes=60, layout="coco17")

    ours, theirs = (sum(each.numel() for each in net.parameters()) for net in (paper_model(), reference))

    assert ours == pytest.approx(theirs, rel=0.01)


def test_a_state_costs_less_than_nine_hundred_kilobytes() -> None:
    online = OnlineModel(FoldedModel(paper_model()))
    online.enter("a")

    assert online.state_bytes <= 900_000


def test_the_difference_that_is_told_is_seen() -> None:
    model = paper_model()
    assert largest_difference(model, 2, lambda: OnlineModel(FoldedModel(model))) < 1e-4

    class Wrong(OnlineModel):
        def step(self, people, joints):  # type: ignore[no-untyped-def]
            answered, logits = super().step(people, joints)
            return answered, logits + 0.01

    assert largest_difference(model, 2, lambda: Wrong(FoldedModel(model))) == pytest.approx(0.01, rel=0.01)


def test_the_published_stream_answers_once_it_has_seen_its_field() -> None:
    torch.manual_seed(0)
    network = ContinualSTGCN(in_channels=3, n_classes=5, layout="coco17")

    with torch.inference_mode():
        answers = [network.step(torch.randn(2, 3, 17)) for _ in range(network.frames_until_answer + 1)]

    assert [answer is not None for answer in answers] == [False] * (network.frames_until_answer - 1) + [True, True]
    assert answers[-1].shape == (2, 5)


@pytest.mark.slow
def test_every_row_of_the_stream_says_what_it_is_held_against() -> None:
    result = bench_stream(persons=[1, 3], rounds=1, say=lambda _: None)

    engines = [engine for engine in ENGINES if engine != TORCH_BF16 or computes_bf16()]
    assert [(row["engine"], row["persons"]) for row in result["rows"]] == [(e, n) for e in engines for n in (1, 3)]
    assert list(result["continual"]["engines"]) == engines
    assert all(row["max_abs_diff"] < (0.1 if row["engine"] == TORCH_BF16 else 1e-4) for row in result["rows"])
    row = result["rows"][0]
    again = result["reference"]["ms"] * 1e3 / row["us_per_person_frame"]
    assert row["ratio_clip300"] == pytest.approx(again, rel=0.02)
    assert result["reference"]["flops_two_people"] > 100 * result["flops_per_answer"]
    assert "re-running the clip" in as_text(result)
    assert "CoST-GCN*" in as_text(result)
    assert "VOID" in as_text(result | {"valid": False})


@pytest.mark.slow
def test_forms_of_the_clip_network_compute_the_same() -> None:
    result = bench_clip(frames=16, batches=[1, 2], rounds=1, say=lambda _: None)

    assert [(row["batch"], row["form"]) for row in result["rows"]] == [
        (batch, form) for batch in (1, 2) for form in ("reference", "trained", "served", "onnxruntime")
    ]
    assert all(row["max_abs_diff"] < 1e-4 for row in result["rows"] if row["form"] != "reference")
    assert all(math.isfinite(row["ratio_reference"]) for row in result["rows"])
    assert "served" in clip_text(result)


def test_the_soak_watches_the_memory_while_people_come_and_go() -> None:
    result = bench_soak(steps=400, say=lambda _: None)

    assert [row["steps"] for row in result["rows"]] == list(range(40, 401, 40))
    assert result["rows"][-1]["people"] >= 2
    assert "growth after the first tenth" in soak_as_text(result)
