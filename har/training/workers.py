"""Several processes that train one model: started by `torchrun`, each learns from a part of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from har.errors import ConfigError
from har.training.devices import Device

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True, slots=True)
class Workers:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        local_rank: its number on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and tells for all."""
        return self.rank == 0

    def largest(self, values: Sequence[float]) -> list[float]:
        """Give, number by number, the largest that any process has: all go on with the same ones."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=_device())
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        result: list[float] = tensor.tolist()
        return result

    def gather(self, value: Any) -> list[Any]:
        """Give every process the values of all, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def take_over(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            self.gather(None)


ALONE = Workers()


def find_workers() -> Workers:
    """Say from torchrun's variables which process this is; one alone without them.

    Raises:
        ConfigError: the variables make no sense.
    """
    given = [os.environ.get(name) for name in _VARIABLES]
    if given[0] is None or given[1] is None:
        return ALONE
    try:
        rank, size, local_rank = (int(value or 0) for value in given)
    except ValueError:
        raise ConfigError(
            f"{', '.join(_VARIABLES)} are {given} in the environment. Start with torchrun, or unset them."
        ) from None
    return Workers(rank, size, local_rank)


@contextmanager
def joined(workers: Workers, device: Device) -> Iterator[None]:
    """Connect the processes for as long as they train."""
    if workers.size == 1 or dist.is_initialized():
        yield
        return
    if device.where.type == "cuda":
        torch.cuda.set_device(device.where)
    dist.init_process_group("nccl" if device.where.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
