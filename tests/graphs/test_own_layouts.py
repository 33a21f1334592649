"""Layouts that a data set brings along: found in any order and spelling, built of bones, believed in nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs import (
    LAYOUTS,
    LayoutError,
    adjacency,
    describe_layout,
    find_layout,
    is_own,
    layout,
    mirror_joints,
    read_layout,
    register_layout,
)
from graphs.own_layouts import MAX_JOINTS, own_name, plain_names

DOG = ("nose", "withers", "tail_base", "LFrontPaw", "RFrontPaw", "LHindPaw", "RHindPaw", "L_Ear", "R_Ear")
DOG_EDGES = ((0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6), (0, 7), (0, 8))


@pytest.mark.parametrize("name", sorted(name for name in LAYOUTS if not is_own(name)))
def test_a_known_layout_is_found_in_any_order(name: str) -> None:
    which = layout(name)
    order = np.random.default_rng(0).permutation(which.n_joints)
    names = [which.joints[i] for i in order]
    place = {int(old): new for new, old in enumerate(order)}

    found = find_layout(names, [(place[a], place[b]) for a, b in which.edges])

    assert found.layout is which
    assert [names[i] for i in found.order] == list(which.joints)
    assert found.notes == (f"joints were put into the order of {name}",)


def test_sides_are_understood_in_many_spellings() -> None:
    coco = layout("coco17").joints
    spellings = [
        ["Nose", *(f"{joint.split('_')[0][0].upper()}{joint.split('_')[1].title()}" for joint in coco[1:])],
        ["nose", *(f"{joint.split('_')[1]}.{joint.split('_')[0][0]}" for joint in coco[1:])],
        ["NOSE", *(joint.replace("_", " ").title() for joint in coco[1:])],
        ["nose", *(f"{joint[0]}{joint.split('_')[1]}" for joint in coco[1:])],
    ]

    found = [find_layout(names, ()).layout.name for names in spellings]

    assert found == ["coco17"] * 4


def test_an_animal_gets_a_layout_of_its_own_with_pairs_and_centre() -> None:
    found = find_layout(DOG, DOG_EDGES)

    which = found.layout
    assert which.joints[3:5] == ("left_front_paw", "right_front_paw")
    assert [which.joints[i] for i in which.centre] == ["tail_base"]
    assert which.pairs == ((3, 4), (5, 6), (7, 8))
    assert {frozenset(edge) for edge in which.edges} == {frozenset(edge) for edge in DOG_EDGES}
    assert LAYOUTS[which.name] is which
    assert which.name == own_name(which)
    assert any("tail_base" in note for note in found.notes)
    assert adjacency(which.name, "spatial").shape == (3, 9, 9)


def test_a_ring_of_bones_keeps_its_edges_as_links() -> None:
    edges = ((0, 1), (1, 2), (2, 3), (3, 0), (3, 4))

    which = find_layout(("a", "b", "c", "d", "hip"), edges).layout

    assert len(which.bones) == 4
    assert len(which.links) == 1
    assert {frozenset(edge) for edge in which.edges} == {frozenset(edge) for edge in edges}


def test_edges_counted_from_one_given_twice_or_to_themselves_are_understood() -> None:
    plain = find_layout(DOG, DOG_EDGES)
    from_one = [(a + 1, b + 1) for a, b in DOG_EDGES]

    other = find_layout(DOG, [*from_one, *((b, a) for a, b in from_one), (1, 1)])

    assert other.layout == plain.layout
    assert "count joints from one" in other.notes[0]


def test_the_same_skeleton_has_one_name_and_another_has_another() -> None:
    one = find_layout(DOG, DOG_EDGES).layout.name
    mirrored = find_layout(DOG, DOG_EDGES, handedness="mirrored").layout.name
    renamed = find_layout((*DOG[:-1], "R_Eye"), DOG_EDGES).layout.name

    assert len({one, mirrored, renamed}) == 3
    assert find_layout(DOG, DOG_EDGES).layout.name == one


def test_a_side_without_its_other_side_stays_in_its_place() -> None:
    which = find_layout(("hip", "left_fin", "head"), ((0, 1), (0, 2))).layout

    assert which.pairs == ()
    np.testing.assert_array_equal(mirror_joints(np.eye(3), which.name)[:, 1:], np.eye(3)[:, 1:])


@pytest.mark.parametrize(
    ("names", "edges", "text"),
    [
        (("a", "b"), ((0, 1),), "3 to 256"),
        (tuple(f"j{i}" for i in range(MAX_JOINTS + 1)), (), "3 to 256"),
        (("a", "b", "A"), ((0, 1),), "'a' comes twice"),
        (("a", "b", "  "), ((0, 1),), "is not 1 to 60"),
        (("a", "b", "c" * 61), ((0, 1),), "is not 1 to 60"),
        (("a", "b", "c"), ((0, 1),), "no bone leads to c"),
        (("a", "b", "c"), ((0, 1), (1, 3)), "edges name joints 0 to 3"),
        (("a", "b", "c"), ((0, 1), (1, -2)), "edges name joints -2"),
        (("a", "b", "c"), (), "no bones are named"),
    ],
)
def test_joints_that_make_no_skeleton_are_refused(names: tuple[str, ...], edges: Any, text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        find_layout(names, edges)


def test_a_layout_comes_back_from_json_and_is_known_again() -> None:
    which = find_layout(DOG, DOG_EDGES).layout
    text = json.dumps(describe_layout(which))
    del LAYOUTS[which.name]

    assert read_layout(json.loads(text)) == which
    assert LAYOUTS[which.name] == which


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"joints": [*"abcdefgh"]}, "must lie in 0..7"),
        ({"joints": [*"abcdefghi"]}, "changed by hand"),
        ({"joints": ["a"] * 9}, "comes twice"),
        ({"joints": [*"ABCDEFGHI"]}, "lower-case"),
        ({"joints": [1] * 9}, "list of names"),
        ({"joints": ["a" * 10_000, *"bcdefghi"]}, "is not 1 to 60"),
        ({"bones": [[0, 1]]}, "exactly one bone"),
        ({"bones": [[0, 1, 2]]}, "pairs of joints"),
        ({"bones": [[True, 1]]}, "whole numbers"),
        ({"bones": "ab"}, "pairs of joints"),
        ({"centre": []}, "must lie in"),
        ({"centre": [99]}, "must lie in"),
        ({"centre": [0.5]}, "whole numbers"),
        ({"links": [[0, 1]] * 2000}, "at most 1024"),
        ({"links": [[-1, 1]]}, "must lie in"),
        ({"handedness": "both"}, "handedness"),
        ({"handedness": []}, "handedness"),
        ({"y_axis": None}, "y_axis"),
        ({"name": "coco17"}, "changed by hand"),
        ({"name": 7}, "name must be text"),
        ({"more": 1}, "object with just"),
    ],
)
def test_a_layout_that_lies_is_refused_and_not_registered(change: dict[str, Any], text: str) -> None:
    which = find_layout(DOG, DOG_EDGES).layout
    del LAYOUTS[which.name]
    before = dict(LAYOUTS)

    with pytest.raises(LayoutError, match=text):
        read_layout(describe_layout(which) | change)

    assert before == LAYOUTS


@pytest.mark.parametrize("value", [None, [], "own-12345678", 3, {}])
def test_what_is_no_object_is_no_layout(value: Any) -> None:
    with pytest.raises(LayoutError, match="object with just"):
        read_layout(value)


def test_a_name_that_is_taken_by_other_content_is_refused() -> None:
    which = find_layout(DOG, DOG_EDGES).layout
    LAYOUTS[which.name] = layout("coco17")

    with pytest.raises(LayoutError, match="known here with other joints"):
        register_layout(which)


@given(st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=6, unique=True))
def test_plain_names_stay_as_they_are(names: list[str]) -> None:
    try:
        plain = plain_names(names)
    except LayoutError:
        return

    assert plain_names(plain) == plain
