"""`har doctor`: told truly, whatever is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from har.cli import doctor
from har.cli.doctor import Finding, as_text, count_waiting_alerts, examine, is_fit
from har.cli.state import DATABASE, database_url, state_folder
from har.cli.system import APT_LINE, LIBRARIES, loads, python_fits
from har.records import AlertEvent
from har.store import Ack, Store

HAR = Path(sys.executable).parent / "har"
ROOT = Path(__file__).resolve().parents[2]


def raised(alert: str) -> AlertEvent:
    return AlertEvent(
        alert=alert,
        state="raised",
        change="state",
        kind="fall",
        priority="high",
        camera="hall",
        person=1,
        since_s=1000.0,
        time_s=1002.5,
        source_time_s=2.5,
        floor_s=2.5,
        probability=0.9,
        reason="hips dropped",
        model="care-1@0000",
    )


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_needed_library_that_does_not_load_is_missing_with_the_apt_line() -> None:
    (finding,) = doctor._libraries([("libnothing-of-the-kind.so.7", "libnothing7", "nobody")])

    assert (finding.state, finding.cure) == ("missing", APT_LINE)
    assert not is_fit([finding])
    assert "1 needed things are missing" in as_text([finding])


def test_the_apt_line_holds_every_package_that_a_library_comes_from() -> None:
    assert {package for _, package, _ in LIBRARIES} == set(APT_LINE.split("--no-install-recommends ")[1].split())
    assert all(loads(library) for library, _, _ in LIBRARIES)


@pytest.mark.parametrize(
    ("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False), ((2, 7), False)]
)
def test_only_the_pythons_that_the_lock_is_made_for_fit(version: tuple[int, int], fits: bool) -> None:
    assert python_fits(version) is fits


def test_the_check_of_make_setup_runs_without_any_package_of_ours() -> None:
    script = ROOT / "har" / "cli" / "system.py"

    done = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_waiting_alerts_are_counted_beside_a_service_that_holds_the_database(tmp_path: Path) -> None:
    store = Store(database_url(tmp_path))
    try:
        for number in range(3):
            store.record_event(
                raised(f"alert-{number}"), event_id=f"e{number}", topic="t", qos=1, retain=True, body="{}"
            )
        store.mark_acked([Ack(event_id="e0", done=True, next_try_s=0.0)])

        found = by_name(examine(state=tmp_path))["outbox"]

        assert count_waiting_alerts(tmp_path / DATABASE) == 2
        assert found.state == "lacking"
        assert found.found.startswith("2 alert messages")
    finally:
        store.close()


def test_a_database_that_is_damaged_does_not_stop_the_other_checks(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database at all" * 100)

    findings = by_name(examine(state=tmp_path))

    assert findings["outbox"].state == "missing"
    assert "could not be checked" in findings["outbox"].found
    assert findings["python"].state == "ok"
    assert "gpu" in findings


def test_doctor_tells_people_and_machines_the_same_and_exits_by_it(tmp_path: Path) -> None:
    command = [HAR, "doctor", "--state", tmp_path]

    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    machine = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, timeout=60, check=False)

    told = json.loads(machine.stdout)
    assert text.returncode == machine.returncode == (0 if told["ok"] else 1)
    for finding in told["findings"]:
        assert finding["name"] in text.stdout
        assert finding["cure"] in text.stdout
    assert told["ok"] == all(finding["state"] != "missing" for finding in told["findings"])
    assert list(tmp_path.iterdir()) == []


def test_the_default_state_folder_follows_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert state_folder() == tmp_path / "har"
    assert state_folder(tmp_path / "other") == tmp_path / "other"
