from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import LAYOUTS, LayoutError, PartitionError, layout
from graphs.spacetime import ReferenceGraphConv, batch_windows
from har.errors import ShapeError
from har.models.stgcn import STGCN, GraphConv, STGCNConfig, features

SMALL = STGCNConfig(n_classes=4, channels=(8,) * 9)


def some_joints(n: int = 2, t: int = 16, *, name: str = "coco17", seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    xy = torch.randn(n, t, layout(name).n_joints, 2, generator=rng)
    return torch.cat([xy, torch.rand(n, t, layout(name).n_joints, 1, generator=rng)], dim=-1)


def network(config: STGCNConfig = SMALL, *, seed: int = 0) -> STGCN:
    """A network in evaluation mode whose norms have seen data, so that none of them is the identity."""
    torch.manual_seed(seed)
    model = STGCN(config).train()
    for block in model.blocks:
        torch.nn.init.uniform_(block.space.importance, 0.5, 1.5)
    with torch.no_grad():
        for step in range(3):
            model(features(some_joints(4, name=config.layout, seed=step), layout_name=config.layout))
    return model.eval()


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("partition", ["uniform", "distance", "spatial"])
def test_every_layout_and_partition_gives_one_logit_per_label(name: str, partition: str) -> None:
    model = network(dataclasses.replace(SMALL, layout=name, partition=partition))

    logits = model(features(some_joints(3, name=name), layout_name=name))

    assert logits.shape == (3, 4)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 7, 8, 9, 32])
def test_windows_of_any_length_give_probabilities(n_frames: int) -> None:
    scores = network().scores(some_joints(2, n_frames))

    assert scores.shape == (2, 4)
    assert (scores > 0).all()
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(2))


def test_nobody_on_screen_gives_no_rows() -> None:
    assert network().scores(some_joints(0)).shape == (0, 4)


def test_the_same_seed_gives_the_same_answer_and_another_seed_another() -> None:
    joints = some_joints()

    one, same, other = (network(seed=seed).scores(joints) for seed in (3, 3, 4))

    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_it_can_overfit_eight_clips() -> None:
    torch.manual_seed(0)
    x = features(some_joints(8), layout_name="coco17")
    labels = torch.arange(8) % 4
    model = STGCN(SMALL).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)

    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimiser.step()

    with torch.no_grad():
        assert (model.eval()(x).argmax(dim=1) == labels).all()
    assert loss.item() < 0.1


def test_free_edges_begin_as_the_skeleton_and_may_join_any_two_joints() -> None:
    torch.manual_seed(0)
    free = GraphConv(3, 7, config=STGCNConfig(n_classes=2, free_edges=True))
    torch.manual_seed(0)
    scaled = GraphConv(3, 7, config=STGCNConfig(n_classes=2))
    joints = some_joints(2, 3)[..., :3]

    assert torch.equal(free(joints), scaled(joints))
    free(joints).square().sum().backward()
    assert free.importance.grad is not None
    assert (free.importance.grad != 0).all()


def test_a_way_around_the_graph_convolution_changes_all_blocks_but_the_first() -> None:
    model = STGCN(dataclasses.replace(SMALL, graph_residual=True)).eval()
    x = features(some_joints(2), layout_name="coco17")

    assert [block.has_space_residual for block in model.blocks] == [False] + [True] * 8
    assert not torch.equal(model(x), STGCN(SMALL).eval()(x))


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(sorted(LAYOUTS)),
    partition=st.sampled_from(["uniform", "distance", "spatial"]),
    seed=st.integers(0, 5),
)
def test_the_dense_graph_convolution_equals_message_passing(name: str, partition: str, seed: int) -> None:
    torch.manual_seed(seed)
    dense = GraphConv(3, 7, config=STGCNConfig(n_classes=2, layout=name, partition=partition))
    torch.nn.init.uniform_(dense.importance, 0.2, 2.0)
    torch.nn.init.normal_(dense.linear.bias)
    reference = ReferenceGraphConv(3, 7, n_partitions=len(dense.adjacency))
    reference.linear.load_state_dict(dense.linear.state_dict())
    joints = some_joints(2, 3, name=name, seed=seed)
    batch = batch_windows(list(joints.numpy()), name=name, partition=partition)
    heard, hears = batch.joint[batch.edge_index]
    within = batch.edge_attr < len(dense.adjacency)
    importance = torch.ones(len(within))
    importance[within] = dense.importance.detach()[batch.edge_attr[within], hears[within], heard[within]]

    with torch.no_grad():
        expected = reference(batch.x, batch.edge_index, batch.edge_attr, batch.edge_weight * importance)
        got = dense(joints)

    torch.testing.assert_close(got.reshape(-1, 7), expected, atol=1e-5, rtol=1e-5)


def test_the_served_network_has_the_number_of_parameters_that_its_card_states() -> None:
    narrow = STGCN(STGCNConfig(n_classes=8))
    paper = STGCN(STGCNConfig(n_classes=8, channels=(64, 64, 64, 128, 128, 128, 256, 256, 256)))

    assert sum(parameter.numel() for parameter in narrow.parameters()) == 764_623
    assert sum(parameter.numel() for parameter in paper.parameters()) == 3_022_415


def test_the_first_block_has_no_residual_and_the_others_have_one() -> None:
    model = network()
    x = torch.rand(1, 8, 17, 8)

    with torch.no_grad():
        for block in model.blocks:
            block.time_norm.weight.zero_()
            block.time_norm.bias.zero_()

    assert torch.count_nonzero(model.blocks[0](torch.rand(1, 8, 17, 6))) == 0
    torch.testing.assert_close(model.blocks[1](x), x)


@pytest.mark.parametrize(
    ("look_ahead", "frames"), [((0,) * 9, 0), ((2, 2, 2, 1, 0, 0, 0, 0, 0), 7), ((1, 1, 1, 2, 1, 0, 0, 0, 0), 7)]
)
def test_an_output_hears_exactly_as_far_ahead_as_the_config_says(look_ahead: tuple[int, ...], frames: int) -> None:
    config = dataclasses.replace(SMALL, look_ahead=look_ahead)
    model = network(config)
    at, n_frames = 4, 40  # output 4 stands at input frame 16
    x = features(some_joints(1, n_frames), layout_name="coco17").requires_grad_()

    y = model.input_norm(x.reshape(n_frames, -1)).reshape(x.shape)
    for block in model.blocks:
        y = block(y)
    y[0, at].abs().sum().backward()

    heard = torch.nonzero(x.grad.abs().sum(dim=(0, 2, 3))).flatten()
    assert config.frames_ahead == frames
    assert int(heard.max()) == at * config.stride + frames


def test_outputs_that_are_pooled_do_not_change_when_the_window_goes_on() -> None:
    model, joints = network(), some_joints(1, 41)
    outputs = {}

    for n_frames in (30, 41):
        x = features(joints[:, :n_frames], layout_name="coco17")
        y = model.input_norm(x.reshape(n_frames, -1)).reshape(x.shape)
        for block in model.blocks:
            y = block(y)
        outputs[n_frames] = y

    whole = model.config.n_whole(30)
    assert whole == (30 - 1 - 7) // 4 + 1
    torch.testing.assert_close(outputs[30][:, :whole], outputs[41][:, :whole], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(outputs[30][:, whole], outputs[41][:, whole], atol=1e-3)


def test_a_body_that_stands_still_is_answered_alike_after_one_frame_and_after_forty() -> None:
    model, frame = network(), some_joints(1, 1)

    once, long = model.scores(frame), model.scores(frame.expand(-1, 40, -1, -1))

    torch.testing.assert_close(once, long, atol=1e-5, rtol=1e-4)


def test_pooling_the_last_outputs_forgets_the_beginning() -> None:
    last = network(dataclasses.replace(SMALL, pool_last=1))
    everything = network()
    everything.load_state_dict(last.state_dict())
    joints = some_joints(1, 200)
    changed = joints.clone()
    changed[:, :8] += 3.0

    assert torch.allclose(last.scores(joints), last.scores(changed), atol=1e-6)
    assert not torch.allclose(everything.scores(joints), everything.scores(changed), atol=1e-6)


def test_features_are_the_joints_and_their_bones() -> None:
    joints = some_joints(1, 2)
    which = layout("coco17")

    x = features(joints, layout_name="coco17")

    child, parent = which.bones[0]
    assert x.shape == (1, 2, 17, 6)
    torch.testing.assert_close(x[..., :3], joints)
    torch.testing.assert_close(x[:, :, child, 3:5], joints[:, :, child, :2] - joints[:, :, parent, :2])
    torch.testing.assert_close(x[:, :, child, 5], torch.minimum(joints[:, :, child, 2], joints[:, :, parent, 2]))
    assert torch.count_nonzero(x[:, :, which.root, 3:5]) == 0


def test_an_unseen_joint_is_zero_with_score_zero_and_so_are_its_bones() -> None:
    joints = some_joints(1, 2)
    elbow, wrist = layout("coco17").joints.index("left_elbow"), layout("coco17").joints.index("left_wrist")
    joints[:, :, elbow, :2] = float("nan")
    before = joints.clone()

    x = features(joints, layout_name="coco17")

    assert x.isfinite().all()
    assert torch.count_nonzero(x[:, :, elbow]) == 0
    assert torch.count_nonzero(x[:, :, wrist, 3:]) == 0
    torch.testing.assert_close(x[:, :, wrist, :3], joints[:, :, wrist])
    assert torch.equal(joints.isnan(), before.isnan())


def test_a_window_in_which_nothing_was_seen_still_gets_probabilities() -> None:
    scores = network().scores(torch.full((1, 16, 17, 3), float("nan")))

    torch.testing.assert_close(scores.sum(dim=1), torch.ones(1))


def test_three_dimensional_joints_work_with_eight_channels() -> None:
    config = dataclasses.replace(SMALL, layout="kinect20", in_channels=8)
    joints = torch.rand(2, 16, 20, 4)

    assert STGCN(config).eval().scores(joints).shape == (2, 4)


def test_joints_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"'coco17' must be \(N, T, 17, C\)"):
        network().scores(torch.zeros(1, 4, 18, 3))
    with pytest.raises(ShapeError, match=r"\(N, T, 17, 6\)"):
        network()(torch.zeros(1, 4, 17, 3))
    with pytest.raises(ShapeError, match="T > 0"):
        network()(torch.zeros(1, 0, 17, 6))


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_classes", 0), ("kernel", 4), ("dropout", 1.0), ("channels", (8,) * 8), ("strides", (0,) * 9),
     ("look_ahead", (9,) * 9), ("in_channels", 0), ("pool_last", -1)],
)  # fmt: skip
def test_a_config_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ShapeError, match=field):
        dataclasses.replace(SMALL, **{field: value})


def test_a_config_with_an_unknown_layout_or_partition_is_refused() -> None:
    with pytest.raises(LayoutError, match="coco17"):
        dataclasses.replace(SMALL, layout="coco")
    with pytest.raises(PartitionError, match="spatial"):
        dataclasses.replace(SMALL, partition="none")


def test_weights_do_not_depend_on_the_length_of_the_window_they_saw() -> None:
    model = network()
    joints = some_joints(2, 32)

    apart = torch.cat([model.scores(joints[:1]), model.scores(joints[1:])])

    np.testing.assert_allclose(model.scores(joints).detach().numpy(), apart.detach().numpy(), atol=1e-6)
