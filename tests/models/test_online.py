from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from har.errors import ShapeError
from har.models.beats import BeatModel, BeatwiseModel
from har.models.folded import FoldedModel, FoldedSTGCN
from har.models.inputs import features, n_channels
from har.models.online import OnlineModel
from har.models.people import PeopleModel
from har.models.stgcn import STGCN, STGCNConfig
from har.models.streams import Stream, Streams
from tests.models.test_stgcn import some_joints

Opener = Callable[[Streams], PeopleModel]

PLAIN = STGCNConfig(n_classes=4, channels=(8, 8, 8, 16, 16, 16, 24, 24, 24), pool_last=3)
RICH = replace(PLAIN, free_edges=True, graph_residual=True, kernels=(9, 9, 9, 5, 5, 5, 3, 3, 3))
CONFIGS = {
    "nine taps": PLAIN,
    "free edges, residuals in the graph, fewer taps": RICH,
    "causal": replace(PLAIN, look_ahead=(0,) * 9),
    "all outputs pooled": replace(RICH, pool_last=0),
    "one output": replace(PLAIN, pool_last=1),
    "looks ahead in every block": replace(PLAIN, look_ahead=(4, 3, 2, 2, 1, 1, 1, 1, 1)),
    "strides elsewhere": replace(PLAIN, strides=(2, 1, 1, 1, 3, 1, 1, 1, 1)),
    "no strides": replace(PLAIN, strides=(1,) * 9),
    "other joints": replace(PLAIN, layout="ntu25"),
}


def trained(*streams: Stream) -> Streams:
    """A model none of whose parts is the identity, and whose logits are of the size of trained ones."""
    torch.manual_seed(0)
    model = Streams(streams).train()
    with torch.no_grad():
        for network in model.networks:
            torch.nn.init.normal_(network.head.weight, std=0.3)
            for block in network.blocks:
                torch.nn.init.uniform_(block.space.importance, -0.2, 0.6)
            for norm in (each for each in network.modules() if isinstance(each, torch.nn.BatchNorm1d)):
                norm.momentum = 0.9  # so that three batches are enough
        for seed in range(3):
            model(some_joints(4, name=streams[0].config.layout, seed=seed))
    return model.eval()


def lone(config: STGCNConfig, kind: str = "joint+bone") -> Streams:
    channels = n_channels(kind, layout_name=config.layout, dims=2)
    return trained(Stream(kind, replace(config, in_channels=channels)))


def by_frame(model: Streams) -> PeopleModel:
    return OnlineModel(FoldedModel(model))


def by_beat(model: Streams) -> PeopleModel:
    return BeatwiseModel(BeatModel(FoldedModel(model)))


@pytest.fixture(params=[by_frame, by_beat])
def opened(request: pytest.FixtureRequest) -> Opener:
    """What makes a model ready, on each of the two ways that torch runs a stream."""
    return request.param  # type: ignore[no-any-return]


class Hall:
    """People who come, go and miss frames, and all they have shown so far."""

    def __init__(self, model: Streams, online: PeopleModel) -> None:
        self.model, self.online = model, online
        self.shown = defaultdict[str, list[torch.Tensor]](list)
        self.rng = torch.Generator().manual_seed(1)
        self.n_answers = 0
        self.worst = 0.0

    def enter(self, person: str) -> None:
        for _ in range(self.online.enter(person)):
            self.tick([person])

    def leave(self, person: str) -> None:
        self.online.leave(person)
        del self.shown[person]

    def tick(self, people: list[str]) -> None:
        """Show one frame of these people and hold every answer against the clip model."""
        config = self.model.config
        frames = torch.randn(len(people), self.online.n_joints, 3, generator=self.rng)
        for person, frame in zip(people, frames, strict=True):
            self.shown[person].append(frame)
        answered, logits = self.online.step(people, frames)
        assert len(set(answered)) == len(answered) == len(logits)
        for person in people:
            n_beats, rest = divmod(len(self.shown[person]) - 1 - self.model.frames_ahead, config.stride)
            assert (person in answered) == (n_beats >= 0 and not rest)
        for person, given in zip(answered, logits, strict=True):
            with torch.inference_mode():
                wanted = self.model(torch.stack(self.shown[person])[None])[0]
            self.worst = max(self.worst, float((given - wanted).abs().max()))
            self.n_answers += 1


def open_hall(model: Streams, opened: Opener) -> Hall:
    return Hall(model, opened(model))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_folded_network_gives_the_logits_of_the_trained_one(name: str) -> None:
    model = lone(CONFIGS[name])
    network = model.networks[0]
    assert isinstance(network, STGCN)
    folded = FoldedSTGCN(network)

    for n_frames in (1, 2, 7, 8, 30, 64):
        x = features(some_joints(3, n_frames, name=model.config.layout), layout_name=model.config.layout)
        with torch.inference_mode():
            torch.testing.assert_close(folded(x), network(x), atol=2e-5, rtol=1e-5)


def test_a_folded_network_does_not_learn_with_the_trained_one() -> None:
    network = lone(PLAIN).networks[0]
    assert isinstance(network, STGCN)
    x = features(some_joints(1, 16), layout_name="coco17")
    folded = FoldedSTGCN(network)
    before = folded(x)

    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1

    assert torch.equal(folded(x), before)


def test_a_folded_network_names_the_shape_it_needs() -> None:
    network = lone(PLAIN).networks[0]
    assert isinstance(network, STGCN)

    with pytest.raises(ShapeError, match=r"\(N, T, 17, 6\)"):
        FoldedSTGCN(network)(torch.zeros(1, 8, 17, 3))


@pytest.mark.parametrize("name", CONFIGS)
def test_frame_by_frame_the_answers_are_those_of_the_clip_so_far(name: str, opened: Opener) -> None:
    hall = open_hall(lone(CONFIGS[name]), opened)
    for person in "abc":
        hall.enter(person)

    for _ in range(90):
        hall.tick(["a", "b", "c"])

    assert hall.n_answers >= 3 * (90 - hall.model.frames_ahead) // hall.model.config.stride
    assert hall.worst < 1e-4


@pytest.mark.parametrize("kind", ["joint", "bone", "joint+bone+distance", "motion+bone motion"])
def test_every_input_is_seen_as_the_clip_sees_it(kind: str, opened: Opener) -> None:
    hall = open_hall(lone(PLAIN, kind), opened)
    hall.enter("a")

    for _ in range(60):
        hall.tick(["a"])

    assert hall.n_answers > 10
    assert hall.worst < 1e-4


def test_joint_and_bone_networks_answer_together(opened: Opener) -> None:
    parts = [Stream("joint", replace(PLAIN, in_channels=3), 0.4), Stream("bone", replace(RICH, in_channels=3), 0.6)]
    hall = open_hall(trained(*parts), opened)
    hall.enter("a")

    for _ in range(60):
        hall.tick(["a"])

    assert hall.n_answers > 10
    assert hall.worst < 1e-4


def test_networks_that_look_ahead_differently_answer_together(opened: Opener) -> None:
    causal = replace(PLAIN, look_ahead=(0,) * 9, in_channels=3)
    parts = [Stream("joint", causal, 0.4), Stream("bone", replace(RICH, in_channels=3), 0.6)]
    hall = open_hall(trained(*parts), opened)
    hall.enter("a")

    for _ in range(60):
        hall.tick(["a"])

    assert hall.n_answers > 10
    assert hall.worst < 1e-4


def test_five_hundred_clips_of_people_who_come_go_miss_frames_and_return(opened: Opener) -> None:
    parts = [Stream("joint+bone", RICH, 0.5), Stream("motion+bone motion", RICH, 0.5)]
    hall = open_hall(trained(*parts), opened)

    come_and_go(hall, n_clips=500)

    assert hall.n_answers > 1000
    assert hall.worst < 1e-4


def come_and_go(hall: Hall, *, n_clips: int) -> None:
    """Show people who come at any time, miss frames, are saved and restored, and go."""
    rng = np.random.default_rng(3)
    absent: dict[str, object] = {}
    n_came = n_returns = 0
    present: list[str] = []

    while n_came < n_clips:
        if len(present) < 24 and rng.random() < 0.7:
            person = f"p{n_came}"
            n_came += 1
            hall.enter(person)
            present.append(person)
        if rng.random() < 0.15:  # out of sight for a while, perhaps served by another process meanwhile
            person = present.pop(rng.integers(len(present)))
            absent[person] = hall.online.save(person)
            hall.online.leave(person)
        if absent and rng.random() < 0.2:
            person = list(absent)[rng.integers(len(absent))]
            hall.online.restore(person, absent.pop(person))  # type: ignore[arg-type]
            present.append(person)
            n_returns += 1
        late = set(rng.choice(present, size=min(len(present), rng.integers(3)), replace=False).tolist())
        here = [person for person in present if person not in late]
        rng.shuffle(here)
        if here:
            hall.tick(here)
        for person in [each for each in present if len(hall.shown[each]) > rng.integers(20, 90)]:
            present.remove(person)
            hall.leave(person)

    assert n_returns > n_clips // 10


def test_a_state_goes_on_in_another_process_at_another_time(opened: Opener) -> None:
    model = lone(RICH)
    hall, elsewhere = open_hall(model, opened), open_hall(model, opened)
    hall.enter("a")
    elsewhere.enter("b")
    for _ in range(50):
        hall.tick(["a"])
    for _ in range(7):
        elsewhere.tick(["b"])

    elsewhere.online.restore("a", hall.online.save("a"))
    elsewhere.shown["a"] = hall.shown["a"]
    for _ in range(40):
        elsewhere.tick(["a", "b"])

    assert elsewhere.online.seen("a") == 90
    assert elsewhere.worst < 1e-4


def test_a_newcomer_has_no_answer_before_the_look_ahead_is_seen(opened: Opener) -> None:
    online = opened(lone(PLAIN))
    online.enter("a")

    answers = [online.step(["a"], torch.randn(1, 17, 3))[0] for _ in range(12)]

    assert online.seen("a") == 12
    assert [index for index, found in enumerate(answers) if found] == [7, 11]


def test_not_a_number_in_one_person_changes_nothing_for_another(opened: Opener) -> None:
    model = lone(RICH)

    spoil_one(opened(model), opened(model))


def spoil_one(hall: PeopleModel, spoilt: PeopleModel) -> None:
    """Show one of two people as not a number, and hold the other against an unspoilt stream."""
    rng = torch.Generator().manual_seed(0)
    for online in (hall, spoilt):
        online.enter("a")
        online.enter("b")

    for _ in range(40):
        frames = torch.randn(2, 17, 3, generator=rng)
        who, wanted = hall.step(["a", "b"], frames)
        frames[0] = torch.nan
        _, given = spoilt.step(["a", "b"], frames)
        assert torch.isfinite(given).all()
        if who:
            torch.testing.assert_close(given[who.index("b")], wanted[who.index("b")])


def test_two_hundred_people_come_at_once_and_their_room_is_given_back(opened: Opener) -> None:
    online = opened(lone(PLAIN))
    online.enter("stays")
    for number in range(200):
        online.enter(number)
    names = ["stays", *range(200)]
    for _ in range(8):
        answered, _ = online.step(names, torch.randn(201, 17, 3))
    assert len(answered) == 201
    assert online.n_rows >= 201

    for number in range(200):
        online.leave(number)

    assert len(online) == 1
    assert "stays" in online
    assert online.n_rows <= 8


def test_nobody_for_an_hour_costs_nothing(opened: Opener) -> None:
    online = opened(lone(PLAIN))

    for _ in range(3600):
        answered, logits = online.step([], torch.zeros(0, 17, 3))

    assert not answered
    assert logits.shape == (0, 4)
    assert online.n_rows == 0


def test_what_does_not_fit_is_refused_and_nobody_is_touched(opened: Opener) -> None:
    online = opened(lone(PLAIN))
    online.enter("a")
    online.enter("b")

    with pytest.raises(ShapeError, match="already"):
        online.enter("a")
    with pytest.raises(ShapeError, match="twice"):
        online.step(["a", "a"], torch.zeros(2, 17, 3))
    with pytest.raises(ShapeError, match="expected joints"):
        online.step(["a"], torch.zeros(1, 25, 3))
    with pytest.raises(KeyError):
        online.step(["a", "c"], torch.zeros(2, 17, 3))
    other = opened(lone(RICH))
    other.enter("c")
    with pytest.raises(ShapeError, match="another model"):
        online.restore("c", other.save("c"))
    assert "c" not in online

    assert online.seen("a") == online.seen("b") == 0
