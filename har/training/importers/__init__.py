"""Public formats of skeleton sets into clip sets: one small module a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from har.clips import Clip, write_clips
from har.errors import ClipError, ConfigError
from har.training.importers.coco import read_coco
from har.training.importers.etri import read_etri
from har.training.importers.kinetics import read_kinetics
from har.training.importers.ledger import ImportOptions, Ledger, Summary
from har.training.importers.npz import read_npz
from har.training.importers.ntu import read_ntu
from har.training.importers.pyskl import read_pyskl
from har.training.importers.table_csv import read_csv

__all__ = ["FORMATS", "ImportOptions", "Ledger", "Summary", "import_set", "read_foreign"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be imported.

    Attributes:
        read: gives the clips of a file or folder, one at a time.
        what: what the path must be, in words.
    """

    read: Callable[[Path, ImportOptions, Ledger], Iterator[Clip]]
    what: str


FORMATS: Mapping[str, Format] = {
    "npz": Format(read_npz, "one .npz file of a whole set"),
    "pyskl": Format(read_pyskl, "the .pkl file of a set"),
    "ntu": Format(read_ntu, "a folder of .skeleton files, or one of them"),
    "kinetics": Format(read_kinetics, "a folder of .json files, or one of them"),
    "coco": Format(read_coco, "one .json file with keypoints"),
    "etri": Format(read_etri, "a folder of ETRI-Activity3D's .csv files, or one of them"),
    "csv": Format(read_csv, "a .csv file, or a folder of them"),
}


def read_foreign(kind: str, path: Path, options: ImportOptions, ledger: Ledger) -> Iterator[Clip]:
    """Give the clips of a foreign set one at a time.

    Args:
        kind: a key of `FORMATS`.
        path: the file or folder.
        options: what the files do not say.
        ledger: told what is left out and guessed.

    Raises:
        ConfigError: the format is not known, or an option does not fit.
        ClipError: the set cannot be read; the text names the file and the place in it.
    """
    if kind not in FORMATS:
        raise ConfigError(f"unknown format {kind!r}. Known: {', '.join(FORMATS)}.")
    if options.rate_hz is not None and not 0 < options.rate_hz <= 1000:
        raise ConfigError(f"--rate-hz must be above 0 and at most 1000, got {options.rate_hz:g}.")
    if not path.exists():
        raise ClipError(f"{path}: no such file or folder. Give {FORMATS[kind].what}.")
    return FORMATS[kind].read(path, options, ledger)


def import_set(kind: str, path: Path, *, out: Path, options: ImportOptions, ledger: Ledger) -> Summary:
    """Read a foreign set and write it as a clip set; nothing is seen in `out` before all of it is written.

    Args:
        kind: a key of `FORMATS`.
        path: the file or folder.
        out: a folder that is not there yet, or empty.
        options: what the files do not say.
        ledger: told what is left out and guessed.

    Returns:
        What was written.

    Raises:
        ConfigError: the format is not known, or an option does not fit.
        ClipError: the set cannot be read or holds no clip, or `out` is not empty.
    """
    summary = Summary()

    def counted() -> Iterator[Clip]:
        for clip in read_foreign(kind, path, options, ledger):
            summary.add(clip)
            yield clip
        if not summary.n:
            why = "; ".join(f"{n} left out: {reason}" for reason, n in ledger.left_out.items()) or "no clip in it"
            raise ClipError(f"{path}: nothing to import ({why}). Give {FORMATS[kind].what}.")

    write_clips(out, counted())
    return summary
