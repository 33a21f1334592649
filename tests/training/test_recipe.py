"""Recipes from TOML: defaults stay, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from har.errors import ConfigError
from har.training.recipe import Recipe, read_recipe


def test_a_file_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('epochs = 3\nlearning_rate = 1\nchannels = [64, 128, 256]\noptimiser = "sgd"\n')

    recipe = read_recipe(path)

    assert recipe == Recipe(epochs=3, learning_rate=1.0, channels=(64, 128, 256), optimiser="sgd")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("epoch = 3", "unknown key 'epoch'"),
        ('epochs = "3"', "epochs must be a int"),
        ("epochs = 0", "epochs must be above 0"),
        ("epochs = true", "epochs must be a int"),
        ("flip = 1.5", r"flip must lie in 0\.\.1"),
        ("channels = [1, 2]", "three widths"),
        ("channels = 3", "list of whole numbers"),
        ('optimiser = "magic"', "unknown optimiser"),
        ("noise = -1.0", "noise must not be negative"),
        ("noise = nan", "noise"),
        ("epochs =", "cannot be read as TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=found) as caught:
        read_recipe(path)

    assert str(path) in str(caught.value)
