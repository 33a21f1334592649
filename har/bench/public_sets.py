"""Public clip sets to measure on, and tables of rows that are written down as they are measured."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from har.clips import Clip, read_clips
from har.training.importers import ImportOptions, Ledger, import_set
from har.training.recipe import Recipe

Row = dict[str, Any]


@cache
def load_set(name: str, *, data: Path, work: Path) -> tuple[Clip, ...]:
    """Read a set `NAME/NAME.npz` below the data folder, imported once into the work folder."""
    folder = work / "sets" / name
    if not folder.exists():
        import_set("npz", data / name / f"{name}.npz", out=folder, options=ImportOptions(), ledger=Ledger())
    return tuple(read_clips(folder))


def read_rows(table: Path) -> list[Row]:
    """Read the rows of a table, one JSON object a line; none if there is no such file yet."""
    if not table.exists():
        return []
    lines = table.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]  # the last line may be cut off


def append_row(table: Path, row: Row) -> None:
    """Write a row, so that it outlives the process and the power."""
    with table.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def recipe_text(recipe: Recipe) -> str:
    """Tell one recipe from another: a changed recipe makes rows of its own."""
    standard = Recipe().as_dict()
    return json.dumps({key: value for key, value in recipe.as_dict().items() if value != standard[key]}, sort_keys=True)
