from __future__ import annotations

import pytest

from har.bench.labels import as_text, bench_labels


@pytest.mark.slow
def test_both_ways_answer_at_the_same_moments_and_mostly_right() -> None:
    result = bench_labels(n_clips=6, model=None, engine="torch", say=lambda _: None)

    window, stream = result["rows"]
    assert {name: n for name, (_, n) in window["labels"].items()} == {
        name: n for name, (_, n) in stream["labels"].items()
    }
    assert min(window["mean_of_labels"], stream["mean_of_labels"]) > 0.5
    assert "stream" in as_text(result)
