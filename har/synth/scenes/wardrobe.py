"""What people look like: skin, hair, and clothes on the limbs of a body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from har.synth import postures
from har.synth.body import Array, Body, P
from har.synth.render import PAINTS, Look, make_limbs
from har.synth.scenes.patterns import HAIRS, SKINS, Colour, between, near, plain, random_cloth, random_colour, shade
from har.synth.scenes.view import Paint
from har.synth.shapes import Limb

_ARM_LIMBS, _LEG_LIMBS = 7, 6  # of each side, as `make_limbs` orders them at the end of its list
_SLEEVES = {"short": 1, "half": 2, "long": 4}
"""How many of an arm's limbs are covered, from the shoulder on."""
_TROUSERS = {"short": 1, "half": 2, "long": 3}
_UNIFORM_SHARE, _BAREFOOT_SHARE, _DRESS_SHARE, _SKIRT_SHARE = 0.25, 0.15, 0.2, 0.1
_MASK_SHARE, _BALD_SHARE, _HEADSCARF_SHARE = 0.06, 0.12, 0.04


@dataclass(frozen=True, slots=True)
class Outfit:
    """How one person looks.

    Attributes:
        look: skin, hair and shoes.
        top: cloth of the trunk and sleeves.
        trousers: cloth of the legs or the skirt.
        sleeves: "short", "half" or "long".
        legs: "short", "half" or "long".
        skirt_share: how far a skirt or dress reaches down the legs; 0 for none, 1 to the ankles.
        hair: "bald", "short", "long" or "bun".
        headwear: cloth over the hair, or None.
        mask: whether mouth and nose are covered.
    """

    look: Look
    top: Paint
    trousers: Paint
    sleeves: str
    legs: str
    skirt_share: float
    hair: str
    headwear: Paint | None
    mask: bool


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Draw how somebody looks: any skin and hair, day clothes, nightwear or a uniform."""
    skin, hair = between(rng, SKINS), shade(rng, HAIRS[rng.integers(len(HAIRS))])
    upper, lower = random_colour(rng), random_colour(rng)
    if rng.random() < _UNIFORM_SHARE:  # a uniform, a suit or pyjamas: all of one colour
        lower = upper
    barefoot = rng.random() < _BAREFOOT_SHARE
    shoes: Colour = near(rng, skin, spread=0.02) if barefoot else random_colour(rng)
    top = random_cloth(rng, upper, patterned=0.45)
    one_piece = rng.random() < _DRESS_SHARE
    trousers = top if one_piece else random_cloth(rng, lower, patterned=0.15)
    sleeves = str(rng.choice(tuple(_SLEEVES), p=(0.35, 0.15, 0.5)))
    legs = str(rng.choice(tuple(_TROUSERS), p=(0.1, 0.1, 0.8)))
    skirt_share = float(rng.uniform(0.4, 0.95)) if one_piece or rng.random() < _SKIRT_SHARE else 0.0
    style = "bald" if rng.random() < _BALD_SHARE else str(rng.choice(("short", "long", "bun"), p=(0.6, 0.28, 0.12)))
    scarf = random_cloth(rng, random_colour(rng), patterned=0.4) if rng.random() < _HEADSCARF_SHARE else None
    look = Look(skin=skin, hair=skin if style == "bald" else hair, top=upper, trousers=lower, shoes=shoes)
    return Outfit(look, top, trousers, sleeves, legs, skirt_share, style, scarf, bool(rng.random() < _MASK_SHARE))


def dress(points: Array, body: Body, outfit: Outfit) -> tuple[list[Limb], list[Paint]]:
    """Give the shapes of a clothed person and the paint of each.

    Args:
        points: (P, 3) metres in the room.
        body: whose.
        outfit: how they look.
    """
    limbs = _covered(make_limbs(points, body), outfit)
    limbs += _hair(points, body, outfit)
    if outfit.skirt_share:
        limbs += _skirt(points, body, share=outfit.skirt_share)
    if outfit.mask:
        limbs.append(_mask(points, body))
    cloth: Mapping[str, Paint] = {
        "top": outfit.top,
        "trousers": outfit.trousers,
        "mask": plain((0.72, 0.82, 0.88)),
        "scarf": outfit.headwear or outfit.top,
    }
    return limbs, [cloth.get(limb.paint) or _painter(limb, outfit.look) for limb in limbs]


def _painter(limb: Limb, look: Look) -> Paint:
    return lambda local: PAINTS[limb.paint](local.astype(np.float64), limb, look)


def _covered(limbs: list[Limb], outfit: Outfit) -> list[Limb]:
    """Pull sleeves and trouser legs over the limbs."""
    changed = list(limbs)
    first_leg = len(limbs) - 2 * _LEG_LIMBS
    first_arm = first_leg - 2 * _ARM_LIMBS
    for side in range(2):
        arm, leg = first_arm + side * _ARM_LIMBS, first_leg + side * _LEG_LIMBS
        for index in range(arm, arm + 4):
            inside = index < arm + _SLEEVES[outfit.sleeves]
            changed[index] = _loose(limbs[index], "top", by=1.07) if inside else limbs[index]
        for index in range(leg, leg + 3):
            bare = index >= leg + _TROUSERS[outfit.legs] or outfit.skirt_share > 0
            changed[index] = replace(limbs[index], paint="skin") if bare else _loose(limbs[index], "trousers", by=1.06)
    if outfit.headwear is not None:
        changed = [replace(limb, paint="scarf") if limb.paint == "hair" else limb for limb in changed]
    elif outfit.hair == "bald":
        changed = [replace(limb, paint="skin") if limb.paint == "hair" else limb for limb in changed]
    return changed


def _loose(limb: Limb, paint: str, *, by: float) -> Limb:
    return replace(limb, paint=paint, start_radius_m=limb.start_radius_m * by, end_radius_m=limb.end_radius_m * by)


def _hair(points: Array, body: Body, outfit: Outfit) -> list[Limb]:
    """Give what hair there is beyond the cap that everybody has."""
    scale = body.stature_m / 1.75
    head, top, neck = points[P["head"]], points[P["head_top"]], points[P["neck"]]
    up = (top - head) / max(float(np.linalg.norm(top - head)), 1e-6)
    left = points[P["left_ear"]] - points[P["right_ear"]]
    left /= max(float(np.linalg.norm(left)), 1e-6)
    forward = np.cross(left, up)
    axes = np.stack([forward, left, up])
    paint = "scarf" if outfit.headwear is not None else "hair"
    crown = head + 0.03 * scale * up - 0.03 * scale * forward
    if outfit.headwear is not None or outfit.hair == "long":
        end = neck + 0.01 * up - 0.055 * scale * forward
        return [Limb(crown, end, 0.088 * scale, 0.072 * scale, paint, axes, 0.8)]
    if outfit.hair == "bun":
        knot = head + 0.07 * scale * up - 0.085 * scale * forward
        return [Limb(knot, knot + 0.01 * up, 0.042 * scale, 0.042 * scale, paint, axes)]
    return []


def _skirt(points: Array, body: Body, *, share: float) -> list[Limb]:
    """Give a skirt: cloth about each leg, and what is spread between them."""
    scale = body.stature_m / 1.75
    middle = {name: 0.5 * (points[P[f"left_{name}"]] + points[P[f"right_{name}"]]) for name in ("hip", "knee", "ankle")}
    axes = np.eye(3)
    limbs = []
    wide = 0.088 * scale * (0.5 + 0.5 * body.girth)
    to_knee, below = min(1.0, share / 0.55), max(0.0, (share - 0.55) / 0.45)
    lanes = [{name: points[P[f"{side}_{name}"]] for name in middle} for side in postures.SIDES] + [middle]
    for lane in lanes:
        end = lane["hip"] + to_knee * (lane["knee"] - lane["hip"])
        limbs.append(Limb(lane["hip"], end, wide * 1.25, wide * 1.1, "trousers", axes))
        if below > 0:
            hem = lane["knee"] + below * (lane["ankle"] - lane["knee"])
            limbs.append(Limb(lane["knee"], hem, wide * 1.1, wide * 1.0, "trousers", axes))
    return limbs


def _mask(points: Array, body: Body) -> Limb:
    scale = body.stature_m / 1.75
    ears = 0.5 * (points[P["left_ear"]] + points[P["right_ear"]])
    nose = points[P["nose"]]
    mouth = nose + 0.33 * (points[P["neck"]] - points[P["head"]])
    start, end = 0.74 * nose + 0.26 * ears, 0.72 * mouth + 0.28 * ears
    return Limb(start, end, 0.046 * scale, 0.050 * scale, "mask", np.eye(3))
