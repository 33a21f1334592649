"""The state of a training run, in one file without pickle, replaced at one stroke."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from har.errors import ConfigError, TrainingError

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on as if it had never stopped.

    Attributes:
        model: weights and running statistics.
        best: those of the best pass so far.
        mean: the running mean of the weights; empty if the recipe wants none.
        optimiser: what the optimiser remembers of each parameter, under "<parameter>/<key>".
        extra: what else is a tensor.
        facts: pass, step, plan, history and fingerprint of the run: plain JSON values.
    """

    model: State
    best: State
    mean: State
    optimiser: State
    extra: State
    facts: dict[str, Any]


_PARTS = ("model", "best", "mean", "optimiser", "extra")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file before it stays until the new one is whole and on the disk.

    Raises:
        OSError: it cannot be written, as when the disk is full; what was there before is still there.
    """
    tensors = {
        f"{part}:{name}": tensor.detach().cpu().clone().contiguous()
        for part in _PARTS
        for name, tensor in getattr(checkpoint, part).items()
    }
    blob = safetensors.torch.save(tensors, metadata={"facts": json.dumps(checkpoint.facts)})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
    return Checkpoint(**parts, facts=facts)


def forget_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a run that is done or starts anew."""
    shutil.rmtree(folder, ignore_errors=True)


def require_space(path: Path, n_bytes: int) -> None:
    """Refuse to begin a run whose result would not fit on the disk.

    Raises:
        TrainingError: the disk has less room; or the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path).free
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror}). Choose another --out.") from None
    if free < n_bytes:
        raise TrainingError(
            f"{path}: the disk has {free / 1e6:.0f} MB left and training needs {n_bytes / 1e6:.0f} MB for its state "
            "and the bundle. Make room, or choose another --out."
        )


def told(error: OSError) -> str:
    """Say what went wrong on a disk."""
    return "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror or error)


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
