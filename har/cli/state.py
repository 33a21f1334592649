"""The state folder: where `har run` keeps its database and other commands find its broker."""

from __future__ import annotations

from pathlib import Path

import platformdirs

DATABASE = "har.db"


def state_folder(given: Path | None = None) -> Path:
    """Give the state folder: the given one, else `har` in the user's state folder ($XDG_STATE_HOME)."""
    return given.expanduser() if given else Path(platformdirs.user_state_dir("har", appauthor=False))


def database_url(folder: Path) -> str:
    """Give the address of the database in a state folder."""
    return f"sqlite:///{folder.absolute() / DATABASE}"
