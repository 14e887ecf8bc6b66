"""What is looked at once a second."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

import numpy as np
import psutil

from streamcam.transport import Subscriber
from streamcam.wire import Message


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


@dataclass
class Seen:
    """What a subscriber that keeps up has been told, in one thread of its own."""

    endpoint: str
    states: dict[str, str] = field(default_factory=dict)
    disordered: int = 0
    malformed: int = 0
    last_result_s: dict[str, float] = field(default_factory=dict)
    """When the last result of each camera was captured, Unix time."""

    def __post_init__(self) -> None:
        self._stop, self._lock = Event(), Lock()
        self._counts: Counter[str] = Counter()
        self._ages_ms: list[float] = []
        self._drops: dict[str, int] = {}
        self._last: dict[str, tuple[int, int]] = defaultdict(lambda: (-1, -1))
        self._thread = Thread(target=self._watch, name="subscriber")
        self._thread.start()

    def _watch(self) -> None:
        with Subscriber(self.endpoint, kinds=("result", "status")) as subscriber:
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
            self.states[header.source] = str(header.data.get("state", ""))
            self._drops[header.source] = sum(
                int(v or 0) for k, v in header.data.items() if k.startswith("dropped_") and not isinstance(v, str)
            )
        elif header.frame is not None:
            place = header.session, header.frame.index
            self.disordered += place <= self._last[header.source]
            self._last[header.source] = place
            self._counts[header.source] += 1
            self._ages_ms.append((header.sent_ns - header.frame.captured_ns) / 1e6)
            self.last_result_s[header.source] = header.frame.captured_ns / 1e9

    def sample(self, process: psutil.Process, at_s: float, cameras: list[str]) -> Sample:
        """What came since the last call, and how the process stands."""
        with self._lock:
            counts, ages = {name: self._counts[name] for name in cameras}, self._ages_ms
            self._counts, self._ages_ms = Counter(), []
            live = sum(self.states.get(name, "").startswith("live") for name in cameras)
            drops = sum(self._drops.values())
        p50, p95 = np.percentile(ages, (50, 95)).round(2).tolist() if ages else (None, None)
        with process.oneshot():
            memory, threads = process.memory_info().rss, process.num_threads()
        return Sample(
            round(at_s, 2),
            memory / 2**20,
            process.num_fds(),
            threads,
            live,
            counts,
            p50,
            p95,
            drops,
        )

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
