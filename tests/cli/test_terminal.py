"""What `har run` says on the terminal."""

from __future__ import annotations

import pytest

from har.cli.terminal import Terminal
from har.mqtt.payloads import to_body
from har.records import Event
from tests.mqtt.builders import a_danger, an_alert


def shown(*events: Event, capsys: pytest.CaptureFixture[str]) -> list[str]:
    terminal = Terminal(once=True, to_stderr=False)
    for number, event in enumerate(events):
        terminal.show(to_body(event, site="home", sequence=number, event_id=str(number)))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("phase", ["new", "update"])
def test_an_alert_is_one_line_whether_its_suspicion_was_told_before_or_not(
    phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = shown(a_danger(phase=phase, alert="a1"), an_alert("a1"), capsys=capsys)

    assert "ALERT FALL" in line


def test_a_suspicion_is_a_line_before_there_is_an_alert_and_so_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(a_danger(phase="new"), a_danger(phase="end", alert="a1"), capsys=capsys)

    assert ["maybe a fall" in lines[0], "no longer a fall" in lines[1]] == [True, True]
