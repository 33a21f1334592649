"""One service per state folder: a lock that the operating system lets go of when its owner dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

from har.errors import StoreError

LOCK_NAME = "har.lock"

# A POSIX record lock is not inherited by child processes (an orphaned camera child must not keep the folder locked),
# but one process may take it twice: this set refuses that.
_HELD: set[Path] = set()
_HELD_LOCK = threading.Lock()


class FolderLock:
    """The right to write in a state folder, held until `release()` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            StoreError: another service, or this one a second time, holds it.
        """
        self._path = folder.resolve() / LOCK_NAME
        with _HELD_LOCK:
            if self._path in _HELD:
                raise _taken(folder, str(os.getpid()))
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = os.read(self._file, 32).decode("ascii", "replace").strip()
                os.close(self._file)
                raise _taken(folder, owner) from None
            os.ftruncate(self._file, 0)
            os.write(self._file, f"{os.getpid()}\n".encode())
            _HELD.add(self._path)

    def release(self) -> None:
        """Let another service have the folder; the file stays, empty."""
        with _HELD_LOCK:
            if self._path not in _HELD:
                return
            _HELD.discard(self._path)
            os.ftruncate(self._file, 0)
            os.close(self._file)


def _taken(folder: Path, owner: str) -> StoreError:
    return StoreError(
        f"{folder}: another har service is using this state folder (process {owner or 'unknown'}). "
        "Stop that one, or give this one a folder of its own with --state."
    )
