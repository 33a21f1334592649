"""A model: one or several ST-GCNs, each with a look of its own at the same skeletons, which answer together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from har.errors import ShapeError
from har.models.inputs import JOINT_AND_BONE, features, n_dims
from har.models.stgcn import STGCN, STGCNConfig

MAX_STREAMS = 16


@dataclass(frozen=True, slots=True)
class Stream:
    """One network of a model.

    Attributes:
        kind: what it is shown, see `har.models.inputs.features`.
        config: its hyper-parameters.
        weight: its share in the answer; those of a model sum to one.
    """

    kind: str
    config: STGCNConfig
    weight: float = 1.0


class Streams(nn.Module):
    """Networks whose logits are averaged by weight; each is an ST-GCN with an input of its own.

    Where a window shows several people, each goes through the networks alone and their logits are averaged. The last
    layer is linear, so this is the same as averaging their pooled features before it.

    Attributes:
        streams: what it was built from.
        networks: an ST-GCN for each stream.

    Raises:
        ShapeError: no stream, too many, streams that do not answer alike, or weights that do not sum to one.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        super().__init__()
        self.streams = _checked(tuple(streams))
        self.networks = nn.ModuleList(STGCN(stream.config) for stream in streams)

    @classmethod
    def of(cls, networks: Sequence[STGCN], *, kinds: Sequence[str], weights: Sequence[float] | None = None) -> Streams:
        """Put trained networks together; they are taken as they are, not copied."""
        weights = weights or [1 / len(networks)] * len(networks)
        with torch.device("meta"):
            model = cls([Stream(*each) for each in zip(kinds, (net.config for net in networks), weights, strict=True)])
        model.networks = nn.ModuleList(networks)
        model.train(networks[0].training)
        return model

    @property
    def config(self) -> STGCNConfig:
        """Hyper-parameters of the first network."""
        return self.streams[0].config

    @property
    def dims(self) -> int:
        """Coordinates of a joint: 2 or 3."""
        return _dims_of(self.streams[0])

    @property
    def frames_ahead(self) -> int:
        """Input frames that an answer looks ahead at most."""
        return max(stream.config.frames_ahead for stream in self.streams)

    def forward(self, joints: Tensor, owner: Tensor | None = None) -> Tensor:
        """Classify windows.

        Args:
            joints: (P, T, V, D + 1) of one person in one window each, as for `features`.
            owner: (P,) the window that each person is in, 0..N-1, every window at least once; None if each is a window
                of its own.

        Returns:
            Logits (N, n_classes).

        Raises:
            ShapeError: joints do not fit the layout.
        """
        logits = torch.zeros(())
        for number, stream in enumerate(self.streams):
            logits = logits + stream.weight * self.stream_logits(joints, number)  # (P, n_classes)
        return logits if owner is None else pool_people(logits, owner)  # (N, n_classes)

    def stream_logits(self, joints: Tensor, number: int) -> Tensor:
        """Give the logits (P, n_classes) of one network alone, for joints (P, T, V, D + 1)."""
        stream = self.streams[number]
        x = features(joints, layout_name=stream.config.layout, kind=stream.kind)  # (P, T, V, C)
        logits: Tensor = self.networks[number](x)  # (P, n_classes)
        return logits

    def scores(self, joints: Tensor, owner: Tensor | None = None) -> Tensor:
        """Classify windows as `forward` does, and give probabilities (N, n_classes); each row sums to one."""
        return torch.softmax(self(joints, owner), dim=-1)  # (N, n_classes)


def pool_people(logits: Tensor, owner: Tensor) -> Tensor:
    """Average the logits (P, K) of the people in each window (N, K); `owner` (P,) says which one."""
    pooled: Tensor = _scatter()(logits, owner, dim=0, reduce="mean")  # (N, K)
    return pooled


@cache
def _scatter() -> Callable[..., Tensor]:
    """Import `scatter` late: torch_geometric takes seconds to load, and a camera's windows show one person each."""
    with warnings.catch_warnings():  # importing torch_geometric 2.8 uses parts of torch that warn of their end
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch_geometric.utils import scatter
    found: Callable[..., Tensor] = scatter
    return found


def _dims_of(stream: Stream) -> int:
    return n_dims(stream.kind, layout_name=stream.config.layout, channels=stream.config.in_channels)


def _checked(streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    if not 1 <= len(streams) <= MAX_STREAMS:
        raise ShapeError(f"a model has 1..{MAX_STREAMS} streams, got {len(streams)}.")
    answers = {(each.config.n_classes, each.config.layout, _dims_of(each)) for each in streams}
    if len(answers) > 1:
        raise ShapeError("the streams of a model must have the same labels, layout and number of dimensions.")
    if any(each.weight < 0 for each in streams) or abs(sum(each.weight for each in streams) - 1) > 1e-6:
        raise ShapeError("the weights of a model's streams must not be negative and must sum to one.")
    return streams


def as_streams(model: STGCN | Streams) -> Streams:
    """Give a lone network as a model of one stream that sees joints and bones."""
    return model if isinstance(model, Streams) else Streams.of([model], kinds=[JOINT_AND_BONE])
