"""Counts and latencies of a run, in bounded memory however long it lasts."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from streamcam.records import ClipFormat

STAGES = ("prepare", "wait", "infer", "output", "capture_to_frame", "capture_to_result")
"""Resize and sample; wait for the worker; network and heat; paint, encode and send; and capture → publish, of camera
frames and of windows (live only: what is on file was captured long ago)."""

KEPT = 10_000
"""Percentiles are over so many latest values."""

HOPS = 16
"""The hop is told as the mean over so many latest windows."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did."""

    frames: int
    windows: int
    results: int
    drops: Mapping[str, int]
    seconds: float
    fps: float
    latency_ms: Mapping[str, Mapping[str, float]]
    """Per stage, and from capture to publishing: p50, p95 and p99 of the latest values, and how many there were."""
    sources: Mapping[str, Mapping[str, float]]
    """Per source: frames, windows, results."""
    model: str
    model_hash: str
    engine: str
    device: str
    precision: str


@dataclass
class Metrics:
    """Collects from all threads of a pipeline."""

    clock: Callable[[], float] = time.perf_counter
    frames: Counter[str] = field(default_factory=Counter)
    windows: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    pieces: Counter[str] = field(default_factory=Counter)
    """Into how many unbroken stretches a source's frames fell."""
    longest: Counter[str] = field(default_factory=Counter)
    """How many frames, at the network's rate, the longest of them gave."""
    _drops: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _values: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=KEPT)))
    _counts: Counter[str] = field(default_factory=Counter)
    _recent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=60)))
    _hops: dict[str, deque[tuple[float, int]]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=HOPS)))
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._start_s = self.clock()

    def frame(self, source: str) -> None:
        """A frame was read."""
        with self._lock:
            self.frames[source] += 1
            self._recent[source].append(self.clock())

    def result(self, source: str, hop_s: float | None, skipped: int) -> None:
        """A window came out, so long after the one before, with so many left out between."""
        with self._lock:
            self.results[source] += 1
            if hop_s is not None:
                self._hops[source].append((hop_s, skipped))

    def wide_hop_s(self, source: str) -> float | None:
        """Seconds between windows lately, where some were left out; None where all that were due came."""
        with self._lock:
            hops = self._hops[source]
            return sum(hop_s for hop_s, _ in hops) / len(hops) if any(skipped for _, skipped in hops) else None

    def dropped(self, source: str, stage: str, total: int | None = None) -> None:
        """A stage left something out; or has left out so many in total."""
        with self._lock:
            self._drops[source][stage] = self._drops[source][stage] + 1 if total is None else total

    def drops(self, source: str) -> dict[str, int]:
        """What each stage has left out of a source so far."""
        with self._lock:
            return dict(+self._drops[source])

    def took(self, stage: str, milliseconds: float) -> None:
        """A stage took so long."""
        with self._lock:
            self._values[stage].append(milliseconds)
            self._counts[stage] += 1

    def fps(self, source: str) -> float:
        """Frames a second lately; 0 once none has come for two seconds."""
        with self._lock:
            recent = self._recent[source]
            if len(recent) < 2 or self.clock() - recent[-1] > 2:
                return 0.0
            return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)

    def percentiles(self, stage: str) -> dict[str, float]:
        """p50, p95 and p99 of the latest values of a stage, in milliseconds, and how many values there were."""
        with self._lock:
            values = np.array(self._values[stage])
            count = self._counts[stage]
        if not len(values):
            return {"count": 0}
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).round(3).tolist()
        return {"count": count, "p50": p50, "p95": p95, "p99": p99}

    def summary(self, *, model: str, model_hash: str, engine: str, device: str, precision: str) -> Summary:
        """What the run has done so far."""
        seconds = self.clock() - self._start_s
        drops: Counter[str] = Counter()
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
    """Which sources gave pictures and no result, and why, in a line for each."""
    without = [name for name in names if metrics.frames[name] and not metrics.results[name]]
    return {name: f"{name}: {why_no_window(name, metrics, model, clip_format)}" for name in without}


def why_no_window(name: str, metrics: Metrics, model: str, clip_format: ClipFormat) -> str:
    """Why there is none, by what the source gave.

    Args:
        name: the source's.
        metrics: what was counted.
        model: what looks at it.
        clip_format: how many frames it looks at, and how fast they follow each other.
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
