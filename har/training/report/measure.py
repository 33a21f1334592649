"""What a report says beside the plain figures: changed conditions, people, views and the worst mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from har.clips import Clip
from har.models.bundle import Bundle
from har.training.evaluate import Answers, Stretches, answer, by_stretch, describe
from har.training.metrics import wilson_interval
from har.training.persons import has_depth
from har.training.report.conditions import at_rate, turned, with_lost_joints

RATES_HZ = (10.0, 15.0, 30.0)
LOST_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
ANGLES_DEG = (-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0, 180.0)
MOST_WINDOWS = 1500
"""That are judged under each changed condition; of larger sets whole clips are drawn at random."""
N_WORST = 10
LEAST_WORST_S = 1.0
"""Mistakes shorter than this come last: most are a matter of where one action ends and the next begins."""
SEED = 0

Progress = Callable[[str, int, int], None]
"""Called with what is done now, how many steps are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A stretch of a clip that was confidently given a wrong label.

    Attributes:
        clip: id of the clip.
        true: what is done.
        given: what the bundle said.
        confidence: how sure it was.
        true_score: the probability it gave to what is done.
        start_s: where the stretch begins, on the clip's clock.
        end_s: where it ends.
    """

    clip: str
    true: str
    given: str
    confidence: float
    true_score: float
    start_s: float
    end_s: float


def measure(
    bundle: Bundle,
    clips: Sequence[Clip],
    *,
    split: str | None = None,
    answers: Answers | None = None,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Measure everything that a report tells.

    Args:
        bundle: the bundle to judge.
        clips: the clips to judge by, as of `judged_clips`.
        split: where they come from; only told.
        answers: what the bundle says of the clips as they are, where that is known already.
        progress: told of each step.

    Returns:
        The keys of `har.training.evaluate.describe`, and "about" (the clips), "by_subject", "by_view", "conditions"
        (see `measure_conditions`) and "worst" (the fields of `Mistake`).

    Raises:
        ClipError: there is not one window to judge.
    """
    if answers is None:
        progress("the clips as they are", 0, 1)
        answers = answer(bundle, clips)
    result = describe(bundle, clips, answers, split=split)
    stretches = by_stretch(answers.scores, answers.windows)
    by_id = {clip.id: clip for clip in clips}
    of_stretch = [by_id[answers.windows.clip_ids[each]] for each in stretches.clip.tolist()]
    return result | {
        "about": describe_clips(bundle, clips),
        "by_subject": _by_group(stretches, [clip.subject for clip in of_stretch]),
        "by_view": _by_group(stretches, [clip.view for clip in of_stretch]),
        "conditions": measure_conditions(bundle, clips, answers, progress=progress),
        "worst": [_as_dict(each) for each in find_worst(answers, stretches, by_id)],
    }


def describe_clips(bundle: Bundle, clips: Sequence[Clip]) -> dict[str, Any]:
    """Say what the clips are: how many, how long, of whom, in what form."""
    subjects = {clip.subject for clip in clips if clip.subject is not None}
    return {
        "clips": len(clips),
        "minutes": sum(clip.duration_s for clip in clips) / 60,
        "subjects": len(subjects),
        "views": sorted({clip.view for clip in clips if clip.view is not None}),
        "untrimmed": any(clip.spans for clip in clips),
        "layouts": sorted({clip.layout for clip in clips}),
        "mapped_to": bundle.config.layout if {clip.layout for clip in clips} - {bundle.config.layout} else None,
        "rates_known": all(clip.rate_known for clip in clips),
        "rate_hz": float(np.median([clip.rate_hz for clip in clips])),
        "sources": sorted({clip.source for clip in clips}),
    }


def _by_group(stretches: Stretches, groups: Sequence[str | None]) -> dict[str, Any]:
    """Give n, top1 and its interval for the stretches of each group that has a name."""
    right = stretches.scores.argmax(axis=1) == stretches.labels
    result = {}
    for group in sorted({each for each in groups if each is not None}):
        chosen = right[np.array([each == group for each in groups])]
        top1 = float(chosen.mean())
        result[group] = {"n": len(chosen), "top1": top1, "top1_interval": list(wilson_interval(top1, len(chosen)))}
    return result


def measure_conditions(
    bundle: Bundle, clips: Sequence[Clip], answers: Answers, *, progress: Progress = lambda what, done, total: None
) -> dict[str, Any]:
    """Judge the same clips at other frame rates, with lost joints and from other sides.

    Returns:
        "n_clips" and "n_windows" judged under each, "frame_rate", "lost_joints" and "camera_angle": lists of {at, n,
        top1}, top1 of stretches; "camera_angle" is None where clips have no depth, and covers those that have.
    """
    chosen = choose_clips(clips, answers)
    solid = [clip for clip in chosen if has_depth(clip)]
    n_steps = len(RATES_HZ) + len(LOST_SHARES) + (len(ANGLES_DEG) if solid else 0)
    done = 0

    def judge_all(what: str, at: float, changed: list[Clip]) -> dict[str, Any]:
        nonlocal done
        progress(what, done, n_steps)
        done += 1
        found = answer(bundle, changed)
        progress(what, done, n_steps)
        stretches = by_stretch(found.scores, found.windows)
        right = stretches.scores.argmax(axis=1) == stretches.labels
        return {"at": at, "n": len(right), "top1": float(right.mean()) if len(right) else None}

    rates = [judge_all(f"{at:g} Hz", at, [at_rate(clip, rate_hz=at) for clip in chosen]) for at in RATES_HZ]
    lost = [
        judge_all(f"{at:.0%} of joints lost", at, [with_lost_joints(clip, share=at, seed=SEED) for clip in chosen])
        for at in LOST_SHARES
    ]
    angles = [
        judge_all(f"{at:g} degrees", at, [turned(clip, angle_deg=at) for clip in solid])
        for at in (ANGLES_DEG if solid else ())
    ]
    return {
        "n_clips": len(chosen),
        "n_clips_3d": len(solid),
        "all_clips": len(chosen) == len(clips),
        "frame_rate": rates,
        "lost_joints": lost,
        "camera_angle": angles if solid else None,
    }


def choose_clips(clips: Sequence[Clip], answers: Answers) -> list[Clip]:
    """Draw clips at random until they hold `MOST_WINDOWS`; all of a smaller set."""
    n_of = np.bincount(answers.windows.clip, minlength=len(clips))
    order = np.random.default_rng(SEED).permutation(len(clips))
    before = np.cumsum(n_of[order]) - n_of[order]
    kept = sorted(order[before < MOST_WINDOWS].tolist())
    return [clips[each] for each in kept if n_of[each]]


def find_worst(answers: Answers, stretches: Stretches, by_id: dict[str, Clip]) -> list[Mistake]:
    """Give the stretches that were most confidently given a wrong label, at most one of each clip, worst first.

    Stretches of less than a second come after all others.
    """
    given, confidence = stretches.scores.argmax(axis=1), stretches.scores.max(axis=1)
    names, clip_ids = answers.windows.names, answers.windows.clip_ids
    mistakes = []
    for each in np.flatnonzero(given != stretches.labels).tolist():
        clip, true = by_id[clip_ids[int(stretches.clip[each])]], names[stretches.labels[each]]
        of_stretch = answers.windows.segment == stretches.segment[each]
        start_s, end_s = _bounds(clip, float(answers.windows.end_s[of_stretch].mean()), true)
        mistakes.append(
            Mistake(
                clip=clip.id,
                true=true,
                given=names[given[each]],
                confidence=float(confidence[each]),
                true_score=float(stretches.scores[each, stretches.labels[each]]),
                start_s=start_s,
                end_s=end_s,
            )
        )
    mistakes.sort(key=lambda one: (one.end_s - one.start_s < LEAST_WORST_S, -one.confidence))
    worst_of_clip: dict[str, Mistake] = {}
    for mistake in mistakes:
        worst_of_clip.setdefault(mistake.clip, mistake)
    return list(worst_of_clip.values())[:N_WORST]


def _bounds(clip: Clip, about_s: float, label: str) -> tuple[float, float]:
    """Give the span of a label that lies nearest to a time; the whole clip where there are no spans."""
    spans = [(start_s, end_s) for start_s, end_s, name in clip.spans if name == label]
    if not spans:
        return float(clip.time_s[0]), float(clip.time_s[-1])
    return min(spans, key=lambda span: max(span[0] - about_s, about_s - span[1], 0.0))


def _as_dict(mistake: Mistake) -> dict[str, Any]:
    return {name: getattr(mistake, name) for name in Mistake.__dataclass_fields__}
