"""What a GPU did when, read from a profiler's Chrome trace: pure arithmetic on intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]
"""From and to, in microseconds."""

COMPUTING = ("kernel", "gpu_memset")
COPYING = "gpu_memcpy"
BUS = ("HtoD", "DtoH")
"""How a profiler calls what crosses the bus, in either direction."""


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same points in time as disjoint intervals, in order."""
    joined: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[1] > interval[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def total(intervals: Iterable[Interval]) -> float:
    """How long intervals last together; what several of them share counts once."""
    return sum(end - start for start, end in union(intervals))


def intersection(a: Iterable[Interval], b: Iterable[Interval]) -> list[Interval]:
    """The points in time that are in both."""
    ours, theirs, shared = union(a), union(b), []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        start, end = max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])
        if start < end:
            shared.append((start, end))
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    return shared


@dataclass(frozen=True)
class Timeline:
    """What a GPU did."""

    copies: Sequence[Interval]
    """Over the bus, in either direction."""
    computing: Sequence[Interval]
    """Kernels, and copies within the device's memory."""
    kinds: Mapping[str, float]
    """Microseconds of each kind of copy, as the profiler calls it: whether memory was pinned is said there."""

    @staticmethod
    def of(trace: Mapping[str, Any]) -> "Timeline":
        """Read a Chrome trace."""
        copies, computing, kinds = list[Interval](), list[Interval](), dict[str, float]()
        for event in trace.get("traceEvents", ()):
            if event.get("ph") != "X" or event.get("cat") not in (*COMPUTING, COPYING):
                continue
            start, lasts = float(event["ts"]), float(event["dur"])
            if event["cat"] == COPYING:
                kinds[event["name"]] = kinds.get(event["name"], 0.0) + lasts
            crosses = event["cat"] == COPYING and any(way in event["name"] for way in BUS)
            (copies if crosses else computing).append((start, start + lasts))
        return Timeline(copies, computing, kinds)

    @property
    def span(self) -> list[Interval]:
        """From the first kernel to the last: at its beginning and end a flow has nothing to overlap."""
        if not self.computing:
            return []
        return [(min(start for start, _ in self.computing), max(end for _, end in self.computing))]

    @property
    def overlapped(self) -> float | None:
        """The share of the time of copies, 0–1, in which something was computed; None where nothing was copied."""
        copies = intersection(self.copies, self.span)
        return total(intersection(copies, self.computing)) / total(copies) if copies else None

    def busy(self, what: Sequence[Interval]) -> float:
        """The share of the span, 0–1, that these take."""
        return total(intersection(what, self.span)) / total(self.span) if self.span else 0.0
