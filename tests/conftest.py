"""What a test needs from the machine: a test whose marker asks for something missing is skipped with its cure."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RTSP_PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
RTSP_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"

# One thread for sums: with small ones more only get in each other's way, and the last bits of the answers differ.
# Read when numpy and torch are loaded, which no plugin does before this file; programs that tests start get it too.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"


def data_folder() -> Path:
    """Give the folder with the data sets: HAR_DATA, else shared/data beside the repository."""
    return Path(os.environ.get("HAR_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def har_data() -> Path:
    """The folder with the data sets; ask for it in tests marked `data`."""
    return data_folder()


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The bundle under test: the shipped one."""
    from har.models.shipped import find_bundle

    return find_bundle()


@pytest.fixture(autouse=True)
def _log_levels_end_with_their_test() -> Iterator[None]:
    """Put log levels back: a command run in this process sets them, and other tests count records."""
    rooms = [logging.getLogger(name) for name in ("har", "graphs")]
    levels = [room.level for room in rooms]
    yield
    for room, level in zip(rooms, levels, strict=True):
        room.setLevel(level)


@pytest.fixture(autouse=True)
def _own_layouts_end_with_their_test() -> Iterator[None]:
    """Forget layouts that a test's clips or bundles brought along: other tests go over all that are known."""
    before = dict(sys.modules["graphs.layouts"].LAYOUTS) if "graphs.layouts" in sys.modules else None
    yield
    if before is not None:
        known = sys.modules["graphs.layouts"].LAYOUTS
        known.clear()
        known.update(before)


@functools.cache
def _lack(marker: str) -> str | None:
    """Say what this machine lacks for tests with a marker, with the cure; None when it lacks nothing."""
    if marker == "data" and not (data_folder() / "fall_times.csv").is_file():
        return "the data sets are not here: set HAR_DATA to their folder"
    if marker == "broker" and not (_has("mosquitto") and _has("mosquitto_sub")):
        return "mosquitto is not here: apt-get install mosquitto mosquitto-clients"
    if marker == "rtsp" and not _has_rtsp_server():
        return f"no RTSP server: apt-get install {RTSP_PACKAGES}"
    if marker == "weights":
        from har.errors import WeightsError
        from har.pose.weights import blazepose_path

        try:
            blazepose_path()
        except WeightsError as error:
            return str(error)
    if marker == "gpu":
        import torch

        return None if torch.cuda.is_available() else "no CUDA device"
    return None


def _has(program: str) -> bool:
    # Debian installs mosquitto where an ordinary user's PATH does not look.
    return bool(shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin"))


def _has_rtsp_server() -> bool:
    python = Path("/usr/bin/python3")
    if not python.exists():
        return False
    return subprocess.run([python, "-c", RTSP_PROBE], capture_output=True, timeout=60, check=False).returncode == 0


def pytest_collection_finish(session: pytest.Session) -> None:
    if torch := sys.modules.get("torch"):  # left alone where no test needs it: it takes two seconds to load
        torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in ("data", "broker", "rtsp", "weights", "gpu"):
        if item.get_closest_marker(marker) and (lack := _lack(marker)):
            pytest.skip(lack)
