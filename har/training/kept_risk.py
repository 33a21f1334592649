"""The danger model of a run under way, kept so that a resumed run does not fit it again: that can take an hour."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.clips import Clip
from har.models.bundle import RiskPart
from har.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from har.training.job import update_digest

_GOLDEN = "golden"


@dataclass(slots=True, eq=False)
class Counted:
    """Recordings that are looked at while they pass: their digest tells them from others.

    Attributes:
        recordings: passed on once.
    """

    recordings: Iterable[Clip]
    _digest: Any = field(default_factory=hashlib.sha256)

    def __iter__(self) -> Iterator[Clip]:
        for clip in self.recordings:
            update_digest(self._digest, clip)
            yield clip

    @property
    def digest(self) -> str:
        """The sha256 of what has passed so far."""
        return str(self._digest.hexdigest())


def keep_risk(path: Path, risk: RiskPart | None, *, fingerprint: str) -> None:
    """Write the danger model, or that there is none.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {} if risk is None else {name: torch.from_numpy(np.array(each)) for name, each in risk.arrays.items()}
    golden = {} if risk is None else {_GOLDEN: torch.from_numpy(np.array(risk.golden_features))}
    facts = {"fingerprint": fingerprint, "meta": None if risk is None else dict(risk.meta)}
    write_checkpoint(path, Checkpoint(model=arrays, best={}, mean={}, optimiser={}, extra=golden, facts=facts))


def read_risk(path: Path, *, fingerprint: str) -> RiskPart | None:
    """Read what `keep_risk` wrote; None if it wrote that there is none.

    Raises:
        ConfigError: the file is damaged or belongs to a run on other clips or recordings.
    """
    kept = read_checkpoint(path, fingerprint=fingerprint)
    if kept is None or kept.facts["meta"] is None:
        return None
    arrays = {name: tensor.numpy() for name, tensor in kept.model.items()}
    return RiskPart(arrays=arrays, meta=kept.facts["meta"], golden_features=kept.extra[_GOLDEN].numpy())
