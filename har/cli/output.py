"""How commands answer: progress on stderr, results on stdout, the same result as JSON for machines."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from har.errors import ConfigError

JsonFile: TypeAlias = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - for stdout.")
]


def say(line: str) -> None:
    """Print a line of progress on stderr."""
    typer.echo(line, err=True)


def print_line(line: str) -> None:
    """Print a line of the result on stdout."""
    typer.echo(line)


def command_to_resume() -> str:
    """Give what was typed, with --resume."""
    return shlex.join(["har", *(word for word in sys.argv[1:] if word != "--resume"), "--resume"])


def count_up(what: str) -> Callable[[int, int], None]:
    """Give what to call with (done, total): it keeps one line on a terminal, and elsewhere says every tenth part."""
    is_terminal = sys.stderr.isatty()
    last = -1

    def tell(done: int, total: int) -> None:
        nonlocal last
        tenth = 10 * done // max(total, 1)
        if is_terminal:
            typer.echo(f"\r{what} {done}/{total}", err=True, nl=done >= total)
        elif tenth != last:
            typer.echo(f"{what} {done}/{total}", err=True)
        last = tenth

    return tell


def wants_text(json_file: Path | None) -> bool:
    """Say whether stdout is free for people: it is not when `--json -` fills it."""
    return json_file != Path("-")


def write_json(result: Mapping[str, Any], *, file: Path | None) -> None:
    """Write a result as JSON to a file, or to stdout for `-`; without a file nothing happens.

    Raises:
        ConfigError: the file cannot be written.
    """
    if file is None:
        return
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    if file == Path("-"):
        sys.stdout.write(text + "\n")
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror}). Give --json another file.") from None


def show_result(result: Mapping[str, Any], as_text: Callable[[Any], str], *, file: Path | None) -> None:
    """Write a result for machines where `--json` says, and for people unless that fills stdout."""
    write_json(result, file=file)
    if wants_text(file):
        typer.echo(as_text(result))
