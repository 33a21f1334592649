"""`har models`: pose weights and model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from har.cli.output import JsonFile, say, wants_text, write_json
from har.errors import ConfigError

if TYPE_CHECKING:
    from har.models.bundle import Bundle

PULLED = ("blazepose", "maskrcnn")

app = typer.Typer(help="Pose weights and model bundles.")


@app.command("pull", epilog="Example: har models pull blazepose")
def pull(
    name: Annotated[str, typer.Argument(help=f"Which weights: {', '.join(PULLED)}.")],
    file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="F",
            help="The file to take them from, for a machine without a network. For maskrcnn: torchvision's "
            "keypointrcnn_resnet50_fpn_coco-*.pth and, given once more, maskrcnn_resnet50_fpn_coco-*.pth for masks.",
        ),
    ] = None,
) -> None:
    """Fetch pose weights once and keep them in the user's cache."""
    files = file or []
    if name not in PULLED:
        raise ConfigError(f"there are no weights called {name!r}. Known: {', '.join(PULLED)}.")
    if name == "maskrcnn":
        from har.pose.coco_weights import pull_maskrcnn

        pull_maskrcnn(files=files, say=say)
        return
    if len(files) > 1:
        raise ConfigError(f"--file is given {len(files)} times, and {name} comes from one file. Give one.")
    from har.pose.weights import pull_blazepose

    pull_blazepose(wheel=files[0] if files else None, say=say)


@app.command("list", epilog="Example: har models list --json -")
def list_models(json: JsonFile = None) -> None:
    """List the shipped bundles and the pose weights on this machine."""
    from har.models.shipped import find_bundle, shipped_bundles

    shipped = shipped_bundles()
    default = find_bundle().name if shipped else None
    rows: list[dict[str, str | bool]] = [
        {"name": name, "kind": "bundle", "default": path.name == default} for name, path in shipped.items()
    ]
    rows += [{"name": name, "kind": "pose weights", "pulled": _is_pulled(name)} for name in PULLED]
    write_json({"models": rows}, file=json)
    if not wants_text(json):
        return
    for name, path in shipped.items():
        typer.echo(f"{name:<16} bundle        {'used unless --model names another' if path.name == default else path}")
    for name in PULLED:
        state = "in the cache" if _is_pulled(name) else f"not here; run: har models pull {name}"
        typer.echo(f"{name:<16} pose weights  {state}")


@app.command("show", epilog="Example: har models show care-5")
def show(
    bundle: Annotated[str | None, typer.Argument(help="Name or path; without it, the one used by default.")] = None,
    json: JsonFile = None,
) -> None:
    """Show a bundle's card: what it was trained on, what it knows, how well."""
    from har.models.shipped import find_bundle

    path = find_bundle(bundle)
    from har.models.bundle import load_bundle  # imports torch: only when there is something to load

    loaded = load_bundle(path)
    about = {
        "model": loaded.model_id,
        "version": loaded.version,
        "created": loaded.created,
        "parent": loaded.parent,
        "labels": list(loaded.labels),
        "rate_hz": loaded.rate_hz,
        "window_frames": loaded.window_frames,
        "risk": dict(loaded.risk_meta),
        "data_digest": loaded.data_digest,
        "metrics": dict(loaded.metrics),
    }
    write_json(about, file=json)
    if wants_text(json):
        typer.echo(f"{loaded.model_id}, version {loaded.version}, made {loaded.created}")
        typer.echo(f"labels: {', '.join(loaded.labels)}")
        typer.echo(f"window: {loaded.window_frames} frames at {loaded.rate_hz:g} Hz")
        typer.echo(f"danger: {_danger_text(loaded)}\n")
        typer.echo(loaded.card.rstrip())


@app.command("verify", epilog="Example: har models verify bundles/care-1")
def verify(
    path: Annotated[str, typer.Argument(help="A bundle: folder, zip, or the name of a shipped one.")],
    json: JsonFile = None,
) -> None:
    """Check every byte of a bundle and run its golden windows."""
    from har.models.shipped import find_bundle

    bundle = find_bundle(path)
    from har.models.bundle import verify_bundle  # imports torch: only when there is something to verify

    found = verify_bundle(bundle)
    n_bytes = sum(found.sizes.values())
    result = {
        "model": found.model_id,
        "bytes": n_bytes,
        "parameters": found.n_parameters,
        "golden_windows": found.n_golden,
        "action_difference": found.action_difference,
        "risk_difference": found.risk_difference,
    }
    write_json(result, file=json)
    if wants_text(json):
        typer.echo(
            f"{found.model_id} verifies: {len(found.sizes)} files, {n_bytes / 1e6:.1f} MB, "
            f"{found.n_parameters} parameters, {found.n_golden} golden windows within {found.action_difference:.1e}"
        )


@app.command("pack", epilog="Example: har models pack bundles/mine mine.zip")
def pack(
    bundle: Annotated[str, typer.Argument(help="A bundle: folder, or the name of a shipped one.")],
    target: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The file to write; must not exist.")],
    json: JsonFile = None,
) -> None:
    """Verify a bundle and write it as one file, to be copied elsewhere; it is used as it is."""
    from har.models.shipped import find_bundle

    path = find_bundle(bundle)
    from har.models.bundle import pack_bundle  # imports torch: only when there is something to pack

    pack_bundle(path, target)
    write_json({"bundle": str(path), "file": str(target), "bytes": target.stat().st_size}, file=json)
    if wants_text(json):
        typer.echo(f"wrote {target}, {target.stat().st_size / 1e6:.1f} MB; use it with: har run --model {target}")


@app.command("export", epilog="Example: har models export care-5 --onnx care-5-onnx")
def export(
    onnx: Annotated[Path, typer.Option("--onnx", metavar="DIR", help="The folder to write to.")],
    bundle: Annotated[str | None, typer.Argument(help="Name or path; without it, the one used by default.")] = None,
    json: JsonFile = None,
) -> None:
    """Write a bundle's action model as ONNX, for other programs: whole windows, and the stream with its state."""
    from har.models.shipped import find_bundle

    path = find_bundle(bundle)
    from har.models.bundle import load_bundle  # imports torch: only when there is something to load
    from har.models.onnx_graph import write_onnx

    say("writing; this takes half a minute")
    loaded = load_bundle(path)
    files = write_onnx(loaded, onnx)
    sizes = {str(file): file.stat().st_size for file in files}
    write_json({"model": loaded.model_id, "bytes": sizes}, file=json)
    if wants_text(json):
        for file, n_bytes in sizes.items():
            typer.echo(f"wrote {file}, {n_bytes / 1e6:.1f} MB")
        typer.echo('what goes in and comes out stands in their metadata, under "har"; docs/onnx.md explains it')


def _danger_text(loaded: Bundle) -> str:
    """Tell from which probabilities danger is suspected and confirmed."""
    from har.models.risk import NO_RISK_PART

    risk = loaded.risk_model
    if risk is None:
        return NO_RISK_PART
    confirmed = "by staying down" if risk.confirm is None else f"from {risk.confirm.threshold:.2f} on, unless up again"
    return f"suspected from {risk.threshold:.2f} on, confirmed {confirmed}"


def _is_pulled(name: str) -> bool:
    from har.errors import WeightsError
    from har.pose.coco_weights import maskrcnn_path
    from har.pose.weights import blazepose_path

    try:
        {"blazepose": blazepose_path, "maskrcnn": maskrcnn_path}[name]()
    except WeightsError:
        return False
    return True
