"""The state of a training run between two passes, in one file without pickle, replaced at one stroke."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from har.errors import ConfigError

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on as if it had never stopped.

    Attributes:
        model: weights and running statistics.
        best: those of the best pass so far.
        mean: the running mean of the weights; empty if the recipe wants none.
        optimiser: what the optimiser remembers of each parameter, under "<parameter>/<key>".
        facts: pass, step, plan, history and fingerprint of the run: plain JSON values.
    """

    model: State
    best: State
    mean: State
    optimiser: State
    facts: dict[str, Any]


_PARTS = ("model", "best", "mean", "optimiser")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file before it stays until the new one is whole."""
    tensors = {
        f"{part}:{name}": tensor.detach().clone().contiguous()
        for part in _PARTS
        for name, tensor in getattr(checkpoint, part).items()
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"facts": json.dumps(checkpoint.facts)})
    partial.replace(path)


def read_checkpoint(path: Path, *, fingerprint: str) -> Checkpoint | None:
    """Read a checkpoint; None if there is none.

    Args:
        path: where `write_checkpoint` put it.
        fingerprint: of the run that wants to go on: data, recipe, labels and seed.

    Raises:
        ConfigError: the file is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    parts: dict[str, State] = {part: {} for part in _PARTS}
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
            for key in file.keys():  # noqa: SIM118 - no mapping
                part, _, name = key.partition(":")
                parts[part][name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: is a damaged checkpoint ({error}). Delete it and train from the start.") from None
    if facts.get("fingerprint") != fingerprint:
        raise ConfigError(
            f"{path}: belongs to a run with other clips, another recipe, split or seed. "
            "Train without --resume to start anew, or give that run's arguments."
        )
    return Checkpoint(parts["model"], parts["best"], parts["mean"], parts["optimiser"], facts)


def optimiser_state(optimiser: torch.optim.Optimizer) -> State:
    """Give what an optimiser remembers as flat, named tensors."""
    return {
        f"{index}/{key}": torch.as_tensor(value)
        for index, memory in optimiser.state_dict()["state"].items()
        for key, value in memory.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_state` gave."""
    memories: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        index, _, key = name.partition("/")
        memories.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": memories, "param_groups": optimiser.state_dict()["param_groups"]})
