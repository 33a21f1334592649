"""Recipes: presets, TOML that changes them, and mistakes that are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import find_layout
from har.clips import Clip
from har.errors import ClipError, ConfigError
from har.training.recipe import LOOK_AHEAD, RECIPES, Recipe, choose_recipe, read_recipe, recipe_of, shared_layout
from tests.training.builders import clip_set, moving_clip


def clip_of(layout: str, *, clip_id: str = "a", n_joints: int = 15, n_channels: int = 3, **fields: Any) -> Clip:
    joints = np.random.default_rng(0).normal(size=(3, 1, n_joints, n_channels)).astype(np.float32)
    known: dict[str, Any] = {"units": "m", "up": "+y", "label": "walk", "source": "made in a test", "licence": "none"}
    return Clip(id=clip_id, joints=joints, time_s=np.arange(3.0), rate_hz=1.0, layout=layout, **(known | fields))


def test_a_file_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('epochs = 3\nlearning_rate = 1\nchannels = [64, 128, 256]\noptimiser = "sgd"\n')

    recipe = read_recipe(path)

    assert recipe == Recipe(epochs=3, learning_rate=1.0, channels=(64, 128, 256), optimiser="sgd")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_file_may_begin_with_a_preset(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'base = "{name}"\nlook_ahead = [1, 1, 1, 0, 0, 0, 0, 0, 0]\ncrop = [0.5, 1]\ninputs = ["bone"]\n')

    recipe = read_recipe(path)

    ahead = (1, 1, 1, 0, 0, 0, 0, 0, 0)
    assert recipe == replace(RECIPES[name], look_ahead=ahead, crop=(0.5, 1.0), inputs=("bone",))
    assert recipe.ahead == ahead
    assert read_recipe(name) == RECIPES[name]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_comes_back_from_json(name: str) -> None:
    told = json.loads(json.dumps(RECIPES[name].as_dict(), allow_nan=False))

    assert recipe_of(told, where="card") == RECIPES[name]


def test_words_for_looking_ahead_stand_for_frames_of_nine_blocks() -> None:
    assert [Recipe(look_ahead=word).ahead for word in LOOK_AHEAD] == list(LOOK_AHEAD.values())
    assert Recipe(look_ahead="centred", kernels=(9, 5, 3)).ahead == (4, 4, 4, 2, 2, 2, 1, 1, 1)
    assert all(len(each) == 9 for each in LOOK_AHEAD.values())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("epoch = 3", "unknown key 'epoch'"),
        ('epochs = "3"', "epochs must be a int"),
        ("epochs = 0", "epochs must be above 0"),
        ("epochs = true", "epochs must be a int"),
        ("flip = 1.5", r"flip must lie in 0\.\.1"),
        ("flip = inf", r"flip must lie in 0\.\.1"),
        ("rate_hz = inf", "rate_hz must be above 0"),
        ("channels = [1, 2]", "three widths"),
        ("channels = 3", "list of whole numbers"),
        ("channels = [1, 2, 3.5]", "list of whole numbers"),
        ('optimiser = "magic"', "unknown optimiser 'magic'. Known: adamw, sgd"),
        ("noise = -1.0", "noise must not be negative.*0 switches it off"),
        ("noise = nan", "noise"),
        ("epochs =", "cannot be read as TOML"),
        ('base = "clips"', "unknown base 'clips'. Known: clip, stream"),
        ('layout = "mine"', "unknown layout 'mine'. Known: own, blazepose33, coco17"),
        ("dims = 4", "unknown dims 4. Known: 0, 2, 3"),
        ("persons = 3", "unknown persons 3"),
        ('length = "short"', "unknown length 'short'. Known: stretch, rate"),
        ('look_ahead = "far"', "unknown look_ahead 'far'. Known: centred, served, causal"),
        ("look_ahead = [1, 2]", "look_ahead must be a word or nine numbers"),
        ("look_ahead = [9, 0, 0, 0, 0, 0, 0, 0, 0]", "below the blocks' kernels"),
        ("kernels = [9, 4, 3]", "kernels must be three odd numbers"),
        ("look_ahead = 2.5", "look_ahead must be a list of whole numbers"),
        ("crop = [1.0, 0.5]", "crop must be two shares"),
        ("crop = [0.0, 0.5]", "crop must be two shares"),
        ('crop = ["all"]', "crop must be a list of numbers"),
        ("inputs = []", "inputs must name"),
        ('inputs = ["bone", "bone"]', "inputs must differ"),
        ('inputs = ["joint+muscle"]', "unknown inputs 'joint.muscle'. Join joint, bone, motion"),
        ('inputs = "joint"', "inputs must be a list of texts"),
        ("yaw_deg = 181.0", r"yaw_deg must lie in 0\.\.180"),
        ("speed = 0.6", r"speed must lie in 0\.\.0\.5"),
        ("ema_decay = 1.0", "ema_decay"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=found) as caught:
        read_recipe(path)

    assert str(path) in str(caught.value)


def test_a_name_that_is_neither_recipe_nor_file_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"clips: no such recipe. Give a TOML file or one of: clip, stream"):
        read_recipe("clips")


def test_clips_as_the_service_would_see_them_are_learnt_as_a_stream() -> None:
    assert choose_recipe(clip_set()).name == "stream"


@pytest.mark.parametrize(
    ("clip", "why"),
    [
        (clip_of("nite15", rate_known=True), "clip 'a' is in 'm', not in a picture"),
        (replace(moving_clip("b", "walk"), rate_known=False), "the frame rate of clip 'b' is not known"),
    ],
)
def test_one_other_clip_makes_it_a_clip_recipe_and_is_named(clip: Clip, why: str) -> None:
    choice = choose_recipe([*clip_set(), clip])

    assert choice.name == "clip"
    assert why in choice.why


def test_clips_decide_layout_and_depth() -> None:
    deep = [clip_of("nite15", clip_id=str(n)) for n in range(3)]
    flat = clip_of("nite15", clip_id="flat", n_channels=2)

    assert (RECIPES["clip"].resolved(deep).layout, RECIPES["clip"].resolved(deep).dims) == ("nite15", 3)
    assert RECIPES["clip"].resolved([*deep, flat]).dims == 2
    assert RECIPES["clip"].resolved(clip_set()).dims == 2
    assert RECIPES["stream"].resolved(deep) == RECIPES["stream"]


def test_a_resolved_recipe_is_not_changed_by_other_clips() -> None:
    recipe = RECIPES["clip"].resolved([clip_of("nite15")])

    assert recipe.resolved([]) == recipe
    assert recipe.resolved([clip_of("nite15", clip_id="b")]) == recipe


def test_depth_that_is_asked_for_and_missing_names_the_clip() -> None:
    with pytest.raises(ClipError, match=r"clip 'flat': has no depth .*dims = 2"):
        replace(RECIPES["clip"], dims=3).resolved([clip_of("nite15"), clip_of("nite15", clip_id="flat", n_channels=2)])


def test_mixed_layouts_go_to_the_commonest_that_all_map_to() -> None:
    poses = [clip_of("blazepose33", clip_id=str(n), n_joints=33) for n in range(3)]

    assert shared_layout([*poses, *clip_set(n_subjects=1)[:1]]) == "coco17"


def test_layouts_that_do_not_map_to_each_other_are_named_with_clips() -> None:
    hand = find_layout(["palm", "thumb", "index", "ring", "little"], [(0, n) for n in range(1, 5)]).layout
    clips = [clip_of("nite15", clip_id="a kinect"), clip_of(hand.name, clip_id="a hand", n_joints=5)]

    with pytest.raises(ClipError, match=r"clip 'a kinect'.*clip 'a hand'.*one layout at a time"):
        shared_layout(clips)


def test_without_clips_there_is_no_layout_of_their_own() -> None:
    with pytest.raises(ClipError, match="no clips"):
        RECIPES["clip"].resolved([])


def test_a_pass_over_a_small_set_goes_through_it_several_times() -> None:
    recipe = Recipe(least_per_epoch=1000)

    assert [recipe.windows_in_pass(n) for n in (10, 5000)] == [1000, 5000]
    assert replace(recipe, windows_per_epoch=300).windows_in_pass(10) == 300
