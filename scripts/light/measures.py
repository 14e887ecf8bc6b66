"""The measures: each runs one version of streamcam in processes of its own, and gives a number."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from scripts.paths import ROOT
from streamcam.transport.subscriber import Subscriber
from tests.support.ports import unused_port

SETTLE_S = 6.0
"""How long a run goes on after its first result before its memory is measured."""


@dataclass(frozen=True)
class Version:
    """A version of streamcam: a Python with its packages, and the tree that it is to run."""

    python: Path
    tree: Path

    def command(self, *arguments: str) -> list[str]:
        """Return what runs a module, after `python -m`."""
        return [str(self.python), "-m", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Python finds this version."""
        return os.environ | {"PYTHONPATH": str(self.tree)}


def first_result_s(version: Version, *options: str) -> float:
    """How long it takes from the command to its first published result."""
    with _published(version, *options) as (_, first_s):
        return first_s


def memory_mb(version: Version) -> float:
    """The memory of one camera with `motion`, all processes: PSS, in MB."""
    with _published(version) as (process, _):
        time.sleep(SETTLE_S)
        tree = [process, *process.children(recursive=True)]
        return float(sum(p.memory_full_info().pss for p in tree)) / 1e6


def installed_mb(version: Version) -> float:
    """The bytes of the virtual environment, in MB."""
    folder = version.python.parents[1].resolve()
    done = subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def frame_ms(version: Version, sources: int, *, seconds: float) -> float:
    """Milliseconds a frame of a stream, with so many cameras in a batch."""
    script = ROOT / "scripts/light/frame_cost.py"  # this tree's; what it measures is the version's
    command = [str(version.python), str(script), str(sources), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=version.environment, cwd="/")
    return float(done.stdout.split()[-1])


def cpu_share(version: Version, video: Path, *, seconds: float) -> float:
    """Seconds of processor time for each second, of one camera whose results alone are published."""
    with TemporaryDirectory() as folder:
        options = ["--loop", "--bind", f"ipc://{folder}/bench", "--seconds"]
        short, long = (_cpu_s(version, str(video), *options, str(s)) for s in (seconds / 3, seconds))
    return (long - short) / (seconds * 2 / 3)


def missing(version: Version, video: Path, cameras: int, *, seconds: float) -> float:
    """The share of frames and windows that so many cameras miss, 0–1."""
    with TemporaryDirectory() as folder:
        config, summary = Path(folder, "config.yaml"), Path(folder, "summary.json")
        sources = [{"uri": str(video), "name": f"cam{i}"} for i in range(cameras)]
        config.write_text(json.dumps({"sources": sources, "loop": True}))
        options = ["--bind", f"ipc://{folder}/bench", "--seconds", str(seconds), "--summary-json", str(summary)]
        _cpu_s(version, "--config", str(config), *options)
        counts = json.loads(summary.read_text())
    expected = cameras * seconds * 15
    unread = (expected - counts["frames"] - 2 * cameras) / expected
    return float(max(0.0, unread, sum(counts["drops"].values()) / max(1, counts["windows"])))


def sustained_cameras(version: Version, video: Path, *, seconds: float, most: int = 64) -> float:
    """The most cameras at 15 frames/s of which at most 1 % is missing."""
    low, high = 0, 2
    while high <= most and missing(version, video, high, seconds=seconds) <= 0.01:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if missing(version, video, middle, seconds=seconds) <= 0.01:
            low = middle
        else:
            high = middle
    return float(low)


def _cpu_s(version: Version, *options: str) -> float:
    """Run until the end; return the processor time of all its processes, in seconds."""
    command = version.command("streamcam", "run", *options)
    process = subprocess.Popen(
        command, env=version.environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return float(usage.ru_utime + usage.ru_stime)


@contextmanager
def _published(version: Version, *options: str) -> Iterator[tuple[psutil.Process, float]]:
    """Run on the sample; yield the process and how long its first result took."""
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    command = version.command("streamcam", "run", "sample", "--loop", "--bind", endpoint, *options)
    with Subscriber(endpoint, kinds=("result",)) as subscriber:
        begin_s = time.perf_counter()
        process = subprocess.Popen(
            command, env=version.environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            next(m for m in subscriber.messages(timeout_s=120) if m.result is not None and m.result.heat is not None)
            yield psutil.Process(process.pid), time.perf_counter() - begin_s
        finally:
            process.kill()
            process.wait()


def median_ratio(before: list[float], now: list[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(b / a for a, b in zip(before, now, strict=True))
