"""`har config`: a config file to begin with, and the check of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from har.errors import ConfigError

app = typer.Typer(help="Write a config file to begin with, or check one.")


@app.command(epilog="Example: har config init har.toml")
def init(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; without it, it is printed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a commented example of a config file."""
    from har.config import EXAMPLE

    if file is None:
        typer.echo(EXAMPLE, nl=False)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as out:
            out.write(EXAMPLE)
    except FileExistsError:
        raise ConfigError(f"{file}: exists already. Give another name, or --force to overwrite it.") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror}). Give a file in a folder of yours.") from None
    typer.echo(f"Wrote {file}. Put your cameras into it, then: har config check {file}")


@app.command(epilog="Example: har config check har.toml")
def check(file: Annotated[Path, typer.Argument(help="The config file.")]) -> None:
    """Check a config file without starting anything."""
    from har.config import load_config

    config = load_config(file)
    cameras = ", ".join(config.cameras) or "none; give sources with `har run --source`"
    typer.echo(f"{file} is fine. Site: {config.site}. Cameras: {cameras}.")


@app.command(epilog="Example: har config schema > har.schema.json")
def schema() -> None:
    """Print the JSON schema of the config file, for editors."""
    from har.config import config_schema

    typer.echo(json.dumps(config_schema(), indent=2))
