"""Trimmed clips joined into recordings without a break: what a network must name that has a past, and no cuts."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from har.clips import Clip, Span
from har.records import FloatArray

LONGEST_S = 60.0


def join_clips(clips: Iterable[Clip], *, seed: int = 0) -> list[Clip]:
    """Join clips of one person seen from one side, in an order drawn once, into recordings of a minute or less.

    The body goes on where it was: each clip is moved sideways and in depth, not up or down, to where the one before it
    ended. Each clip's time is a span of its label.

    Args:
        clips: trimmed ones of one label each, at one rate, in one layout; joints (T, M, V, 3 or 4) of one unit.
        seed: of the order.
    """
    groups: dict[tuple[str | None, str | None], list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[clip.subject, clip.view].append(clip)
    joined = []
    for group in groups.values():
        random.Random(seed).shuffle(group)
        pieces: list[Clip] = []
        for clip in group:
            if sum(each.duration_s for each in [*pieces, clip]) > LONGEST_S and pieces:
                joined.append(_join(pieces))
                pieces = []
            pieces.append(clip)
        joined.append(_join(pieces))
    return joined


def _join(pieces: Sequence[Clip]) -> Clip:
    n_people = max(clip.joints.shape[1] for clip in pieces)
    joints: list[FloatArray] = []
    spans: list[Span] = []
    begin = 0
    for clip in pieces:
        own = np.full((len(clip.joints), n_people, *clip.joints.shape[2:]), np.nan, dtype=np.float32)
        own[:, : clip.joints.shape[1]] = clip.joints
        if joints:
            own = _go_on(joints[-1], own)
        spans.append((begin / clip.rate_hz, (begin + len(own)) / clip.rate_hz, clip.label or ""))
        joints.append(own)
        begin += len(own)
    together = np.concatenate(joints)
    time_s = np.arange(len(together)) / pieces[0].rate_hz
    return replace(
        pieces[0],
        id=f"{pieces[0].id} and {len(pieces) - 1} more",
        joints=together,
        time_s=time_s,
        label=None,
        spans=tuple(spans),
        splits={},
    )


def _go_on(before: FloatArray, after: FloatArray) -> FloatArray:
    """Move (T, M, V, C) sideways and in depth to where the first person of the frames before was last seen."""
    axes = [0, 2] if after.shape[-1] > 2 else [0]
    last, first = _middle(before[::-1], axes), _middle(after, axes)
    if last is not None and first is not None:
        after[..., axes] += (last - first).astype(np.float32)
    return after


def _middle(joints: FloatArray, axes: Sequence[int]) -> FloatArray | None:
    """Give the middle of the first person's joints in the first frame that shows them."""
    for frame in joints[:, 0]:
        seen = np.isfinite(frame).all(axis=-1)
        if seen.any():
            middle: FloatArray = frame[seen][:, axes].mean(axis=0)
            return middle
    return None
