"""Trimmed clips joined into recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from har.bench.joined import LONGEST_S, join_clips
from tests.training.test_dataset import deep_clip


def clips_of(n: int, *, subject: str = "A", view: str = "1") -> list:
    clip = deep_clip()
    return [replace(clip, id=f"{subject}{view}{k}", label=f"act {k % 3}", subject=subject, view=view) for k in range(n)]


def test_every_clip_is_a_span_of_a_recording_of_its_person_and_view() -> None:
    clips = [*clips_of(3), *clips_of(2, subject="B"), *clips_of(2, view="2")]

    joined = join_clips(clips)

    assert sorted((clip.subject, clip.view, len(clip.spans)) for clip in joined) == [
        ("A", "1", 3), ("A", "2", 2), ("B", "1", 2)
    ]  # fmt: skip
    first = joined[0]
    n_frames = len(clips[0].joints)
    assert sorted(label for _, _, label in first.spans) == ["act 0", "act 1", "act 2"]
    assert [span[0] * first.rate_hz for span in first.spans] == pytest.approx([0, n_frames, 2 * n_frames])
    assert first.label is None
    assert np.allclose(np.diff(first.time_s), 1 / first.rate_hz)


def test_the_body_goes_on_where_it_was_and_at_the_height_of_its_own_clip() -> None:
    clips = clips_of(2)
    away = clips[1].joints + np.array([3.0, 0.5, -2.0, 0.0], dtype=np.float32)[: clips[1].joints.shape[-1]]
    clips[1] = replace(clips[1], joints=away)

    (joined,) = join_clips(clips)

    n = len(clips[0].joints)
    before, after = (joined.joints[k, 0].mean(axis=0) for k in (n - 1, n))
    assert after[[0, 2]] == pytest.approx(before[[0, 2]], abs=1e-4)
    order = [0, 1] if joined.spans[0][2] == clips[0].label else [1, 0]
    heights = [clips[k].joints[0, 0, :, 1].mean() for k in order]
    assert [joined.joints[k, 0, :, 1].mean() for k in (0, n)] == pytest.approx(heights, abs=1e-4)


def test_recordings_are_no_longer_than_a_minute() -> None:
    clip = deep_clip()
    n = int(2.5 * LONGEST_S / clip.duration_s)

    joined = join_clips(clips_of(n))

    assert sum(len(each.spans) for each in joined) == n
    assert max(each.duration_s for each in joined) <= LONGEST_S + 2 * clip.duration_s
    assert len({each.id for each in joined}) == len(joined) > 1
