"""What subscribers that misbehave cost the pipeline: in turns without them and with them, on this machine.

    python -m scripts.endurance.bad_consumers [--rounds 5] [--seconds 12]

With them: ten that are stopped, ten that were killed, ten that take a message a second, and one that never reads, all
subscribed to everything. A small camera of 10 frames a second is played by FFmpeg; the network is `motion`.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from statistics import median

import numpy as np
import psutil

from streamcam.transport.subscriber import Subscriber
from tests.support.bad_consumers import consumers

SOURCE = "lavfi:testsrc2=size=320x240:rate=10"


def free_endpoint() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{s.getsockname()[1]}"


def misbehave(endpoint: str, stack: ExitStack) -> None:
    """Returns when all are subscribed and do as they should not."""
    stopped = stack.enter_context(consumers(endpoint, 10))
    killed = stack.enter_context(consumers(endpoint, 10))
    stack.enter_context(consumers(endpoint, 10, every_s=1))
    stack.enter_context(consumers(endpoint, 1))
    os.kill(stopped.pid, signal.SIGSTOP)
    os.kill(killed.pid, signal.SIGKILL)


def measure(subscriber: Subscriber, seconds: float) -> dict[str, float]:
    """What a subscriber that reads all notices of the pipeline: rates, and how long after its capture all is sent."""
    end_s = time.monotonic() + seconds
    latencies_ms: dict[str, list[float]] = {"frame": [], "overlay": [], "result": []}
    for message in subscriber.messages(timeout_s=seconds):
        header = message.header
        if header.frame is not None:
            latencies_ms[header.kind].append((header.sent_ns - header.frame.captured_ns) / 1e6)
        if time.monotonic() > end_s:
            break
    return {
        **{f"{kind}s/s": len(values) / seconds for kind, values in latencies_ms.items()},
        **{f"{kind} p99 ms": float(np.percentile(values or [np.nan], 99)) for kind, values in latencies_ms.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12, help="of each turn")
    options = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    endpoint = free_endpoint()
    command = [sys.executable, "-m", "streamcam", "run", SOURCE, "--bind", endpoint, "--model", "motion"]
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run,
        Subscriber(endpoint, kinds=("frame", "overlay", "result")) as subscriber,
    ):
        try:
            next(message for message in subscriber.messages(timeout_s=300) if message.header.kind == "result")
            measure(subscriber, 8)  # until the rate is steady
            for _ in range(options.rounds):
                for name, kept in rows.items():
                    with ExitStack() as stack:
                        if name == "with":
                            misbehave(endpoint, stack)
                        measure(subscriber, 2)
                        memory_mb = psutil.Process(run.pid).memory_info().rss / 1e6
                        kept.append(measure(subscriber, options.seconds) | {"memory MB": memory_mb})
                    print(f"{name:8}", {key: round(value, 2) for key, value in kept[-1].items()}, flush=True)
        finally:
            run.terminate()
    for key in rows["with"][0]:
        without, with_ = (median(row[key] for row in rows[name]) for name in ("without", "with"))
        print(f"{key:15} {without:8.2f} → {with_:8.2f}   ({with_ - without:+.2f}; medians of {options.rounds})")


if __name__ == "__main__":
    main()
