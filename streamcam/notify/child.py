"""Starts `streamcam notify` as a process of its own, for `streamcam run --on-event`."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from streamcam.child import start_child
from streamcam.config.load import make_notify_config
from streamcam.notify.command import CommandTarget


def require_targets(on_event: Sequence[str]) -> None:
    """Check that URLs are URLs and that programs exist, before a run begins.

    Raises:
        StreamcamError: one is not, or does not.
    """
    for command in make_notify_config({}, on_event=list(on_event)).commands:
        CommandTarget(command)


def start_bridge(endpoint: str, on_event: Sequence[str], keys: Path | None) -> subprocess.Popen[bytes]:
    """Start a bridge that ends with this process, however that ends. Call `stop_child` after the last event is sent.

    Args:
        endpoint: where this process publishes.
        on_event: http:// and https:// URLs, and commands.
        keys: the folder with the keys to subscribe with.
    """
    options = [] if keys is None else ["--keys", str(keys)]
    return start_child(["notify", endpoint, *options], told=json.dumps(list(on_event)).encode() + b"\n")


def read_on_event() -> list[str]:
    """Read what `start_bridge` has written to standard input, in the process that it has started."""
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 1)):  # not a byte more: the rest is its end
        line += more
    return [str(told) for told in json.loads(line or b"[]")]
