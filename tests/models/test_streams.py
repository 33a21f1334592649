from __future__ import annotations

import dataclasses

import pytest
import torch

from har.errors import ShapeError
from har.models.inputs import n_channels
from har.models.stgcn import STGCN, STGCNConfig
from har.models.streams import Stream, Streams, as_streams

SMALL = STGCNConfig(n_classes=3, channels=(4,) * 9)


def some_streams(*kinds: str, weights: tuple[float, ...] | None = None, dims: int = 2) -> Streams:
    torch.manual_seed(0)
    configs = [
        dataclasses.replace(SMALL, in_channels=n_channels(kind, layout_name=SMALL.layout, dims=dims)) for kind in kinds
    ]
    model = Streams.of([STGCN(config) for config in configs], kinds=kinds, weights=weights)
    for network in model.networks:
        torch.nn.init.normal_(network.head.weight)
    with torch.no_grad():
        model.train()(some_people(6, dims=dims))
    return model.eval()


def some_people(n: int, *, t: int = 12, dims: int = 2) -> torch.Tensor:
    return torch.rand((n, t, 17, dims + 1), generator=torch.Generator().manual_seed(n))


def test_several_networks_answer_with_the_weighted_mean_of_their_logits() -> None:
    model = some_streams("joint", "bone+motion", weights=(0.75, 0.25))
    joints = some_people(4)

    logits = model(joints)

    torch.testing.assert_close(logits, 0.75 * model.stream_logits(joints, 0) + 0.25 * model.stream_logits(joints, 1))
    torch.testing.assert_close(model.scores(joints).sum(dim=1), torch.ones(4))


def test_a_lone_network_answers_as_it_did_by_itself() -> None:
    torch.manual_seed(1)
    network = STGCN(SMALL).eval()

    assert torch.equal(as_streams(network).scores(some_people(3)), network.scores(some_people(3)))


def test_the_people_of_a_window_are_averaged_and_a_window_of_one_is_left_as_it_is() -> None:
    model = some_streams("joint+bone")
    people = some_people(4)

    together = model(people, torch.tensor([0, 1, 1, 2]))

    alone = model(people)
    torch.testing.assert_close(together, torch.stack([alone[0], (alone[1] + alone[2]) / 2, alone[3]]))


def test_three_dimensions_and_the_furthest_look_ahead_are_known() -> None:
    model = some_streams("joint", "motion", dims=3)

    assert model.dims == 3
    assert model.frames_ahead == SMALL.frames_ahead
    assert model.scores(some_people(2, dims=3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        ([], "1..16 streams"),
        ([Stream("joint+bone", SMALL, 0.5), Stream("joint+bone", SMALL, 0.2)], "sum to one"),
        ([Stream("joint+bone", SMALL, 1.5), Stream("joint+bone", SMALL, -0.5)], "must not be negative"),
        (
            [Stream("joint+bone", SMALL, 0.5), Stream("joint+bone", dataclasses.replace(SMALL, n_classes=4), 0.5)],
            "same",
        ),
        ([Stream("joint", SMALL)], "6 channels"),
    ],
)
def test_streams_that_cannot_answer_together_are_refused(streams: list[Stream], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        Streams(streams)
