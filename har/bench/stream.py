"""What one more frame of one more person costs the action stage, against running a clip again at every frame."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor

from har.bench.continual import ContinualSTGCN
from har.bench.machine import describe_machine
from har.bench.reference import STRIDES, WIDTHS, ReferenceSTGCN
from har.bench.timing import YARDSTICK, Work, count_flops, in_turns, ratios, yardstick, yardstick_gflops
from har.errors import ConfigError
from har.models.beats import BeatModel, BeatwiseModel
from har.models.engines import ONNXRUNTIME, TORCH, TORCH_BF16, computes_bf16
from har.models.folded import FoldedModel
from har.models.online import OnlineModel
from har.models.onnx_graph import OnnxGraph, write_stream
from har.models.people import PeopleModel
from har.models.stgcn import STGCN, STGCNConfig
from har.models.streams import Stream, Streams

CLIP_FRAMES = 300
N_CLASSES = 60
CONTINUAL_PERSONS = 8
LEAST_SHARE = 0.55
"""Of the yardstick's rate; a slower reference would flatter whatever is held against it."""
_CONTINUAL_STEPS = 4
_CHECKED_PEOPLE = 4
_CHECKED_FRAMES = 120
_REFERENCE, _CONTINUAL = "reference", "continual"
_SEED = 0

Say = Callable[[str], None]
Opener = Callable[[], PeopleModel]
Took = Mapping[str, Sequence[float]]
Form = TypeVar("Form")


def bench_stream(*, persons: Sequence[int], rounds: int, say: Say) -> dict[str, Any]:
    """Measure the stream of the paper's nine blocks on joints, on one thread.

    Args:
        persons: how many people at once, for each row.
        rounds: repetitions; everything takes turns.
        say: called with a line of progress.

    Returns:
        Machine, yardstick, the reference clip, the published stream if its library is installed, and "rows", one for
        each number of people and each engine that is installed.
    """
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    machine = describe_machine()
    model = paper_model()
    reference = ReferenceSTGCN(in_channels=3, n_classes=N_CLASSES, layout="coco17").eval()
    clip = torch.randn(1, 3, CLIP_FRAMES, 17, 1)
    ways: dict[str, Work] = {YARDSTICK: yardstick(), _REFERENCE: lambda: reference(clip)}
    published = _published(say)
    if published is not None:
        ways[_CONTINUAL] = published
    halls = {
        (engine, n): _Hall(model, n, open_model)
        for engine, open_model in _engines(model, say).items()
        for n in (*persons, *([CONTINUAL_PERSONS] if published is not None else []))
    }
    ways |= {_way(*key): hall.beat for key, hall in halls.items()}
    with torch.inference_mode():
        say(f"{rounds} rounds of {', '.join(ways)}")
        took = in_turns(ways, rounds=rounds)
        flops = {name: count_flops(work) for name, work in ways.items()}
        # torch counts its own operations only: those of another engine are counted on torch running the same graph.
        graph = BeatModel(FoldedModel(model))
        for engine, n in halls:
            if engine == ONNXRUNTIME:
                flops[_way(engine, n)] = count_flops(_Hall(model, n, lambda: BeatwiseModel(graph)).beat)
        two_people = count_flops(_two_person_clip)
        say("the stream against the clip")
        rows = [_row(*key, hall, took, flops) for key, hall in halls.items() if key[1] in persons]
    hall, way = halls[TORCH, persons[0]], _way(TORCH, persons[0])
    share = _share_of_yardstick(_REFERENCE, took, flops)
    result = {
        "name": "stream",
        "machine": machine,
        "torch_threads": torch.get_num_threads(),
        "rounds": rounds,
        "yardstick_gflops": round(yardstick_gflops(statistics.median(took[YARDSTICK])), 1),
        "params": sum(each.numel() for each in model.parameters()),
        "state_bytes": hall.online.state_bytes,
        "flops_per_answer": flops[way] // persons[0],
        "frames_per_answer": hall.online.beat,
        "reference": {
            "frames": CLIP_FRAMES,
            "params": sum(each.numel() for each in reference.parameters()),
            "ms": round(statistics.median(took[_REFERENCE]) * 1e3, 1),
            "flops": flops[_REFERENCE],
            "flops_two_people": two_people,
        },
        "reference_share_of_yardstick": round(share, 3),
        "valid": share >= LEAST_SHARE,
        "rows": rows,
    }
    if published is not None:
        result["continual"] = _against_published(took, flops, halls)
    return result


class _Hall:
    """So many people who are shown frames, again and again."""

    def __init__(self, model: Streams, n_people: int, open_model: Opener) -> None:
        self.model, self.people, self.open_model = model, list(range(n_people)), open_model
        self.online = open_model()
        self.frame = torch.randn(n_people, self.online.n_joints, model.dims + 1)
        for person in self.people:
            self.online.enter(person)

    def beat(self) -> None:
        """Show as many frames as lie between two answers."""
        for _ in range(self.online.beat):
            self.online.step(self.people, self.frame)


def _engines(model: Streams, say: Say) -> dict[str, Opener]:
    """Give what opens the stream on each engine that is here."""
    engines: dict[str, Opener] = {TORCH: lambda: OnlineModel(FoldedModel(model))}
    if computes_bf16():
        engines[TORCH_BF16] = lambda: OnlineModel(FoldedModel(model, dtype=torch.bfloat16))
    folded = FoldedModel(model)
    graph = on_onnxruntime(lambda file: write_stream(folded, file), OnnxGraph, say=say)
    if graph is not None:
        engines[ONNXRUNTIME] = lambda: BeatwiseModel(graph)
    return engines


def on_onnxruntime(write: Callable[[Path], None], read: Callable[[Path], Form], *, say: Say) -> Form | None:
    """Write a network as an ONNX file and read it again; None if ONNX Runtime or what writes for it is not here."""
    with tempfile.TemporaryDirectory(prefix="har-") as folder:
        file = Path(folder) / "network.onnx"
        try:
            say("making the network ready for ONNX Runtime")
            write(file)
            return read(file)
        except ConfigError as error:
            say(str(error))
            return None


def _way(engine: str, n_people: int) -> str:
    return f"{n_people} on {engine}"


def _row(engine: str, n: int, hall: _Hall, took: Took, flops: Mapping[str, int]) -> dict[str, Any]:
    name = _way(engine, n)
    per_frame = [seconds / n / hall.online.beat for seconds in took[name]]
    ratio, low, high = ratios(took[_REFERENCE], per_frame)
    return {
        "persons": n,
        "engine": engine,
        "us_per_person_frame": round(statistics.median(per_frame) * 1e6, 1),
        "us_spread": [round(min(per_frame) * 1e6, 1), round(max(per_frame) * 1e6, 1)],
        "ratio_clip300": round(ratio, 1),
        "ratio_spread": [round(low, 1), round(high, 1)],
        "persons_at_30_hz": round(1 / 30 / statistics.median(per_frame), 1),
        "flops_per_person_frame": flops[name] // n // hall.online.beat,
        "share_of_yardstick": round(_share_of_yardstick(name, took, flops), 3),
        "max_abs_diff": largest_difference(hall.model, n, hall.open_model),
    }


@torch.inference_mode()
def largest_difference(model: Streams, n_people: int, open_model: Opener) -> float:
    """Give the largest difference of a logit between the stream and the clip model, on some people's frames."""
    rng = torch.Generator().manual_seed(_SEED)
    online = open_model()
    for person in range(n_people):
        online.enter(person)
    frames = torch.randn(_CHECKED_FRAMES, n_people, online.n_joints, model.dims + 1, generator=rng)
    checked = torch.randperm(n_people, generator=rng)[:_CHECKED_PEOPLE].tolist()
    worst = 0.0
    for number, frame in enumerate(frames):
        answered, logits = online.step(list(range(n_people)), frame)
        if number < _CHECKED_FRAMES // 2 and number % (4 * online.beat) >= online.beat:
            continue  # one beat of four is enough while the past fills
        for person in set(checked) & set(answered):
            wanted = model(frames[: number + 1, person][None])[0]
            worst = max(worst, float((logits[answered.index(person)] - wanted).abs().max()))
    return worst


def paper_model() -> Streams:
    """Make the paper's nine blocks as the service looks at them, with norms that have seen data."""
    config = STGCNConfig(n_classes=N_CLASSES, in_channels=3, channels=WIDTHS, strides=STRIDES, pool_last=3)
    model = Streams([Stream("joint", config)]).train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(4, 32, 17, 3))
        for network in model.networks:
            assert isinstance(network, STGCN)
            torch.nn.init.normal_(network.head.weight, std=0.3)  # logits of the size of a trained model's
    return model.eval()


def _published(say: Say) -> Work | None:
    try:
        network = ContinualSTGCN(in_channels=3, n_classes=N_CLASSES, layout="coco17")
    except ConfigError as error:
        say(str(error))
        return None
    frame = torch.randn(CONTINUAL_PERSONS, 3, 17)
    with torch.inference_mode():
        for _ in range(network.frames_until_answer):
            network.step(frame)

    def steps() -> None:
        for _ in range(_CONTINUAL_STEPS):
            network.step(frame)

    return steps


def _against_published(took: Took, flops: Mapping[str, int], halls: Mapping[tuple[str, int], _Hall]) -> dict[str, Any]:
    """Hold the published stream against ours, on each engine."""
    theirs = [seconds / _CONTINUAL_STEPS for seconds in took[_CONTINUAL]]
    against: dict[str, Any] = {}
    for engine, n in halls:
        if n == CONTINUAL_PERSONS:
            ours = [seconds / halls[engine, n].online.beat for seconds in took[_way(engine, n)]]
            ratio, low, high = ratios(theirs, ours)
            against[engine] = {"ratio": round(ratio, 1), "ratio_spread": [round(low, 1), round(high, 1)]}
    return {
        "persons": CONTINUAL_PERSONS,
        "us_per_person_frame": round(statistics.median(theirs) * 1e6 / CONTINUAL_PERSONS, 1),
        "flops_per_person_frame": flops[_CONTINUAL] // _CONTINUAL_STEPS // CONTINUAL_PERSONS,
        "engines": against,
    }


def _two_person_clip() -> Tensor:
    """Run the clip that the published figures are of: two people of 18 joints."""
    network = ReferenceSTGCN(in_channels=3, n_classes=N_CLASSES, layout="openpose18").eval()
    return network(torch.zeros(1, 3, CLIP_FRAMES, 18, 2))  # type: ignore[no-any-return]


def _share_of_yardstick(name: str, took: Took, flops: Mapping[str, int]) -> float:
    """Give the operations a second of some work as a share of the yardstick's, the median of the rounds."""
    rates = [[flops[way] / seconds for seconds in took[way]] for way in (name, YARDSTICK)]
    return ratios(*rates)[0]


def bench_soak(*, steps: int, say: Say) -> dict[str, Any]:
    """Take in very many frames while people come and go, and watch the memory.

    Args:
        steps: frames.
        say: called with a line of progress.

    Returns:
        "rows": a tenth of the steps each: resident memory in MiB and people seen so far.
    """
    torch.set_num_threads(1)
    model = Streams([Stream("joint", STGCNConfig(n_classes=8, in_channels=3, channels=(8,) * 9, pool_last=3))]).eval()
    online = OnlineModel(FoldedModel(model))
    rng = torch.Generator().manual_seed(_SEED)
    rows: list[dict[str, Any]] = []
    seen = 0
    for number in range(1, steps + 1):
        if torch.rand((), generator=rng) < 1 / 50 and len(online) < 6:
            online.enter(seen)
            seen += 1
        people = online.people
        if people and torch.rand((), generator=rng) < 1 / 60:
            online.leave(people[int(torch.randint(len(people), (), generator=rng))])
        people = [person for person in online.people if torch.rand((), generator=rng) < 0.99]
        online.step(people, torch.randn(len(people), 17, 3, generator=rng))
        if number % max(steps // 10, 1) == 0:
            rows.append(
                {"steps": number, "people": seen, "memory_mib": round(psutil.Process().memory_info().rss / 2**20, 1)}
            )
            say(f"{number} steps, {seen} people, {rows[-1]['memory_mib']} MiB")
    return {"name": "soak", "machine": describe_machine(), "rows": rows}


def as_text(result: dict[str, Any]) -> str:
    """Write the result for people."""
    reference, machine = result["reference"], result["machine"]
    fewer = reference["flops_two_people"] / result["flops_per_answer"]
    lines = [
        f"{machine['processor']}, one thread of {machine['threads']}, load {machine['load']}",
        f"{result['rounds']} rounds; matrix products of this machine: {result['yardstick_gflops']} GFLOP/s",
    ]
    lines.append(
        f"reference clip of {reference['frames']} frames, one person: {reference['ms']} ms, "
        f"{reference['params'] / 1e6:.2f} M weights, {reference['flops'] / 1e9:.1f} GFLOP, "
        f"{result['reference_share_of_yardstick']:.0%} of the machine's rate"
    )
    lines.append(
        f"stream: {result['params'] / 1e6:.2f} M weights, {result['state_bytes'] / 1e6:.2f} MB a person, "
        f"{result['flops_per_answer'] / 1e9:.3f} GFLOP an answer, one every {result['frames_per_answer']} frames: "
        f"{fewer:.0f} times fewer than the clip of two people"
    )
    heads = (
        ("us a person and frame", 24),
        ("re-running the clip", 22),
        ("of the rate", 13),
        ("at 30 Hz", 10),
        ("differs by", 12),
    )
    lines.append(f"{'engine':<12}{'people':>8}" + "".join(f"{head:>{width}}" for head, width in heads))
    for row in result["rows"]:
        us, times = row["us_spread"], row["ratio_spread"]
        lines.append(
            f"{row['engine']:<12}{row['persons']:8}"
            f"{row['us_per_person_frame']:10.0f} ({us[0]:.0f} to {us[1]:.0f}){'':2}"
            f"{row['ratio_clip300']:8.0f}x ({times[0]:.0f} to {times[1]:.0f}){'':2}{row['share_of_yardstick']:9.0%}"
            f"{row['persons_at_30_hz']:10.0f}{row['max_abs_diff']:12.1e}"
        )
    if "continual" in result:
        other = result["continual"]
        times = [
            f"{each['ratio']} times ours on {engine} ({each['ratio_spread'][0]} to {each['ratio_spread'][1]})"
            for engine, each in other["engines"].items()
        ]
        lines.append(
            f"CoST-GCN*, {other['persons']} people: {other['us_per_person_frame']:.0f} us a person and frame, "
            + ", ".join(times)
        )
    if not result["valid"]:
        lines.append(f"VOID: the reference ran at less than {LEAST_SHARE:.0%} of the machine's rate.")
    return "\n".join(lines)


def soak_as_text(result: dict[str, Any]) -> str:
    """Write the memory over time for people."""
    rows = result["rows"]
    lines = [f"{'steps':>10}{'people so far':>16}{'memory, MiB':>14}"]
    lines += [f"{row['steps']:10}{row['people']:16}{row['memory_mib']:14.1f}" for row in rows]
    lines.append(f"growth after the first tenth: {rows[-1]['memory_mib'] - rows[0]['memory_mib']:+.1f} MiB")
    return "\n".join(lines)
