"""How late is the answer? The sample clip, paced like a 30 fps camera, watched by another process.

    python scripts/bench_live.py [--seconds 30] [--runs 3]

Each run is `streamcam run sample --loop` and a subscriber to overlays and results in a process of its own. Prints one
line per run and the medians, in Markdown, for docs/benchmarks.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import streamcam


def watch(endpoint: str, seconds: float) -> None:
    """Subscribe and print, as JSON, what arrived: a message's age is its age in this process."""
    ages_ms: dict[str, list[float]] = {"overlay": [], "result": []}
    end_s = time.monotonic() + seconds
    with streamcam.Subscriber(endpoint, kinds=("overlay", "result")) as subscriber:
        while time.monotonic() < end_s:
            for message in subscriber.messages(timeout_s=0.2):
                assert message.result is not None
                ages_ms[message.header.kind].append((time.time_ns() - message.result.frame.captured_ns) / 1e6)
                if time.monotonic() >= end_s:
                    break
    print(json.dumps({kind: np.percentile(ages, (50, 95, 99)).round(1).tolist() for kind, ages in ages_ms.items()}))


def one_run(seconds: float) -> dict[str, Any]:
    """Publisher and subscriber side by side; the publisher's summary and what the subscriber saw."""
    with tempfile.TemporaryDirectory() as folder:
        endpoint, summary = f"ipc://{folder}/bench", Path(folder) / "summary.json"
        command = [sys.executable, "-m", "streamcam", "run", "sample", "--loop", "--seconds", str(seconds)]
        subscriber = subprocess.Popen(
            [sys.executable, __file__, "--watch", endpoint, "--seconds", str(seconds + 4)], stdout=subprocess.PIPE
        )
        subprocess.run(
            [*command, "--bind", endpoint, "--summary-json", str(summary)], check=True, stdout=subprocess.DEVNULL
        )
        seen = json.loads(subscriber.communicate(timeout=60)[0])
        return {**json.loads(summary.read_text()), "seen": seen}


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(arguments.watch, arguments.seconds)
        return
    runs = [one_run(arguments.seconds) for _ in range(arguments.runs)]
    first = runs[0]
    print(f"{processor()}, {len(os.sched_getaffinity(0))} cores; {first['model']} in {first['precision']}\n")
    print(
        "| run | frames | results | dropped | overlay published p50 / p95 | result published p50 / p95 | "
        "overlay at the subscriber p50 / p95 |"
    )
    print("|---|---|---|---|---|---|---|")
    for i, run in enumerate(runs, start=1):
        print(
            f"| {i} | {run['frames']} | {run['results']} | {sum(run['drops'].values())} | "
            f"{latency(run, 'capture_to_frame')} | {latency(run, 'capture_to_result')} | "
            f"{run['seen']['overlay'][0]} / {run['seen']['overlay'][1]} ms |"
        )
    p95 = [run["latency_ms"]["capture_to_frame"]["p95"] for run in runs]
    print(f"\nmedian of the overlay's p95: {statistics.median(p95):.1f} ms")


def latency(run: dict[str, Any], stage: str) -> str:
    """p50 / p95 of a stage."""
    values = run["latency_ms"][stage]
    return f"{values['p50']:.1f} / {values['p95']:.1f} ms"


def processor() -> str:
    """The processor's name."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
