"""The loop and what surrounds it: several networks, disks that fill, devices, Ctrl-C, weights taken over."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from har.errors import BundleError, ConfigError, TrainingError
from har.models.bundle import Bundle
from har.models.stgcn import STGCN
from har.training import checkpoint as checkpoints
from har.training.answers import score_windows, stream_logits
from har.training.conditions import Conditions, Progress
from har.training.dataset import cut_windows, label_names
from har.training.devices import choose_device
from har.training.evaluate import evaluate
from har.training.interrupts import heard_after_the_step
from har.training.job import Machinery
from har.training.loop import fit
from har.training.progress import as_line, duration, keep_curves
from har.training.recipe import Recipe
from har.training.train import train
from har.training.transfer import recipe_like
from tests.training.builders import clip_set

ROOT = Path(__file__).parents[2]
TINY = Recipe(n_frames=16, channels=(8, 8, 8), epochs=2, batch_size=8, pool_last=0, dropout=0.1, validation_share=0.25)
TWO = replace(TINY, inputs=("joint", "bone+motion"))


def same_weights(one: Bundle, other: Bundle) -> bool:
    states = (one.model.state_dict(), other.model.state_dict())
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_several_networks_become_one_bundle_that_names_them(tmp_path: Path) -> None:
    seen: list[Progress] = []

    bundle = train(
        clip_set(),
        out_bundle=tmp_path / "two",
        recipe=TWO,
        machinery=Machinery(report=seen.append),
        command="har train",
    )

    assert [each.kind for each in bundle.model.streams] == ["joint", "bone+motion"]
    assert [row["inputs"] for row in bundle.metrics["training"]["networks"]] == ["joint", "bone+motion"]
    assert {(each.stream, each.n_streams, each.kind) for each in seen} == {(1, 2, "joint"), (2, 2, "bone+motion")}
    assert "network on bone+motion" in bundle.card
    assert evaluate(bundle, clip_set())["n"] == 12


def test_of_several_networks_those_already_trained_are_not_trained_again(tmp_path: Path) -> None:
    clips = clip_set()
    whole = train(clips, out_bundle=tmp_path / "whole", recipe=TWO)

    def stop_in_the_second(progress: Progress) -> None:
        if progress.stream == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(clips, out_bundle=tmp_path / "model", recipe=TWO, machinery=Machinery(report=stop_in_the_second))
    seen: list[Progress] = []
    resumed = train(
        clips, out_bundle=tmp_path / "model", recipe=TWO, machinery=Machinery(resume=True, report=seen.append)
    )

    assert {each.stream for each in seen} == {2}
    assert same_weights(whole, resumed)


def test_windows_of_two_people_and_of_any_length_are_learnt_from(tmp_path: Path) -> None:
    clips = []
    for number, clip in enumerate(clip_set(labels=("stand", "wave"))):
        pair = np.concatenate([clip.joints, clip.joints + np.float32([200, 0, 0])], axis=1)
        n_frames = 20 + number
        clips.append(replace(clip, joints=pair[:n_frames], time_s=clip.time_s[:n_frames]) if number % 2 else clip)
    recipe = replace(TINY, n_frames=32, length="rate", persons=2, mixup=0.2, label_smoothing=0.1, ema_decay=0.9)

    bundle = train(clips, out_bundle=tmp_path / "pairs", recipe=recipe)

    assert evaluate(bundle, clips)["n"] == len(clips)
    problem = bundle.live_problem()
    assert problem is not None
    assert "several people" in problem


def test_without_a_validation_part_the_last_pass_is_taken(tmp_path: Path) -> None:
    bundle = train(clip_set(), out_bundle=tmp_path / "all", recipe=replace(TINY, validation_share=0.0, epochs=3))

    assert bundle.metrics["training"]["chosen_epoch"] == 3
    assert bundle.metrics["validation"] is None
    assert bundle.metrics["held_out_by"] == "nothing held out"


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    recipe = replace(TINY, epochs=40, patience=2, learning_rate=1e-9)

    bundle = train(clip_set(), out_bundle=tmp_path / "early", recipe=recipe)

    training = bundle.metrics["training"]
    assert training["epochs"] == 3  # the first pass and two that were no better


KILLED_WHILE_WRITING = """
import os, signal, sys
import torch
from pathlib import Path
from har.training import checkpoint
from har.training.train import train
from tests.training.builders import clip_set
from tests.training.test_loop import TINY
torch.set_num_threads(1)
synced, n = os.fsync, 0
def sync(handle):
    global n
    n += 1
    if n == 3:  # file and folder of the first checkpoint, then the second one's file
        os.truncate(f"/proc/self/fd/{handle}", 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    synced(handle)
checkpoint.os.fsync = sync
train(clip_set(), out_bundle=Path(sys.argv[1]), recipe=TINY)
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_run_killed_while_its_state_is_written_is_resumed_to_the_same_end(tmp_path: Path) -> None:
    ended = run_python(KILLED_WHILE_WRITING, str(tmp_path / "model"))

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert (tmp_path / ".model.training" / "network-1.partial").stat().st_size == 1000
    resumed = train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY, machinery=Machinery(resume=True))
    assert same_weights(resumed, train(clip_set(), out_bundle=tmp_path / "whole", recipe=TINY))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


INTERRUPTED = """
import os, signal, sys
import torch
from pathlib import Path
from har.cli.main import main
from har.training import loop
torch.set_num_threads(1)
learn = loop._learn
def slow(run, batch):
    if run.schedule.step == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return learn(run, batch)
loop._learn = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learnt_and_says_how_to_go_on(tmp_path: Path) -> None:
    from har.clips import write_clips

    write_clips(tmp_path / "clips", clip_set())
    words = ("train", str(tmp_path / "clips"), "--out", str(tmp_path / "mine"), "--time-limit", "5", "--device", "cpu")

    ended = run_python(INTERRUPTED, *words)

    assert ended.returncode == 130, ended.stderr
    assert f"har {' '.join(words)} --resume" in ended.stderr
    assert not (tmp_path / "mine").exists()
    assert (tmp_path / ".mine.training" / "network-1.safetensors").exists()


def test_ctrl_c_is_heard_after_the_step_and_a_second_one_at_once() -> None:
    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)

    with heard_after_the_step() as is_stopped:
        assert not is_stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert is_stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_is_stopped_keeps_the_very_step_it_was_at(tmp_path: Path) -> None:
    clips = clip_set()
    recipe = replace(TINY, epochs=3)
    learn = cut_windows(clips, recipe, names=label_names(clips))
    check = cut_windows([], recipe.resolved(clips), names=learn.names)

    def network() -> STGCN:
        torch.manual_seed(0)
        from har.models.stgcn import STGCNConfig

        return STGCN(STGCNConfig(n_classes=3, channels=(4,) * 9))

    whole = fit(network(), learn, check, recipe, seed=1)
    steps: list[int] = []
    given = Conditions(
        checkpoint=tmp_path / "state.safetensors",
        report=lambda progress: steps.append(progress.step),
        is_stopped=lambda: len(steps) == 3,  # in the middle of the second pass
    )
    with pytest.raises(KeyboardInterrupt):
        fit(network(), learn, check, recipe, seed=1, given=given)
    resumed = fit(network(), learn, check, recipe, seed=1, given=replace(given, resume=True, is_stopped=lambda: False))

    assert steps[3:5] == [3, 4]  # the third step was kept though its pass was not over
    assert all(torch.equal(value, whole.state[name]) for name, value in resumed.state.items())
    assert resumed.history == whole.history


def test_a_run_that_a_time_limit_had_cut_is_gone_on_with_under_another(tmp_path: Path) -> None:
    clips = clip_set()
    learn = cut_windows(clips, TINY, names=label_names(clips))
    check = cut_windows([], TINY.resolved(clips), names=learn.names)
    from har.models.stgcn import STGCNConfig

    network = STGCN(STGCNConfig(n_classes=3, channels=(4,) * 9))
    seen: list[Progress] = []
    given = Conditions(
        checkpoint=tmp_path / "state.safetensors",
        deadline_s=time.monotonic() + 5.0,
        report=seen.append,
        is_stopped=lambda: len(seen) == 40,
    )
    with pytest.raises(KeyboardInterrupt):
        fit(network, learn, check, replace(TINY, epochs=10_000), seed=1, given=given)
    assert seen[-1].n_epochs < 10_000

    again = replace(given, resume=True, is_stopped=lambda: False, deadline_s=time.monotonic() + 3.0)
    fit(network, learn, check, replace(TINY, epochs=10_000), seed=1, given=again)

    assert seen[40].step == seen[39].step + 1
    assert time.monotonic() < again.deadline_s + 1.0


def full_disk(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_too_full_for_the_state_is_told_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clips = clip_set()
    learn = cut_windows(clips, TINY, names=label_names(clips))
    state = tmp_path / "state.safetensors"
    given = Conditions(checkpoint=state)
    from har.models.stgcn import STGCNConfig

    network = STGCN(STGCNConfig(n_classes=3, channels=(4,) * 9))
    monkeypatch.setattr(checkpoints.os, "fsync", full_disk)

    fitted = fit(network, learn, cut_windows([], learn.recipe, names=learn.names), TINY, seed=0, given=given)

    assert fitted.epoch == 2
    assert "the disk is full" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_full_for_the_bundle_leaves_no_half_of_it_and_the_run_can_be_ended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from har.models import bundle_files

    with monkeypatch.context() as patch:
        patch.setattr(bundle_files, "_write_synced", full_disk)
        with pytest.raises(BundleError, match=r"No space left on device.*with --resume"):
            train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY)

    assert [path.name for path in tmp_path.iterdir()] == [".model.training"]
    seen: list[Progress] = []
    train(clip_set(), out_bundle=tmp_path / "model", recipe=TINY, machinery=Machinery(resume=True, report=seen.append))
    assert seen == []
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_disk_with_no_room_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match=r"the disk has .* MB left"):
        checkpoints.require_space(tmp_path, 10**18)


def test_a_device_that_is_not_there_is_refused_with_the_cure() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ConfigError, match="--device cpu"):
        choose_device("cuda")
    assert choose_device("auto", precision="fp32").where.type == "cpu"


@pytest.mark.parametrize(("flags", "is_half"), [("fpu avx512f", False), ("fpu avx512f avx512_bf16 amx_bf16", True)])
def test_bf16_is_used_only_on_processors_that_multiply_it(tmp_path: Path, flags: str, is_half: bool) -> None:
    from har.training.devices import _cpu_has_bf16

    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")

    assert _cpu_has_bf16(tmp_path / "cpuinfo") == is_half


def test_bf16_learns_too_and_answers_are_given_in_fp32(tmp_path: Path) -> None:
    clips = clip_set()
    learn = cut_windows(clips, TINY, names=label_names(clips))
    bundle = train(clips, out_bundle=tmp_path / "half", recipe=TINY, machinery=Machinery(precision="bf16"))

    network = bundle.model.networks[0]

    assert all(each.dtype == torch.float32 for each in bundle.model.parameters())
    logits = torch.from_numpy(stream_logits(network, learn, np.arange(len(learn)), kind="joint+bone"))
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), score_windows(bundle.model, learn), atol=1e-6)


def test_a_bundle_of_other_labels_and_inputs_lends_its_body(tmp_path: Path) -> None:
    parent = train(clip_set(), out_bundle=tmp_path / "parent", recipe=TINY)
    said: list[str] = []

    child = train(
        clip_set(labels=("walk", "sit down")),
        out_bundle=tmp_path / "child",
        recipe=replace(TINY, epochs=1, learning_rate=1e-12, weight_decay=0.0, inputs=("joint", "joint+bone")),
        start_from=tmp_path / "parent",
        machinery=Machinery(say=said.append),
    )

    source, joint, both = parent.model.networks[0], *child.model.networks
    assert torch.allclose(joint.blocks[4].time.conv.weight, source.blocks[4].time.conv.weight, atol=1e-9)
    assert torch.allclose(both.blocks[0].space.linear.weight, source.blocks[0].space.linear.weight, atol=1e-9)
    row = child.labels.index("walk")
    assert torch.allclose(both.head.weight[row], source.head.weight[parent.labels.index("walk")], atol=1e-9)
    told = [line for line in said if "taken from" in line]
    assert len(told) == 2
    assert "1 of 2 labels" in told[0]
    assert "the first layer" in told[0]
    assert "new: 1 labels" in told[1]


def test_a_bundle_of_another_layout_lends_what_does_not_hang_on_joints(tmp_path: Path) -> None:
    parent = train(clip_set(), out_bundle=tmp_path / "parent", recipe=TINY)
    from graphs import map_joints

    clips = [
        replace(clip, layout="jhmdb15", joints=np.stack([map_joints(clip.joints[:, 0], "coco17", "jhmdb15")], axis=1))
        for clip in clip_set()
    ]

    child = train(
        clips,
        out_bundle=tmp_path / "child",
        recipe=replace(TINY, layout="jhmdb15", epochs=1, learning_rate=1e-12, weight_decay=0.0),
        start_from=tmp_path / "parent",
    )

    mine, theirs = child.model.networks[0], parent.model.networks[0]
    assert torch.allclose(mine.blocks[3].space.linear.weight, theirs.blocks[3].space.linear.weight, atol=1e-9)
    assert (mine.blocks[3].space.importance - 1).abs().max() < 1e-6
    assert child.parent == parent.model_id


def test_a_recipe_like_the_parents_gives_a_network_that_runs_where_it_runs(tmp_path: Path) -> None:
    recipe = replace(TINY, look_ahead="causal", inputs=("bone",), windows_per_epoch=16)
    parent = train(clip_set(), out_bundle=tmp_path / "parent", recipe=recipe)

    like = recipe_like(parent)

    assert (like.inputs, like.ahead, like.channels, like.n_frames) == (("bone",), (0,) * 9, (8, 8, 8), 16)
    assert like.windows_per_epoch == 0
    assert like.epochs * like.least_per_epoch >= 300 * like.batch_size


def test_progress_is_told_in_a_line() -> None:
    progress = Progress(2, 2, "bone", 30, 40, 3, 4, 0.51234, 0.9, 1e-3, {"top1": 0.875}, 120.0, 75.0)

    line = as_line(progress)

    assert line == (
        "network 2/2 bone pass 2/4 loss 0.512 accuracy 90.0% validation 87.5% 120 windows/s 1 min 15 s left"
    )
    assert [duration(each) for each in (0.2, 59, 61, 7400)] == ["0 s", "59 s", "1 min 1 s", "2 h 3 min"]


def test_curves_are_kept_if_tensorboard_is_there_and_its_lack_is_told(tmp_path: Path) -> None:
    try:
        with keep_curves(tmp_path / "curves") as keep:
            keep(Progress(1, 1, "bone", 3, 4, 1, 1, 0.5, 0.9, 1e-3, None, 120.0, 75.0, is_pass_end=True))
    except ConfigError as error:
        assert "pip install tensorboard" in str(error)  # noqa: PT017 - either is right, by what is installed
    else:
        assert list((tmp_path / "curves").glob("events*"))


def test_clips_shorter_than_a_window_give_a_bundle_for_windows_as_the_recipe_says(tmp_path: Path) -> None:
    recipe = replace(TINY, n_frames=32, length="rate")
    clips = [replace(clip, joints=clip.joints[:20], time_s=clip.time_s[:20]) for clip in clip_set()]

    bundle = train(clips, out_bundle=tmp_path / "short", recipe=recipe)

    assert bundle.window_frames == 32
    assert bundle.live_problem() is None


@pytest.mark.slow
def test_a_time_limit_is_shared_out_among_the_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started_at = time.time()  # the limit counts from the start of the process, and pytest may be minutes old
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started_at)

    bundle = train(
        clip_set(n_subjects=8),
        out_bundle=tmp_path / "two",
        recipe=replace(TWO, epochs=10_000),
        machinery=Machinery(time_limit_min=20 / 60),
    )

    assert time.time() - started_at < 20
    one, two = (row["epochs"] for row in bundle.metrics["training"]["networks"])
    assert 0.4 < one / two < 2.5
