"""Trained networks as ONNX: pictures of one size, however many."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from torch import nn

from har.models.onnx_graph import forget_paths, quiet_export
from har.pose.onnx_session import start

INPUT, OUTPUT = "pictures", "answer"
_EXAMPLE = 3  # pictures of the example; neither 0 nor 1, which would be taken for constants


def to_onnx(network: nn.Module, *, width: int, height: int) -> bytes | None:
    """Give a network as an ONNX file; None where the packages for it are not installed.

    Args:
        network: takes pictures (N, 3, height, width) in [0, 1] to one tensor whose first axis is N.
        width: pixels.
        height: pixels.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError:
        return None
    example = torch.rand(_EXAMPLE, 3, height, width, generator=torch.Generator().manual_seed(0))
    network = network.cpu().eval().to(memory_format=torch.contiguous_format)
    with quiet_export(), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        program: Any = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    forget_paths(proto)
    blob: bytes = proto.SerializeToString()
    return blob


@torch.inference_mode()
def difference(blob: bytes, network: nn.Module, *, width: int, height: int) -> float | None:
    """Give the largest difference between ONNX Runtime's and torch's answers; None where the runtime is not there."""
    session = start(blob)
    if session is None:
        return None
    pictures = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    found = session.run(None, {INPUT: pictures.numpy()})[0]
    return float(np.abs(found - network.cpu().eval()(pictures).numpy()).max())
