"""What computes the action stream: torch, torch with half the width, or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch

from har.errors import ConfigError
from har.models.beats import BeatwiseModel
from har.models.bundle import Bundle
from har.models.online import OnlineModel
from har.models.onnx_graph import open_graph
from har.models.people import PeopleModel

TORCH, TORCH_BF16, ONNXRUNTIME = ENGINES = ("torch", "torch-bf16", "onnxruntime")

Engine: TypeAlias = Callable[[], PeopleModel]
"""Begins a stream without anybody."""


def torch_engine(bundle: Bundle) -> Engine:
    """Give the engine that needs nothing but torch."""
    folded = bundle.streamed()
    return lambda: OnlineModel(folded)


def open_engine(name: str, bundle: Bundle, *, folder: Path, say: Callable[[str], None] = lambda line: None) -> Engine:
    """Make a bundle ready on an engine.

    Args:
        name: one of `ENGINES`.
        bundle: a verified bundle.
        folder: where graphs are kept.
        say: called with a line where it takes a while.

    Raises:
        ConfigError: the engine is not known, or this machine cannot run it.
        BundleError: ONNX Runtime does not compute what torch does, or the bundle's networks answer at different rates.
    """
    if name not in ENGINES:
        raise ConfigError(f"there is no engine {name!r}. Known: {', '.join(ENGINES)}.")
    if name == TORCH:
        return torch_engine(bundle)
    if name == ONNXRUNTIME:
        graph = open_graph(bundle, folder=folder, say=say)
        return lambda: BeatwiseModel(graph)
    if not computes_bf16():
        raise ConfigError(f"this processor does not compute in bf16, and would be slower with it. Use {TORCH}.")
    folded = bundle.streamed(dtype=torch.bfloat16)
    return lambda: OnlineModel(folded)


def computes_bf16() -> bool:
    """Say whether the processor multiplies in bf16 itself; where that is imitated it takes three times as long."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)
