"""How right action labels are on people in motion: windows of their own against the stream that the service runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from har.bench.machine import describe_machine
from har.clips import Clip
from har.models.actions import ActionStream
from har.models.bundle import Bundle, load_bundle
from har.models.engines import Engine, open_engine
from har.models.folded import FoldedModel
from har.models.shipped import find_bundle
from har.pose.weights import cache_folder
from har.synth.clips import simulate_clips
from har.windows import normalise, resample

SEED = 991
"""Far from the seeds that models are trained with."""
LABEL_DELAY_S = 0.4
"""An answer tells what was done this long ago, as in training."""
_AT_ONCE = 64

Say = Callable[[str], None]
Answers = Iterator[tuple[float, str]]


def bench_labels(*, n_clips: int, model: str | None, engine: str, say: Say) -> dict[str, Any]:
    """Name what simulated people do, at the same moments in both ways.

    Args:
        n_clips: simulated clips, of people never learnt from.
        model: the bundle; None for the shipped one.
        engine: what computes the stream; windows are computed by torch.
        say: called with a line of progress.

    Returns:
        "rows" for "window" and "stream": the share of right answers for each label, their mean, and how many answers.
    """
    bundle = load_bundle(find_bundle(model))
    computed_by = open_engine(engine, bundle, folder=cache_folder() / "engines", say=say)
    right: dict[str, dict[str, list[bool]]] = {way: defaultdict(list) for way in ("window", "stream")}
    for number, clip in enumerate(simulate_clips(n_clips, seed=SEED), start=1):
        streamed = list(_stream_answers(clip, bundle, computed_by))
        for way, answers in (("stream", streamed), ("window", _window_answers(clip, bundle, (t for t, _ in streamed)))):
            for at_s, label in answers:
                wanted = _label_at(clip, at_s - LABEL_DELAY_S)
                if wanted in bundle.labels:
                    right[way][wanted].append(label == wanted)
        if number % 20 == 0:
            say(f"{number} of {n_clips} clips")
    rows = [
        {
            "way": way,
            "mean_of_labels": round(float(np.mean([np.mean(each) for each in labels.values()])), 4),
            "labels": {name: [round(float(np.mean(each)), 4), len(each)] for name, each in sorted(labels.items())},
        }
        for way, labels in right.items()
    ]
    return {
        "name": "labels",
        "machine": describe_machine(),
        "model": bundle.model_id,
        "engine": engine,
        "clips": n_clips,
        "rows": rows,
    }


def _stream_answers(clip: Clip, bundle: Bundle, engine: Engine) -> Answers:
    """Give time and label of each answer of the stream on a clip's first person, as the service would see them."""
    stream = ActionStream(bundle, engine=engine)
    for time_s, joints in zip(clip.time_s.tolist(), clip.joints[:, 0], strict=True):
        if np.isfinite(joints[:, 0]).any():
            stream.see("", joints, time_s=time_s, width_px=clip.width_px, height_px=clip.height_px)
        for _, at_s, scores in stream.answers():
            yield at_s, scores.top[0][0]


def _window_answers(clip: Clip, bundle: Bundle, times_s: Iterable[float]) -> Answers:
    """Give the label of the window that ends at each time."""
    model, ends = FoldedModel(bundle.model), list(times_s)
    for begin in range(0, len(ends), _AT_ONCE):
        some = ends[begin : begin + _AT_ONCE]
        windows = [
            resample(clip.time_s, clip.joints[:, 0], rate_hz=bundle.rate_hz, end_s=end_s,
                     n_frames=bundle.window_frames, width_px=clip.width_px, height_px=clip.height_px)
            for end_s in some
        ]  # fmt: skip
        with torch.inference_mode():
            best = model(torch.from_numpy(normalise(np.stack(windows), layout=bundle.config.layout))).argmax(dim=-1)
        yield from zip(some, (bundle.labels[index] for index in best.tolist()), strict=True)


def _label_at(clip: Clip, at_s: float) -> str | None:
    since_s = at_s - float(clip.time_s[0])
    if not clip.spans:
        return clip.label
    return next((label for begin_s, end_s, label in clip.spans if begin_s <= since_s < end_s), None)


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    labels = list(result["rows"][0]["labels"])
    lines = [f"{result['model']} on {result['clips']} simulated clips: share of right answers"]
    lines.append(f"{'':10}{'mean':>8}" + "".join(f"{label:>11}" for label in labels))
    for row in result["rows"]:
        cells = "".join(f"{row['labels'][label][0]:11.1%}" for label in labels)
        lines.append(f"{row['way']:10}{row['mean_of_labels']:8.1%}{cells}")
    lines.append(f"{'answers':18}" + "".join(f"{result['rows'][0]['labels'][label][1]:11}" for label in labels))
    return "\n".join(lines)
