"""The loop on real people: KARD, eighteen actions, ten subjects, five of them never seen."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.clips import Clip, read_clips, write_clips
from har.training.evaluate import evaluate
from har.training.recipe import Recipe
from har.training.train import train

DATA = Path(os.environ.get("HAR_DATA", Path(__file__).parents[3] / "shared" / "data"))
KARD = DATA / "kard" / "kard.npz"


def kard_clips() -> list[Clip]:
    with np.load(KARD, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return [
        Clip(
            id=f"{number:03}-{arrays['clip_ids'][number]}",
            joints=np.ascontiguousarray(arrays["keypoints"][number, :, :length].transpose(1, 0, 2, 3)),
            time_s=np.arange(length) / 30,
            label=str(arrays["label_names"][arrays["labels"][number]]),
            subject=str(arrays["subject"][number]),
            rate_hz=30.0,
            layout="nite15",
            units="mm",
            up="+y",
            source="KARD (Gaglio et al. 2014)",
            licence="unknown",
        )
        for number, length in enumerate(arrays["length"])
    ]


@pytest.mark.data
@pytest.mark.skipif(not KARD.exists(), reason="KARD is not under HAR_DATA")
def test_actions_of_real_people_never_seen_are_learnt_far_above_chance(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", kard_clips())
    clips = read_clips(tmp_path / "clips")
    recipe = replace(
        Recipe(), layout="nite15", pool_last=0, batch_size=16, epochs=8, learning_rate=4e-3, dropout=0.0, noise=0.01,
        score_fade=0.0, part_drop=0.05, joint_drop=0.02, rotate_deg=3.0, scale=0.04, shear=0.04, validation_share=0.0,
    )  # fmt: skip

    bundle = train(clips, out_bundle=tmp_path / "model", recipe=recipe, split="subject:1-5/6-10")
    found = evaluate(bundle, clips, split="subject:1-5/6-10")

    assert found["n"] == 270
    assert found["top1"] > 0.4  # chance is 0.056; one minute of training
