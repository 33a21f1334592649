"""The `har` command as people and scripts meet it: a real process, its exit code, its two streams."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from har import __version__
from har.cli import main as cli
from har.errors import BrokerError, ConfigError

HAR = Path(sys.executable).parent / "har"
# Every command of this version; one that is added or taken away must be told here and in DESIGN, section 9.
COMMANDS = (
    ["run", "watch", "extract", "import", "train", "evaluate", "replay", "doctor", "clips show"]
    + [f"models {name}" for name in ("export", "list", "pack", "pull", "show", "verify")]
    + [f"pose {name}" for name in ("evaluate", "preview", "train")]
    + [f"synth {name}" for name in ("clips", "falls", "life", "scenes", "video")]
    + [
        f"bench {name}"
        for name in (
            "clip",
            "falls",
            "few-clips",
            "labels",
            "life",
            "pipeline",
            "pose",
            "risk",
            "stream",
            "tracking",
            "train",
        )
    ]
    + [f"config {name}" for name in ("init", "check", "schema")]
)


def har(*arguments: str | Path, cwd: Path | None = None, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    command = [str(HAR), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout_s, check=False)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("har: ")
    return lines[0]


def test_help_answers_without_loading_anything_slow() -> None:
    done = har("--help")

    assert done.returncode == 0
    assert "Not a" in done.stdout
    probe = "import sys, har.cli.main; print([m for m in ('torch', 'numpy', 'mediapipe', 'av') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_the_commands_are_those_of_this_version_and_no_others() -> None:
    assert sorted(_commands(cli.app)) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_that_names_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main([*command.split(), "--help"])

    shown = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert re.search(rf"Example: .*har {command}\b", shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_is_understood_by_its_command(command: str) -> None:
    group = typer.main.get_command(cli.app)
    example = _find(group, command.split()).epilog
    assert example is not None
    words = example.removeprefix("Example: ").split(" > ")[0]
    arguments = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", words)][1 + len(command.split()) :]

    context = _find(group, command.split()).make_context(command, arguments)

    assert context.args == []


def test_har_alone_shows_the_help_and_version_the_version() -> None:
    assert har().stdout == har("--help").stdout
    assert har("--version").stdout == f"har {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rnu"], "run"),
        (["run", "--sorce", "x"], "--source"),
        (["models"], "har models --help"),
        (["models", "pull", "nothing"], "blazepose"),
        (["clips", "show"], "clips"),
        (["synth", "scenes", "--out", "x", "--n", "0"], "--n"),
        (["synth", "clips", "--out", "x", "--n", "0"], "--n"),
        (["config", "check", "nowhere.toml"], "har config init"),
        (["clips", "show", "nowhere"], "nowhere"),
        (["models", "verify", "nowhere"], "nowhere"),
        (["models", "pack", "care-1", "nowhere/care-1.zip"], "nowhere/care-1.zip"),
        (["watch", "--broker", "http://broker"], "mqtt://"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = har(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert told in one_line(done)
    assert done.stdout == ""


def test_a_packed_bundle_is_one_file_that_verifies(tmp_path: Path) -> None:
    packed = har("models", "pack", "care-1", "one.zip", "--json", "-", cwd=tmp_path)
    verified = har("models", "verify", "one.zip", cwd=tmp_path)

    assert packed.returncode == verified.returncode == 0
    assert json.loads(packed.stdout)["bytes"] == (tmp_path / "one.zip").stat().st_size
    assert verified.stdout.startswith("care-1@")


def test_debug_shows_the_traceback_wherever_it_stands() -> None:
    for arguments in (["--debug", "clips", "show", "nowhere"], ["clips", "show", "nowhere", "--debug"]):
        done = har(*arguments)

        assert done.returncode == 2
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("har: nowhere")


def _fail(error: BaseException) -> Callable[..., None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigError("har.toml: site is wrong.\nMend it."), 2, "har: har.toml: site is wrong. Mend it.\n"),
        (BrokerError("mqtt://b: refused. Start it."), 1, "har: mqtt://b: refused. Start it.\n"),
        (ZeroDivisionError("division by zero"), 1, "har: this is a bug in har (ZeroDivisionError: division by zero)."),
        (PermissionError(13, "Permission denied", "/x.db"), 1, "har: /x.db: Permission denied."),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_kind_of_failure_has_its_code_and_line(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(lambda: None)
    app.command("fail")(_fail(error))
    monkeypatch.setattr(cli, "app", app)

    assert cli.main(["fail"]) == code

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(told)
    assert shown.err.count("\n") == (1 if told else 0)


def test_ctrl_c_ends_a_running_command_quietly(tmp_path: Path) -> None:
    # A pipe that nobody writes keeps `config check` reading until the interrupt comes.
    pipe = tmp_path / "har.toml"
    os.mkfifo(pipe)
    process = subprocess.Popen([HAR, "config", "check", pipe], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = _open_once_read(pipe)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    os.close(writer)
    assert (process.returncode, out, err) == (130, b"", b"")


def _open_once_read(pipe: Path) -> int:
    """Open a pipe for writing as soon as somebody reads it, however long they took to start."""
    end_s = time.monotonic() + 60
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < end_s, "nobody reads the pipe"
            time.sleep(0.05)


def test_the_example_config_passes_its_own_check(tmp_path: Path) -> None:
    file = tmp_path / "har.toml"

    written = har("config", "init", file)
    checked = har("config", "check", file)
    again = har("config", "init", file)

    assert written.returncode == checked.returncode == 0
    assert "hall, bedroom" in checked.stdout
    assert file.read_text() == har("config", "init").stdout
    assert again.returncode == 2
    assert "--force" in one_line(again)
    assert har("config", "init", file, "--force").returncode == 0


def test_config_schema_prints_a_json_schema() -> None:
    schema = json.loads(har("config", "schema").stdout)

    assert schema["properties"]["cameras"]["additionalProperties"]["$ref"].endswith("CameraSettings")


def _find(command: typer.core.TyperGroup | typer.core.TyperCommand, path: list[str]) -> typer.core.TyperCommand:
    for name in path:
        command = command.commands[name]  # type: ignore[union-attr]
    return command  # type: ignore[return-value]


def _commands(app: typer.Typer) -> list[str]:
    top = typer.main.get_command(app)
    found: list[str] = []
    for name, command in top.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"{name} {child}" for child in inner] if inner else [name]
    return found
