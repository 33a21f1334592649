"""How a model is trained: every number in one place, each of which a TOML file may override."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from har.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The numbers of a training run.

    Attributes:
        layout: joint layout of the model; clips of other layouts are mapped to it.
        n_frames: length of a window.
        rate_hz: frames per second of a window; a trimmed clip is stretched to `n_frames` instead.
        stride_s: between the ends of neighbouring windows of an untrimmed clip.
        label_delay_s: a window is labelled by what was done this long before its end, since the network looks ahead.
        max_gap_s: longest hole to fill in a joint's track.
        min_pose_share: of the frames of the last second; windows with less of a pose are left out.
        channels: widths of the three stages of three blocks.
        pool_last: outputs, newest last, that are averaged into the answer; 0 for all (better for trimmed clips).
        dropout: share of features dropped in a block.
        epochs: passes at most; fewer if the time limit says so.
        windows_per_epoch: drawn in one pass; 0 draws as many as there are.
        batch_size: windows a step.
        optimiser: "sgd" (Nesterov, momentum 0.9) or "adamw".
        learning_rate: at its highest; falls to zero on a cosine.
        warm_up_epochs: rising to it.
        weight_decay: on weights, not on norms and biases.
        gradient_norm: longest gradient.
        label_smoothing: share of a label that is spread over all.
        balance: 0 draws windows as they come, 1 draws every label equally often.
        source_balance: the same for where clips come from, so that a few real clips count among many simulated ones.
        ema_decay: of the running mean of the weights, per step; 0 switches it off.
        patience: passes without a better validation score until training stops; 0 never stops early.
        validation_share: of the training side, by subject where there are several.
        flip: share of the windows that are mirrored.
        rotate_deg: standard deviation of a turn in the picture.
        scale: standard deviation of the logarithm of a stretch, alike for x and y.
        shear: standard deviation of the logarithm of a stretch of x against y.
        noise: standard deviation of joint noise, in trunk lengths.
        score_fade: how much lower scores may be.
        joint_drop: share of the joints hidden for a while, in the half of the windows that lose any.
        part_drop: share of the windows in which a limb, the legs or the lower half are hidden for a while.
        speed: largest change of speed.
    """

    layout: str = "coco17"
    n_frames: int = 32
    rate_hz: float = 15.0
    stride_s: float = 0.27
    label_delay_s: float = 0.4
    max_gap_s: float = 0.5
    min_pose_share: float = 0.3
    channels: tuple[int, int, int] = (32, 64, 128)
    pool_last: int = 3
    dropout: float = 0.1
    epochs: int = 12
    windows_per_epoch: int = 0
    batch_size: int = 32
    optimiser: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float = 2e-3
    warm_up_epochs: float = 1.0
    weight_decay: float = 1e-2
    gradient_norm: float = 5.0
    label_smoothing: float = 0.05
    balance: float = 0.5
    source_balance: float = 0.6
    ema_decay: float = 0.0
    patience: int = 0
    validation_share: float = 0.15
    flip: float = 0.5
    rotate_deg: float = 6.0
    scale: float = 0.08
    shear: float = 0.08
    noise: float = 0.02
    score_fade: float = 0.1
    joint_drop: float = 0.1
    part_drop: float = 0.15
    speed: float = 0.15

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ConfigError(f"recipe: {problem}")

    def as_dict(self) -> dict[str, Any]:
        """Give the numbers as plain JSON values."""
        return asdict(self) | {"channels": list(self.channels)}


_POSITIVE = ("n_frames", "rate_hz", "stride_s", "epochs", "batch_size", "learning_rate", "gradient_norm")
_SHARES = (
    *("min_pose_share", "label_smoothing", "balance", "source_balance", "ema_decay", "validation_share"),
    *("flip", "score_fade", "joint_drop", "part_drop", "speed", "dropout"),
)
_NOT_NEGATIVE = (
    *("label_delay_s", "max_gap_s", "windows_per_epoch", "warm_up_epochs", "weight_decay", "patience", "pool_last"),
    *("rotate_deg", "scale", "shear", "noise"),
)


def _problems(recipe: Recipe) -> list[str]:
    found = [
        f"{name} must be above 0, got {getattr(recipe, name)}." for name in _POSITIVE if not getattr(recipe, name) > 0
    ]
    found += [
        f"{name} must lie in 0..1, got {getattr(recipe, name)}."
        for name in _SHARES
        if not 0 <= getattr(recipe, name) <= 1
    ]
    found += [f"{name} must not be negative." for name in _NOT_NEGATIVE if not getattr(recipe, name) >= 0]
    if recipe.ema_decay == 1 or recipe.validation_share > 0.5 or recipe.speed > 0.5:
        found.append("ema_decay must be below 1, validation_share and speed at most 0.5.")
    if recipe.optimiser not in ("sgd", "adamw"):
        found.append(f"unknown optimiser {recipe.optimiser!r}. Known: adamw, sgd.")
    if len(recipe.channels) != 3 or min(recipe.channels) < 1:
        found.append(f"channels must be three widths, such as [32, 64, 128], got {list(recipe.channels)}.")
    return found


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file; what it does not say keeps its default.

    Raises:
        ConfigError: no such file, no TOML, an unknown key or a value that does not fit; the text names file and key.
    """
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}). Check the path and the file.") from None
    known = {field.name: getattr(Recipe(), field.name) for field in fields(Recipe)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}. Known: {', '.join(known)}.")
        values[key] = _fit(value, known[key], where=f"{path}: {key}")
    try:
        return replace(Recipe(), **values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _fit(value: Any, default: Any, *, where: str) -> Any:
    """Give the value in the type of the default it replaces."""
    if isinstance(default, tuple) and isinstance(value, list) and all(type(each) is int for each in value):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if not isinstance(default, tuple) and type(value) is type(default):
        return value
    kind = "list of whole numbers" if isinstance(default, tuple) else type(default).__name__
    raise ConfigError(f"{where} must be a {kind} such as {default!r}, got {value!r}.")
