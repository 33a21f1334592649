"""A skeleton that nobody has thought of, from a CSV file to a bundle that a fresh process serves, without any code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphs import is_own
from har.training.evaluate import evaluate
from har.training.recipe import RECIPES, choose_recipe
from har.training.train import train
from tests.training.importers.builders import imported

JOINTS = ("Nose", "Withers", "TailBase", "L.Ear", "R.Ear", "L.ForePaw", "R.ForePaw", "L.HindPaw", "R.HindPaw")
BONES = (
    "Nose-Withers, Withers-TailBase, Nose-L.Ear, Nose-R.Ear, Withers-L.ForePaw, Withers-R.ForePaw, "
    "TailBase-L.HindPaw, TailBase-R.HindPaw"
)
REST = np.array([(90, 40), (60, 45), (0, 45), (80, 25), (84, 25), (55, 100), (62, 100), (0, 100), (8, 100)], float)

SERVE = """
import json, sys
from har.models.bundle import load_bundle
bundle = load_bundle("dogs")
from graphs import layout
from har.clips import read_clips
from har.training.evaluate import evaluate
print(json.dumps([layout(bundle.config.layout).joints[3], evaluate(bundle, read_clips("clips"), split="official")]))
"""


def dogs(path: Path, *, n_dogs: int = 8, n_frames: int = 30) -> Path:
    """Write dogs that run (their paws swing), sit down (their tail sinks) or shake their heads."""
    names = ",".join(f"{joint}_{axis}" for joint in JOINTS for axis in "xy")
    lines = ["# units: px", "# rate_hz: 15", f"# edges: {BONES}", f"clip,frame,label,subject,split,{names}"]
    rng = np.random.default_rng(0)
    for number in range(n_dogs * 3):
        dog, label = number // 3, ("run", "sit", "shake")[number % 3]
        body = REST * rng.uniform(0.8, 1.3) + rng.uniform(100, 300, 2)
        for t in range(n_frames):
            swing, done = 25 * np.sin(t / 2 + number), min(1.0, t / 20)
            now = body + rng.normal(0, 1, body.shape)
            if label == "run":
                now[5:9, 0] += swing * np.array([1, -1, -1, 1])
            elif label == "sit":
                now[2, 1] += 45 * done
            else:
                now[[0, 3, 4], 1] += swing
            cells = ",".join(f"{value:.1f}" for value in now.ravel())
            lines.append(f"d{dog}-{label},{t},{label},dog {dog},{'test' if dog >= n_dogs - 2 else 'train'},{cells}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_an_animal_of_nine_joints_is_learnt_and_served_by_a_fresh_process(tmp_path: Path) -> None:
    clips, _ = imported("csv", dogs(tmp_path / "dogs.csv"), tmp_path / "clips")
    choice = choose_recipe(clips)
    recipe = replace(
        RECIPES[choice.name], n_frames=24, channels=(8, 8, 16), epochs=30, batch_size=6, learning_rate=1e-2,
        least_per_epoch=0, yaw_deg=0.0, pitch_deg=0.0, validation_share=0.0, warm_up_epochs=0.0, persons=1,
    )  # fmt: skip

    bundle = train(clips, out_bundle=tmp_path / "dogs", recipe=recipe, split="official")
    found = evaluate(bundle, clips, split="official")
    served = subprocess.run([sys.executable, "-c", SERVE], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert is_own(bundle.config.layout)
    assert found["n"] == 6
    assert found["top1"] >= 5 / 6  # chance is a third
    assert served.returncode == 0, served.stderr
    joint, again = json.loads(served.stdout)
    assert joint == "left_ear"
    assert again["confusion"] == found["confusion"]
    assert "own_layout" in json.loads((tmp_path / "dogs" / "skeleton.json").read_text())
