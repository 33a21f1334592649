"""What the training loop asks of every kind of estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


class Lesson(Protocol):
    """What one kind of estimator learns from, and how.

    Attributes:
        network: what learns.
        unit: what it is shown, for people: "crops", "pictures".
    """

    network: nn.Module
    unit: str

    def __len__(self) -> int:
        """Give how many it learns from in a pass."""
        ...

    def batch(self, numbers: Sequence[int], rng: np.random.Generator) -> Any:
        """Make a batch of those, changed by chance; on the CPU."""
        ...

    def losses(self, network: nn.Module, mean: nn.Module, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Give the losses by name; their sum is what is learnt from.

        Args:
            network: in training mode.
            mean: the running mean of its weights, in evaluation mode.
            batch: of `batch`.
            device: where both are.
        """
        ...

    def judge(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Give figures on what was held out, the one to choose by first, higher is better; empty if nothing was."""
        ...
