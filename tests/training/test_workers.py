"""Several processes train one model, as torchrun starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from har.clips import write_clips
from har.errors import ConfigError
from har.models.bundle import load_bundle
from har.training.workers import ALONE, Workers, find_workers
from tests.training.builders import clip_set

ROOT = Path(__file__).parents[2]
RECIPE = """
n_frames = 16
channels = [8, 8, 8]
epochs = 3
batch_size = 6
pool_last = 0
optimiser = "sgd"
learning_rate = 0.05
validation_share = 0.25
"""

WATCHED = """
import json, os, sys
import torch
from har.cli.main import main
from har.training import loop
torch.set_num_threads(1)
rank, folder = os.environ["RANK"], os.environ["WATCH"]
take, seen = loop._take_step, []
def watch(run, loss, batch):
    if os.environ.get("SPOIL") == rank and run.schedule.step == 2:
        loss = float("nan")
    stopped = take(run, loss, batch)
    grads = [each.grad.flatten() for each in run.network.parameters()]
    sums = [float(each.sum()) for each in run.network.parameters()]
    seen.append({"n": len(batch.indices), "all": batch.n_windows, "indices": batch.indices.tolist(),
                 "gradient": float(torch.cat(grads).norm()), "weights": sums})
    return stopped
loop._take_step = watch
code = main(sys.argv[1:])
with open(f"{folder}/rank{rank}.json", "w") as file:
    json.dump(seen, file)
sys.exit(code)
"""


def run_two(tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    write_clips(tmp_path / "clips", clip_set())
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "watched.py").write_text(WATCHED)
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
            *(str(tmp_path / "watched.py"), "train", str(tmp_path / "clips"), "--out", str(tmp_path / "model")),
            *("--recipe", str(tmp_path / "recipe.toml"), "--device", "cpu", "--precision", "fp32"),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WATCH": str(tmp_path)} | more,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_two_processes_share_every_batch_and_write_one_bundle(tmp_path: Path) -> None:
    ended = run_two(tmp_path)

    assert ended.returncode == 0, ended.stderr
    one, two = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert len(one) == len(two) == 6
    for mine, theirs in zip(one, two, strict=True):
        assert mine["n"] + theirs["n"] == mine["all"] == theirs["all"]
        assert mine["gradient"] == theirs["gradient"]
        np.testing.assert_array_equal(mine["weights"], theirs["weights"])
    bundle = load_bundle(tmp_path / "model")
    assert bundle.metrics["training"]["processes"] == 2
    assert not (tmp_path / ".model.training").exists()
    assert ended.stdout.count("next: har evaluate") == 1


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_process_stops_all_and_names_its_clips(tmp_path: Path) -> None:
    ended = run_two(tmp_path, SPOIL="1")

    assert ended.returncode != 0
    assert "the loss became nan" in ended.stderr
    assert "with windows of s" in ended.stderr
    assert not (tmp_path / "model").exists()


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)

    assert find_workers() is ALONE
    assert ALONE.largest([1.0, 2.0]) == [1.0, 2.0]
    assert ALONE.gather("a") == ["a"]


def test_torchruns_variables_say_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)

    assert find_workers() == Workers(3, 4, 1)

    monkeypatch.setenv("RANK", "third")
    with pytest.raises(ConfigError, match="torchrun"):
        find_workers()
