"""What pip cannot bring: a fitting Python and the system libraries that the wheels link.

`make setup` runs this file by itself before anything is installed (`python3 -I har/cli/system.py`), so it needs the
standard library only and stays readable for Pythons too old for the rest of the project.
"""

import ctypes
import sys

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)

# Library, Debian package, who needs it: what `readelf -d` and `ldd` say of the wheels' own libraries.
LIBRARIES = (
    ("libEGL.so.1", "libegl1", "mediapipe"),
    ("libGLESv2.so.2", "libgles2", "mediapipe"),
    ("libGL.so.1", "libgl1", "OpenCV"),
    ("libglib-2.0.so.0", "libglib2.0-0", "OpenCV"),
    ("libgthread-2.0.so.0", "libglib2.0-0", "OpenCV"),
)
APT_LINE = "apt-get install -y --no-install-recommends libegl1 libgles2 libgl1 libglib2.0-0"


def python_fits(version: "tuple[int, int]") -> bool:
    """Say whether the pinned dependencies exist for a Python, given as (major, minor)."""
    return OLDEST_PYTHON <= version <= NEWEST_PYTHON


def python_range() -> str:
    """Give the Pythons that fit, for people."""
    return f"{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} to {NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]}"


def loads(library: str) -> bool:
    """Say whether the system's loader finds a shared library and all that it links."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def main() -> int:
    """Print what is missing with its cure; 0 when nothing is, else 2."""
    found = sys.version_info[:2]
    if not python_fits(found):
        wrong = f"Python {found[0]}.{found[1]} does not fit: har needs {python_range()}"
        sys.stderr.write(f"har: {wrong}. Give one: make setup PYTHON=python3.12\n")
        return 2
    missing = [f"{library} ({user})" for library, _, user in LIBRARIES if not loads(library)]
    if missing:
        sys.stderr.write(
            f"har: system libraries are missing: {', '.join(missing)}. Install them as root:\n{APT_LINE}\n"
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
