"""Windows of real people: every set at hand is read, cut and drawn, and keeps its left, its right and its depth."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from graphs import layout
from har.clips import Clip
from har.training.augment import augment
from har.training.clip_checks import check_clips
from har.training.dataset import cut_windows, label_names
from har.training.importers import ImportOptions, Ledger, read_foreign
from har.training.recipe import RECIPES, choose_recipe
from har.training.splits import hold_out, split_clips, split_notes

DATA = Path(os.environ.get("HAR_DATA", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = pytest.mark.data
SETS = [("nw_ucla", "kinect20", 3), ("kard", "nite15", 3), ("msr_action3d", "kinect20", 3), ("jhmdb14", "jhmdb15", 2)]


@cache
def clips_of(name: str) -> tuple[Clip, ...]:
    path = DATA / name / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{name} is not under HAR_DATA")
    return tuple(read_foreign("npz", path, ImportOptions(), Ledger()))


@pytest.mark.parametrize(("name", "layout_name", "dims"), SETS)
def test_a_public_set_gives_a_window_a_clip_in_its_own_layout(name: str, layout_name: str, dims: int) -> None:
    clips = clips_of(name)
    recipe = RECIPES[choose_recipe(clips).name]

    windows = cut_windows(clips, recipe, names=label_names(clips))
    drawn = windows.draw(np.arange(len(windows)), rng=np.random.default_rng(0))
    changed = augment(torch.from_numpy(drawn.joints), windows.recipe, torch.Generator().manual_seed(0))

    assert (windows.layout, windows.recipe.dims) == (layout_name, dims)
    assert len(clips) - len(windows) <= 2  # two broken clips of MSR-Action3D
    assert drawn.joints.shape == (len(windows), 32, layout(layout_name).n_joints, dims + 1)
    assert changed.isfinite().all()
    assert 0.1 < np.median(np.abs(drawn.joints[..., :-1])) < 1.0


@pytest.mark.parametrize(("name", "layout_name", "dims"), [each for each in SETS if each[2] == 3])
def test_people_before_a_sensor_have_their_left_shoulder_to_the_right(name: str, layout_name: str, dims: int) -> None:
    clips = clips_of(name)
    recipe = replace(RECIPES["clip"], facing=True)
    left, right = next(pair for pair in layout(layout_name).pairs if "shoulder" in layout(layout_name).joints[pair[0]])

    seen, faced = (
        cut_windows(clips, each, names=label_names(clips)).draw(np.arange(200)).joints[:, 0]
        for each in (RECIPES["clip"], recipe)
    )

    across, faced_across = (each[:, left, :dims] - each[:, right, :dims] for each in (seen, faced))
    assert (across[:, 0] > 0).mean() > 0.97
    assert np.abs(faced_across[:, 2]).mean() < 0.1
    assert faced_across[:, 0].mean() >= across[:, 0].mean() - 0.05


def test_the_official_split_of_nw_ucla_holds_the_same_people_and_some_clips_twice() -> None:
    clips = clips_of("nw_ucla")

    as_published, test = split_clips(clips, "official")
    train, _ = split_clips(clips, "official", keep_twins=False)
    notes = split_notes(clips, "official")

    assert (len(train), len(as_published), len(test)) == (926, 1020, 464)
    assert "subjects on both sides" in notes[0]
    assert "94 clips" in notes[1]


def test_validation_of_kard_is_a_person() -> None:
    train, _ = split_clips(clips_of("kard"), "subject:1-5/6-10")

    learn, held = hold_out(train, share=0.15, seed=0)

    assert len({clip.subject for clip in held}) == 1
    assert not {clip.subject for clip in learn} & {clip.subject for clip in held}


def test_the_still_of_nw_ucla_is_told_of() -> None:
    assert any("of one frame" in note for note in check_clips(clips_of("nw_ucla")))
