"""When a window looks at its clip: which instants of it are the frames of the window.

Instants are counted in stored frames, from 0 for the first; frame i is a cell from i - 0.5 to i + 0.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from har.training.recipe import Recipe

IntArray = npt.NDArray[np.int64]
TimesArray = npt.NDArray[np.float64]


def stretched_instants(
    n_stored: IntArray, recipe: Recipe, *, n_frames: int, rng: np.random.Generator | None = None
) -> TimesArray:
    """Sample clips evenly, however long they are: one instant in each of `n_frames` equal segments of their time.

    Args:
        n_stored: (B,) frames of each clip.
        recipe: `crop`, `jitter` and `warp`; used with `rng` only.
        n_frames: T.
        rng: chance, for training; None takes all of a clip, the middle of each segment.

    Returns:
        (B, T), rising along T, within 0..n_stored-1.
    """
    n = len(n_stored)
    segment = np.arange(n_frames)
    if rng is None:
        share = np.broadcast_to((segment + 0.5) / n_frames, (n, n_frames))
    else:
        inside = 0.5 + recipe.jitter * (rng.random((n, n_frames)) - 0.5)
        seen = rng.uniform(*recipe.crop, (n, 1))
        begin = rng.random((n, 1)) * (1 - seen)
        share = begin + seen * _warped((segment + inside) / n_frames, recipe, rng)
    return np.clip(share * n_stored[:, None] - 0.5, 0, n_stored[:, None] - 1)


def timed_instants(
    n_stored: IntArray,
    trimmed: npt.NDArray[np.bool_],
    recipe: Recipe,
    *,
    n_frames: int,
    rng: np.random.Generator | None = None,
) -> TimesArray:
    """Look at clips at true time: the last `n_frames`, or while training an end of a trimmed clip's last part.

    Args:
        n_stored: (B,) frames of each clip, on the grid of the window.
        trimmed: (B,) whether the clip may end earlier, as `crop` says; the label of others holds at their end.
        recipe: `crop`, `speed` and `warp`; used with `rng` only.
        n_frames: T.
        rng: chance, for training.

    Returns:
        (B, T), rising along T, at most n_stored-1; what is below 0 lies before the clip.
    """
    last = n_stored[:, None] - 1.0
    done = np.arange(n_frames) / max(n_frames - 1, 1)
    if rng is None:
        return last - (n_frames - 1) * (1 - done)
    n = len(n_stored)
    seen = np.where(trimmed[:, None], rng.uniform(*recipe.crop, (n, 1)), 1.0)
    speed = rng.uniform(1 - recipe.speed, 1 + recipe.speed, (n, 1))
    speed = np.where(trimmed[:, None], speed, np.minimum(speed, last / max(n_frames - 1, 1)))
    warped = _warped(np.broadcast_to(done, (n, n_frames)), recipe, rng)
    return last * seen - (n_frames - 1) * speed * (1 - warped)


def neighbours(
    at: TimesArray, n_stored: IntArray, recipe: Recipe, *, rng: np.random.Generator | None = None
) -> tuple[IntArray, IntArray]:
    """Give the frames between which instants lie, where a window looks at some of its frames only.

    Args:
        at: (B, T) instants; those below 0 count as 0.
        n_stored: (B,) frames of each window.
        recipe: `frames_kept`; used with `rng` only.
        rng: chance, for training: every so-manieth frame is looked at, unevenly; the first and the last always are.

    Returns:
        The last frame at or before each instant and the first one at or after it, (B, T) each.
    """
    floor, ceil = np.floor(np.maximum(at, 0)).astype(np.int64), np.ceil(np.maximum(at, 0)).astype(np.int64)
    if rng is None or recipe.frames_kept[0] == 1:
        return floor, ceil
    n, longest = len(n_stored), int(n_stored.max(initial=1))
    frame = np.broadcast_to(np.arange(longest), (n, longest))
    steps = rng.uniform(*recipe.frames_kept, (n, 1)) * rng.uniform(0.5, 1.5, (n, longest))
    passed = np.floor(np.cumsum(steps, axis=1) + rng.random((n, 1)))
    kept = (np.diff(passed, axis=1, prepend=-1) > 0) | (frame == n_stored[:, None] - 1)
    before = np.maximum.accumulate(np.where(kept, frame, 0), axis=1)
    after = np.minimum.accumulate(np.where(kept, frame, longest)[:, ::-1], axis=1)[:, ::-1]
    return np.take_along_axis(before, floor, axis=1), np.take_along_axis(after, ceil, axis=1)


def _warped(share: TimesArray, recipe: Recipe, rng: np.random.Generator) -> TimesArray:
    """Let time (B, T) in 0..1 run faster and slower by turns, from 0 to 1 all the same.

    The speed is 1 + a cos(pi t) + b cos(2 pi t) with |a| + |b| at most `warp`, so time never stands still.
    """
    strength = rng.uniform(-recipe.warp, recipe.warp, (2, len(share), 1)) / 2
    waves = [part * np.sin(k * np.pi * share) / (k * np.pi) for k, part in enumerate(strength, start=1)]
    warped: TimesArray = share + waves[0] + waves[1]
    return warped
