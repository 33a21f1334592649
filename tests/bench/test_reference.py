from __future__ import annotations

import torch

from har.bench.reference import ReferenceSTGCN


def test_the_reference_answers_for_clips_of_two_people_and_learns() -> None:
    torch.manual_seed(0)
    network = ReferenceSTGCN(in_channels=3, n_classes=4, layout="kinect20")
    clips = torch.randn(2, 3, 16, 20, 2)

    logits = network(clips)
    logits.sum().backward()

    assert logits.shape == (2, 4)
    assert all(each.grad is not None for each in network.parameters())


def test_the_reference_takes_people_in_any_order() -> None:
    torch.manual_seed(0)
    network = ReferenceSTGCN(in_channels=3, n_classes=4, layout="kinect20").eval()
    clips = torch.randn(2, 3, 16, 20, 2)

    torch.testing.assert_close(network(clips), network(clips.flip(dims=[4])))
