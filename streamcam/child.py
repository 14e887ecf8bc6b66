"""Starts further processes of streamcam that end with this one, however that ends."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

STOP_S = 15.0


def start_child(arguments: Sequence[str], *, told: bytes = b"") -> subprocess.Popen[bytes]:
    """Start `streamcam ARGUMENTS --with-parent`. `stop_child` ends it sooner than this process.

    Args:
        arguments: a command that knows the option `--with-parent`, and its other options.
        told: is written to its standard input. Everybody on the machine can read a command line, so passwords come so.
    """
    command = [sys.executable, "-m", "streamcam", *arguments, "--with-parent"]
    # Its standard input ends when this process does, even if it is killed.
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already, and says why
        process.stdin.write(told)
        process.stdin.flush()
    return process


def await_end_of_parent() -> None:
    """Wait until the process that has called `start_child` has ended, or has called `stop_child`."""
    while os.read(0, 4096):
        pass


def stop_child(process: subprocess.Popen[bytes]) -> None:
    """Let a child end what it does, and wait for that; after `STOP_S` it is killed."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
