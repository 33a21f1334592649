"""A trained estimator's network on ONNX Runtime."""

from __future__ import annotations

import os
from typing import Any

from har.errors import BundleError
from har.pose.bundle import PoseBundle


def open_session(bundle: PoseBundle) -> Any:
    """Give a bundle's network on ONNX Runtime; None if that is not installed, or it was not exported.

    Raises:
        BundleError: ONNX Runtime refuses the network.
    """
    if bundle.onnx is None:
        return None
    try:
        return start(bundle.onnx)
    except Exception as error:  # its errors have no class in common
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BundleError(
            f"model.onnx of a {bundle.kind} is refused by ONNX Runtime: {line}. Train it again."
        ) from None


def start(network: bytes) -> Any:
    """Give a network on ONNX Runtime, one thread; None if that is not installed."""
    # On import it would write a device number into the user's cache and tell its makers of the machine.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
