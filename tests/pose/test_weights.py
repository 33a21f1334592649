from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from har.cli import main as cli
from har.errors import WeightsError
from har.pose import check_estimator, open_estimator
from har.pose.weights import MODELS, TASK_FILE, WHEEL, WHEEL_SHA256, blazepose_path, cache_folder, pull_blazepose


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "har"
    return cache_folder()


@pytest.fixture
def wheel() -> Path:
    """The pinned wheel, where this machine has it."""
    path = Path(os.environ.get("HAR_WHEELS", ".")) / WHEEL
    if not path.is_file():
        pytest.skip(f"{WHEEL} is not here: set HAR_WHEELS to its folder")
    return path


@pytest.fixture
def other_wheel(tmp_path: Path) -> Path:
    """A file that has the pinned wheel's name and members, but not its content."""
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        for member, *_ in MODELS:
            archive.writestr(member, b"TFL3")
    return path


@pytest.mark.usefixtures("empty_cache")
def test_missing_weights_say_how_to_get_them() -> None:
    for ask in (
        blazepose_path,
        lambda: check_estimator("blazepose"),
        lambda: open_estimator("blazepose", max_people=1),
    ):
        with pytest.raises(WeightsError, match="har models pull blazepose"):
            ask()


def test_a_wrong_wheel_is_refused_and_nothing_is_kept(empty_cache: Path, other_wheel: Path) -> None:
    with pytest.raises(WeightsError, match=f"is not the pinned wheel.*{WHEEL}"):
        pull_blazepose(wheel=other_wheel)

    assert not empty_cache.exists()


def test_a_wheel_that_is_not_there_is_named(empty_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"elsewhere\.whl: cannot be read \(No such file"):
        pull_blazepose(wheel=tmp_path / "elsewhere.whl")

    assert not empty_cache.exists()


@pytest.mark.usefixtures("empty_cache")
def test_the_command_refuses_a_wrong_wheel_in_one_line(other_wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["models", "pull", "blazepose", "--file", str(other_wheel)])

    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert last.startswith("har: ")
    assert "is not the pinned wheel" in last


def test_two_packings_of_the_wheel_are_the_same_byte_for_byte(
    wheel: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEEL_SHA256
    first = pull_blazepose(wheel=wheel).read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))

    second = pull_blazepose(wheel=wheel).read_bytes()

    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    with zipfile.ZipFile(empty_cache / TASK_FILE) as archive:
        assert archive.namelist() == [name for _, name, *_ in MODELS]
        assert archive.testzip() is None


@pytest.mark.usefixtures("empty_cache")
def test_weights_from_a_wheel_at_hand_run_and_are_not_made_twice(wheel: Path, tmp_path: Path) -> None:
    told: list[str] = []
    path = pull_blazepose(wheel=wheel, say=told.append)
    open_estimator("blazepose", max_people=1).close()

    again = pull_blazepose(wheel=tmp_path / "not looked at", say=told.append)

    assert again == path
    assert told[-1] == f"BlazePose weights are in place: {path}"


@pytest.mark.weights
def test_damaged_weights_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = blazepose_path()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder().mkdir(parents=True)
    copy = Path(shutil.copy(whole, cache_folder()))
    shutil.copy(whole.with_suffix(".sha256"), cache_folder())
    assert blazepose_path() == copy

    with copy.open("r+b") as file:
        file.seek(1_000_000)
        letter = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([letter[0] ^ 1]))

    with pytest.raises(WeightsError, match=r"is damaged.*har models pull blazepose"):
        blazepose_path()


@pytest.mark.weights
def test_weights_without_their_digest_count_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = blazepose_path()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder().mkdir(parents=True)
    shutil.copy(whole, cache_folder())

    with pytest.raises(WeightsError, match="har models pull blazepose"):
        blazepose_path()
