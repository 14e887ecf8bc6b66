"""Starts `streamcam notify` as a process of its own, for `streamcam run --on-event`."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

STOP_S = 15.0


def start_bridge(endpoint: str, on_event: Sequence[str], keys: Path | None) -> subprocess.Popen[bytes]:
    """Start a bridge that ends with this process, however that ends. `stop_bridge` ends it sooner.

    Args:
        endpoint: where this process publishes.
        on_event: http:// and https:// URLs, and commands.
        keys: the folder with the keys to subscribe with.
    """
    options = [] if keys is None else ["--keys", str(keys)]
    for told in on_event:
        options += ["--on-event", told]
    command = [sys.executable, "-m", "streamcam", "notify", endpoint, *options, "--with-parent"]
    # Its standard input ends when this process does, even if it is killed.
    return subprocess.Popen(command, stdin=subprocess.PIPE)


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
