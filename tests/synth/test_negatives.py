from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from har.synth.actor import Actor
from har.synth.body import P, random_body
from har.synth.clips import simulate_clips
from har.synth.kinds import FALLS, KINDS, NEGATIVES, kind_of
from har.synth.motion import LABELS, RATE_HZ, Motion, random_style
from har.synth.negatives import ACTS, act_negative


@cache
def acted(kind: str, seed: int = 0) -> Motion:
    rng = np.random.default_rng([seed, 41])
    actor = Actor(random_body(rng), random_style(rng), rng)
    act_negative(actor, kind, duration_s=6.0)
    return actor.motion()


@pytest.mark.parametrize("kind", NEGATIVES)
def test_a_hard_negative_holds_no_fall_no_jump_and_nothing_under_the_floor(kind: str) -> None:
    motion = acted(kind)

    assert set(motion.labels) <= set(LABELS) - {"fall"}
    assert motion.points[..., 2].min() > -0.05
    speed = np.linalg.norm(np.diff(motion.points, axis=0), axis=-1) * RATE_HZ
    assert speed.max() < 15.0


def test_every_named_negative_can_be_acted() -> None:
    assert set(ACTS) == set(NEGATIVES)


@pytest.mark.parametrize("kind", ["kneel", "floor-sit", "lie-down", "floor-play", "reach-under", "tie-shoes"])
def test_these_negatives_go_down_far_enough_to_be_hard(kind: str) -> None:
    heads_m = acted(kind).points[:, P["head"], 2]

    assert heads_m.min() < 0.72 * heads_m.max()


def test_the_head_sinks_in_a_doze_while_the_pelvis_stays_on_the_seat() -> None:
    motion = acted("doze")

    sitting = np.array(motion.labels) == "sit"
    assert np.ptp(motion.points[sitting, P["head"], 2]) > 0.1
    assert np.ptp(motion.points[sitting, P["pelvis"], 2]) < 0.06


def test_clips_of_given_kinds_take_turns_say_so_in_their_ids_and_only_falls_are_dangerous() -> None:
    clips = list(simulate_clips(4, seed=2, kinds=("fall-collapse", "kneel")))

    assert [kind_of(clip.id) for clip in clips] == ["fall-collapse", "kneel"] * 2
    assert [clip.danger for clip in clips] == [True, False] * 2
    for clip in clips:
        assert clip.danger == any(label == "fall" for *_, label in clip.spans)


def test_a_clip_of_a_fall_shows_what_came_before_it() -> None:
    for clip in simulate_clips(8, seed=3, kinds=FALLS):
        start_s = next(start_s for start_s, _, label in clip.spans if label == "fall")

        assert start_s > 0.5


def test_an_id_tells_its_kind_or_nothing() -> None:
    assert {kind_of(f"sim-0-00012-{kind}") for kind in KINDS} == set(KINDS)
    assert kind_of("life-3-0001") == ""
    assert kind_of("sim-0-00012-somersault") == ""
