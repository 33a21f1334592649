"""The action model among people who come and go, on cameras of any rate."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import pytest
import torch

from har.models.actions import ANSWER_AFTER_S, ActionStream
from har.models.bundle import Bundle, load_bundle
from har.models.folded import FoldedModel
from har.models.online import OnlineModel
from har.models.running import ORIGIN_S, RunningBody
from har.models.shipped import find_bundle
from har.records import ActionScores, FloatArray
from har.windows import MAX_GAP_S, normalise
from tests.builders import falling_body, lying_body, standing_body, walking_body

START_S = 1_767_225_600.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(find_bundle())


def seen(xy: FloatArray, *, score: float = 0.9) -> FloatArray:
    return np.concatenate([xy, np.full((len(xy), 1), score)], axis=1).astype(np.float32)


def frames_of_body(
    body: Callable[[float], FloatArray], *, seconds: float, rate_hz: float = 15.0, scale: float = 1.0
) -> list[FloatArray]:
    """What a `RunningBody` makes of a moving body."""
    running = RunningBody(rate_hz=15.0, layout="coco17")
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return [frame for t in times for frame in running.take(START_S + float(t), seen(body(float(t)) * scale))]


def play(
    stream: ActionStream, body: Callable[[float], FloatArray], *, seconds: float, rate_hz: float = 15.0
) -> list[ActionScores]:
    answers = []
    for t in np.arange(round(seconds * rate_hz)) / rate_hz:
        stream.see("a", seen(body(float(t))), time_s=START_S + float(t), width_px=640, height_px=480)
        answers += [scores for _, _, scores in stream.answers()]
    return answers


def delays_and_steps(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, *, wait: bool, n_people: int = 16, hidden: float = 0.0
) -> tuple[list[float], list[int], int]:
    """Give how late answers were, how many people shared each step, and frames that were shown.

    Everybody has a camera of their own at 15 Hz, whose frames come up to 30 ms late; now and then somebody is hidden.
    """
    stream, sizes, delays_s = ActionStream(bundle), list[int](), list[float]()
    step = OnlineModel.step

    def counted(model: OnlineModel, who: list[Hashable], joints: torch.Tensor) -> object:
        sizes.append(len(who))
        return step(model, who, joints)

    rng, body = np.random.default_rng(0), walking_body(from_x_px=100, to_x_px=500, duration_s=6.0)
    shown: list[tuple[float, float, int]] = []
    for person in range(n_people):
        offset_s, hidden_until = float(rng.uniform(0, 1 / 15)), 0
        for number in range(180):
            if number >= 30 and rng.random() < hidden:
                hidden_until = number + int(rng.integers(1, 6))
            if number >= hidden_until:
                at_s = number / 15 + offset_s
                shown.append((at_s + float(rng.uniform(0, 0.03)), at_s, person))
    shown.sort()
    n_shown = len(shown)
    with monkeypatch.context() as patch:
        patch.setattr(OnlineModel, "step", counted)
        for tick_s in np.arange(0.0, 12.5, 1 / 15).tolist():
            while shown and shown[0][0] <= tick_s:
                _, at_s, person = shown.pop(0)
                stream.see(person, seen(body(at_s % 6)), time_s=START_S + at_s, width_px=640, height_px=480)
            delays_s += [tick_s - (at_s - START_S) for _, at_s, _ in stream.answers(wait=wait)]
    assert not shown
    assert not stream.keeps_back
    return delays_s, sizes, n_shown


def test_people_whose_cameras_jitter_share_their_steps(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    apart_s, small, n_shown = delays_and_steps(bundle, monkeypatch, wait=False)
    together_s, large, _ = delays_and_steps(bundle, monkeypatch, wait=True)

    assert n_shown == 16 * 180
    assert np.mean(large) > 1.4 * np.mean(small)
    assert len(together_s) == len(apart_s) >= 16 * 40
    assert max(apart_s) <= 2 / 15 + 0.01
    assert max(together_s) <= 3 / 15 + 0.01


def test_people_who_are_hidden_at_times_keep_nobody_back_for_longer(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart_s, _, _ = delays_and_steps(bundle, monkeypatch, wait=False, hidden=0.03)
    together_s, _, _ = delays_and_steps(bundle, monkeypatch, wait=True, hidden=0.03)

    assert abs(len(together_s) - len(apart_s)) <= 16
    assert max(together_s) <= max(apart_s) + 1 / 15 + 0.001


def test_who_shows_nothing_any_more_keeps_the_others_back_for_one_call_only(bundle: Bundle) -> None:
    stream, body = ActionStream(bundle), walking_body(from_x_px=100, to_x_px=500, duration_s=6.0)
    named: list[tuple[int, object]] = []

    for number in range(60):
        for person in ("a", "b") if number < 30 else ("a",):
            time_s = START_S + number / 15
            stream.see(person, seen(body(number / 15)), time_s=time_s, width_px=640, height_px=480)
        named += [(number, who) for who, _, _ in stream.answers(wait=True)]
        assert stream.keeps_back == (number == 30)

    assert [who for number, who in named if number > 40] == ["a"] * 5


# -- the running frame of reference ----------------------------------------------------------------------------------


def test_the_first_frames_are_those_of_a_window() -> None:
    body = seen(standing_body())

    (frame,) = RunningBody(rate_hz=15.0, layout="coco17").take(START_S, body)

    np.testing.assert_allclose(frame, normalise(body[None])[0], atol=1e-5)


def test_neither_the_size_of_the_picture_nor_the_place_in_it_changes_anything() -> None:
    body = falling_body()

    plain = frames_of_body(body, seconds=6.0)

    np.testing.assert_allclose(plain, frames_of_body(body, seconds=6.0, scale=3.0), atol=1e-3)
    np.testing.assert_allclose(plain, frames_of_body(lambda t: body(t) + 100, seconds=6.0), atol=1e-3)


def test_a_fall_is_a_drop_that_is_forgotten_after_some_seconds() -> None:
    frames = np.stack(frames_of_body(falling_body(fall_s=3.0), seconds=9.0))
    hips_y = frames[:, [11, 12], 1].mean(axis=1)

    assert np.abs(hips_y[:40]).max() < 0.1
    assert hips_y[45:65].max() > 0.5
    assert np.abs(hips_y[-1]) < hips_y[45:65].max() * np.exp(-3 / ORIGIN_S)


def test_somebody_who_walks_stays_near_the_origin_and_leans_the_way_they_go() -> None:
    walk = walking_body(from_x_px=50, to_x_px=600, duration_s=10.0)

    frames = np.stack(frames_of_body(walk, seconds=10.0))
    hips_x = frames[30:, [11, 12], 0].mean(axis=1)

    assert (hips_x > 0).all()
    assert hips_x.max() < 2.0


def test_the_length_follows_somebody_who_comes_nearer() -> None:
    body = standing_body()

    frames = frames_of_body(lambda t: body * (1 + t / 5), seconds=10.0)

    height = np.ptp(frames[-1][:, 1]) / np.ptp(frames[0][:, 1])
    assert 0.7 < height < 1.5


@pytest.mark.parametrize("rate_hz", [5.0, 7.3, 15.0, 30.0, 60.0])
def test_a_camera_of_any_rate_gives_the_frames_of_the_grid(rate_hz: float) -> None:
    body = walking_body(from_x_px=100, to_x_px=500, duration_s=6.0)
    wanted = frames_of_body(body, seconds=6.0)

    frames = frames_of_body(body, seconds=6.0, rate_hz=rate_hz)

    assert abs(len(frames) - len(wanted)) <= 15 / rate_hz + 1
    both = min(len(frames), len(wanted))
    assert np.abs(np.stack(frames[:both])[..., :2] - np.stack(wanted[:both])[..., :2]).mean() < 0.05


def test_a_joint_that_is_hidden_stays_where_it_was_with_a_score_of_zero() -> None:
    running, body = RunningBody(rate_hz=15.0, layout="coco17"), seen(standing_body())
    (first,) = running.take(START_S, body)
    hidden = body.copy()
    hidden[15] = (np.nan, np.nan, 0.0)

    later = [frame for n in range(1, 6) for frame in running.take(START_S + n / 15, hidden)]

    np.testing.assert_allclose(later[-1][15, :2], first[15, :2], atol=0.05)
    assert later[-1][15, 2] == 0
    assert np.isfinite(later).all()


def test_a_joint_never_seen_goes_with_the_nearest_that_was() -> None:
    body = seen(standing_body())
    body[15] = (np.nan, np.nan, 0.0)  # left ankle: the knee is next to it

    (frame,) = RunningBody(rate_hz=15.0, layout="coco17").take(START_S, body)

    np.testing.assert_array_equal(frame[15, :2], frame[13, :2])


def test_a_second_pose_of_the_same_time_is_left_out() -> None:
    running = RunningBody(rate_hz=15.0, layout="coco17")
    running.take(START_S, seen(standing_body()))

    assert running.take(START_S, seen(lying_body())) == []


def test_nobody_seen_gives_zeros() -> None:
    running = RunningBody(rate_hz=15.0, layout="coco17")

    (frame,) = running.take(START_S, np.full((17, 3), np.nan, np.float32))

    assert not frame.any()


# -- the stream ------------------------------------------------------------------------------------------------------


def test_the_first_answer_comes_within_a_second_and_then_one_every_beat(bundle: Bundle) -> None:
    stream = ActionStream(bundle)
    at = []
    for number in range(45):
        stream.see("a", seen(standing_body()), time_s=START_S + number / 15, width_px=640, height_px=480)
        at += [number / 15] * len(stream.answers())

    assert ANSWER_AFTER_S <= at[0] <= 1.0
    assert np.allclose(np.diff(at), 4 / 15)


def test_answers_are_those_of_the_clip_network_on_the_same_frames(bundle: Bundle) -> None:
    body = falling_body()
    answers = play(ActionStream(bundle), body, seconds=6.0)
    frames = torch.from_numpy(np.stack(frames_of_body(body, seconds=6.0)))
    model = FoldedModel(bundle.model)

    for number, given in enumerate(answers):
        with torch.inference_mode():
            scores = torch.softmax(model(frames[None, : 12 + 4 * number]), dim=-1)[0]
        wanted = dict(zip(bundle.labels, scores.tolist(), strict=True))
        assert dict(given.top) == pytest.approx(wanted, abs=1e-4)


def test_standing_and_lying_are_named(bundle: Bundle) -> None:
    assert play(ActionStream(bundle), lambda t: standing_body(), seconds=4.0)[-1].top[0][0] == "stand"
    assert play(ActionStream(bundle), lambda t: lying_body(), seconds=4.0)[-1].top[0][0] == "lie"


def test_whoever_comes_in_between_is_soon_in_step(bundle: Bundle) -> None:
    stream = ActionStream(bundle)
    batches = []
    for number in range(60):
        for person, since in (("a", 0), ("b", 7), ("c", 22)):
            if number >= since:
                stream.see(person, seen(standing_body()), time_s=START_S + number / 15, width_px=640, height_px=480)
        batches.append([person for person, _, _ in stream.answers()])

    assert all(batch in ([], ["a"], ["a", "b"], ["a", "b", "c"]) for batch in batches)
    assert batches.count(["a", "b", "c"]) >= 6


@pytest.mark.parametrize("gap_s", [MAX_GAP_S - 0.05, MAX_GAP_S + 0.1])
def test_a_short_gap_is_bridged_and_after_a_long_one_the_person_begins_anew(bundle: Bundle, gap_s: float) -> None:
    stream = ActionStream(bundle)
    play(stream, lambda t: standing_body(), seconds=3.0)
    back_s = START_S + 2.9334 + gap_s
    stream.see("a", seen(standing_body()), time_s=back_s, width_px=640, height_px=480)

    assert bool(stream.answers()) == (gap_s < MAX_GAP_S)


@pytest.mark.parametrize("wrong", ["back", "same", "nan", "rate"])
def test_what_goes_wrong_with_one_person_changes_nothing_for_another(bundle: Bundle, wrong: str) -> None:
    alone, beside = ActionStream(bundle), ActionStream(bundle)
    rng = np.random.default_rng(0)
    wanted, given = list[ActionScores](), list[ActionScores]()
    for number in range(60):
        time_s = START_S + number / 15
        pose = seen(standing_body() + rng.normal(0, 2, (17, 2)))
        for stream in (alone, beside):
            stream.see("a", pose, time_s=time_s, width_px=640, height_px=480)
        other, other_s = pose.copy(), time_s
        if wrong == "nan":
            other[:] = np.nan
        elif wrong == "back" and number % 20 > 15:
            other_s -= 60.0
        elif wrong == "same":
            other_s = START_S + (number // 10) / 15
        if wrong != "rate" or number < 30 or number % 6 == 0:
            beside.see("b", other, time_s=other_s, width_px=640, height_px=480)
        wanted += [scores for person, _, scores in alone.answers() if person == "a"]
        given += [scores for person, _, scores in beside.answers() if person == "a"]

    assert len(wanted) == len(given) > 5
    for one, two in zip(wanted, given, strict=True):
        assert dict(one.top) == pytest.approx(dict(two.top), abs=1e-5)


def test_an_answer_tells_when_its_newest_frame_was_captured(bundle: Bundle) -> None:
    stream = ActionStream(bundle)
    for number in range(40):  # nobody asks meanwhile
        stream.see("a", seen(standing_body()), time_s=START_S + number / 15, width_px=640, height_px=480)

    times = [time_s - START_S for _, time_s, _ in stream.answers()]

    np.testing.assert_allclose(times, np.arange(11, 40, 4) / 15, atol=1e-6)


def test_a_pose_that_cannot_be_taken_in_leaves_the_others_alone(bundle: Bundle) -> None:
    stream = ActionStream(bundle)
    stream.see("a", seen(standing_body()), time_s=START_S, width_px=640, height_px=480)

    with pytest.raises(IndexError):
        stream.see("b", seen(standing_body()[:2]), time_s=START_S, width_px=640, height_px=480)

    assert stream.answers() == []
    stream.forget("b")
    stream.forget("a")
    assert len(stream) == 0


def test_whoever_is_forgotten_leaves_nothing_behind(bundle: Bundle) -> None:
    stream = ActionStream(bundle)
    play(stream, lambda t: standing_body(), seconds=1.0)

    stream.forget("a")
    stream.forget("a")

    assert len(stream) == 0
    assert stream.answers() == []


def test_after_a_reset_everybody_begins_anew(bundle: Bundle) -> None:
    stream = ActionStream(bundle)
    play(stream, lambda t: standing_body(), seconds=3.0)

    stream.reset()

    assert len(stream) == 0
    assert len(play(stream, lambda t: standing_body(), seconds=1.0)) == 1
