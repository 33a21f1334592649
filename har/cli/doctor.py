"""`har doctor`: what this machine has and lacks, each lack with the command that mends it.

Every check stands alone: one that fails, or a library that is missing, never hides the others.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from har.cli.cameras import read_cameras
from har.cli.state import DATABASE, state_folder
from har.cli.system import APT_LINE, LIBRARIES, loads, python_fits, python_range
from har.errors import HarError

if TYPE_CHECKING:
    from har.models.bundle import Verification

DISTRIBUTION = "har-care"
NAMED_PACKAGES = ("torch", "torch-geometric", "mediapipe", "av", "paho-mqtt", "numpy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: "ok"; "missing": needed and not there; "lacking": useful and not there; "note": for information.
        found: what was found, in words.
        cure: the command that mends it; empty where there is nothing to mend.
    """

    name: str
    state: Literal["ok", "missing", "lacking", "note"]
    found: str
    cure: str = ""


def examine(*, state: Path | None = None) -> list[Finding]:
    """Look at everything that `har` needs or can use.

    Args:
        state: the state folder; None for the default one.
    """
    folder = state_folder(state)
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("python", _python),
        ("system libraries", _libraries),
        ("packages", _packages),
        ("pose weights", _weights),
        ("maskrcnn weights", maskrcnn_findings),
        ("onnxruntime", _onnx),
        ("model bundle", _bundle),
        ("mosquitto", _mosquitto),
        ("broker", lambda: _broker(folder)),
        ("cameras", lambda: _cameras(folder)),
        ("outbox", lambda: _outbox(folder)),
        ("state folder", lambda: _space(folder)),
        ("webcams", _webcams),
        ("processor", _processor),
        ("gpu", _gpu),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings.extend(check())
        except Exception as error:  # whatever is broken on this machine, the other checks must be told
            findings.append(_unchecked(name, error))
    return findings


def _unchecked(name: str, error: Exception) -> Finding:
    why = " ".join(f"could not be checked: {type(error).__name__}: {error}".split())
    return Finding(name, "missing", why, "make setup" if isinstance(error, ImportError) else "")


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """Give the findings for machines; `ok` is false when something needed is missing."""
    return {"ok": is_fit(findings), "findings": [asdict(finding) for finding in findings]}


def as_text(findings: list[Finding]) -> str:
    """Give the findings for people, a line each, and what to do last."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        cure = f"  ->  {finding.cure}" if finding.cure else ""
        lines.append(f"{finding.state:<8} {finding.name:<{width}}  {finding.found}{cure}")
    n_missing = sum(finding.state == "missing" for finding in findings)
    lines.append("")
    lines.append(f"{n_missing} needed things are missing: see above." if n_missing else "Everything needed is here.")
    return "\n".join(lines)


def is_fit(findings: list[Finding]) -> bool:
    """Say whether nothing needed is missing."""
    return all(finding.state != "missing" for finding in findings)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if python_fits((sys.version_info.major, sys.version_info.minor)):
        yield Finding("python", "ok", version)
    else:
        cure = "make clean && make setup PYTHON=python3.12"
        yield Finding("python", "missing", f"{version}, but har needs {python_range()}", cure)


def _libraries(libraries: Sequence[tuple[str, str, str]] = LIBRARIES) -> Iterator[Finding]:
    for library, package, user in libraries:
        if loads(library):
            yield Finding(library, "ok", f"for {user}")
        else:
            yield Finding(library, "missing", f"{user} links it (package {package})", APT_LINE)


def _packages() -> Iterator[Finding]:
    names = [
        match.group()
        for line in metadata.requires(DISTRIBUTION) or []
        if "extra ==" not in line and (match := re.match(r"[A-Za-z0-9._-]+", line))
    ]
    versions = {name: _version(name) for name in names}
    for name in (name for name, version in versions.items() if version is None):
        yield Finding(name, "missing", "the package is not installed", "make setup")
    shown = ", ".join(f"{name} {versions[name]}" for name in NAMED_PACKAGES if versions.get(name))
    yield Finding("packages", "ok", f"{sum(v is not None for v in versions.values())} of {len(names)}: {shown}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _weights() -> Iterator[Finding]:
    from har.pose.weights import blazepose_path

    try:
        yield Finding("blazepose weights", "ok", str(blazepose_path()))
    except HarError as error:
        yield Finding("blazepose weights", "missing", str(error), "har models pull blazepose")


def maskrcnn_findings() -> Iterator[Finding]:
    """Say whether Mask R-CNN can run, and with masks or without."""
    from har.pose import gives_masks
    from har.pose.coco_weights import maskrcnn_path

    try:
        path = maskrcnn_path()
        masks = "" if gives_masks("maskrcnn") else ", without masks"
        yield Finding("maskrcnn weights", "ok", f"{path}{masks}")
    except HarError:
        lost = "--pose maskrcnn needs them; blazepose works without"
        yield Finding("maskrcnn weights", "lacking", lost, "har models pull maskrcnn")


def _onnx() -> Iterator[Finding]:
    versions = {name: _version(name) for name in ("onnxruntime", "onnx", "onnxscript")}
    if all(versions.values()):
        yield Finding("onnxruntime", "ok", f"{versions['onnxruntime']}, for --engine onnxruntime")
    else:
        cure = ".venv/bin/pip install -c constraints.txt -e '.[onnx]'"
        yield Finding("onnxruntime", "lacking", "--engine onnxruntime needs it; torch works without", cure)


def _bundle() -> Iterator[Finding]:
    from har.models.shipped import find_bundle

    try:
        path = find_bundle()
        from har.models.bundle import verify_bundle  # imports torch: only when there is something to verify

        found = verify_bundle(path)
    except HarError as error:
        yield Finding("model bundle", "missing", str(error), "git checkout -- har/bundles")
    else:
        yield Finding("model bundle", "ok", f"{found.model_id} verifies, {found.n_golden} golden windows")
        yield from danger_findings(found)


def danger_findings(found: Verification) -> Iterator[Finding]:
    """Say of a bundle without a risk part what it cannot do."""
    if found.risk_difference is None:
        from har.models.risk import NO_RISK_PART

        yield Finding("danger", "lacking", f"{found.model_id} has {NO_RISK_PART}")


def _mosquitto() -> Iterator[Finding]:
    from har.mqtt.broker import find_mosquitto

    path = find_mosquitto()
    if path is None:
        lost = "not installed: without a broker of your own, har's built-in one is used, which keeps nothing"
        yield Finding("mosquitto", "lacking", lost, "apt-get install -y --no-install-recommends mosquitto")
        return
    done = subprocess.run([path, "-h"], capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout or done.stderr).splitlines() or ["version unknown"]
    yield Finding("mosquitto", "ok", f"{path} ({lines[0].removeprefix('mosquitto ')})")


def _broker(folder: Path) -> Iterator[Finding]:
    from har.mqtt.broker import ADDRESS_NAME, read_broker_url

    if not (folder / ADDRESS_NAME).exists():
        yield Finding("broker", "note", f"no `har run` is at work in {folder}")
        return
    try:
        yield Finding("broker", "ok", f"{read_broker_url(folder)} answers")
    except HarError as error:
        yield Finding("broker", "lacking", f"{error} Alerts are kept and sent again.")


def _cameras(folder: Path) -> Iterator[Finding]:
    for name, (state, reason) in read_cameras(folder).items():
        found = f"{state}: {reason}" if reason else state
        yield Finding(f"camera {name}", "ok" if state == "online" else "lacking", found)


def _outbox(folder: Path) -> Iterator[Finding]:
    path = folder / DATABASE
    if not path.is_file():
        yield Finding("outbox", "ok", f"no alert is waiting: {path} does not exist yet")
        return
    waiting = count_waiting_alerts(path)
    if waiting:
        who = "1 alert message waits" if waiting == 1 else f"{waiting} alert messages wait"
        found = f"{who} for a broker or a receipt"
        yield Finding("outbox", "lacking", found, f"har run --state {folder} sends them; har watch receipts them")
    else:
        yield Finding("outbox", "ok", "no alert is waiting")


def count_waiting_alerts(path: Path) -> int:
    """Count the alert messages in a database that are not settled, beside a service that is using it.

    Args:
        path: the SQLite file.
    """
    import sqlalchemy as sa

    from har.store.tables import outbox

    engine = sa.create_engine(f"sqlite:///file:{path.absolute()}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            query = sa.select(sa.func.count()).where(outbox.c.done_s.is_(None), outbox.c.kind == "alert")
            return int(connection.scalar(query) or 0)
    finally:
        engine.dispose()


def _space(folder: Path) -> Iterator[Finding]:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        yield Finding("state folder", "missing", f"{there} cannot be written", "har run --state a folder of your own")
    elif free_gb < 1.0:
        yield Finding("state folder", "lacking", f"{folder}, only {free_gb:.1f} GB free", "free some space there")
    else:
        yield Finding("state folder", "ok", f"{folder}, {free_gb:.0f} GB free")


def _webcams() -> Iterator[Finding]:
    webcams = sorted(Path("/dev").glob("video[0-9]*"))
    yield Finding("webcams", "note", ", ".join(map(str, webcams)) or "none (files and network cameras need none)")


def _processor() -> Iterator[Finding]:
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    found = (
        f"{usable} of {os.cpu_count()} cores usable, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, "
        f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB memory free"
    )
    yield Finding("processor", "note", found)


def _gpu() -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi")
    names = ""
    if tool is not None:
        query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
        names = "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""
    yield Finding("gpu", "note", names or "none found (none is needed)")
