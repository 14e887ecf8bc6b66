"""The processes that are measured: cameras and servers, and what they take of the machine."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from signal import SIGKILL

import psutil

from scripts.parent import with_parent
from scripts.paths import ROOT
from tests.support.ports import unused_port

START_S = 30.0


@contextmanager
def started(
    module: str, *arguments: str, ready: str, display: str | None = None, python: str = sys.executable
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a module in a process of its own, once it has said what is expected; kill it at the end.

    Args:
        module: as after `python -m`.
        arguments: its arguments.
        ready: a regular expression with one group, for a line that it says once it is ready.
        display: the X display for its windows.
        python: the interpreter.

    Yields:
        The process, and what the group holds.
    """
    command = with_parent([python, "-m", module, *arguments], SIGKILL)
    environment = os.environ | ({} if display is None else {"DISPLAY": display})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(ready, line):
                    break
            else:
                raise RuntimeError(f"{module} has ended")
            yield process, found[1]
        finally:
            process.kill()


@contextmanager
def cameras(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Publish cameras; yield the process and its endpoint."""
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    with started("scripts.web.cameras", endpoint, *arguments, ready="^bound (.*)") as running:
        yield running


@contextmanager
def server(endpoint: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `streamcam web`; yield the process and the page's address, without the slash at its end."""
    bind = f"127.0.0.1:{unused_port()}"
    with started("streamcam", "web", endpoint, "--bind", bind, ready=r"the page is at (\S+)/") as running:
        yield running


@dataclass(frozen=True)
class Memory:
    """What a process takes of the memory, in MB."""

    rss_mb: float
    pss_mb: float


def memory(pid: int) -> Memory:
    """Measure it: PSS counts memory that processes share in parts."""
    full = psutil.Process(pid).memory_full_info()
    return Memory(round(full.rss / 1e6, 1), round(full.pss / 1e6, 1))


class Cores:
    """How much of a core processes and their children take on average."""

    def __init__(self, pids: Sequence[int]) -> None:
        """Begin.

        Args:
            pids: of the processes.
        """
        self._pids = pids
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._began_s, self._cpu_s = time.monotonic(), self._times_s()

    def taken(self) -> float:
        """Return the number of cores since it began, such as 0.15; processes that have ended are left out."""
        now_s = self._times_s()
        used_s = sum(total_s - self._cpu_s.get(pid, 0.0) for pid, total_s in now_s.items())
        return round(used_s / (time.monotonic() - self._began_s), 3)

    def _times_s(self) -> dict[int, float]:
        """Return the processor time of each process."""
        times_s = {}
        for pid in self._pids:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(pid)
                for process in (parent, *parent.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        times = process.cpu_times()
                        times_s[process.pid] = times.user + times.system
        return times_s


def processes_named(part: str) -> list[int]:
    """Return the processes that this one, or its children, have started, and whose name holds `part`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if part in process.name():
                found.append(process.pid)
    return found


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of 127.0.0.1."""
    end_s = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end_s:
                raise RuntimeError(f"nobody listens on port {port}") from None
            time.sleep(0.05)
