"""Finding bundles by name and path."""

from __future__ import annotations

from pathlib import Path

import pytest

from har.errors import BundleError
from har.models.shipped import find_bundle, shipped_bundles


def make_folder(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").write_text("{}")
    return folder


def test_the_newest_bundle_is_the_default_and_ten_comes_after_nine(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "care-10", "care-9", "care-1")

    assert list(shipped_bundles(folder)) == ["care-1", "care-9", "care-10"]
    assert find_bundle(folder=folder) == folder / "care-10"
    assert find_bundle("care-9", folder=folder) == folder / "care-9"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    mine = make_folder(tmp_path / "mine", "bundle") / "bundle"

    assert find_bundle(str(mine), folder=tmp_path / "shipped") == mine


def test_a_bundle_that_is_nowhere_is_told_with_those_there_are(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "care-1")

    with pytest.raises(BundleError, match="care-1"):
        find_bundle("care-7", folder=folder)
    with pytest.raises(BundleError, match="--model"):
        find_bundle(folder=tmp_path / "nothing")
