"""The bundles that come with har, and finding a bundle by name or path."""

from __future__ import annotations

import re
from pathlib import Path

from har.errors import BundleError

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "bundles"


def shipped_bundles(folder: Path = SHIPPED_FOLDER) -> dict[str, Path]:
    """Give the shipped bundles by name, oldest first: care-5 before care-10."""
    found = [path.parent for path in folder.glob("*/manifest.json")] + list(folder.glob("*.zip"))
    return {path.stem if path.suffix == ".zip" else path.name: path for path in sorted(found, key=_natural)}


def find_bundle(name: str | None = None, *, folder: Path = SHIPPED_FOLDER) -> Path:
    """Give the path of a bundle.

    Args:
        name: a shipped bundle's name or any bundle's path; None for the newest shipped one.
        folder: where the shipped bundles are.

    Raises:
        BundleError: there is none.
    """
    shipped = shipped_bundles(folder)
    if name is None:
        if not shipped:
            raise BundleError(f"{folder}: no bundle comes with this installation. Give one with --model.")
        return list(shipped.values())[-1]
    if name in shipped:
        return shipped[name]
    path = Path(name).expanduser()
    if path.exists():
        return path
    known = ", ".join(shipped) or "none"
    raise BundleError(
        f"{name}: is neither a file or folder nor a shipped bundle (there are: {known}). Give --model one of these "
        "names or the path of a bundle."
    )


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.findall(r"\d+|\D+", path.stem if path.suffix == ".zip" else path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
