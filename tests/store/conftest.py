"""What the tests of the store and of MQTT share: events, and a real PostgreSQL where one is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _find_postgres() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'psycopg[binary]'")
    binaries = _find_postgres()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL refuses to run as root and setpriv is missing: apt install util-linux")
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    # Not below pytest's own folder: every pytest that starts shuts that one to all users but its own.
    folder = Path(tempfile.mkdtemp(prefix="har-postgres-"))
    if as_user:
        os.chown(folder, 65534, 65534)
    try:
        yield from _serve(binaries, folder, as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(binaries: Path, folder: Path, as_user: list[str]) -> Iterator[str]:
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = subprocess.run(
        [*as_user, str(binaries / "initdb"), "-D", str(data), "-U", "har", "-A", "trust", "--no-sync"],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if made.returncode:
        pytest.skip(f"PostgreSQL cannot be started here: {made.stderr.strip()[-200:]}")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run(
        [*control, "-o", options, "-l", str(folder / "log"), "start"],
        check=True,
        cwd="/",
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    yield f"postgresql://har@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd="/", timeout=60, stdout=subprocess.DEVNULL)
