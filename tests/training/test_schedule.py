from __future__ import annotations

import numpy as np
import pytest

from har.training.schedule import Schedule


def run_through(schedule: Schedule, *, limit_s: float, step_s: list[float], check_s: float = 0.0) -> float:
    """Take steps that last as told, planning anew before each; give the time it took."""
    now_s, number = 0.0, 0
    while not schedule.is_over:
        while not schedule.pass_is_over:
            times = [step_s[min(each, len(step_s) - 1)] for each in range(max(number - 16, 0), max(number, 1))]
            schedule.fit_into(limit_s - now_s, step_s=float(np.mean(times)), check_s=check_s)
            if schedule.pass_is_over:
                break
            now_s += step_s[min(number, len(step_s) - 1)]
            schedule.step_done()
            number += 1
        now_s += check_s
        schedule.pass_done()
    return now_s


def test_without_haste_every_pass_is_whole_and_the_rate_rises_and_falls_to_zero() -> None:
    schedule = Schedule.of(pass_steps=10, n_passes=5)
    rates = []

    while not schedule.is_over:
        while not schedule.pass_is_over:
            rates.append(schedule.rate(warm_up_passes=1))
            schedule.step_done()
        schedule.pass_done()

    assert len(rates) == 50
    assert schedule.phase == pytest.approx(1)
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert int(np.argmax(rates)) in (9, 10)
    assert np.diff(rates[11:]).max() < 0
    assert rates[-1] < 0.01


def test_a_state_kept_before_passes_could_be_short_is_read_as_whole_ones() -> None:
    kept = {"pass_steps": 10, "most_passes": 5, "n_passes": 5, "n_done": 1, "at": 0, "this_pass": 10, "step": 10}

    assert Schedule(**kept).steps_left == 40


def test_a_time_limit_ends_with_a_whole_pass_and_a_rate_near_zero() -> None:
    schedule = Schedule.of(pass_steps=10, n_passes=1000)

    took_s = run_through(schedule, limit_s=105.0, step_s=[0.5] * 1000, check_s=1.0)

    assert 90 <= took_s <= 105
    assert schedule.step == schedule.n_done * 10
    assert schedule.phase == pytest.approx(1)


def test_where_a_pass_takes_long_the_last_one_is_short_rather_than_the_time_left_unused() -> None:
    schedule = Schedule.of(pass_steps=100, n_passes=12)

    took_s = run_through(schedule, limit_s=180.0, step_s=[0.5] * 1000, check_s=2.0)

    assert 170 <= took_s <= 180  # three whole passes and eighty steps
    assert schedule.n_done == 4
    assert schedule.phase == pytest.approx(1)
    assert schedule.rate(warm_up_passes=1) < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_machine_of_changing_speed_ends_in_time_with_the_rate_near_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.uniform(0.5, 3.0, 40), 25) * rng.uniform(0.8, 1.2, 1000)
    schedule = Schedule.of(pass_steps=20, n_passes=1000)

    took_s = run_through(schedule, limit_s=600.0, step_s=slow.tolist(), check_s=2.0)

    assert 300 <= took_s <= 604
    assert schedule.rate(warm_up_passes=1) < 0.02


def test_a_limit_shorter_than_one_pass_still_ends_with_the_rate_near_zero() -> None:
    schedule = Schedule.of(pass_steps=1000, n_passes=10)

    took_s = run_through(schedule, limit_s=30.0, step_s=[1.0], check_s=1.0)

    assert schedule.n_done == 1
    assert took_s <= 30
    assert schedule.phase == pytest.approx(1)


def test_a_machine_that_becomes_faster_early_gets_its_passes_back_but_not_more_than_the_recipe_says() -> None:
    schedule = Schedule.of(pass_steps=10, n_passes=20)

    run_through(schedule, limit_s=100.0, step_s=[2.0] * 10 + [0.1] * 1000)

    assert schedule.n_done == 20
