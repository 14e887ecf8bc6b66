"""Connects sources, windows, engines and sinks by threads and queues. It knows nothing of what they do inside.

    source threads ──frames──────────────────────────────────────► output queue ──► output thread ──► sinks
         │                                                               ▲
         └────clips──► inbox of a worker ──► worker thread ──heat────────┘

- Live: a frame goes straight to the output queue, and a clip to the inbox of a worker. Items that are not taken in time
  are replaced by newer ones and counted as drops.
- Lossless, for files: each frame passes through the inbox of the worker, too, so that frames and heat come out in one
  order. Every queue makes its writer wait, and nothing is dropped.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Event, Lock, Thread, get_native_id

from streamcam.clips import SlidingWindow
from streamcam.engines.base import Engine
from streamcam.metrics import Metrics
from streamcam.records import Clip, Frame, Heat, Result
from streamcam.runtime.health import Health
from streamcam.runtime.queues import SourceQueue
from streamcam.runtime.watchdog import Heartbeat, Watchdog
from streamcam.runtime.worker import LOSSLESS_DEPTH, Work, Worker, WorkerPool
from streamcam.sinks.base import Sink
from streamcam.sources.base import Source
from streamcam.sources.status import StatusLog

OUTPUT_DEPTH = 4
"""Frames of one live source that may wait for the output thread; then the oldest is dropped."""

READERS_NICE = 10
"""Added to the niceness of threads that read sources. Nine of them then weigh as much as one that computes."""

TICK_S = 0.02
"""How often sinks get a `tick` while there are no results."""

JOIN_S = 4.5
"""How long threads may take to end when they are stopped. A source may be in a read that takes three seconds."""


@dataclass(frozen=True, slots=True)
class _Output:
    """An item of the output queue: a frame, or the heat of a clip that ends with the frame."""

    frame: Frame
    heat: Heat | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    number: int = 0
    """The number of the heat's window in its source, from 1."""


@dataclass(frozen=True, slots=True)
class _NewestHeat:
    """The newest heat of a source; the fields are those of `Result`."""

    session: int
    number: int
    heat: Heat
    hop_s: float | None = None
    skipped: int = 0


class Pipeline:
    """Sources, engines and sinks that run until the sources end, `stop` is set, or a part raises."""

    def __init__(
        self,
        sources: Sequence[Source],
        engines: Sequence[Engine],
        sinks: Sequence[Sink],
        *,
        window: Callable[[], SlidingWindow],
        lossless: bool = False,
        max_frames: int | None = None,
        metrics: Metrics | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Connect the parts; `run` starts the threads.

        Args:
            sources: each is read by a thread of its own, and has a window of its own.
            engines: each is called from one worker thread. Each session of a source is assigned to one of them.
            sinks: all are called from one output thread, in this order.
            window: makes a `SlidingWindow`.
            lossless: let fast threads wait for slow ones, instead of dropping old items.
            max_frames: stop each source after so many frames.
            metrics: where to count; by default a new one.
            clock: gives Unix time in nanoseconds.
        """
        self.stop = Event()
        """Set it to end the run."""
        self.metrics = metrics or Metrics()
        self.health = Health()
        self.left_behind: tuple[str, ...] = ()
        """Names of threads that `run` could not end."""
        self._sources, self._sinks, self._window = sources, sinks, window
        self._lossless, self._max_frames, self._clock = lossless, max_frames, clock
        self._workers = [
            Worker(engine, self._queue_heat, name=f"worker {i}", lossless=lossless) for i, engine in enumerate(engines)
        ]
        self._pool = WorkerPool(self._workers)
        self._outputs: SourceQueue[_Output] = SourceQueue(
            depth=LOSSLESS_DEPTH if lossless else OUTPUT_DEPTH, lossless=lossless
        )
        self._output_heartbeat = Heartbeat()
        self._newest: dict[str, _NewestHeat] = {}  # only the output thread uses it
        self._status_log = StatusLog()
        # The first error of any thread. The lock makes "first" exact.
        self._error: BaseException | None = None
        self._error_lock = Lock()

    def run(self, *, wait: Callable[[], None] = lambda: None) -> None:
        """Run until the end.

        Args:
            wait: called about ten times a second on this thread, to show the progress.

        Raises:
            StuckError: a worker or the output thread hangs, and cannot be ended.
            Exception: whatever a part raised. It comes within a second as a rule, and within five at most. Threads that
                do not end by then are daemons, go on, and are named in `left_behind`.
        """
        readers = [self._thread(self._read, source, name=source.name) for source in self._sources]
        workers = [self._thread(worker.run, name=worker.name) for worker in self._workers]
        outputs = [self._thread(self._run_output, name="output")]
        threads = [*outputs, *workers, *readers]
        watchdog = Watchdog(self._heartbeats())
        for thread in threads:
            thread.start()
        self.health.begin([*outputs, *workers])
        try:
            # The stages end one after the other. When the threads of one have ended, its queue to the next is closed,
            # and the next stage ends when it has emptied that queue.
            for stage, close in ((readers, self._close_inboxes), (workers, self._outputs.close), (outputs, None)):
                while (alive := [thread for thread in stage if thread.is_alive()]) and not self.stop.is_set():
                    wait()
                    self._log_status()
                    watchdog.check()
                    self.health.look()
                    alive[0].join(0.1)
                if close is not None and not self.stop.is_set():
                    close()
        except Exception as e:
            self.health.fail(e)
            raise
        finally:
            self.health.end()
            self._stop_threads(threads)
            self._log_status()
        if self._error is not None:
            raise self._error

    def _thread(self, body: Callable[..., None], *args: object, name: str) -> Thread:
        """Make a thread whose error ends the run, and reaches the caller of `run`."""

        def guarded() -> None:
            try:
                body(*args)
            except BaseException as e:
                with self._error_lock:
                    self._error = self._error or e
                self.health.fail(e)
                self.stop.set()
                self._close_inboxes(discard=True)
                self._outputs.close(discard=True)

        return Thread(target=guarded, daemon=True, name=name)

    def _heartbeats(self) -> dict[str, Heartbeat]:
        heartbeats = {worker.name: worker.heartbeat for worker in self._workers}
        if not self._lossless:  # a lossless sink may take all the time in the world, such as a loop in Python
            heartbeats["output"] = self._output_heartbeat
        return heartbeats

    def _log_status(self) -> None:
        for source in self._sources:
            self._status_log.note(source.name, source.status)

    def _close_inboxes(self, *, discard: bool = False) -> None:
        for worker in self._workers:
            worker.inbox.close(discard=discard)

    def _stop_threads(self, threads: Sequence[Thread]) -> None:
        """Wake and join all threads. Results that wait for the output thread still go out."""
        self.stop.set()
        self._close_inboxes(discard=True)
        self._outputs.close()
        end_s = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        self.left_behind = tuple(thread.name for thread in threads if thread.is_alive())

    def _read(self, source: Source) -> None:
        """Read a source; the body of its thread."""
        if not self._lossless:
            lower_thread_priority()
        try:
            self._read_frames(source)
        finally:
            self._count_drops(source)
            self._pool.remove_source(source.name)

    def _count_drops(self, source: Source) -> None:
        for stage, total in list(source.drops.items()):
            self.metrics.set_drops(source.name, stage, total)

    def _read_frames(self, source: Source) -> None:
        window = self._window()
        for count, frame in enumerate(source.frames(self.stop), start=1):
            self.metrics.count_frame(source.name)
            self._count_drops(source)
            start_s = time.perf_counter()
            clip = window.push(frame)
            self.metrics.pieces[source.name], self.metrics.longest[source.name] = window.pieces, window.longest
            prepare_ms = (time.perf_counter() - start_s) * 1e3
            self.metrics.add_duration("prepare", prepare_ms)
            self._queue_frame(frame, clip, prepare_ms)
            if count == self._max_frames:
                return

    def _queue_frame(self, frame: Frame, clip: Clip | None, prepare_ms: float) -> None:
        """Queue a frame for the sinks, and the clip that it completed, if any, for a worker."""
        source = frame.source
        if clip is not None and clip.full:
            self.metrics.windows[source] += 1
        work = Work(clip, frame if self._lossless else None, prepare_ms, self.metrics.windows[source])
        if self._lossless:
            # All sessions count as one: on another worker, a file that begins again could overtake itself.
            self._pool.worker_for(source, 0).inbox.put(source, work)
            return
        if self._outputs.put(source, _Output(frame)) is not None:
            self.metrics.count_drop(source, "output")
        if clip is None:
            return
        dropped = self._pool.worker_for(source, frame.session).inbox.put(source, work)
        if dropped is not None and dropped.clip is not None and dropped.clip.full:
            self.metrics.count_drop(source, "window")

    def _queue_heat(self, work: Work, heat: Heat | None, timings_ms: Mapping[str, float]) -> None:
        """Queue an item that a worker has done for the sinks; runs on the worker's thread."""
        clip = work.clip
        if clip is not None and heat is not None:
            self.metrics.add_duration("wait", timings_ms["wait"])
            self.metrics.add_duration("infer", timings_ms["infer"])
            if self._outputs.put(clip.last.source, _Output(clip.last, heat, timings_ms, work.number)) is not None:
                self.metrics.count_drop(clip.last.source, "output")
        if work.frame is not None:
            self._outputs.put(work.frame.source, _Output(work.frame))

    def _run_output(self) -> None:
        """Give results to the sinks; the body of the output thread."""
        while not self._outputs.finished:
            item = self._outputs.get(timeout_s=TICK_S)
            self._output_heartbeat.begin()
            if item is not None:
                start_s = time.perf_counter()
                self._emit(item)
                self.metrics.add_duration("output", (time.perf_counter() - start_s) * 1e3)
            for sink in self._sinks:
                sink.tick()
            self._output_heartbeat.end()

    def _emit(self, item: _Output) -> None:
        """Make a result of an item, and give it to all sinks."""
        frame, newest = item.frame, self._newest.get(item.frame.source)
        if item.heat is not None:
            newest = self._update_newest(frame, item.heat, item.number)
            if newest is None:
                return
        result = Result(frame, None, item.timings_ms, self.metrics.drops(frame.source))
        if newest is not None and newest.session == frame.session:
            result = replace(result, heat=newest.heat, hop_s=newest.hop_s, skipped=newest.skipped)
        for sink in self._sinks:
            sink.on_frame(result) if item.heat is None else sink.on_window(result)
        stage = "capture_to_frame" if item.heat is None else "capture_to_result"
        if not self._lossless:
            self.metrics.add_duration(stage, (self._clock() - frame.captured_ns) / 1e6)

    def _update_newest(self, frame: Frame, heat: Heat, number: int) -> _NewestHeat | None:
        """Note the newest heat of a source.

        Two sessions of a source may be on two workers. If the later session's worker was faster, heat of the earlier
        one is dropped, and None is returned.
        """
        source, previous = frame.source, self._newest.get(frame.source)
        if previous is not None and previous.session > frame.session:
            self.metrics.count_drop(source, "window")
            return None
        newest = _NewestHeat(frame.session, number, heat)
        if previous is not None and previous.session == frame.session:
            hop_s = heat.clip_pts_s[1] - previous.heat.clip_pts_s[1]
            newest = replace(newest, hop_s=hop_s, skipped=number - previous.number - 1)
        self._newest[source] = newest
        self.metrics.count_result(source, newest.hop_s, newest.skipped)
        return newest


def lower_thread_priority() -> None:
    """Lower the priority of this thread, and of the decoding threads that FFmpeg starts from it.

    On an overloaded machine, the decoding of many cameras would leave no time for the one thread that computes. It is
    better to drop frames than to decode them for nobody.
    """
    if sys.platform == "linux":  # elsewhere, an ordinary program cannot set the priority of a single thread
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + READERS_NICE)
