"""Starts `streamcam notify` as a process of its own, for `streamcam run --on-event`."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streamcam.config.load import make_notify_config
from streamcam.notify.command import CommandTarget

STOP_S = 15.0


def require_targets(on_event: Sequence[str]) -> None:
    """Check that URLs are URLs and that programs exist, before a run begins.

    Raises:
        StreamcamError: one is not, or does not.
    """
    for command in make_notify_config({}, on_event=list(on_event)).commands:
        CommandTarget(command)


def start_bridge(endpoint: str, on_event: Sequence[str], keys: Path | None) -> subprocess.Popen[bytes]:
    """Start a bridge that ends with this process, however that ends. `stop_bridge` ends it sooner.

    Args:
        endpoint: where this process publishes.
        on_event: http:// and https:// URLs, and commands.
        keys: the folder with the keys to subscribe with.
    """
    options = [] if keys is None else ["--keys", str(keys)]
    command = [sys.executable, "-m", "streamcam", "notify", endpoint, *options, "--with-parent"]
    # Its standard input ends when this process does, even if it is killed. URLs and commands, which may hold passwords,
    # come by it too: everybody on the machine can read a command line.
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already, and says why
        process.stdin.write(json.dumps(list(on_event)).encode() + b"\n")
        process.stdin.flush()
    return process


def read_on_event() -> list[str]:
    """Read what `start_bridge` has written to standard input, in the process that it has started."""
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 1)):  # not a byte more: the rest is its end
        line += more
    return [str(told) for told in json.loads(line or b"[]")]


def await_end_of_parent() -> None:
    """Wait until the process that has called `start_bridge` has ended, or has called `stop_bridge`."""
    while os.read(0, 4096):
        pass


def stop_bridge(process: subprocess.Popen[bytes]) -> None:
    """Let a bridge tell of what it has received, and wait for its end. Call it after the last event is sent."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
