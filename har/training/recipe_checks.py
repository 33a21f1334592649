"""What can be wrong with the numbers of a recipe, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from har.models.inputs import DISTANCE, PARTS

if TYPE_CHECKING:
    from har.training.recipe import Recipe


_POSITIVE = ("n_frames", "rate_hz", "stride_s", "epochs", "batch_size", "learning_rate", "gradient_norm")
_SHARES = (
    *("min_pose_share", "label_smoothing", "balance", "source_balance", "flip", "score_fade", "joint_drop"),
    *("part_drop", "jitter"),
)
_NOT_NEGATIVE = (
    *(
        "label_delay_s",
        "max_gap_s",
        "windows_per_epoch",
        "least_per_epoch",
        "warm_up_epochs",
        "weight_decay",
        "patience",
        "pool_last",
    ),
    *("rotate_deg", "scale", "bone_stretch", "bone_turn_deg", "amplitude", "shear", "noise", "mixup"),
)
_LIMITS = {
    "validation_share": 0.5,
    "speed": 0.5,
    "warp": 0.9,
    "yaw_deg": 180.0,
    "pitch_deg": 90.0,
    "dropout": 0.99,
    "ema_decay": 0.99999,
}


def recipe_problems(recipe: Recipe, *, known_layouts: Sequence[str], known_words: Sequence[str]) -> list[str]:
    """Say everything that does not fit in a recipe.

    Args:
        recipe: the recipe.
        known_layouts: what its layout may be.
        known_words: what its look-ahead may be called.
    """
    return [
        *_number_problems(recipe),
        *_choice_problems(recipe, known_layouts=known_layouts),
        *_time_problems(recipe, known_words=known_words),
        *_input_problems(recipe.inputs),
    ]


def _number_problems(recipe: Recipe) -> list[str]:
    def wrong(name: str, low: float, high: float) -> bool:
        value = getattr(recipe, name)
        return not (math.isfinite(value) and low <= value <= high)

    found = [
        f"{name} must be above 0, got {getattr(recipe, name)}."
        for name in _POSITIVE
        if wrong(name, 0, math.inf) or getattr(recipe, name) == 0
    ]
    found += [f"{name} must lie in 0..1, got {getattr(recipe, name)}." for name in _SHARES if wrong(name, 0, 1)]
    found += [
        f"{name} must not be negative, got {getattr(recipe, name)}; 0 switches it off."
        for name in _NOT_NEGATIVE
        if wrong(name, 0, math.inf)
    ]
    found += [
        f"{name} must lie in 0..{high:g}, got {getattr(recipe, name)}."
        for name, high in _LIMITS.items()
        if wrong(name, 0, high)
    ]
    return found


def _choice_problems(recipe: Recipe, *, known_layouts: Sequence[str]) -> list[str]:
    found = [
        f"unknown {name} {getattr(recipe, name)!r}. Known: {', '.join(str(each) for each in known)}."
        for name, known in {
            "layout": known_layouts,
            "dims": (0, 2, 3),
            "persons": (1, 2),
            "length": ("stretch", "rate"),
            "optimiser": ("adamw", "sgd"),
        }.items()
        if getattr(recipe, name) not in known
    ]
    if len(recipe.channels) != 3 or min(recipe.channels) < 1:
        found.append(f"channels must be three widths, such as [32, 64, 128], got {list(recipe.channels)}.")
    found += [
        f"{name} must be two shares, the smaller first, such as [0.8, 1.0], got {list(shares)}."
        for name, shares in {"crop": recipe.crop, "frames_kept": recipe.frames_kept}.items()
        if len(shares) != 2 or not 0 < shares[0] <= shares[1] <= 1
    ]
    return found


def _time_problems(recipe: Recipe, *, known_words: Sequence[str]) -> list[str]:
    if len(recipe.kernels) != 3 or not all(span in range(1, 32, 2) for span in recipe.kernels):
        return [f"kernels must be three odd numbers of 1..31, such as [9, 5, 3], got {list(recipe.kernels)}."]
    if isinstance(recipe.look_ahead, str) and recipe.look_ahead not in known_words:
        known = ", ".join(known_words)
        return [f"unknown look_ahead {recipe.look_ahead!r}. Known: {known}, or a list of nine numbers."]
    fits = [0 <= ahead < span for ahead, span in zip(recipe.ahead, recipe.spans, strict=False)]
    if len(recipe.ahead) != 9 or not all(fits):
        spans, ahead = list(recipe.spans), list(recipe.ahead)
        return [f"look_ahead must be a word or nine numbers from 0 to below the blocks' kernels {spans}, got {ahead}."]
    return []


def _input_problems(inputs: tuple[str, ...]) -> list[str]:
    if not inputs:
        return ['inputs must name what at least one network sees, such as ["joint+bone"].']
    if len(set(inputs)) < len(inputs):
        return [f"inputs must differ from one another, got {list(inputs)}. Name each network's input once."]
    for each in inputs:
        parts = each.split("+")
        if len(set(parts)) < len(parts) or not set(parts) <= set(PARTS):
            return [f'unknown inputs {each!r}. Join {", ".join(PARTS)} by "+", such as "joint+bone".']
        if parts == [DISTANCE]:
            return [f'inputs {each!r} lack a part with coordinates. Join one by "+", such as "joint+{DISTANCE}".']
    return []
