"""Counts and latencies of a run. Their memory is bounded, however long the run lasts."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from streamcam.records import ClipFormat

STAGES = ("prepare", "wait", "infer", "output", "capture_to_frame", "capture_to_result")
"""What is timed.

- `prepare`: resize a frame and add it to its window
- `wait`: a clip waits for the worker
- `infer`: the engine computes a batch
- `output`: all sinks take a result: paint, encode and send
- `capture_to_frame`, `capture_to_result`: from a frame's capture until it, or the heat of the window that ends with it,
  has been published; of live sources only
"""

MAX_VALUES = 10_000
"""Percentiles are over so many of the latest values."""

BUCKETS_MS = (0.5, 1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10_000)
"""Upper bounds of the histograms' buckets, in milliseconds. One more bucket has what took longer."""

HOPS = 16
"""`wide_hop_s` is the mean over so many of the latest windows."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts and latencies of a run."""

    frames: int
    windows: int
    results: int
    drops: Mapping[str, int]
    """By stage, over all sources."""
    seconds: float
    fps: float
    latency_ms: Mapping[str, Mapping[str, float]]
    """By stage: p50, p95 and p99 of the latest values in milliseconds, and the count of all values."""
    sources: Mapping[str, Mapping[str, float]]
    """By source: frames, windows, results."""
    model: str
    model_hash: str
    engine: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long a stage took, over the whole run."""

    counts: tuple[int, ...]
    """By bucket of `BUCKETS_MS`, and then how many took longer."""
    total_ms: float
    """The sum of all durations in milliseconds."""


@dataclass
class Metrics:
    """The counters and timers of a pipeline. All of its threads may write to it."""

    clock: Callable[[], float] = time.perf_counter
    frames: Counter[str] = field(default_factory=Counter)
    windows: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    pieces: Counter[str] = field(default_factory=Counter)
    """By source: how many unbroken stretches its frames formed."""
    longest: Counter[str] = field(default_factory=Counter)
    """By source: frames at the network's rate in the longest of these stretches."""
    # By source and stage, by stage, or by source; `_lock` protects all counters and deques.
    _drops: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _values: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=MAX_VALUES)))
    _buckets: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * (len(BUCKETS_MS) + 1)))
    _totals_ms: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _recent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=60)))
    _hops: dict[str, deque[tuple[float, int]]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=HOPS)))
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._start_s = self.clock()

    def count_frame(self, source: str) -> None:
        """Count a frame that was read."""
        with self._lock:
            self.frames[source] += 1
            self._recent[source].append(self.clock())

    def count_result(self, source: str, hop_s: float | None, skipped: int) -> None:
        """Count a window that was computed.

        Args:
            source: the source's name.
            hop_s: seconds since the last computed window; None for a session's first.
            skipped: windows between the two that were dropped.
        """
        with self._lock:
            self.results[source] += 1
            if hop_s is not None:
                self._hops[source].append((hop_s, skipped))

    def wide_hop_s(self, source: str) -> float | None:
        """Return the recent seconds between windows if some were dropped; None if the device keeps up."""
        with self._lock:
            hops = self._hops[source]
            return sum(hop_s for hop_s, _ in hops) / len(hops) if any(skipped for _, skipped in hops) else None

    def count_drop(self, source: str, stage: str) -> None:
        """Count a frame or window that a stage dropped."""
        with self._lock:
            self._drops[source][stage] += 1

    def set_drops(self, source: str, stage: str, total: int) -> None:
        """Take over the count of a stage that counts its drops itself."""
        with self._lock:
            self._drops[source][stage] = total

    def drops(self, source: str) -> dict[str, int]:
        """Return by stage how much of a source has been dropped so far, where anything has."""
        with self._lock:
            return dict(+self._drops[source])  # the plus leaves zeros out

    def add_duration(self, stage: str, milliseconds: float) -> None:
        """Note how long a stage took."""
        with self._lock:
            self._values[stage].append(milliseconds)
            self._buckets[stage][bisect_left(BUCKETS_MS, milliseconds)] += 1
            self._totals_ms[stage] += max(0.0, milliseconds)  # the clock may be set back meanwhile

    def fps(self, source: str) -> float:
        """Return the recent frames a second of a source; 0 once none has come for two seconds."""
        with self._lock:
            recent = self._recent[source]
            if len(recent) < 2 or self.clock() - recent[-1] > 2:
                return 0.0
            # n frames span n − 1 intervals
            return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)

    def percentiles(self, stage: str) -> dict[str, float]:
        """Return p50, p95 and p99 of a stage's latest values in milliseconds, and the count of all its values."""
        with self._lock:
            values = np.array(self._values[stage])
            count = sum(self._buckets[stage])
        if not len(values):
            return {"count": 0}
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).round(3).tolist()
        return {"count": count, "p50": p50, "p95": p95, "p99": p99}

    def histogram(self, stage: str) -> Histogram:
        """Return how long a stage took, over the whole run."""
        with self._lock:
            return Histogram(tuple(self._buckets[stage]), self._totals_ms[stage])

    def summary(self, *, model: str, model_hash: str, engine: str, device: str, precision: str) -> Summary:
        """Summarise the run so far."""
        seconds = self.clock() - self._start_s
        drops: Counter[str] = Counter()  # over all sources
        for counter in self._drops.values():
            drops.update(counter)
        return Summary(
            frames=self.frames.total(),
            windows=self.windows.total(),
            results=self.results.total(),
            drops=dict(+drops),
            seconds=round(seconds, 3),
            fps=round(self.frames.total() / seconds, 3) if seconds else 0.0,
            latency_ms={stage: self.percentiles(stage) for stage in STAGES},
            sources={
                name: {"frames": self.frames[name], "windows": self.windows[name], "results": self.results[name]}
                for name in self.frames
            },
            model=model,
            model_hash=model_hash,
            engine=engine,
            device=device,
            precision=precision,
        )


def without_window(names: Sequence[str], metrics: Metrics, model: str, clip_format: ClipFormat) -> dict[str, str]:
    """Return for each source that gave frames but no result why that is, in one line."""
    without = [name for name in names if metrics.frames[name] and not metrics.results[name]]
    return {name: f"{name}: {why_no_window(name, metrics, model, clip_format)}" for name in without}


def why_no_window(name: str, metrics: Metrics, model: str, clip_format: ClipFormat) -> str:
    """Explain in one line why a source gave no result.

    Args:
        name: of the source.
        metrics: of the run.
        model: the model's name.
        clip_format: the clips that the model takes.
    """
    frames, longest, pieces = metrics.frames[name], metrics.longest[name], metrics.pieces[name]
    if metrics.windows[name]:
        return f"no window of {frames} frames was computed in time (is the machine too slow for {model}?)"
    needs = f"it needs {clip_format.length} ({clip_format.length / clip_format.fps:.2f} s)"
    longest_gives = f"{longest} at {clip_format.fps:g} a second"
    if pieces > 1:
        return (
            f"no window of {model} in {frames} frames, which are {pieces} pieces: their times jump or pause, or their "
            f"size or rate changes; the longest makes {longest_gives}, and {needs}"
        )
    return f"too short for {model}: {frames} frames make {longest_gives}, and {needs}"
