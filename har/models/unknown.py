"""The "unknown" answer: a label is named only where the network is sure enough.

A network that knows eight labels gives one of them whatever the person does. Below a threshold on the probability of
the best label the answer is "unknown" instead. The threshold is chosen on clips held out of training, so that most of
the right answers there are kept (`har.training.metrics.choose_unknown`), and travels with the bundle in labels.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRule:
    """When a bundle answers "unknown".

    Attributes:
        threshold: a best label with a lower score is not named.
        keeps: share of the right answers that the threshold was chosen to keep.
        n: answers it was chosen on.
        score: what is compared with the threshold: the probability of the best label.
    """

    threshold: float
    keeps: float
    n: int
    score: Literal["max_probability"] = "max_probability"

    def as_dict(self) -> dict[str, Any]:
        """Give the rule as it stands in labels.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UnknownRule:
        """Make the rule of what stands in labels.json."""
        return cls(**values)
