"""The benchmark of simulated life: nothing is done twice, nothing is lost, and the tables add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from har.bench.life import Chunk, LifePlan, _under_way, judge_chunk, open_judge, run_life
from har.bench.life_tables import add_up, as_text
from har.errors import ConfigError
from har.synth.recording import Episode
from har.training.replay import Raised


def plan_of(bundle: Path, *, hours: float = 0.02, falls: int = 2, seed: int = 0) -> LifePlan:
    return LifePlan(bundle, hours, falls, seed, rest_zones=False)


def test_more_hours_and_falls_leave_the_first_pieces_as_they_are(bundle: Path) -> None:
    short, long = (plan_of(bundle, hours=h, falls=n).chunks() for h, n in ((2.0, 32), (3.5, 40)))

    assert [c.name for c in short if c.hours] == [c.name for c in long if c.hours][:2]
    assert [c for c in short if c.falls] == [c for c in long if c.falls][:2]
    assert sum(chunk.hours for chunk in long) == pytest.approx(3.5)
    assert sum(chunk.falls for chunk in long) == 40
    assert len({chunk.name for chunk in long}) == len(long)
    assert not {chunk.seed for chunk in long} & {chunk.seed for chunk in plan_of(bundle, hours=3.5, seed=1).chunks()}


def test_a_run_broken_off_goes_on_and_gives_the_same_rows(bundle: Path, tmp_path: Path) -> None:
    plan, told = plan_of(bundle), []
    whole = run_life(plan, table=tmp_path / "whole.jsonl", jobs=1)
    lines = (tmp_path / "whole.jsonl").read_text().splitlines()
    (tmp_path / "half.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:40])

    rest = run_life(plan, table=tmp_path / "half.jsonl", jobs=1, tell=lambda done_s, all_s: told.append(done_s / all_s))
    again = run_life(plan, table=tmp_path / "half.jsonl", jobs=1)

    assert [timeless(row) for row in rest] == [timeless(row) for row in whole]
    assert again == rest
    assert 0.0 < told[0] < 1.0 == told[-1]
    assert sum(len(row["falls"]) for row in whole) == 2
    assert [json.loads(line) for line in lines[1:]] == whole


def timeless(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != "cpu_s"}


def test_a_table_of_another_run_is_refused_with_what_differs(bundle: Path, tmp_path: Path) -> None:
    run_life(plan_of(bundle, hours=0.0, falls=1), table=tmp_path / "t.jsonl", jobs=1)

    with pytest.raises(ConfigError, match=r"t\.jsonl: holds another run \(seed differs\)"):
        run_life(plan_of(bundle, hours=0.0, falls=1, seed=1), table=tmp_path / "t.jsonl", jobs=1)


@pytest.mark.slow
def test_processes_give_the_rows_that_one_gives(bundle: Path, tmp_path: Path) -> None:
    plan = plan_of(bundle)

    one = run_life(plan, table=tmp_path / "one.jsonl", jobs=1)
    two = run_life(plan, table=tmp_path / "two.jsonl", jobs=2)

    assert [timeless(row) for row in two] == [timeless(row) for row in one]


@pytest.mark.slow
def test_the_shipped_bundle_finds_most_simulated_falls(bundle: Path) -> None:
    rows = judge_chunk(Chunk("falls", seed=9_000_001, falls=16), open_judge(bundle), rest_zones=False)

    figures = add_up(rows)

    assert figures["falls"] == 16
    assert figures["found"] >= 10


def row_of(*, falls: int = 0, found: int = 0, false: int = 0, kind: str = "life", height_m: float = 2.4,
           floor: int = 0, doing: str = "daily") -> dict[str, object]:  # fmt: skip
    alert = {"at_s": 9.0, "kind": "fall", "reason": "why", "probability": 0.9, "by_end": False, "under_way": doing}
    each = [{"kind": kind, "start_s": 1.0, "ground_s": 2.0, "found": i < found, "alert_s": 4.5 if i < found else None,
             "delay_s": 2.5 if i < found else None, "by_end": False} for i in range(falls)]  # fmt: skip
    return {"recording": "r", "kind": kind, "duration_s": 43_200.0, "rate_hz": 15.0, "camera_height_m": height_m,
            "falls": each, "false_alerts": [alert] * false, "floor_alerts": [alert | {"kind": "floor"}] * floor,
            "suspicions": 3, "episodes": {"daily": [1, 43_000.0], "kneel": [4, 200.0]}, "cpu_s": 60.0}  # fmt: skip


def test_falls_are_counted_in_scenes_and_false_alerts_in_life() -> None:
    rows = [
        row_of(false=1, doing="kneel"),
        row_of(floor=1),
        row_of(kind="fall-chair", falls=10, found=9, false=2, height_m=1.3),
        row_of(kind="fall-bed", falls=4, found=1, height_m=2.7),
    ]

    figures = add_up(rows)

    assert (figures["falls"], figures["found"], figures["false_alerts"], figures["false_beside_falls"]) == (
        14,
        10,
        1,
        2,
    )
    assert (figures["false_per_24h"], figures["hours_of_life"], figures["floor_alerts"]) == (1.0, 24.0, 1)
    assert figures["false_per_24h_95"] == [pytest.approx(0.0253, abs=1e-4), pytest.approx(5.572, abs=1e-3)]
    assert {name: part["found"] for name, part in figures["by_kind"].items()} == {"fall-bed": 1, "fall-chair": 9}
    assert set(figures["by_camera_height"]) == {"0 to 1.6 m", "2.6 m and more"}
    assert figures["by_activity"]["kneel"]["false_alerts"] == 1
    assert figures["by_activity"]["kneel"]["times"] == 8
    assert figures["delays"]["to 2.5 s"] == 10
    assert figures["times_real_time_per_core"] == 720.0


def test_the_tables_for_people_name_every_kind() -> None:
    totals = add_up([row_of(false=1, doing="kneel"), row_of(kind="fall-chair", falls=2, found=1)])

    text = as_text({"model": "m@0", "seed": 0, "machine": {"processor": "P"}, "totals": totals})

    assert "1 of 2 (95 % sure: 1.3% to 98.7%)" in text
    assert "kneel" in text
    assert "fall-chair" in text


def test_what_was_under_way_is_what_was_done_shortly_before_the_alert() -> None:
    episodes = [Episode(0.0, 100.0, "daily"), Episode(10.0, 14.0, "kneel"), Episode(60.0, 70.0, "doze")]

    def doing(at_s: float) -> str:
        return _under_way(episodes, Raised(at_s, "fall", "", 1.0, 1, False, 0.0, at_s))

    assert [doing(at_s) for at_s in (5.0, 16.0, 40.0, 65.0)] == ["daily", "kneel", "daily", "doze"]
