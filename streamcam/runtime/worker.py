"""One device: clips of its cameras in, in batches; heat out, in order."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from streamcam.engines.base import BatchFuture, Engine
from streamcam.records import Clip, Frame, Heat
from streamcam.runtime.batching import Load
from streamcam.runtime.queues import BatchQueue, SourceQueue
from streamcam.runtime.watchdog import Pulse

LOSSLESS_DEPTH = 8
"""Pieces of work of a file that may wait."""

MAX_WAIT_S = 0.005
"""How long a clip may wait for company, where batches gain anything and nothing else is asked for."""

POLL_S = 0.001
"""How often to look whether a batch has come back, while there is nothing else to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """For a worker: a clip, or (lossless) a frame on its way, with the clip that it completed, if any."""

    clip: Clip | None
    frame: Frame | None
    prepare_ms: float
    number: int = 0
    """Which of its source's windows the clip is, from 1."""
    queued_s: float = field(default_factory=time.perf_counter)


Deliver = Callable[[Work, Heat | None, Mapping[str, float]], None]
"""Takes what a worker has done, and how many milliseconds that took."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    work: Sequence[Work]
    future: BatchFuture | None
    start_s: float


class Worker:
    """Keeps one engine busy.

    The next batch is handed over before the last one has come back, as far as the engine says that this gains anything.
    Batches come out as they went in, whichever is computed first, so that each camera's results stay in order.
    """

    def __init__(
        self,
        engine: Engine,
        deliver: Deliver,
        *,
        name: str = "worker",
        lossless: bool = False,
        max_wait_s: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            engine: is called from the thread of `run` only.
            deliver: is called from there too.
            name: for people.
            lossless: take everything, one clip a batch, so that the outcome depends on nothing but the clips.
            max_wait_s: how long a clip may wait for company; by default 0 where a batch gains nothing.
        """
        self.name, self.load, self.pulse = name, Load(), Pulse()
        self.inbox: SourceQueue[Work] | BatchQueue[Work] = (
            SourceQueue(depth=LOSSLESS_DEPTH, lossless=True) if lossless else BatchQueue()
        )
        self._engine, self._deliver = engine, deliver
        gains = engine.in_flight > 1 and engine.max_batch > 1
        self._max_wait_s = max_wait_s if max_wait_s is not None else MAX_WAIT_S if gains else 0.0
        self._under_way: deque[_UnderWay] = deque()

    def run(self) -> None:
        """The thread's body: until the inbox is closed and empty, and what was under way has come back."""
        while True:
            while self._under_way and (self._is_full() or self._first_is_done()):
                self._collect()
            work = self._next()
            if work:
                self._hand_over(work)
            elif self.inbox.finished:
                if not self._under_way:
                    return
                self._collect()

    def remove_source(self, source: str) -> None:
        """Nothing more is coming from a source."""
        if isinstance(self.inbox, BatchQueue):
            self.inbox.remove_source(source)

    def _is_full(self) -> bool:
        batches = sum(under_way.future is not None for under_way in self._under_way)
        return batches >= self._engine.in_flight or len(self._under_way) >= LOSSLESS_DEPTH

    def _first_is_done(self) -> bool:
        future = self._under_way[0].future
        return future is None or future.done()

    def _next(self) -> Sequence[Work]:
        timeout_s = POLL_S if self._under_way else None
        if isinstance(self.inbox, SourceQueue):
            one = self.inbox.get(timeout_s=timeout_s)
            return [] if one is None else [one]
        patience_s = self.load.patience_s(self._max_wait_s, idle=not self._under_way)
        return self.inbox.get(
            limit=self._engine.max_batch, patience_s=patience_s, timeout_s=timeout_s, weigh=self._weigh
        )

    def _weigh(self, work: Work) -> int:
        return 1 if work.clip is None else self._engine.weight(work.clip)

    def _hand_over(self, work: Sequence[Work]) -> None:
        clips = [w.clip for w in work if w.clip is not None]
        start_s = time.perf_counter()
        if clips:
            self.pulse.begin()
        self._under_way.append(_UnderWay(work, self._engine.submit(clips) if clips else None, start_s))

    def _collect(self) -> None:
        """Wait for the batch that was handed over first."""
        batch = self._under_way.popleft()
        heats = iter(batch.future.wait() if batch.future else ())
        end_s = time.perf_counter()
        if batch.future:
            self.pulse.end()  # it is not to be blamed for whoever takes the heat
            self.load.took(batch.start_s, end_s)
        for work in batch.work:
            timings_ms = {
                "prepare": work.prepare_ms,
                "wait": (batch.start_s - work.queued_s) * 1e3,
                "infer": (end_s - batch.start_s) * 1e3,
            }
            self._deliver(work, None if work.clip is None else next(heats), timings_ms)
        if any(under_way.future for under_way in self._under_way):
            self.pulse.begin()


class WorkerPool:
    """Which camera is on which worker: for a session it stays, since engines remember."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._places: dict[str, tuple[int, Worker]] = {}
        self._lock = Lock()

    def place(self, source: str, session: int) -> Worker:
        """The worker of a source: for a new session, the one with the fewest; of these its own, or the least busy."""
        with self._lock:
            before, own = self._places.get(source, (None, None))
            if own is not None and before == session:
                return own
            cameras = Counter(id(worker) for name, (_, worker) in self._places.items() if name != source)
            chosen = min(self._workers, key=lambda w: (cameras[id(w)], w is not own, w.load.busy))
            self._places[source] = session, chosen
        if own is not None and own is not chosen:
            own.remove_source(source)
        return chosen

    def remove_source(self, source: str) -> None:
        """A source has ended."""
        with self._lock:
            _, own = self._places.pop(source, (0, None))
        if own is not None:
            own.remove_source(source)
