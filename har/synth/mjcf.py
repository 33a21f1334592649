"""The body and the furniture as a MuJoCo model: the same proportions, joints and signs as `har.synth.body`.

Every moving part turns by hinges in the order and with the signs of `body.place_points`, so that a joint's position in
the model is the angle of the same name; `spine_*` is there twice, half of the bend in each. A site sits at each of
`body.POINTS`: what the physics does is read from them, and bones keep their length by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from har.synth.body import HEAD_OFFSETS, Array, Body, P
from har.synth.shapes import Box

STEP_S = 0.004
_MASS_SHARE = {  # Winter, table 4.1; the foot's and hand's are the table's too
    "pelvis": 0.142, "low": 0.139, "high": 0.216, "head": 0.081,
    "upper_arm": 0.028, "forearm": 0.022, "thigh": 0.100, "shin": 0.0465, "foot": 0.0145,
}  # fmt: skip

TONE: Mapping[str, tuple[float, float]] = {  # (N m / rad, N m s / rad) of somebody who holds a posture
    "spine_flex": (220, 14), "spine_side": (220, 14), "spine_twist": (160, 10),
    "head_flex": (28, 2.2), "head_side": (28, 2.2), "head_twist": (20, 1.6),
    "arm_flex": (20, 1.8), "arm_abd": (20, 1.8), "arm_rot": (9, 0.8), "elbow": (9, 0.9),
    "hip_flex": (130, 8), "hip_abd": (130, 8), "hip_rot": (50, 3), "knee": (110, 5), "ankle": (45, 3),
}  # fmt: skip
"""Stiffness and damping of the joints; the project's own, chosen so that falls look and last like real ones."""

_LIMITS_DEG: Mapping[str, tuple[float, float]] = {
    "spine_flex": (-15, 38), "spine_side": (-18, 18), "spine_twist": (-20, 20),
    "head_flex": (-50, 45), "head_side": (-35, 35), "head_twist": (-75, 75),
    "arm_flex": (-60, 175), "arm_abd": (-20, 150), "arm_rot": (-90, 100), "elbow": (0, 150),
    "hip_flex": (-25, 125), "hip_abd": (-20, 50), "hip_rot": (-40, 60), "knee": (0, 145), "ankle": (-25, 65),
}  # fmt: skip
_LOOSE_DEG = 4.0  # room beyond the limits for postures that were made without them

_Y, _X, _Z = "0 {} 0", "{} 0 0", "0 0 {}"
_BALL = ((_Y, 1), (_X, 1), (_Z, 1))


def person_and_room(body: Body, boxes: Sequence[Box] = ()) -> str:
    """Write the model of one person and some boxes on a floor as MJCF.

    Args:
        body: whose.
        boxes: furniture and walls; they do not move.
    """
    root = Element("mujoco")
    SubElement(root, "option", timestep=f"{STEP_S}", integrator="implicitfast", iterations="30")
    SubElement(root, "compiler", angle="degree")
    world = SubElement(root, "worldbody")
    contact = {"contype": "1", "conaffinity": "0", "friction": "0.8 0.005 0.001", "solref": "0.02 1"}
    SubElement(world, "geom", {"type": "plane", "size": "20 20 1"} | contact)
    for box in boxes:
        turn = f"0 0 {np.rad2deg(box.yaw_rad):.4f}"
        place = {"pos": _text(box.centre_m), "size": _text(box.half_m), "euler": turn}
        SubElement(world, "geom", {"type": "box"} | place | contact)
    _add_person(world, body)
    return tostring(root, encoding="unicode")


def _text(values: Sequence[float] | Array) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def _add_person(world: Element, body: Body) -> None:
    length = body.lengths_m
    mass_kg = 72.0 * (body.stature_m / 1.70) ** 2 * (0.55 + 0.45 * body.girth)
    pelvis = _part(world, "pelvis", (0, 0, 0), mass_kg=mass_kg * _MASS_SHARE["pelvis"])
    pelvis.insert(0, Element("freejoint", name="root"))
    hips = [(0.0, sign * length["hip_half"], 0.0) for sign in (1, -1)]
    _flesh(pelvis, body, pelvis=(0, 0, 0), left_hip=hips[0], right_hip=hips[1])
    low = _part(pelvis, "low", (0, 0, length["low_back"]), mass_kg=mass_kg * _MASS_SHARE["low"])
    _hinges(low, "spine", ("flex", "side", "twist"), _BALL, copy="low_")
    _flesh(low, body, belly=(0, 0, 0))
    high = _part(low, "high", (0, 0, length["mid_back"]), mass_kg=mass_kg * _MASS_SHARE["high"])
    _hinges(high, "spine", ("flex", "side", "twist"), _BALL, copy="high_")
    shoulders = [(0.0, sign * length["shoulder_half"], length["high_back"] - 0.01 * body.stature_m) for sign in (1, -1)]
    neck = (0.0, 0.0, length["high_back"])
    _flesh(high, body, chest=(0, 0, 0), neck=neck, left_shoulder=shoulders[0], right_shoulder=shoulders[1])
    _add_head(high, body, neck, mass_kg=mass_kg)
    for index, (side, sign) in enumerate((("left", 1), ("right", -1))):
        _add_arm(high, body, side, sign, shoulders[index], mass_kg=mass_kg)
        _add_leg(pelvis, body, side, sign, hips[index], mass_kg=mass_kg)


def _part(parent: Element, name: str, at: Sequence[float], *, mass_kg: float) -> Element:
    part = SubElement(parent, "body", name=name, pos=_text(at))
    part.set("mass", f"{mass_kg:.4f}")  # shared among the part's geoms by `_flesh`, which takes it away
    return part


def _hinges(
    part: Element,
    of: str,
    names: Sequence[str],
    axes: Sequence[tuple[str, int]],
    *,
    copy: str = "",
    side: str = "",
) -> None:
    """Add hinges; the joint `left_hip_flex` of the model is the angle of that name, `low_spine_flex` half of one."""
    for name, (axis, sign) in zip(names, axes, strict=True):
        angle = f"{of}_{name}" if of else name
        stiffness, damping = TONE[angle]
        low, high = _LIMITS_DEG[angle]
        SubElement(
            part, "joint", name=f"{copy}{side}{angle}", type="hinge", axis=axis.format(sign), limited="true",
            range=f"{low - _LOOSE_DEG} {high + _LOOSE_DEG}", stiffness=f"{stiffness}", damping=f"{damping}",
            armature="0.02", solreflimit="0.03 1",
        )  # fmt: skip


def _flesh(part: Element, body: Body, **points: Sequence[float] | Array) -> None:
    """Add a site and a ball of flesh at each point, and share out the part's mass."""
    mass_kg = float(part.attrib.pop("mass"))
    for name, at in points.items():
        SubElement(part, "site", name=name, pos=_text(at))
        ball = {"name": f"{name}_ball", "type": "sphere", "pos": _text(at), "size": f"{body.radius_m[P[name]]:.5f}"}
        SubElement(part, "geom", ball | {"mass": f"{mass_kg / len(points):.5f}"} | _touch(name))


# Bits of what touches what: 1 the room, 2 the upper trunk and head against the legs, 4 one leg against the other.
# Arms go through the trunk: they start out beside it, where their flesh may overlap.
_TOUCH = {"contype": "0", "conaffinity": "1", "friction": "0.8 0.005 0.001", "solref": "0.02 1"}
_UPPER = ("chest", "neck", "left_shoulder", "right_shoulder", "head")


def _touch(name: str) -> dict[str, str]:
    """Give how a ball of flesh, or a bone named "left_leg" or "right_leg", meets other things."""
    if name in _UPPER:
        return _TOUCH | {"contype": "2"}
    if name.endswith(("_leg", "_knee")):
        return _TOUCH | ({"conaffinity": "3", "contype": "4"} if name.startswith("left") else {"conaffinity": "7"})
    return _TOUCH


def _bone(part: Element, end: Sequence[float], *, radius_m: float, mass_kg: float, name: str = "") -> None:
    bone = {"type": "capsule", "fromto": _text([0.0, 0.0, 0.0, *end])}
    bone |= {"size": f"{radius_m:.5f}", "mass": f"{mass_kg:.5f}"} | _touch(name)
    SubElement(part, "geom", bone)


def _add_head(high: Element, body: Body, neck: Sequence[float], *, mass_kg: float) -> None:
    head = _part(high, "head", neck, mass_kg=mass_kg * _MASS_SHARE["head"])
    _hinges(head, "head", ("flex", "side", "twist"), _BALL)
    size = body.lengths_m["head"] / 0.115
    offsets = {name: np.array(offset) * size for name, offset in HEAD_OFFSETS.items()}
    _flesh(head, body, head=offsets.pop("head"), nose=offsets.pop("nose"))
    for name, offset in offsets.items():
        SubElement(head, "site", name=name, pos=_text(offset))


def _add_arm(high: Element, body: Body, side: str, sign: int, at: Sequence[float], *, mass_kg: float) -> None:
    length, radius_m = body.lengths_m, body.radius_m
    upper = _part(high, f"{side}_upper_arm", at, mass_kg=0.0)
    upper.attrib.pop("mass")
    axes = ((_Y, -1), (_X, sign), (_Z, -sign))
    _hinges(upper, "arm", ("flex", "abd", "rot"), axes, side=f"{side}_")
    elbow = (0.0, 0.0, -length["upper_arm"])
    _bone(upper, elbow, radius_m=radius_m[P["left_elbow"]], mass_kg=mass_kg * _MASS_SHARE["upper_arm"])
    fore = _part(upper, f"{side}_forearm", elbow, mass_kg=mass_kg * _MASS_SHARE["forearm"])
    _hinges(fore, "", ("elbow",), ((_Y, -1),), side=f"{side}_")
    along_m = {"elbow": 0.0, "wrist": length["forearm"], "hand": length["forearm"] + length["hand"]}
    _flesh(fore, body, **{f"{side}_{name}": (0.0, 0.0, -along) for name, along in along_m.items()})


def _add_leg(pelvis: Element, body: Body, side: str, sign: int, at: Sequence[float], *, mass_kg: float) -> None:
    length, radius_m = body.lengths_m, body.radius_m
    thigh = _part(pelvis, f"{side}_thigh", at, mass_kg=0.0)
    thigh.attrib.pop("mass")
    _hinges(thigh, "hip", ("flex", "abd", "rot"), ((_Y, -1), (_X, sign), (_Z, sign)), side=f"{side}_")
    knee, ankle = (0.0, 0.0, -length["thigh"]), (0.0, 0.0, -length["shin"])
    _bone(thigh, knee, radius_m=radius_m[P["left_knee"]], mass_kg=mass_kg * _MASS_SHARE["thigh"], name=f"{side}_leg")
    shin = _part(thigh, f"{side}_shin", knee, mass_kg=0.3 * mass_kg * _MASS_SHARE["shin"])
    _hinges(shin, "", ("knee",), ((_Y, 1),), side=f"{side}_")
    _flesh(shin, body, **{f"{side}_knee": (0.0, 0.0, 0.0)})
    shin_kg = mass_kg * _MASS_SHARE["shin"]
    _bone(shin, ankle, radius_m=radius_m[P["left_ankle"]], mass_kg=0.7 * shin_kg, name=f"{side}_leg")
    foot = _part(shin, f"{side}_foot", ankle, mass_kg=mass_kg * _MASS_SHARE["foot"])
    _hinges(foot, "", ("ankle",), ((_Y, 1),), side=f"{side}_")
    heel = (-0.20 * length["foot"], 0.0, radius_m[P["left_heel"]] - length["ankle"])
    toe = (0.66 * length["foot"], 0.0, radius_m[P["left_toe"]] - length["ankle"])
    _flesh(foot, body, **{f"{side}_heel": heel, f"{side}_toe": toe})
    SubElement(foot, "site", name=f"{side}_ankle", pos="0 0 0")
