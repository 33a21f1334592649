"""The machine a figure was measured on, and a yardstick of how fast it was at that moment."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil


def describe_machine() -> dict[str, Any]:
    """Give processor, cores, memory, system and Python; nothing that names the machine or its user."""
    return {
        "processor": _processor(),
        "cores": physical_cores(),
        "threads": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(psutil.getloadavg()[0], 2),
    }


def physical_cores() -> int:
    """Give how many processes can compute side by side without sharing a core."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def measure_yardstick(*, seconds: float = 1.0) -> float:
    """Give GFLOP/s of float32 matrix products now: what other figures of the same run can be held against."""
    size = 512
    left, right = np.ones((size, size), np.float32), np.ones((size, size), np.float32)
    left @ right
    done, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        left @ right
        done += 1
    return round(2 * size**3 * done / (time.perf_counter() - start_s) / 1e9, 1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
