"""Bundles with untrained networks, to be judged at once: what they answer does not matter, that it is told does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.models.bundle import Bundle, save_bundle
from har.models.stgcn import STGCN, STGCNConfig

LABELS = ("sit down", "stand", "walk", "wave")


def untrained_bundle(path: Path, *, labels: tuple[str, ...] = LABELS, seed: int = 0, **parts: Any) -> Bundle:
    """Write a bundle whose tiny network gives different answers to different windows."""
    torch.manual_seed(seed)
    model = STGCN(STGCNConfig(n_classes=len(labels), channels=(4,) * 9)).eval()
    torch.nn.init.normal_(model.head.weight, std=2.0)
    windows = np.random.default_rng(1).normal(size=(2, 16, 17, 3)).astype(np.float32)
    given: dict[str, Any] = {"norm": {}, "metrics": {}, "card": "# Mine\n\nNot a medical device.\n"} | parts
    return save_bundle(
        path, name="mine", version="1", model=model, labels=labels, rate_hz=15.0, golden_windows=windows,
        data_digest="d" * 64, created=datetime(2026, 11, 21, tzinfo=UTC), **given,
    )  # fmt: skip
