"""A subscriber for terminals: one line for each result."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from streamcam.errors import one_line, printable
from streamcam.render.text import short
from streamcam.transport.messages import Message
from streamcam.transport.subscriber import Subscriber


def print_results(endpoint: str, *, keys: Path | None = None, seconds: float | None = None) -> None:
    """Print a line for each result.

    Args:
        endpoint: the publisher's address.
        keys: the folder of keys, for a publisher that has them.
        seconds: when to stop; None goes on without end.

    Raises:
        StreamcamError: the endpoint is malformed, or a key is missing.
    """
    end_s = None if seconds is None else time.monotonic() + seconds
    with Subscriber(endpoint, keys=keys) as subscriber:
        print(one_line(f"waiting for {endpoint}"), file=sys.stderr)
        refused = None
        while end_s is None or time.monotonic() < end_s:
            if subscriber.refused != refused:
                refused = subscriber.refused
                print(f"not let in: {refused}" if refused else "let in", file=sys.stderr)
            # A short timeout, so that a refusal is reported and `seconds` is kept while no message comes.
            for message in subscriber.messages(timeout_s=0.2):
                if message.result is not None:
                    print(line_of(message), flush=True)
                if end_s is not None and time.monotonic() >= end_s:
                    break


def line_of(message: Message, *, clock: Callable[[], int] = time.time_ns) -> str:
    """Describe a result in one line: source, time, the strongest classes, latency, drops.

    Args:
        message: any message; one without heat is named only.
        clock: gives Unix time in nanoseconds.
    """
    result = message.result
    if result is None or result.heat is None:
        return f"{message.header.source}: {message.header.kind}"
    frame, heat = result.frame, result.heat
    top = zip(heat.labels[:3], heat.scores[:3], strict=True)
    names = "  ".join(f"{short(printable(name))} {score * 100:.0f} %" for name, score in top)
    latency_ms, drops = (clock() - frame.captured_ns) / 1e6, sum(result.drops.values())
    return f"{frame.source}  {frame.pts_s:8.2f} s  {names}  (latency {latency_ms:.0f} ms, {drops} dropped)"
