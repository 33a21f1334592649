"""How a model is trained: every number in one place, in named presets, each of which a TOML file may override."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from graphs import LAYOUTS, maps_from
from har.clips import Clip
from har.errors import ClipError, ConfigError
from har.training.persons import has_depth
from har.training.recipe_checks import recipe_problems

OWN_LAYOUT = "own"
LOOK_AHEAD = {
    "served": (2, 2, 2, 1, 0, 0, 0, 0, 0),
    "causal": (0, 0, 0, 0, 0, 0, 0, 0, 0),
}
"""Frames that each of the nine blocks looks ahead; "centred" is half of what its kernel spans."""
LOOK_AHEAD_WORDS = ("centred", *LOOK_AHEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The numbers of a training run.

    Attributes:
        layout: joint layout of the model, to which clips of other layouts are mapped; "own" takes the clips' own.
        dims: coordinates of a joint: 2 as in a picture, 3 with depth; 0 takes 3 if all clips hold depth.
        persons: most people of a clip, 1 or 2; a clip with one costs one.
        n_frames: length of a window.
        length: how a trimmed clip becomes a window: "stretch" samples all of it evenly, however long it is; "rate"
            takes the last `n_frames` at true time, or fewer if it is shorter. Untrimmed clips are always at true time.
        rate_hz: frames per second of a window at true time.
        stride_s: between the ends of neighbouring windows of an untrimmed clip.
        label_delay_s: a window is labelled by what was done this long before its end, since the network looks ahead.
        max_gap_s: longest hole to fill in a joint's track.
        min_pose_share: of the frames of the last second; windows with less of a pose are left out.
        facing: turn bodies with depth about the vertical, so that they face the camera when the window begins.
        inputs: what the networks see, one network each: parts, keys of `har.models.inputs.PARTS`, joined by "+".
        channels: widths of the three stages of three blocks.
        free_edges: learn every joint's weight for every other, not only a factor for the edges of the skeleton.
        graph_residual: lead a way around the graph convolutions of all blocks but the first.
        kernels: frames a block of each of the three stages sees, odd.
        look_ahead: frames each of the nine blocks looks ahead, or "centred", "served" or "causal".
        pool_last: outputs, newest last, that are averaged into the answer; 0 for all (better for trimmed clips).
        dropout: share of features dropped in a block.
        epochs: passes at most; fewer if the time limit says so.
        windows_per_epoch: drawn in one pass; 0 draws as many as there are, but `least_per_epoch` at least.
        least_per_epoch: small sets are gone through several times in a pass, so that a plan in passes suits them too.
        batch_size: windows a step.
        optimiser: "sgd" (Nesterov, momentum 0.9) or "adamw".
        learning_rate: at its highest; falls to zero on a cosine.
        warm_up_epochs: rising to it.
        weight_decay: on weights, not on norms and biases.
        gradient_norm: longest gradient.
        label_smoothing: share of a label that is spread over all.
        mixup: how strongly windows are mixed with others, the parameter of a Beta distribution; 0 switches it off.
        balance: 0 draws windows as they come, 1 draws every label equally often.
        source_balance: the same for where clips come from, so that a few real clips count among many simulated ones.
        ema_decay: of the running mean of the weights, per step; 0 switches it off.
        patience: passes without a better validation score until training stops; 0 never stops early.
        validation_share: of the training side, by subject where there are several.
        crop: least and largest share of a trimmed clip's time that is seen while training.
        frames_kept: least and largest share of a window's frames that are looked at while training; what lies between
            is bridged by straight lines, as if the camera had been slower.
        jitter: how freely the instants of a stretched clip are drawn while training: 0 keeps the middles of equal
            segments, 1 draws anywhere in them.
        speed: largest change of speed of a window at true time, as a share.
        warp: largest change of speed within a window, as a share, slowly varying.
        flip: share of the windows that are mirrored.
        yaw_deg: largest turn about the vertical; bodies with depth only.
        pitch_deg: largest turn about the horizontal axis of the picture; bodies with depth only.
        rotate_deg: standard deviation of a turn in the picture; bodies without depth only.
        as_seen: turn no farther than people stand in the clips, and mirror a label no more often than it is done with
            the other hand or foot there; see `har.training.habits`.
        scale: standard deviation of the logarithm of a stretch, alike in all directions.
        bone_stretch: standard deviation of the logarithm of a stretch of each bone, left and right alike.
        bone_turn_deg: standard deviation of a turn of each bone, the same throughout a window.
        amplitude: standard deviation of the logarithm of a stretch of all movement about the mean pose.
        shear: standard deviation of the logarithm of a stretch of the horizontal against the vertical.
        noise: standard deviation of joint noise, in trunk lengths.
        score_fade: how much lower scores may be.
        joint_drop: share of the joints hidden for a while, in the half of the windows that lose any.
        part_drop: share of the windows in which a limb, the legs or the lower half are hidden for a while.

    Raises:
        ConfigError: a value does not fit; the text names the field and what would.
    """

    layout: str = "coco17"
    dims: int = 2
    persons: int = 1
    n_frames: int = 32
    length: Literal["stretch", "rate"] = "stretch"
    rate_hz: float = 15.0
    stride_s: float = 0.27
    label_delay_s: float = 0.4
    max_gap_s: float = 0.5
    min_pose_share: float = 0.3
    facing: bool = False
    inputs: tuple[str, ...] = ("joint+bone",)
    channels: tuple[int, int, int] = (32, 64, 128)
    free_edges: bool = False
    graph_residual: bool = False
    kernels: tuple[int, int, int] = (9, 9, 9)
    look_ahead: str | tuple[int, ...] = "served"
    pool_last: int = 3
    dropout: float = 0.1
    epochs: int = 12
    windows_per_epoch: int = 0
    least_per_epoch: int = 0
    batch_size: int = 32
    optimiser: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float = 2e-3
    warm_up_epochs: float = 1.0
    weight_decay: float = 1e-2
    gradient_norm: float = 5.0
    label_smoothing: float = 0.05
    mixup: float = 0.0
    balance: float = 0.5
    source_balance: float = 0.6
    ema_decay: float = 0.0
    patience: int = 0
    validation_share: float = 0.15
    crop: tuple[float, float] = (0.85, 1.0)
    frames_kept: tuple[float, float] = (1.0, 1.0)
    jitter: float = 0.0
    speed: float = 0.15
    warp: float = 0.0
    flip: float = 0.5
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    rotate_deg: float = 6.0
    as_seen: bool = False
    scale: float = 0.08
    bone_stretch: float = 0.0
    bone_turn_deg: float = 0.0
    amplitude: float = 0.0
    shear: float = 0.08
    noise: float = 0.02
    score_fade: float = 0.1
    joint_drop: float = 0.1
    part_drop: float = 0.15

    def __post_init__(self) -> None:
        for problem in recipe_problems(
            self, known_layouts=(OWN_LAYOUT, *sorted(LAYOUTS)), known_words=LOOK_AHEAD_WORDS
        ):
            raise ConfigError(f"recipe: {problem}")

    @property
    def ahead(self) -> tuple[int, ...]:
        """Frames each of the nine blocks looks ahead."""
        if self.look_ahead == "centred":
            return tuple(span // 2 for span in self.spans)
        return LOOK_AHEAD[self.look_ahead] if isinstance(self.look_ahead, str) else self.look_ahead

    def windows_in_pass(self, n_windows: int) -> int:
        """Say how many windows are drawn in a pass over so many."""
        return self.windows_per_epoch or max(n_windows, self.least_per_epoch)

    @property
    def spans(self) -> tuple[int, ...]:
        """Frames each of the nine blocks sees."""
        return tuple(span for span in self.kernels for _ in range(3))

    def as_dict(self) -> dict[str, Any]:
        """Give the numbers as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def resolved(self, clips: Sequence[Clip]) -> Recipe:
        """Give this recipe with the layout and the dimensions that fit the clips.

        Raises:
            ClipError: no clips, layouts that cannot be mapped to one another, or clips without the depth asked for.
        """
        layout = shared_layout(clips) if self.layout == OWN_LAYOUT else self.layout
        if self.dims == 2:
            return replace(self, layout=layout)
        flat = next((clip for clip in clips if not has_depth(clip)), None)
        if self.dims == 3 and flat is not None:
            raise ClipError(
                f"clip {flat.id!r}: has no depth (units {flat.units!r}, {flat.joints.shape[-1]} channels), but the "
                "model is to see three dimensions. Leave this clip out, or train with dims = 2 in the recipe."
            )
        return replace(self, layout=layout, dims=self.dims or (3 if clips and flat is None else 2))


def shared_layout(clips: Sequence[Clip]) -> str:
    """Give the layout to which all clips can be mapped: their own, else the commonest of theirs that will do, or COCO.

    Raises:
        ClipError: no clips, or there is no such layout; the text names clips of two layouts that do not go together.
    """
    counts = Counter(clip.layout for clip in clips)
    if not counts:
        raise ClipError("there are no clips to take a joint layout from. Check the clip set and the split.")
    own = sorted(counts, key=lambda name: (-counts[name], name))
    for target in [*own, *(name for name in ("coco17",) if name not in counts)]:
        if all(source == target or target in maps_from(source) for source in own):
            return target
    examples = [next(clip.id for clip in clips if clip.layout == name) for name in own]
    told = ", ".join(f"{name} (clip {example!r}, {counts[name]})" for name, example in zip(own, examples, strict=True))
    raise ClipError(
        f"the clips have joint layouts that cannot be mapped to one: {told}. Train on one layout at a time."
    )


RECIPES: dict[str, Recipe] = {
    "stream": Recipe(length="rate", least_per_epoch=2000),
    "clip": Recipe(
        layout=OWN_LAYOUT,
        dims=0,
        persons=2,
        free_edges=True,
        graph_residual=True,
        kernels=(9, 5, 3),
        look_ahead="centred",
        pool_last=0,
        dropout=0.0,
        epochs=100,
        least_per_epoch=500,
        batch_size=16,
        weight_decay=5e-2,
        warm_up_epochs=2.0,
        label_smoothing=0.1,
        ema_decay=0.995,
        source_balance=0.0,
        crop=(0.7, 1.0),
        frames_kept=(0.4, 1.0),
        yaw_deg=60.0,
        pitch_deg=30.0,
        as_seen=True,
        inputs=("joint+bone+distance", "motion+bone motion"),
        scale=0.1,
        bone_stretch=0.1,
        bone_turn_deg=8.0,
        amplitude=0.2,
        shear=0.0,
        noise=0.03,
        score_fade=0.0,
        joint_drop=0.1,
        part_drop=0.15,
    ),
}
"""What the service runs on, and what names trimmed clips best."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A preset and the reason for it.

    Attributes:
        name: a key of `RECIPES`.
        why: for people.
    """

    name: str
    why: str


def choose_recipe(clips: Sequence[Clip]) -> Choice:
    """Choose "stream" if every clip is such as the service would see it, else "clip"."""
    for clip in clips:
        if clip.units not in ("px", "norm"):
            return Choice("clip", f"clip {clip.id!r} is in {clip.units!r}, not in a picture")
        if clip.layout != "coco17" and "coco17" not in maps_from(clip.layout):
            return Choice("clip", f"layout {clip.layout!r} of clip {clip.id!r} cannot be mapped to coco17")
        if not clip.rate_known:
            return Choice("clip", f"the frame rate of clip {clip.id!r} is not known")
    return Choice("stream", "all clips are in a picture, at a known rate, with joints that map to coco17")


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Give the recipe of that name, or read one from a TOML file.

    A file may begin with `base = "clip"`, and then changes that preset; without, it changes the defaults of `Recipe`.

    Raises:
        ConfigError: no such name or file, no TOML, an unknown key or a value that does not fit; the text names file
            and key.
    """
    if str(name_or_path) in RECIPES:
        return RECIPES[str(name_or_path)]
    path = Path(name_or_path)
    if not path.exists():
        raise ConfigError(f"{path}: no such recipe. Give a TOML file or one of: {', '.join(sorted(RECIPES))}.")
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}). Check the path and the file.") from None
    return recipe_of(given, where=str(path))


def recipe_of(given: Mapping[str, Any], *, where: str) -> Recipe:
    """Make a recipe of plain values, such as `Recipe.as_dict` gives; `base` names the preset to begin with.

    Raises:
        ConfigError: an unknown key or a value that does not fit; the text begins with `where`.
    """
    base = given.get("base")
    if base is not None and base not in RECIPES:
        raise ConfigError(f"{where}: unknown base {base!r}. Known: {', '.join(sorted(RECIPES))}.")
    start = Recipe() if base is None else RECIPES[base]
    known = {field.name: getattr(start, field.name) for field in fields(Recipe)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key == "base":
            continue
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}. Known: base, {', '.join(known)}.")
        values[key] = _fit(key, value, known[key], where=f"{where}: {key}")
    try:
        return replace(start, **values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _fit(key: str, value: Any, default: Any, *, where: str) -> Any:
    """Give the value in the type of the default it replaces."""
    if key == "look_ahead" and isinstance(value, str):
        return value
    if isinstance(default, tuple) or key == "look_ahead":
        return _fit_list(value, LOOK_AHEAD["served"] if isinstance(default, str) else default, where=where)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is type(default):
        return value
    raise ConfigError(f"{where} must be a {type(default).__name__} such as {default!r}, got {value!r}.")


def _fit_list(value: Any, default: tuple[Any, ...], *, where: str) -> tuple[Any, ...]:
    kind = type(default[0])
    kinds = (int, float) if kind is float else (kind,)
    if isinstance(value, list) and all(type(each) in kinds for each in value):
        return tuple(kind(each) for each in value)
    told = {int: "whole numbers", float: "numbers", str: "texts"}[kind]
    raise ConfigError(f"{where} must be a list of {told} such as {list(default)!r}, got {value!r}.")
