"""Training: it learns, it repeats itself, it survives being killed, and it leaves a bundle that verifies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

import har.training.running as running_module
import har.training.train as train_module
from har.clips import Clip
from har.errors import BundleError, ClipError, ConfigError, TrainingError
from har.models.bundle import Bundle, load_bundle
from har.models.stgcn import STGCN, STGCNConfig
from har.training.answers import score_windows
from har.training.conditions import Progress
from har.training.dataset import WindowSet, cut_windows, label_names
from har.training.evaluate import evaluate
from har.training.job import Machinery
from har.training.loop import fit
from har.training.recipe import Recipe
from har.training.train import train
from har.training.writing import bundle_name
from tests.training.builders import clip_set, moving_clip

TINY = Recipe(n_frames=16, channels=(8, 8, 8), epochs=3, batch_size=8, pool_last=0, dropout=0.1, validation_share=0.25)
PLAIN = replace(
    TINY,
    dropout=0.0,
    noise=0.0,
    score_fade=0.0,
    part_drop=0.0,
    joint_drop=0.0,
    label_smoothing=0.0,
    validation_share=0.0,
    flip=0.0,
)


def tiny_model(n_classes: int, *, seed: int = 0) -> STGCN:
    torch.manual_seed(seed)
    return STGCN(STGCNConfig(n_classes=n_classes, channels=(16,) * 9))


def nothing_held_out(learn: WindowSet) -> WindowSet:
    return cut_windows([], PLAIN, names=learn.names)


def same_weights(one: Bundle, other: Bundle) -> bool:
    states = (one.model.state_dict(), other.model.state_dict())
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_eight_windows_are_learnt_by_heart() -> None:
    clips = clip_set(n_subjects=2, labels=("stand", "wave", "walk", "sit down"))
    learn = cut_windows(clips, PLAIN, names=label_names(clips))
    recipe = replace(PLAIN, epochs=100, learning_rate=1e-2, rotate_deg=0.0, scale=0.0, shear=0.0, speed=0.0)
    model = tiny_model(4)

    fitted = fit(model, learn, nothing_held_out(learn), recipe, seed=0)

    model.load_state_dict(fitted.state)
    assert len(learn) == 8
    assert (score_windows(model, learn).argmax(axis=1) == learn.labels).all()
    assert fitted.history[-1]["loss"] < 0.2


def test_people_never_seen_are_understood_far_above_chance(tmp_path: Path) -> None:
    clips = clip_set(n_subjects=10, n_each=2, labels=("stand", "wave"))
    recipe = replace(PLAIN, channels=(16, 16, 32), batch_size=14, epochs=20, learning_rate=1e-2)

    bundle = train(clips, out_bundle=tmp_path / "model", recipe=recipe, split="subject:1-7/8-10")
    found = evaluate(bundle, clips, split="subject:1-7/8-10")

    assert found["n"] == 12
    assert found["top1"] >= 0.75
    assert set(found) >= {"n", "top1", "top5", "macro_f1", "per_class", "confusion", "ece", "clips", "left_out"}


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    clips = clip_set()

    one, two, other = (
        train(clips, out_bundle=tmp_path / name, recipe=TINY, seed=seed)
        for name, seed in (("one", 5), ("two", 5), ("other", 6))
    )

    assert same_weights(one, two)
    assert not same_weights(one, other)


class InterruptedRunError(Exception):
    """Stands for whatever ends a run in its middle."""


def stop_at(step: int) -> Any:
    def tell(progress: Progress) -> None:
        if progress.step == step:
            raise InterruptedRunError

    return tell


@pytest.mark.parametrize("changes", [{}, {"optimiser": "sgd", "ema_decay": 0.9, "balance": 1.0}])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path: Path, changes: dict[str, Any]) -> None:
    clips = clip_set(n_subjects=5)
    recipe = replace(TINY, epochs=4, **changes)
    whole = train(clips, out_bundle=tmp_path / "whole", recipe=recipe)

    with pytest.raises(InterruptedRunError):
        train(clips, out_bundle=tmp_path / "model", recipe=recipe, machinery=Machinery(report=stop_at(5)))
    steps: list[int] = []
    resumed = train(
        clips,
        out_bundle=tmp_path / "model",
        recipe=recipe,
        machinery=Machinery(resume=True, report=lambda p: steps.append(p.step)),
    )

    assert steps[0] > 1
    assert same_weights(whole, resumed)
    assert len(resumed.metrics["training"]["history"]) == recipe.epochs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


def test_the_cost_of_a_run_that_was_stopped_is_that_of_both_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    for module in (train_module, running_module):
        monkeypatch.setattr(module, "cpu_seconds", lambda: clock[0])

    def ticking(seconds: float, *, last: int) -> Callable[[Progress], None]:
        def tell(progress: Progress) -> None:
            clock[0] += seconds
            if progress.step == last:
                raise InterruptedRunError

        return tell

    clips, out = clip_set(n_subjects=5), tmp_path / "model"
    with pytest.raises(InterruptedRunError):
        train(clips, out_bundle=out, recipe=TINY, machinery=Machinery(report=ticking(1000, last=5)))
    began = clock[0]
    resumed = train(clips, out_bundle=out, recipe=TINY, machinery=Machinery(resume=True, report=ticking(1, last=-1)))

    thousands, rest = divmod(round(resumed.metrics["training"]["cpu_min"] * 60), 1000)
    assert 1 <= thousands < began / 1000  # up to what was kept of the first part
    assert rest == clock[0] - began > 1


KILLED = """
import os, signal, sys
import torch
from pathlib import Path
from har.training.recipe import Recipe
from har.training.job import Machinery
from har.training.train import train
from tests.training.builders import clip_set
from tests.training.test_train import TINY
torch.set_num_threads(1)
def tell(progress):
    if progress.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
train(clip_set(n_subjects=5), out_bundle=Path(sys.argv[1]), recipe=TINY, machinery=Machinery(report=tell))
"""


def test_a_run_killed_outright_is_resumed_to_the_same_end(tmp_path: Path) -> None:
    clips = clip_set(n_subjects=5)
    root = Path(__file__).parents[2]

    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "model")],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        check=False,
    )

    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    resumed = train(clips, out_bundle=tmp_path / "model", recipe=TINY, machinery=Machinery(resume=True))
    assert same_weights(resumed, train(clips, out_bundle=tmp_path / "whole", recipe=TINY))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    clips = clip_set()
    with pytest.raises(InterruptedRunError):
        train(clips, out_bundle=tmp_path / "model", recipe=TINY, machinery=Machinery(report=stop_at(3)))

    with pytest.raises(ConfigError, match="another recipe"):
        train(clips, out_bundle=tmp_path / "model", recipe=replace(TINY, noise=0.5), machinery=Machinery(resume=True))
    (tmp_path / ".model.training" / "network-1.safetensors").write_bytes(b"12345678{}")
    with pytest.raises(ConfigError, match="damaged checkpoint"):
        train(clips, out_bundle=tmp_path / "model", recipe=TINY, machinery=Machinery(resume=True))


def test_a_time_limit_is_kept_and_still_gives_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clip_set(n_subjects=8)
    recipe = replace(TINY, epochs=10_000)
    started_at = time.time()  # the limit counts from the start of the process, and pytest may be minutes old
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started_at)

    began_s = time.monotonic()
    bundle = train(clips, out_bundle=tmp_path / "model", recipe=recipe, machinery=Machinery(time_limit_min=12 / 60))

    assert time.monotonic() - began_s < 12
    assert bundle.metrics["training"]["epochs"] < 10_000


def test_a_time_limit_that_is_over_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="time limit"):
        train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY, machinery=Machinery(time_limit_min=0.001))


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_clips(tmp_path: Path) -> None:
    recipe = replace(TINY, learning_rate=1e30, gradient_norm=1e30, epochs=40, validation_share=0.0)

    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in pass \d+, step \d+, with windows of s\d-"):
        train(clip_set(), out_bundle=tmp_path / "model", recipe=recipe)

    assert not (tmp_path / "model").exists()


def test_a_bundle_that_exists_is_not_trained_over(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()

    with pytest.raises(BundleError):
        train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY)


@pytest.mark.parametrize(
    ("clips", "text"),
    [
        ([], "no clips to learn from"),
        ([moving_clip("a", "walk"), moving_clip("b", "walk")], "all labelled clips show 'walk'"),
        (
            [
                moving_clip("a", "walk"),
                replace(moving_clip("b", "wave"), joints=np.full((40, 1, 17, 3), np.nan, dtype=np.float32)),
            ],
            "clip 'b': joints are all missing or zero",
        ),
    ],
)
def test_clips_that_teach_nothing_are_refused(tmp_path: Path, clips: list[Clip], text: str) -> None:
    with pytest.raises(ClipError, match=text):
        train(clips, out_bundle=tmp_path / "model", recipe=TINY)


def test_nobody_is_in_training_and_validation(tmp_path: Path) -> None:
    bundle = train(clip_set(n_subjects=6), out_bundle=tmp_path / "model", recipe=TINY)

    assert bundle.metrics["held_out_by"] == "subject"
    assert bundle.metrics["training"]["clips"] + bundle.metrics["validation"]["clips"]["n"] == 18


def test_the_bundle_loads_and_its_card_tells_where_it_comes_from(tmp_path: Path) -> None:
    clips = clip_set(n_subjects=6)
    train(clips, out_bundle=tmp_path / "Care 5", recipe=TINY, command="har train clips --out care-5")

    bundle = load_bundle(tmp_path / "Care 5")

    assert bundle.name == "care-5"
    assert bundle.labels == ("stand", "walk", "wave")
    assert (bundle.rate_hz, bundle.window_frames) == (15.0, 16)
    for text in (
        "made in a test",
        "Apache-2.0",
        "`har train clips --out care-5`",
        "coco17",
        "Not a medical device",
        "wave",
    ):
        assert text in bundle.card
    json.dumps(dict(bundle.metrics), allow_nan=False)


def test_a_run_can_start_from_a_bundle_even_with_other_labels(tmp_path: Path) -> None:
    first = train(clip_set(), out_bundle=tmp_path / "first", recipe=TINY)

    same = train(
        clip_set(), out_bundle=tmp_path / "same", recipe=replace(TINY, epochs=1), start_from=tmp_path / "first"
    )
    more = train(
        clip_set(labels=("walk", "wave", "sit down")),
        out_bundle=tmp_path / "more",
        recipe=replace(TINY, epochs=1),
        start_from=tmp_path / "first",
    )

    assert same.parent == more.parent == first.model_id
    assert more.labels == ("sit down", "walk", "wave")
    with pytest.raises(ConfigError, match="channels"):
        train(
            clip_set(),
            out_bundle=tmp_path / "x",
            recipe=replace(TINY, channels=(4, 4, 4)),
            start_from=tmp_path / "first",
        )


def test_untrimmed_clips_are_judged_by_window_and_by_stretch(tmp_path: Path) -> None:
    bundle = train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY)
    clip = moving_clip("long", "walk", n_frames=90)
    spans = ((0.0, 3.0, "walk"), (3.0, 5.0, "stand"), (5.0, 6.0, "juggle"))

    found = evaluate(bundle, [replace(clip, label=None, spans=spans)])

    assert found["clips"]["n"] == 2
    assert found["n"] > 10
    assert found["left_out"] == {"n": 0, "clips": {}, "labels": {"juggle": 1}}


def test_clips_with_none_of_the_labels_cannot_be_judged_by(tmp_path: Path) -> None:
    bundle = train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY)

    with pytest.raises(ClipError, match="It knows stand, walk, wave; labels in the clips: juggle"):
        evaluate(bundle, [moving_clip("a", "juggle")])


def test_a_folder_gives_a_bundle_its_name() -> None:
    assert [bundle_name(Path(each)) for each in ("care-5", "Mein Modell!", "..")] == ["care-5", "mein-modell", "model"]
