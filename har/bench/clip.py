"""What one window costs: the plain ST-GCN that others run, ours as it is trained, and ours as it is served."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from har.bench.machine import describe_machine
from har.bench.reference import WIDTHS, ReferenceSTGCN
from har.bench.stream import N_CLASSES, on_onnxruntime, paper_model
from har.bench.timing import YARDSTICK, Work, count_flops, in_turns, ratios, yardstick, yardstick_gflops
from har.models.folded import FoldedModel, FoldedSTGCN
from har.models.onnx_graph import open_clip, write_clip
from har.models.stgcn import STGCN

REFERENCE, TRAINED, SERVED, ONNX = "reference", "trained", "served", "onnxruntime"

Say = Callable[[str], None]


def bench_clip(*, frames: int, batches: Sequence[int], rounds: int, say: Say) -> dict[str, Any]:
    """Measure windows of the paper's nine blocks on joints, on one thread.

    Args:
        frames: length of a window.
        batches: windows at once, rows for each.
        rounds: repetitions; everything takes turns.
        say: called with a line of progress.

    Returns:
        Machine, yardstick and "rows": for each batch and each form the time, its ratio to the reference and its
        largest difference from the network as it is trained.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    machine, model = describe_machine(), paper_model()
    network = model.networks[0]
    assert isinstance(network, STGCN)
    forms: dict[str, Callable[[Tensor], Tensor]] = {TRAINED: network, SERVED: FoldedSTGCN(network)}
    folded = FoldedModel(model)
    exported = on_onnxruntime(lambda file: write_clip(folded, file, frames=frames), open_clip, say=say)
    if exported is not None:
        forms[ONNX] = exported
    reference = ReferenceSTGCN(in_channels=3, n_classes=N_CLASSES, layout="coco17").eval()
    rows: list[dict[str, Any]] = []
    rates: list[float] = []
    with torch.inference_mode():
        for batch in batches:
            x = torch.randn(batch, frames, 17, 3)
            plain = x.permute(0, 3, 1, 2)[..., None].contiguous()  # (N, C, T, V, M)
            ways: dict[str, Work] = {YARDSTICK: yardstick(), REFERENCE: lambda plain=plain: reference(plain)}  # type: ignore[misc]
            ways |= {name: lambda form=form, x=x: form(x) for name, form in forms.items()}  # type: ignore[misc]
            took = in_turns(ways, rounds=rounds)
            rates += took[YARDSTICK]
            # torch counts its own operations only; the exported network is the served one.
            flops = {name: count_flops(ways[SERVED if name == ONNX else name]) for name in (REFERENCE, *forms)}
            for name in (REFERENCE, *forms):
                ratio, low, high = ratios(took[REFERENCE], took[name])
                rows.append(
                    {
                        "form": name,
                        "batch": batch,
                        "frames": frames,
                        "ms": round(statistics.median(took[name]) * 1e3, 2),
                        "ratio_reference": round(ratio, 2),
                        "ratio_spread": [round(low, 2), round(high, 2)],
                        "flops": flops[name],
                        "max_abs_diff": float((forms[name](x) - network(x)).abs().max()) if name in forms else None,
                    }
                )
    return {
        "name": "clip",
        "machine": machine,
        "torch_threads": torch.get_num_threads(),
        "rounds": rounds,
        "widths": list(WIDTHS),
        "yardstick_gflops": round(yardstick_gflops(statistics.median(rates)), 1),
        "rows": rows,
    }


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    machine = result["machine"]
    lines = [
        f"{machine['processor']}, one thread of {machine['threads']}, load {machine['load']}",
        f"{result['rounds']} rounds; matrix products of this machine: {result['yardstick_gflops']} GFLOP/s",
    ]
    heads = f"{'ms':>9}{'against the reference':>26}{'GFLOP/s':>10}{'differs by':>12}"
    lines.append(f"{'batch':>6}{'frames':>8}  {'form':12}{heads}")
    for row in result["rows"]:
        low, high = row["ratio_spread"]
        times = f"{row['ratio_reference']:.2f}x ({low:.2f} to {high:.2f})"
        differs = "" if row["max_abs_diff"] is None else f"{row['max_abs_diff']:.1e}"
        lines.append(
            f"{row['batch']:6}{row['frames']:8}  {row['form']:12}{row['ms']:9.1f}{times:>26}"
            f"{row['flops'] / row['ms'] / 1e6:10.0f}{differs:>12}"
        )
    return "\n".join(lines)
