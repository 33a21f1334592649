"""Which clips a model learns from and which it is judged by: never windows of one clip on both sides."""

from __future__ import annotations

import fnmatch
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

from har.clips import Clip
from har.errors import ConfigError
from har.training.dataset import labels_of

SIDES = ("train", "test")
_GRAMMAR = "Write the name of a stored split, or a rule such as subject:1-5/6-10, subject:odd/even or view:1,2/3."
_FIELDS: dict[str, Callable[[Clip], str | None]] = {
    "subject": lambda clip: clip.subject,
    "view": lambda clip: clip.view,
}


def split_clips(clips: Sequence[Clip], split: str) -> tuple[list[Clip], list[Clip]]:
    """Part clips into those to learn from and those to be judged by; clips on neither side are left out.

    A rule is a field, a colon and two sides with a slash between. A side is a list, parted by commas, of names (with *
    and ? as wildcards), numbers, ranges of numbers, "odd" and "even". Numbers match names that hold that number and
    no other: `subject:1-5/6-10` fits "3", "S03" and "Subject 3".

    Args:
        clips: a clip set.
        split: the name of a split stored in the set, or a rule.

    Raises:
        ConfigError: no such split, not a rule, an empty side, or somebody on both sides.
    """
    stored = sorted({name for clip in clips for name in clip.splits})
    if split in stored:
        return _two_sides(split, [[clip for clip in clips if clip.splits.get(split) == side] for side in SIDES])
    field, colon, rule = split.partition(":")
    sides = rule.split("/")
    if not colon or field not in _FIELDS or len(sides) != 2:
        known = ", ".join(stored) if stored else "none"
        raise ConfigError(f"split {split!r} is not known. {_GRAMMAR} Stored in these clips: {known}.")
    value_of = _FIELDS[field]
    values = sorted({value for clip in clips if (value := value_of(clip)) is not None})
    chosen = [{value for value in values if _is_on(value, side)} for side in sides]
    if both := sorted(chosen[0] & chosen[1]):
        raise ConfigError(f"split {split!r}: {field} {', '.join(both)} would be on both sides. {_GRAMMAR}")
    parts = [[clip for clip in clips if value_of(clip) in values_on_side] for values_on_side in chosen]
    return _two_sides(split, parts, known=f"{field}s in these clips: {', '.join(values) or 'none'}.")


def _two_sides(split: str, parts: list[list[Clip]], known: str = "") -> tuple[list[Clip], list[Clip]]:
    for side, part in zip(SIDES, parts, strict=True):
        if not part:
            raise ConfigError(f"split {split!r} leaves no clip on the {side} side. {known}".rstrip())
    return parts[0], parts[1]


def _is_on(value: str, side: str) -> bool:
    return any(_matches(value, token.strip()) for token in side.split(",") if token.strip())


def _matches(value: str, token: str) -> bool:
    if fnmatch.fnmatchcase(value, token):
        return True
    numbers = re.findall(r"\d+", value)
    if len(numbers) != 1:
        return False
    number = int(numbers[0])
    if token in ("odd", "even"):
        return number % 2 == (token == "odd")
    if found := re.fullmatch(r"(\d+)-(\d+)", token):
        return int(found[1]) <= number <= int(found[2])
    return token.isdecimal() and int(token) == number


def hold_out(clips: Sequence[Clip], *, share: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Take a validation part out of the clips: whole subjects where there are several, else whole clips.

    No label disappears from the training part; so a share may come out smaller than asked for, or empty.

    Args:
        clips: the training side of a split.
        share: of the clips to hold out.
        seed: which ones.

    Returns:
        The clips to learn from and the clips held out, each in the order given.
    """
    subjects = {clip.subject for clip in clips if clip.subject is not None}
    group_of: Callable[[Clip], str] = (
        (lambda clip: f"subject {clip.subject}") if len(subjects) > 1 else (lambda clip: f"clip {clip.id}")
    )
    groups = sorted({group_of(clip) for clip in clips})
    random.Random(seed).shuffle(groups)
    left = Counter(label for clip in clips for label in labels_of(clip))
    held: set[str] = set()
    n_held = 0
    for group in groups:
        members = [clip for clip in clips if group_of(clip) == group]
        leaving = Counter(label for clip in members for label in labels_of(clip))
        if n_held + len(members) > max(share * len(clips), 1) * 1.3 or any(
            left[each] <= leaving[each] for each in leaving
        ):
            continue
        held.add(group)
        n_held += len(members)
        left -= leaving
        if n_held >= share * len(clips):
            break
    if share == 0:
        held = set()
    return [clip for clip in clips if group_of(clip) not in held], [clip for clip in clips if group_of(clip) in held]
