"""Where a network is trained, and in how many bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from har.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]
BF16_FLAGS = ("avx512_bf16", "amx_bf16")
"""Of processors that multiply bf16 in hardware: 1.7-1.9 times as fast as fp32; on others it is five times slower."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a network is trained on.

    Attributes:
        where: the device.
        is_half: products and convolutions are computed in bf16; weights, sums and the loss stay fp32.
    """

    where: torch.device
    is_half: bool

    def autocast(self) -> torch.autocast:
        """Give the context in which the network is run while training."""
        return torch.autocast(self.where.type, dtype=torch.bfloat16, enabled=self.is_half)

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.where) if self.where.type == "cuda" else "CPU"
        return f"{name}, {'bf16' if self.is_half else 'fp32'}"


CPU = Device(torch.device("cpu"), is_half=False)


def choose_device(name: DeviceName = "auto", *, precision: Precision = "auto", local_rank: int = 0) -> Device:
    """Give the device of that name; "auto" takes a GPU where there is one.

    Args:
        name: "auto", "cpu" or "cuda".
        precision: "auto" takes bf16 where the hardware multiplies it.
        local_rank: which of the machine's GPUs.

    Raises:
        ConfigError: there is no such device, or a name is not known.
    """
    if name not in ("auto", "cpu", "cuda") or precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"device {name!r}, precision {precision!r}: known are auto, cpu, cuda and auto, fp32, bf16.")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError("there is no CUDA device that torch can use here. Give --device cpu, or leave it out.")
    if name == "cpu" or not has_gpu:
        return Device(torch.device("cpu"), is_half=precision == "bf16" or (precision == "auto" and _cpu_has_bf16()))
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank} finds no GPU of its own: there are {torch.cuda.device_count()}. Give "
            "torchrun a smaller --nproc_per_node."
        )
    half = precision == "bf16" or (precision == "auto" and torch.cuda.is_bf16_supported(including_emulation=False))
    return Device(torch.device("cuda", local_rank), is_half=half)


def _cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return any(flag in flags for flag in BF16_FLAGS)
