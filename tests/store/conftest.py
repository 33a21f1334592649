"""What the tests of the store and of MQTT share: events, and a real PostgreSQL where one is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _find_postgres() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'psycopg[binary]'")
    binaries = _find_postgres()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    as_user: list[str] = []
    folder = tmp_path_factory.mktemp("postgres")
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL refuses to run as root and setpriv is missing: apt install util-linux")
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
        for parent in (folder, *folder.parents):
            if str(parent).startswith(str(tmp_path_factory.getbasetemp().parent)):
                parent.chmod(0o755)
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
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/", timeout=60, stdout=subprocess.DEVNULL)
