"""Drives one engine from a thread: takes clips of its cameras in batches, and gives their heat in order."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from streamcam.engines.base import BatchFuture, Engine
from streamcam.records import Clip, Frame, Heat
from streamcam.runtime.batching import Load
from streamcam.runtime.queues import BatchQueue, SourceQueue
from streamcam.runtime.watchdog import Heartbeat

LOSSLESS_DEPTH = 8
"""Frames of one file that may wait in a lossless queue."""

MAX_WAIT_S = 0.005
"""How long a clip may wait for a batch to fill, by default, where the engine gains from batches."""

POLL_S = 0.001
"""How often to ask whether a batch is done, while there is nothing else to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """An item of a worker's inbox.

    Live, it is a clip. Lossless, it is a frame, with the clip that the frame completed, if any: frames and heat pass
    through the worker in one order.
    """

    clip: Clip | None
    frame: Frame | None
    prepare_ms: float
    """How long it took to prepare the frame."""
    number: int = 0
    """The number of the window in its source, from 1."""
    queued_s: float = field(default_factory=time.perf_counter)
    """When it was queued, by `time.perf_counter`."""


OnDone = Callable[[Work, Heat | None, Mapping[str, float]], None]
"""Called with an item, its heat, and by stage how many milliseconds it took."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch that the engine computes. It has no future if none of its items has a clip."""

    work: Sequence[Work]
    future: BatchFuture | None
    start_s: float


class Worker:
    """A loop that keeps one engine busy.

    It submits the next batch before the last one is done, as far as the engine gains from that. It passes results on in
    the order of submission, whichever is computed first, so that each camera's results stay in order.
    """

    def __init__(
        self,
        engine: Engine,
        on_done: OnDone,
        *,
        name: str = "worker",
        lossless: bool = False,
    ) -> None:
        """Make a worker; `run` is the body of its thread.

        Args:
            engine: called from the thread of `run` only.
            on_done: called from the thread of `run`, for each item.
            name: of the thread, for people.
            lossless: drop nothing, and compute one clip at a time, so that results depend on the clips only.
        """
        self.name, self.load, self.heartbeat = name, Load(), Heartbeat()
        self.inbox: SourceQueue[Work] | BatchQueue[Work] = (
            SourceQueue(depth=LOSSLESS_DEPTH, lossless=True) if lossless else BatchQueue()
        )
        self._engine, self._on_done = engine, on_done
        # On an engine that takes one batch at a time, a clip that waits only delays its batch.
        gains = engine.in_flight > 1 and engine.max_batch > 1
        self._max_wait_s = MAX_WAIT_S if gains else 0.0
        self._submitted: deque[_Batch] = deque()

    def run(self) -> None:
        """Work until the inbox is closed and empty, and all submitted batches are done."""
        while True:
            # First what is done, so that results go out early; then the next batch, so that the engine stays busy.
            while self._submitted and (self._is_full() or self._is_first_done()):
                self._finish_first()
            work = self._next_work()
            if work:
                self._submit(work)
            elif self.inbox.finished:
                if not self._submitted:
                    return
                self._finish_first()

    def remove_source(self, source: str) -> None:
        """Let batches not wait for a source that has ended."""
        if isinstance(self.inbox, BatchQueue):
            self.inbox.remove_source(source)

    def _is_full(self) -> bool:
        """Return whether the engine has as many batches as it gains from."""
        batches = sum(batch.future is not None for batch in self._submitted)
        return batches >= self._engine.in_flight or len(self._submitted) >= LOSSLESS_DEPTH

    def _is_first_done(self) -> bool:
        future = self._submitted[0].future
        return future is None or future.done()

    def _next_work(self) -> Sequence[Work]:
        """Wait for the next batch, for a short time only if the engine is computing one."""
        timeout_s = POLL_S if self._submitted else None
        if isinstance(self.inbox, SourceQueue):
            work = self.inbox.get(timeout_s=timeout_s)
            return [] if work is None else [work]
        max_wait_s = self.load.wait_s(self._max_wait_s, idle=not self._submitted)
        return self.inbox.get(
            limit=self._engine.max_batch, max_wait_s=max_wait_s, timeout_s=timeout_s, weigh=self._weigh
        )

    def _weigh(self, work: Work) -> int:
        return 1 if work.clip is None else self._engine.weight(work.clip)

    def _submit(self, work: Sequence[Work]) -> None:
        clips = [item.clip for item in work if item.clip is not None]
        start_s = time.perf_counter()
        if clips:
            self.heartbeat.begin()
        self._submitted.append(_Batch(work, self._engine.submit(clips) if clips else None, start_s))

    def _finish_first(self) -> None:
        """Wait for the batch that was submitted first, and pass its results on."""
        batch = self._submitted.popleft()
        heats = iter(batch.future.wait() if batch.future else ())
        end_s = time.perf_counter()
        if batch.future:
            # The heartbeat ends before the results are passed on: a slow sink is not this worker's hang.
            self.heartbeat.end()
            self.load.add_batch(batch.start_s, end_s)
        for work in batch.work:
            timings_ms = {
                "prepare": work.prepare_ms,
                "wait": (batch.start_s - work.queued_s) * 1e3,
                "infer": (end_s - batch.start_s) * 1e3,
            }
            self._on_done(work, None if work.clip is None else next(heats), timings_ms)
        if any(later.future for later in self._submitted):
            self.heartbeat.begin()


class WorkerPool:
    """The assignment of sources to workers. It stays for a session, since an engine keeps state of each source."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        # Each source's session and worker. The lock protects it: each source has a thread of its own.
        self._assigned: dict[str, tuple[int, Worker]] = {}
        self._lock = Lock()

    def worker_for(self, source: str, session: int) -> Worker:
        """Return the worker of a source's session.

        A new session gets the worker with the fewest sources. Among equals, it gets the source's previous worker, or
        else the least busy one.
        """
        with self._lock:
            previous_session, previous = self._assigned.get(source, (None, None))
            if previous is not None and previous_session == session:
                return previous
            counts = Counter(id(worker) for name, (_, worker) in self._assigned.items() if name != source)
            chosen = min(self._workers, key=lambda w: (counts[id(w)], w is not previous, w.load.busy))
            self._assigned[source] = session, chosen
        if previous is not None and previous is not chosen:
            previous.remove_source(source)
        return chosen

    def remove_source(self, source: str) -> None:
        """Forget a source that has ended."""
        with self._lock:
            _, worker = self._assigned.pop(source, (0, None))
        if worker is not None:
            worker.remove_source(source)
