"""Cameras at their own pace in front of the worker that a running pipeline has; and nothing around it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Thread

import numpy as np
import numpy.typing as npt

from streamcam.engines.base import Engine
from streamcam.records import Clip
from streamcam.runtime.worker import Work, Worker

NAP_S = 0.0005
"""The thread by which frames come does not wake for each of thousands."""


@dataclass(frozen=True)
class Arrivals:
    """When frames come, in order."""

    times_s: npt.NDArray[np.float64]
    cameras: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    """The number of each frame in its camera."""

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        """Camera, number of the frame, seconds."""
        return zip(self.cameras.tolist(), self.indices.tolist(), self.times_s.tolist(), strict=True)

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
    """Frames that still waited when the next one of their camera came."""
    batches: int = 0
    seconds: float = 0.0
    feeding_s: float = 0.0
    """Processor time of the thread by which frames come: making clips, and queuing them;"""
    working_s: float = 0.0
    """and of the worker's: packing, launching, reading heat."""


def run_at_pace(engine: Engine, clip: Callable[[int, int], Clip], arrivals: Arrivals) -> Outcome:
    """Let an engine see frames as they come, until the last has been seen.

    Args:
        engine: is called from this thread.
        clip: camera and number of a frame → the clip that ends there.
        arrivals: when frames come.
    """
    outcome = Outcome(frames=len(arrivals.times_s))

    def deliver(work: Work, _heat: object, _timings_ms: object) -> None:
        outcome.latencies_ms.append((time.perf_counter() - work.queued_s) * 1e3)

    worker = Worker(engine, deliver)
    start_s, before_s = time.perf_counter(), time.thread_time()
    feeder = Thread(target=_feed, args=(worker, clip, arrivals, outcome, start_s), daemon=True)
    feeder.start()
    try:
        worker.run()
    finally:
        worker.inbox.close(discard=True)
    feeder.join()
    outcome.batches = worker.heartbeat.count
    outcome.seconds, outcome.working_s = time.perf_counter() - start_s, time.thread_time() - before_s
    return outcome


def _feed(
    worker: Worker, clip: Callable[[int, int], Clip], arrivals: Arrivals, outcome: Outcome, start_s: float
) -> None:
    """Queue frames when they come. What is late because this thread was held up counts as late."""
    before_s = time.thread_time()
    try:
        for camera, index, at_s in arrivals:
            ahead_s = start_s + at_s - time.perf_counter()
            if ahead_s > 0:
                time.sleep(max(ahead_s, NAP_S))
            made = clip(camera, index)
            work = Work(made, None, 0.0, queued_s=start_s + at_s)
            outcome.dropped += worker.inbox.put(made.last.source, work) is not None
    finally:
        worker.inbox.close()
        outcome.feeding_s = time.thread_time() - before_s
