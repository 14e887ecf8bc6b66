"""What is looked at once a second."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
import psutil

from streamcam.transport.headers import Kind
from streamcam.transport.messages import Message
from streamcam.transport.subscriber import Subscriber


@dataclass(frozen=True)
class Sample:
    """One second of the run."""

    at_s: float
    rss_mb: float
    fds: int
    threads: int
    live: int
    """Cameras whose state is live."""
    results: dict[str, int]
    """Of each camera in this second."""
    p50_ms: float | None
    """Capture → publish in this second; None where there was no result."""
    p95_ms: float | None
    drops: int
    """Frames and windows so far."""


@dataclass(frozen=True)
class Second:
    """One second of a run with more work than it can do."""

    at_s: float
    rss_mb: float
    ages_ms: dict[str, list[float]]
    """Capture → publish of every message of a kind in this second."""
    results: dict[str, int]
    """Of each camera in this second."""
    drops: int
    """Frames and windows so far."""


@dataclass
class Seen:
    """What a subscriber that keeps up has been told, in one thread of its own."""

    endpoint: str
    kinds: tuple[Kind, ...] = ("result", "status")
    sources: list[str] | None = None
    """Only of these cameras."""
    status: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the last one of each camera says."""
    disordered: int = 0
    malformed: int = 0
    last_result_s: dict[str, float] = field(default_factory=dict)
    """When the last result of each camera was captured, Unix time."""
    sessions: dict[str, int] = field(default_factory=dict)
    """Of which session of each camera it is."""

    def __post_init__(self) -> None:
        self._stop, self._lock = Event(), Lock()
        self._counts: Counter[str] = Counter()
        self._ages_ms: dict[str, list[float]] = defaultdict(list)
        self._last: dict[str, tuple[int, int]] = defaultdict(lambda: (-1, -1))
        self._thread = Thread(target=self._watch, name="subscriber")
        self._thread.start()

    def _watch(self) -> None:
        with Subscriber(self.endpoint, kinds=self.kinds, sources=self.sources) as subscriber:
            while not self._stop.is_set():
                for message in subscriber.messages(timeout_s=0.2):
                    with self._lock:
                        self._take(message)
                    if self._stop.is_set():
                        break
            self.malformed = subscriber.skipped["malformed"]

    def _take(self, message: Message) -> None:
        header = message.header
        if header.kind == "status":
            self.status[header.source] = dict(header.data)
        elif header.frame is not None:
            self._ages_ms[header.kind].append((header.sent_ns - header.frame.captured_ns) / 1e6)
            if header.kind == "result":
                place = header.session, header.frame.index
                self.disordered += place <= self._last[header.source]
                self._last[header.source] = place
                self._counts[header.source] += 1
                self.sessions[header.source] = header.session
                self.last_result_s[header.source] = header.frame.captured_ns / 1e9

    def ages_ms(self) -> dict[str, list[float]]:
        """Capture → publish of every message of a kind that came since the last call."""
        with self._lock:
            ages_ms, self._ages_ms = dict(self._ages_ms), defaultdict(list)
        return ages_ms

    def second(self, process: psutil.Process, at_s: float, cameras: list[str]) -> Second:
        """What came since the last call, and how much memory the process has."""
        with self._lock:
            counts, self._counts = {name: self._counts[name] for name in cameras}, Counter()
            drops = sum(dropped(status) for status in self.status.values())
        return Second(round(at_s, 2), process.memory_info().rss / 2**20, self.ages_ms(), counts, drops)

    def sample(self, process: psutil.Process, at_s: float, cameras: list[str]) -> Sample:
        """The same in short, and how the process stands."""
        second = self.second(process, at_s, cameras)
        live = sum(str(self.status.get(name, {}).get("state", "")).startswith("live") for name in cameras)
        ages_ms = second.ages_ms.get("result", [])
        p50, p95 = np.percentile(ages_ms, (50, 95)).round(2).tolist() if ages_ms else (None, None)
        with process.oneshot():
            threads, fds = process.num_threads(), process.num_fds()
        return Sample(second.at_s, second.rss_mb, fds, threads, live, second.results, p50, p95, second.drops)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()


def dropped(status: dict[str, Any]) -> int:
    """Everything that was left out of a camera so far."""
    return sum(int(v or 0) for k, v in status.items() if k.startswith("dropped_"))
