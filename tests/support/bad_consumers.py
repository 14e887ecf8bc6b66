"""Subscribers that do not do as they should, in a process of their own.

python -m tests.support.bad_consumers ENDPOINT COUNT SECONDS

COUNT of them subscribe to everything, each in a socket of its own, and take a message every SECONDS; 0 never takes any.
Needs nothing of streamcam. It says when all have been sent something.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from tests.support.paths import ROOT


def main() -> None:
    endpoint, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    context = zmq.Context()
    sockets = [context.socket(zmq.SUB) for _ in range(count)]
    for s in sockets:
        s.connect(endpoint)
        s.subscribe(b"")
    for s in sockets:
        s.poll()
    print("ready", flush=True)
    while True:
        time.sleep(seconds or 1000)
        for s in sockets:
            s.recv_multipart()


@contextmanager
def consumers(endpoint: str, count: int, *, every_s: float = 0) -> Iterator[subprocess.Popen[str]]:
    """Run this script; stop it at the end."""
    command = [sys.executable, "-m", "tests.support.bad_consumers", endpoint, str(count), str(every_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    main()
