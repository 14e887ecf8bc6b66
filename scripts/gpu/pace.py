"""Cameras at their own pace, looked at in batches: what a worker does, with nothing around it."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamcam.engines.pending import Pending
from streamcam.records import Clip

NAP_S = 0.0002


@dataclass(frozen=True)
class Arrivals:
    """When frames come, in order."""

    times_s: npt.NDArray[np.float64]
    cameras: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    """The number of each frame in its camera."""

    @staticmethod
    def of(cameras: int, *, fps: float, seconds: float, first: int, jitter_s: float) -> "Arrivals":
        """Each camera with a phase of its own, and a network in between that delays each frame as it likes.

        Args:
            cameras: how many.
            fps: frames a second of each.
            seconds: for so long.
            first: the number of their first frames.
            jitter_s: the most that a frame is late by; frames of a camera do not overtake each other.
        """
        rng, count = np.random.default_rng(0), max(1, int(seconds * fps))
        due_s = rng.uniform(0, 1 / fps, (cameras, 1)) + np.arange(count) / fps
        times_s = np.maximum.accumulate(due_s + rng.uniform(0, jitter_s, due_s.shape), axis=1)
        order = np.argsort(times_s, axis=None, kind="stable")
        which, frame = np.unravel_index(order, times_s.shape)
        return Arrivals(times_s.flat[order], which.astype(np.int64), frame.astype(np.int64) + first)


@dataclass
class Outcome:
    """What came of a run."""

    latencies_ms: list[float] = field(default_factory=list)
    """From when a frame came to when its heat was there."""
    frames: int = 0
    dropped: int = 0
    """Frames that were still waiting when the next one of their camera came."""
    batches: int = 0
    seconds: float = 0.0
    handing_s: float = 0.0
    """Of the host's time: making clips and handing batches over,"""
    reading_s: float = 0.0
    """and reading what has come back."""


class Worker:
    """Takes the newest frame of each camera in the order in which they came; a batch closes when full, or in time."""

    def __init__(
        self,
        submit: Callable[[Sequence[Clip]], Pending],
        clip: Callable[[int, int], Clip],
        *,
        max_batch: int,
        in_flight: int,
        max_wait_s: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """See frames.

        Args:
            submit: of an engine.
            clip: camera and frame → the clip that ends there.
            max_batch: frames in a batch at the most.
            in_flight: batches under way at the most.
            max_wait_s: how long the oldest frame waits for others.
            clock: in seconds.
            sleep: for so many seconds.
        """
        self._submit, self._clip, self._max_batch, self._in_flight = submit, clip, max_batch, in_flight
        self._max_wait_s, self._clock, self._sleep = max_wait_s, clock, sleep
        self._waiting: dict[int, tuple[int, float]] = {}
        self._flying: deque[tuple[Pending, list[float]]] = deque()
        self.outcome = Outcome()

    def run(self, arrivals: Arrivals) -> Outcome:
        """See frames as they come, until the last is done."""
        coming = self._coming(arrivals)
        start_s = self._clock()
        ahead = next(coming, None)
        while ahead or self._waiting or self._flying:
            now_s = self._clock() - start_s
            while ahead and ahead[2] <= now_s:
                self._arrive(*ahead)
                ahead = next(coming, None)
            if self._flying and (self._flying[0][0].done() or self._no_more(ahead)):
                self._read(start_s)
            elif self._closes(now_s, last=ahead is None):
                self._hand_over()
            else:
                self._sleep(NAP_S)
        self.outcome.seconds = self._clock() - start_s
        return self.outcome

    def _coming(self, arrivals: Arrivals) -> Iterator[tuple[int, int, float]]:
        self.outcome.frames = len(arrivals.times_s)
        return zip(arrivals.cameras.tolist(), arrivals.indices.tolist(), arrivals.times_s.tolist(), strict=True)

    def _arrive(self, camera: int, index: int, at_s: float) -> None:
        if camera in self._waiting:
            self.outcome.dropped += 1  # it keeps its place
        self._waiting[camera] = (index, at_s)

    def _no_more(self, ahead: tuple[int, int, float] | None) -> bool:
        return ahead is None and not self._waiting

    def _closes(self, now_s: float, *, last: bool) -> bool:
        if not self._waiting or len(self._flying) >= self._in_flight:
            return False
        oldest_s = next(iter(self._waiting.values()))[1]
        return last or len(self._waiting) >= self._max_batch or now_s - oldest_s >= self._max_wait_s

    def _hand_over(self) -> None:
        begin_s = self._clock()
        taken = [(camera, *self._waiting.pop(camera)) for camera in list(self._waiting)[: self._max_batch]]
        clips = [self._clip(camera, index) for camera, index, _ in taken]
        self._flying.append((self._submit(clips), [at_s for _, _, at_s in taken]))
        self.outcome.batches += 1
        self.outcome.handing_s += self._clock() - begin_s

    def _read(self, start_s: float) -> None:
        begin_s = self._clock()
        pending, came_s = self._flying.popleft()
        pending.wait()
        end_s = self._clock()
        self.outcome.latencies_ms += [(end_s - start_s - at_s) * 1e3 for at_s in came_s]
        self.outcome.reading_s += end_s - begin_s
