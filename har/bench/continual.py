"""The published way to run an ST-GCN frame by frame, to measure ours against.

CoST-GCN* (Hedegaard et al. 2022, "Continual spatio-temporal graph convolutional networks", section 3.3): no padding and
no strides in time, residuals delayed to the middle of the kernel, an answer at every frame. Built of the same nine
blocks with the authors' own library, `continual-inference`.
"""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn

from har.bench.reference import KERNEL, WIDTHS, ReferenceSpace
from har.errors import ConfigError


class ContinualSTGCN:
    """CoST-GCN* of nine blocks in evaluation mode.

    Args:
        in_channels: of a joint.
        n_classes: labels.
        layout: joint layout.

    Raises:
        ConfigError: the library is not installed.
    """

    def __init__(self, *, in_channels: int, n_classes: int, layout: str) -> None:
        co = _library()
        blocks: list[Any] = []
        for index, (c_in, c_out) in enumerate(zip((in_channels, *WIDTHS[:-1]), WIDTHS, strict=True)):
            main = co.Sequential(
                co.forward_stepping(ReferenceSpace(c_in, c_out, layout)),
                co.Conv2d(c_out, c_out, (KERNEL, 1)),
                co.forward_stepping(nn.BatchNorm2d(c_out)),
            )
            if not index:
                blocks += [main]
            elif c_in == c_out:
                blocks += [co.Residual(main, residual_shrink=True)]
            else:
                widen = co.Sequential(
                    co.Delay(KERNEL - 1 - KERNEL // 2, auto_shrink=True),
                    co.Conv2d(c_in, c_out, (1, 1)),
                    co.forward_stepping(nn.BatchNorm2d(c_out)),
                )
                blocks += [co.BroadcastReduce(widen, main, auto_delay=False)]
            blocks += [co.forward_stepping(nn.ReLU())]
        self.network = co.Sequential(*blocks).eval()
        self.head = nn.Linear(WIDTHS[-1], n_classes)
        self.frames_until_answer = (KERNEL - 1) * len(WIDTHS) + 1

    def step(self, x: Tensor) -> Tensor | None:
        """Take in one frame (N, C, V); give logits (N, n_classes) once everything before has been seen.

        The mean over time of the library's last layers is left out: it costs next to nothing.
        """
        y = self.network.forward_step(x)
        return self.head(y.mean(dim=-1)) if isinstance(y, Tensor) else None


def _library() -> Any:
    try:
        with warnings.catch_warnings():  # of parts of torch that it uses
            warnings.simplefilter("ignore")
            import continual
    except ImportError:
        raise ConfigError(
            "continual-inference is not installed, which the comparison with CoST-GCN* needs: "
            ".venv/bin/pip install -c constraints.txt -e '.[bench]'"
        ) from None
    return continual
