"""What C++ libraries write to file descriptor 2, as a terminal gets to see it: each test is a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CHATTER = [
    "WARNING: Logging before InitGoogle() is written to STDERR",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "W0000 00:00:1795268878.552182   13470 inference_feedback_manager.cc:121] Feedback manager requires a model",
    "I0000 00:00:1795268878.552182       7 gl_context.cc:357] GL version: 3.2",
    "WARNING: Read-only tensor #1 (a/b) has an unaligned buffer (0x7f07, required alignment 4)",
]
WORTH_READING = [
    "E0000 00:00:1795268878.552182   13470 graph.cc:1] it broke",
    "F0000 00:00:1795268878.552182   13470 graph.cc:1] Check failed: x == y",
    "ERROR: The model is not a valid Flatbuffer buffer",
    "WARNING: the disk is full",
    "I1 am a line of my own",
]


def stderr_of(body: str, *, returncode: int = 0) -> str:
    code = "import os, sys, time\nfrom har.pose.chatter import QuietStderr\nquiet = QuietStderr()\n"
    command = [sys.executable, "-W", "error", "-c", code + textwrap.dedent(body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == returncode, done.stderr
    return done.stderr


def test_only_known_chatter_is_dropped_and_the_rest_keeps_its_order() -> None:
    lines = [line for pair in zip(CHATTER, [*WORTH_READING, "the end"], strict=True) for line in pair]

    seen = stderr_of(f"""
        print("before", file=sys.stderr)
        with quiet:
            for line in {lines!r}:
                os.write(2, line.encode() + b"\\n")
            print("Python's own", file=sys.stderr)
        quiet.close()
        print("after", file=sys.stderr)
        os.write(2, b"{CHATTER[0]}")
    """)

    assert seen.splitlines() == ["before", *WORTH_READING, "the end", "Python's own", "after", CHATTER[0]]


def test_a_line_written_in_pieces_is_one_line() -> None:
    seen = stderr_of("""
        with quiet:
            for piece in ("INFO: ", "Created TensorFlow Lite XNNPACK ", "delegate for CPU.", "\\n", "ERROR: ", "x\\n"):
                os.write(2, piece.encode())
                time.sleep(0.01)
        quiet.close()
    """)

    assert seen == "ERROR: x\n"


def test_a_line_without_an_end_is_shown_while_the_block_lasts() -> None:
    seen = stderr_of("""
        with quiet:
            os.write(2, b"50 %")
            time.sleep(1)
            os.write(2, b"Created")
        quiet.close()
        os.write(2, b" done")
    """)

    assert seen == "50 %Created done"


@pytest.mark.parametrize(
    ("death", "returncode"),
    [
        ("os.abort()", -6),
        ("os.kill(os.getpid(), 9)", -9),
        ("os._exit(3)", 3),
        ("import ctypes; ctypes.string_at(0)", -11),
    ],
)
def test_the_last_words_of_a_crash_are_seen(death: str, returncode: int) -> None:
    seen = stderr_of(
        f"""
        import faulthandler, resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.enable()
        quiet.__enter__()
        os.write(2, b"{WORTH_READING[1]}\\n")
        {death}
    """,
        returncode=returncode,
    )

    assert seen.startswith(WORTH_READING[1] + "\n")
    assert ("Fatal Python error" in seen) is (returncode in (-6, -11))


def test_blocks_of_several_users_share_one_filter_and_leave_nothing_behind() -> None:
    seen = stderr_of(f"""
        quiet.close()
        before, fds = os.fstat(2), sorted(os.listdir("/proc/self/fd"))
        one, two = QuietStderr(), QuietStderr()
        with one:
            with two:
                os.write(2, b"{CHATTER[0]}\\n")
            os.write(2, b"{CHATTER[1]}\\n")
            assert os.fstat(2) != before
        assert os.fstat(2) == before
        one.close()
        with two:
            os.write(2, b"{CHATTER[2]}\\n")
        two.close()
        two.close()
        with two:
            assert os.fstat(2) == before
        assert sorted(os.listdir("/proc/self/fd")) == fds
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no child is left", file=sys.stderr)
    """)

    assert seen == "no child is left\n"


def test_nothing_is_held_back_when_the_log_is_at_debug_level() -> None:
    seen = stderr_of(f"""
        import logging
        logging.getLogger().setLevel(logging.DEBUG)
        quiet.close()
        with QuietStderr():
            os.write(2, b"{CHATTER[0]}")
    """)

    assert seen == CHATTER[0]


def test_a_process_without_standard_error_works_all_the_same() -> None:
    assert stderr_of("quiet.close(); os.close(2)\nwith QuietStderr():\n    print('fine')") == ""


@pytest.mark.weights
@pytest.mark.parametrize(
    ("level", "is_quiet"), [("WARNING", True), pytest.param("DEBUG", False, marks=pytest.mark.slow)]
)
def test_the_real_estimator_writes_nothing_to_the_terminal(level: str, is_quiet: bool) -> None:
    video = Path(__file__).resolve().parents[2] / "sample_clips" / "fall_in_room.mp4"
    code = f"""
        import itertools, logging, numpy, sys
        from har.pose import open_estimator
        from har.records import Frame
        from har.sources import open_source
        logging.getLogger().setLevel(logging.{level})
        estimator = open_estimator("mediapipe", max_people=2)
        estimator.estimate(Frame(numpy.zeros((480, 640, 3), numpy.uint8), 0.0, 0.0, "hall"))
        print("at work", file=sys.stderr)
        with open_source({str(video)!r}, camera="hall", paced=False) as source:
            found = [estimator.estimate(frame) for frame in itertools.islice(source.frames(), 5)]
        estimator.close()
        assert any(found)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert (done.stderr == "at work\n") is is_quiet, done.stderr
