"""Which clips a model learns from and which it is judged by: never windows of one clip on both sides."""

from __future__ import annotations

import fnmatch
import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from har.clips import Clip
from har.errors import ConfigError
from har.training.dataset import labels_of

SIDES = ("train", "test")
LARGEST_GROUP = 0.34
"""Of the clips: whoever stands for more is not held out whole, so one of three people still is."""
_GRAMMAR = "Write the name of a stored split, or a rule such as subject:1-5/6-10, subject:odd/even or view:1,2/3."
_FIELDS: dict[str, Callable[[Clip], str | None]] = {
    "subject": lambda clip: clip.subject,
    "view": lambda clip: clip.view,
}


def split_clips(clips: Sequence[Clip], split: str, *, keep_twins: bool | None = None) -> tuple[list[Clip], list[Clip]]:
    """Part clips into those to learn from and those to be judged by; clips on neither side are left out.

    A rule is a field, a colon and two sides with a slash between. A side is a list, parted by commas, of names (with *
    and ? as wildcards), numbers, ranges of numbers, "odd" and "even". Numbers match names that hold that number and
    no other: `subject:1-5/6-10` fits "3", "S03" and "Subject 3".

    Clips to learn from may hold exactly the joints of a clip to be judged by, under another name. A stored split is
    taken as it was published, with these; a rule leaves them out. `split_notes` tells of them.

    Args:
        clips: a clip set.
        split: the name of a split stored in the set, or a rule.
        keep_twins: learn from such clips; None does so for a stored split.

    Raises:
        ConfigError: no such split, not a rule, an empty side, or somebody, a clip or a recording on both sides.
    """
    train, test = _sides(clips, split)
    _refuse_leaks(split, train, test)
    if keep_twins is None:
        keep_twins = _is_stored(clips, split)
    twins = set() if keep_twins else {_key(one) for one, _ in find_twins(train, test)}
    return _two_sides(
        split,
        [[clip for clip in train if _key(clip) not in twins], test],
        known=f"{len(twins)} clips hold exactly the joints of clips to be judged by." if twins else "",
    )


def split_notes(clips: Sequence[Clip], split: str) -> list[str]:
    """Say, for people, what a split does not tell: who is on both sides, and which clips are there twice.

    Raises:
        ConfigError: see `split_clips`.
    """
    train, test = _sides(clips, split)
    _refuse_leaks(split, train, test)
    subjects = {clip.subject for clip in train} & {clip.subject for clip in test} - {None}
    notes = []
    if subjects:
        told = _some(sorted(str(subject) for subject in subjects))
        notes.append(
            f"split {split!r}: subjects on both sides ({told}), so the figures say nothing about people never seen."
        )
    if twins := find_twins(train, test):
        one, other = twins[0]
        done = (
            "the split was published so; read the accuracy without them too"
            if _is_stored(clips, split)
            else "they are not learnt from"
        )
        notes.append(
            f"split {split!r}: {len(twins)} clips to learn from hold exactly the joints of clips to be judged by, such "
            f"as {one.id!r} and {other.id!r}; {done}."
        )
    return notes


def _is_stored(clips: Sequence[Clip], split: str) -> bool:
    return any(split in clip.splits for clip in clips)


def find_copied(clips: Sequence[Clip], split: str) -> set[str]:
    """Give the ids of clips to be judged by whose very joints are learnt from, under another name."""
    train, test = split_clips(clips, split)
    return {one.id for one, _ in find_twins(test, train)}


def _sides(clips: Sequence[Clip], split: str) -> tuple[list[Clip], list[Clip]]:
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


def _key(clip: Clip) -> tuple[str, str]:
    """Tell clips apart also where several sets were put together."""
    return clip.source, clip.id


def _refuse_leaks(split: str, train: Sequence[Clip], test: Sequence[Clip]) -> None:
    keys = {_key(clip) for clip in train} & {_key(clip) for clip in test}
    if keys:
        told = _some(sorted(name for _, name in keys))
        raise ConfigError(f"split {split!r}: clip {told} would be on both sides. Give every clip an id of its own.")
    recordings = find_recordings([*train, *test])
    of_train = {recordings[_key(clip)]: clip for clip in train}
    for clip in test:
        if other := of_train.get(recordings[_key(clip)]):
            raise ConfigError(
                f"split {split!r}: clips {other.id!r} and {clip.id!r} are of one recording, but on both sides. Put all "
                "clips of a recording on one side."
            )


def find_recordings(clips: Sequence[Clip]) -> dict[tuple[str, str], Hashable]:
    """Say which recording each clip, by its source and id, was cut from.

    Clips that `har extract` cut from one video are called alike but for a number at the end, and go on counting the
    seconds of the video; clips that all begin at the same second were not cut from one another.
    """
    cut: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        if stem := re.fullmatch(r"(.+)-\d{3}", clip.id):
            cut[clip.source, stem[1]].append(clip)
    found: dict[tuple[str, str], Hashable] = {_key(clip): _key(clip) for clip in clips}
    for name, members in cut.items():
        if len({float(clip.time_s[0]) for clip in members}) == len(members) > 1:
            found |= {_key(clip): ("recording", *name) for clip in members}
    return found


def find_twins(clips: Sequence[Clip], others: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """Find clips that hold exactly the joints of a clip among the others, each with the first such one.

    Clips of one frame and clips in which nobody is seen are no twins of anything.
    """
    of_others: dict[bytes, Clip] = {}
    for clip in others:
        if print_ := _fingerprint(clip):
            of_others.setdefault(print_, clip)
    found = ((clip, of_others.get(_fingerprint(clip) or b"")) for clip in clips)
    return [(clip, other) for clip, other in found if other is not None]


def _fingerprint(clip: Clip) -> bytes | None:
    if len(clip.joints) < 2 or not np.nan_to_num(clip.joints).any():
        return None
    return hashlib.sha256(clip.joints.tobytes()).digest()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} others" if len(names) > 5 else "")


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
    """Take a validation part out of the clips: whole subjects where that is possible, else whole views or recordings.

    No label disappears from the training part; so a share may come out smaller than asked for, or empty. Where there
    are few subjects, it may come out larger.

    Args:
        clips: the training side of a split.
        share: of the clips to hold out.
        seed: which ones.

    Returns:
        The clips to learn from and the clips held out, each in the order given.
    """
    recordings = find_recordings(clips)
    ways: list[Callable[[Clip], Hashable]] = [
        lambda clip: clip.subject,
        lambda clip: clip.view,
        lambda clip: recordings[_key(clip)],
    ]
    for group_of in ways:
        held = _hold_groups(clips, group_of, share=share, seed=seed)
        if held:
            return [clip for clip in clips if group_of(clip) not in held], [
                clip for clip in clips if group_of(clip) in held
            ]
    return list(clips), []


def _hold_groups(
    clips: Sequence[Clip], group_of: Callable[[Clip], Hashable], *, share: float, seed: int
) -> set[Hashable]:
    members: dict[Hashable, list[Clip]] = defaultdict(list)
    for clip in clips:
        members[group_of(clip)].append(clip)
    groups = sorted((group for group in members if group is not None), key=repr)
    if len(groups) < 2 or share == 0:
        return set()
    random.Random(seed).shuffle(groups)
    left = Counter(label for clip in clips for label in labels_of(clip))
    wanted = max(share * len(clips), 1)
    held: set[Hashable] = set()
    n_held = 0
    for group in groups:
        leaving = Counter(label for clip in members[group] for label in labels_of(clip))
        most = wanted * 1.3 if held else max(wanted * 1.3, LARGEST_GROUP * len(clips))
        if n_held + len(members[group]) > most or any(left[each] <= leaving[each] for each in leaving):
            continue
        held.add(group)
        n_held += len(members[group])
        left -= leaving
        if n_held >= share * len(clips):
            break
    return held
