"""What subscribers that misbehave cost the pipeline: in turns without them and with them, on this machine.

    python scripts/bad_consumers.py [--rounds 5] [--seconds 12]

With them: ten that are stopped, ten that were killed, ten that take a message a second, and one that never reads, all
subscribed to everything. A camera of 15 frames a second is played by FFmpeg; the network is `motion`.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.bad_consumers import consumers

SOURCE = "lavfi:testsrc2=size=640x480:rate=15"


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


def measure(seconds: float, *, misbehaving: bool) -> dict[str, float]:
    """Frames and windows a second, what was dropped, latencies, and the memory at the end, of one run."""
    endpoint = free_endpoint()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        summary = Path(folder) / "summary.json"
        options = ["--bind", endpoint, "--seconds", str(seconds), "--summary-json", str(summary), "--model", "motion"]
        command = [sys.executable, "-m", "streamcam", "run", SOURCE, *options]
        run = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        memory: list[int] = []
        watching = threading.Thread(target=watch, args=(run, memory))
        watching.start()
        good = stack.enter_context(consumers(endpoint, 1, every_s=0.02))  # in both: one that reads all
        if misbehaving:
            misbehave(endpoint, stack)
        run.wait()
        watching.join()
        good.kill()
        said = json.loads(summary.read_text())
    latency = said["latency_ms"]
    return {
        "frames/s": said["fps"],
        "windows/s": said["results"] / said["seconds"],
        "dropped": sum(said["drops"].values()),
        "frame p99 ms": latency["capture_to_frame"]["p99"],
        "result p99 ms": latency["capture_to_result"]["p99"],
        "memory MB": max(memory) / 1e6,
    }


def watch(run: subprocess.Popen[bytes], memory: list[int]) -> None:
    """The process's memory, while it runs."""
    page = os.sysconf("SC_PAGE_SIZE")
    while run.poll() is None:
        statm = Path(f"/proc/{run.pid}/statm").read_text().split()
        memory.append(int(statm[1]) * page if len(statm) > 1 else 0)
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12)
    options = parser.parse_args()
    rows: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(options.rounds):
        for misbehaving, kept in rows.items():
            kept.append(measure(options.seconds, misbehaving=misbehaving))
            print("with   " if misbehaving else "without", {k: round(v, 2) for k, v in kept[-1].items()}, flush=True)
    for name in rows[False][0]:
        without, with_ = (median(row[name] for row in rows[b]) for b in (False, True))
        print(f"{name:14} {without:8.2f} → {with_:8.2f}   ({with_ - without:+.2f}; medians of {options.rounds})")


if __name__ == "__main__":
    main()
