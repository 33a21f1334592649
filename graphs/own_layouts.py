"""Layouts that a data set brings along: one of the known, in whatever order and spelling, or one built of its bones.

A built layout is named after its content ("own-1f3a9c2b"), so that one name never means two skeletons, whoever reads
it. Once registered, it is found in `LAYOUTS` like any other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from graphs.errors import LayoutError
from graphs.layouts import LAYOUTS, Layout, Pair, meaning

OWN_PREFIX = "own-"
MIN_JOINTS, MAX_JOINTS = 3, 256
MAX_NAME_LENGTH = 60
MAX_LINKS = 1024

_KEYS = ("name", "joints", "bones", "centre", "links", "handedness", "y_axis")
_SIDES = {"left": ("left", "l", "lt", "lft"), "right": ("right", "r", "rt", "rgt")}
_SYNONYMS = {
    **dict.fromkeys(
        ("pelvis", "hip_center", "hip_centre", "center_hip", "middle_hip", "root", "spine_base"), "mid_hip"
    ),
    **dict.fromkeys(("shoulder_center", "shoulder_centre", "spine_shoulder", "mid_shoulder", "thorax"), "neck"),
    **dict.fromkeys(("torso", "belly", "spine_mid", "mid_spine"), "spine"),
}
_MIDDLES = ("mid_hip", "hips", "hip", "waist", "sacrum", "tail_base")
_TRUNKS = ("spine", "trunk", "back", "abdomen", "chest", "body", "withers", "neck")


@dataclass(frozen=True, slots=True)
class FoundLayout:
    """The layout of a set that names its joints.

    Attributes:
        layout: a known one, or one of the set's own, registered.
        order: for each joint of the layout its place in the set's arrays.
        notes: what was guessed, in words.
    """

    layout: Layout
    order: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_layout(
    names: Sequence[str],
    edges: Iterable[Pair],
    *,
    handedness: Literal["anatomical", "mirrored"] = "anatomical",
    y_axis: Literal["up", "down"] = "down",
) -> FoundLayout:
    """Find the layout that joints and edges describe; build and register one if none of the known fits.

    Joints are told by their names, in any order and spelling ("LHip", "hip_left", "Left Hip"). An edge list whose
    numbers begin at one is understood too.

    Args:
        names: joint names in the order of the arrays.
        edges: pairs of joint indices; only needed where the names are of no known layout.
        handedness: of a layout that is built, see `Layout`.
        y_axis: of a layout that is built, see `Layout`.

    Raises:
        LayoutError: a name comes twice, an index is out of range, or a joint hangs on nothing.
    """
    plain = plain_names(names)
    pairs, notes = _clean_edges(edges, plain)
    known = _match(plain)
    if known is None:
        built, guessed = _build(plain, pairs, handedness=handedness, y_axis=y_axis)
        return FoundLayout(register_layout(built), tuple(range(len(plain))), (*notes, *guessed))
    which, order = known
    if order != tuple(range(len(plain))):
        notes = (*notes, f"joints were put into the order of {which.name}")
    place = {old: new for new, old in enumerate(order)}
    given = {frozenset((place[a], place[b])) for a, b in pairs}
    if pairs and given != {frozenset(edge) for edge in which.edges}:
        notes = (*notes, f"the bones of {which.name} are used, which are not quite those of the file")
    return FoundLayout(which, order, notes)


def plain_names(names: Sequence[str]) -> tuple[str, ...]:
    """Spell joint names as layouts do: lower case, words parted by "_", sides written out.

    Raises:
        LayoutError: there are too few, too many, an empty or overlong one, or one comes twice.
    """
    if not MIN_JOINTS <= len(names) <= MAX_JOINTS:
        raise LayoutError(f"a layout has {MIN_JOINTS} to {MAX_JOINTS} joints, got {len(names)}.")
    words = [_words(name) for name in names]
    split = {"_".join(each) for each in words}
    plain = tuple("_".join(_with_sides(each, split)) for each in words)
    for name, given in zip(plain, names, strict=True):
        if not name or len(name) > MAX_NAME_LENGTH or plain.count(name) > 1:
            what = "comes twice" if plain.count(name) > 1 else f"is not 1 to {MAX_NAME_LENGTH} letters"
            raise LayoutError(f"joint name {given[:MAX_NAME_LENGTH]!r} {what}. Give every joint a name of its own.")
    return plain


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", name)]


def _with_sides(words: list[str], others: set[str]) -> list[str]:
    """Write sides out; a bare letter only counts as one if the other side's joint is there too."""
    for position, word in enumerate(words):
        for side, other in (("left", "right"), ("right", "left")):
            for short, opposite in zip(_SIDES[side], _SIDES[other], strict=True):
                swapped = [*words[:position], opposite, *words[position + 1 :]]
                if word == short and "_".join(swapped) in others:
                    return [*words[:position], side, *words[position + 1 :]]
                glued = [*words[:position], opposite + word.removeprefix(short), *words[position + 1 :]]
                rest = word.removeprefix(short)
                if word.startswith(short) and len(rest) > 1 and "_".join(glued) in others and glued != words:
                    return [*words[:position], side, rest, *words[position + 1 :]]
    return words


def _clean_edges(edges: Iterable[Pair], names: Sequence[str]) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Drop loops and doubles, and count from zero."""
    given = [(int(a), int(b)) for a, b in edges]
    ends = [end for pair in given for end in pair]
    notes: tuple[str, ...] = ()
    if ends and min(ends) == 1 and max(ends) == len(names):
        given, ends = [(a - 1, b - 1) for a, b in given], [end - 1 for end in ends]
        notes = ("its edges count joints from one",)
    if ends and not (min(ends) >= 0 and max(ends) < len(names)):
        raise LayoutError(f"edges name joints {min(ends)} to {max(ends)}, but there are {len(names)}, from 0.")
    unique = {frozenset(pair): pair for pair in reversed(given) if pair[0] != pair[1]}
    return tuple(reversed(unique.values())), notes


def _match(names: Sequence[str]) -> tuple[Layout, tuple[int, ...]] | None:
    """Find a layout with just these joints, by their names or else by what they mean."""
    meant = [_meant(name) for name in names]
    for spelt, of_layout in ((list(names), _names_of), (meant, _meanings_of)):
        place = {name: position for position, name in enumerate(spelt)}
        for which in LAYOUTS.values():
            wanted = of_layout(which)
            if not which.name.startswith(OWN_PREFIX) and len(place) == len(names) and set(wanted) == set(place):
                return which, tuple(place[name] for name in wanted)
    return None


def _names_of(which: Layout) -> tuple[str, ...]:
    return which.joints


def _meanings_of(which: Layout) -> tuple[str, ...]:
    return tuple(meaning(which, joint) for joint in which.joints)


def _meant(name: str) -> str:
    stem, _, last = name.rpartition("_")
    named = f"{last}_{stem}" if last in _SIDES else name
    return _SYNONYMS.get(named, named)


def _build(
    names: tuple[str, ...],
    edges: tuple[Pair, ...],
    *,
    handedness: Literal["anatomical", "mirrored"],
    y_axis: Literal["up", "down"],
) -> tuple[Layout, tuple[str, ...]]:
    if not edges:
        raise LayoutError(f"the joints {', '.join(names[:6])}, ... are of no known layout, and no bones are named.")
    hops = _hops(len(names), edges)
    if lost := [name for name, hop in zip(names, hops[0], strict=True) if hop < 0]:
        raise LayoutError(f"no bone leads to {', '.join(lost[:6])} from {names[0]}. Name the missing bones.")
    centre, why = _guess_centre(names, hops)
    middle = min(range(len(names)), key=lambda joint: (sum(hops[joint][end] for end in centre), sum(hops[joint])))
    bones = _grow_tree(centre[0] if len(centre) == 1 else middle, len(names), edges)
    chosen = {frozenset(bone) for bone in bones}
    built = Layout(
        name=OWN_PREFIX,
        joints=names,
        bones=bones,
        centre=centre,
        links=tuple(edge for edge in edges if frozenset(edge) not in chosen),
        handedness=handedness,
        y_axis=y_axis,
    )
    paired = {joint for pair in built.pairs for joint in pair}
    single = [name for i, name in enumerate(names) if i not in paired and {"left", "right"} & set(name.split("_"))]
    notes = [f"centre: {' and '.join(names[joint] for joint in centre)} ({why})", f"{len(built.pairs)} pairs of sides"]
    if single:
        notes.append(f"without the other side, so never mirrored: {', '.join(single)}")
    return replace(built, name=own_name(built)), tuple(notes)


def _hops(n_joints: int, edges: Sequence[Pair]) -> list[list[int]]:
    """Count edges between any two joints; -1 where there is no way."""
    near = _neighbours(n_joints, edges)
    table = []
    for start in range(n_joints):
        hops, queue = [-1] * n_joints, deque([start])
        hops[start] = 0
        while queue:
            joint = queue.popleft()
            for other in near[joint]:
                if hops[other] < 0:
                    hops[other] = hops[joint] + 1
                    queue.append(other)
        table.append(hops)
    return table


def _neighbours(n_joints: int, edges: Sequence[Pair]) -> list[list[int]]:
    near: list[list[int]] = [[] for _ in range(n_joints)]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    return near


def _guess_centre(names: Sequence[str], hops: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], str]:
    index = {_meant(name): position for position, name in reversed(list(enumerate(names)))}
    for name in _MIDDLES:
        if name in index:
            return (index[name],), "by its name"
    if "left_hip" in index and "right_hip" in index:
        return (index["left_hip"], index["right_hip"]), "the middle of the hips"
    for part in _TRUNKS:
        if found := [position for name, position in index.items() if part in name.split("_")]:
            return (min(found, key=lambda joint: (sum(hops[joint]), joint)),), "by its name"
    return (
        min(range(len(names)), key=lambda joint: (max(hops[joint]), sum(hops[joint]), joint)),
    ), "by the bones alone"


def _grow_tree(root: int, n_joints: int, edges: Sequence[Pair]) -> tuple[Pair, ...]:
    """Give (child, parent) bones that reach every joint on a shortest way from the root."""
    near = _neighbours(n_joints, edges)
    parents, queue = {root: root}, deque([root])
    while queue:
        joint = queue.popleft()
        for other in near[joint]:
            if other not in parents:
                parents[other] = joint
                queue.append(other)
    return tuple((child, parent) for child, parent in parents.items() if child != root)


def own_name(which: Layout) -> str:
    """Give the name that a layout's content makes: the same on every machine."""
    facts = {key: value for key, value in describe_layout(which).items() if key != "name"}
    return OWN_PREFIX + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def is_own(name: str) -> bool:
    """Say whether a layout was brought along by a data set."""
    return name.startswith(OWN_PREFIX)


def register_layout(which: Layout) -> Layout:
    """Make a layout of somebody's own known under its name, for the life of this process.

    Raises:
        LayoutError: its name is not that of its content, or is taken by another.
    """
    if which.name != own_name(which):
        raise LayoutError(f"layout {which.name[:40]!r} has the content of {own_name(which)!r}: it was changed by hand.")
    if LAYOUTS.setdefault(which.name, which) != which:
        raise LayoutError(f"layout {which.name!r} is known here with other joints. Rename one joint in one of them.")
    return LAYOUTS[which.name]


def describe_layout(which: Layout) -> dict[str, Any]:
    """Give a layout as plain JSON values; `read_layout` reads it again."""
    return {
        "name": which.name,
        "joints": list(which.joints),
        "bones": [list(pair) for pair in which.bones],
        "centre": list(which.centre),
        "links": [list(pair) for pair in which.links],
        "handedness": which.handedness,
        "y_axis": which.y_axis,
    }


def read_layout(value: object) -> Layout:
    """Read a layout of somebody's own from plain JSON values, believing nothing, and register it.

    Raises:
        LayoutError: it is no layout, or its name is not that of its content.
    """
    if not isinstance(value, Mapping) or set(value) != set(_KEYS):
        raise LayoutError(f"a layout must be an object with just {', '.join(_KEYS)}.")
    joints, links = value["joints"], value["links"]
    if not isinstance(joints, list) or not all(isinstance(name, str) for name in joints):
        raise LayoutError("a layout's joints must be a list of names.")
    if tuple(joints) != plain_names(joints):
        raise LayoutError("a layout's joint names must be lower-case words parted by '_'.")
    if not isinstance(links, list) or len(links) > MAX_LINKS:
        raise LayoutError(f"a layout's links must be a list of at most {MAX_LINKS}.")
    if not isinstance(value["name"], str) or value["handedness"] not in ("anatomical", "mirrored"):
        raise LayoutError("a layout's name must be text and its handedness 'anatomical' or 'mirrored'.")
    if value["y_axis"] not in ("up", "down"):
        raise LayoutError("a layout's y_axis must be 'up' or 'down'.")
    return register_layout(
        Layout(
            name=value["name"],
            joints=tuple(joints),
            bones=_read_pairs(value["bones"], "bones"),
            centre=_read_indices(value["centre"], "centre"),
            links=_read_pairs(links, "links"),
            handedness=value["handedness"],
            y_axis=value["y_axis"],
        )
    )


def _read_pairs(value: object, what: str) -> tuple[Pair, ...]:
    pairs = [_read_indices(each, what) for each in value] if isinstance(value, list) else [()]
    if not all(len(pair) == 2 and pair[0] != pair[1] for pair in pairs):
        raise LayoutError(f"a layout's {what} must be a list of pairs of joints.")
    return tuple((pair[0], pair[1]) for pair in pairs)


def _read_indices(value: object, what: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MAX_JOINTS or not all(type(each) is int for each in value):
        raise LayoutError(f"a layout's {what} must be whole numbers of joints.")
    return tuple(value)
