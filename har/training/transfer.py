"""Begin with the weights of another bundle: what is taken over, and what is new.

All weights learn at one rate from the first step on. Tried on KARD's first five subjects (nine labels, five clips each
of three people, judged by 54 clips of two others, two seeds): 300 steps from care-1 give 93.5 %, from nothing 86.1 %. A
body at 0.3 of the rate gave less, and so it did at 80 steps, with or without letting the last layer learn alone first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from har.errors import ConfigError
from har.models.bundle import Bundle
from har.models.stgcn import STGCN
from har.training.recipe import Recipe, recipe_of

LEAST_STEPS = 300
"""Of a run over few clips, whatever the parent's plan in passes was: 80 steps left 8 points to gain on 45 clips."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a network took over.

    Attributes:
        taken: names of the parameters.
        line: the same for people, with what is new.
    """

    taken: frozenset[str]
    line: str


def recipe_like(parent: Bundle) -> Recipe:
    """Give the recipe of a bundle: a network trained by it takes over all but the last layer, and runs where it runs.

    Keys that were not known when the bundle was made have their defaults. A pass is over all windows there are, several
    times where they are few.
    """
    known = {field.name for field in fields(Recipe)}
    told = {key: value for key, value in dict(parent.metrics.get("recipe", {})).items() if key in known}
    kept = recipe_of(told, where=f"{parent.name}: recipe")
    config = parent.config
    return replace(
        kept,
        layout=config.layout,
        dims=parent.model.dims,
        n_frames=parent.window_frames,
        rate_hz=parent.rate_hz,
        inputs=tuple(each.kind for each in parent.model.streams),
        channels=(config.channels[0], config.channels[3], config.channels[6]),
        kernels=(config.spans[0], config.spans[3], config.spans[6]),
        look_ahead=config.look_ahead,
        pool_last=config.pool_last,
        free_edges=config.free_edges,
        graph_residual=config.graph_residual,
        windows_per_epoch=0,
        least_per_epoch=math.ceil(LEAST_STEPS * kept.batch_size / kept.epochs),
    )


def take_over(network: STGCN, kind: str, labels: Sequence[str], parent: Bundle) -> Transfer:
    """Fill a new network with what fits of a bundle's.

    Weights over edges and the norm of the input belong to the layout, the first matrix to what the network is shown,
    the last layer to the labels: these are taken over only where they mean the same. All else does not depend on them.

    Args:
        network: changed in place.
        kind: what it is shown.
        labels: its labels.
        parent: the bundle.

    Raises:
        ConfigError: no block fits, because the widths differ.
    """
    kinds = [each.kind for each in parent.model.streams]
    number = kinds.index(kind) if kind in kinds else 0
    source = parent.model.networks[number]
    assert isinstance(source, STGCN)
    state, own = source.state_dict(), network.state_dict()
    same_layout = source.config.layout == network.config.layout
    same_edges = same_layout and all(
        getattr(source.config, name) == getattr(network.config, name) for name in ("partition", "free_edges")
    )
    same_input = kinds[number] == kind and source.config.in_channels == network.config.in_channels
    fitting = {
        name: value
        for name, value in state.items()
        if name in own
        and own[name].shape == value.shape
        and not name.startswith("head.")
        and (same_layout or not name.startswith("input_norm."))
        and (same_edges or not name.endswith(".importance"))
        and (same_input or not name.startswith(("input_norm.", "blocks.0.space.linear.")))
    }
    if not any(name.startswith("blocks.1.") and name.endswith("linear.weight") for name in fitting):
        raise ConfigError(
            f"{parent.name} has networks of channels {list(source.config.channels[::3])}, the recipe asks for "
            f"{list(network.config.channels[::3])}: nothing can be taken over. Start from another bundle, or leave "
            "channels out of the recipe."
        )
    shared = [label for label in labels if label in parent.labels]
    head = _head(own, state, labels, parent.labels)
    network.load_state_dict(own | fitting | head)
    everything = {name for name, _ in network.named_parameters()}
    taken = set(fitting) & everything | ({"head.weight", "head.bias"} if len(shared) == len(labels) else set())
    new = _told_new(parent, network, same_layout=same_layout, same_input=same_input, n_new=len(labels) - len(shared))
    n_taken = sum(int(own[name].numel()) for name in taken)
    share = n_taken / sum(int(own[name].numel()) for name in everything)
    line = f"{kind}: {share:.0%} of the weights and {len(shared)} of {len(labels)} labels taken from {parent.model_id}"
    return Transfer(frozenset(taken), f"{line}; new: {', '.join(new) or 'nothing'}")


def _head(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], labels: Sequence[str], known: Sequence[str]
) -> dict[str, Tensor]:
    """Give the last layer with the rows of the labels that the parent knows."""
    weight, bias = own["head.weight"].clone(), own["head.bias"].clone()
    if weight.shape[1] != state["head.weight"].shape[1]:
        return {}
    for row, label in enumerate(labels):
        if label in known:
            weight[row] = state["head.weight"][list(known).index(label)]
            bias[row] = state["head.bias"][list(known).index(label)]
    return {"head.weight": weight, "head.bias": torch.as_tensor(bias)}


def _told_new(parent: Bundle, network: STGCN, *, same_layout: bool, same_input: bool, n_new: int) -> list[str]:
    new = []
    if not same_layout:
        new.append(f"weights of edges and norm of the input ({network.config.layout}, not {parent.config.layout})")
    if not same_input:
        new.append("the first layer (it is shown something else)")
    if n_new:
        new.append(f"{n_new} labels")
    return new
