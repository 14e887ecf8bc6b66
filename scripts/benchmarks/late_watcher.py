"""A subscriber in a process of its own: `late_watcher.py ENDPOINT`."""

import json
import sys
import time
from itertools import chain, islice

import numpy as np

import streamcam

START_S, SILENT_S = 60.0, 2.0
"""How long to wait for the first message, and for another one."""


def watch(endpoint: str) -> None:
    """Subscribe until it has become silent; then print, as JSON, p50, p95 and p99 of the messages' ages here, in ms."""
    ages_ms: dict[str, list[float]] = {"overlay": [], "result": []}
    with streamcam.Subscriber(endpoint, kinds=("overlay", "result")) as subscriber:
        first = subscriber.messages(timeout_s=START_S)
        for message in chain(islice(first, 1), subscriber.messages(timeout_s=SILENT_S)):
            assert message.result is not None
            ages_ms[message.header.kind].append((time.time_ns() - message.result.frame.captured_ns) / 1e6)
    shown = {kind: np.percentile(ages, (50, 95, 99)).round(1).tolist() for kind, ages in ages_ms.items() if ages}
    print(json.dumps(shown))


if __name__ == "__main__":
    watch(sys.argv[1])
