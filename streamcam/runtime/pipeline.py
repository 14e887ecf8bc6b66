"""Threads and hand-offs: sources → windows → engines → sinks. It receives its parts and knows none of them inside.

live      a source's thread hands each frame straight to the output thread, and each clip to its worker; what is
          not taken in time is replaced by what is newer, and counted
lossless  (files) each frame goes through the worker, in order, and everybody waits for everybody
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
from streamcam.runtime.queues import SourceQueue
from streamcam.runtime.watchdog import Pulse, Watchdog
from streamcam.runtime.worker import LOSSLESS_DEPTH, Work, Worker, WorkerPool
from streamcam.sinks.base import Sink
from streamcam.sources.base import Source
from streamcam.sources.status import StatusLog

OUTPUT_DEPTH = 4
"""Frames of one live source that may wait for the output thread before the oldest is dropped."""
READERS_NICE = 10
"""How much lower the priority of threads that read is: nine of them weigh as much as one that computes."""

TICK_S = 0.02
JOIN_S = 4.5
"""How long threads may take to end when they are told to: a source may be in a read that takes three seconds."""


@dataclass(frozen=True, slots=True)
class _Output:
    """For the output thread: a frame, or the heat of a clip that ends with it."""

    frame: Frame
    heat: Heat | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    number: int = 0
    """Which of its source's windows the heat is of, from 1."""


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest heat of a source."""

    session: int
    number: int
    heat: Heat
    hop_s: float | None = None
    skipped: int = 0


class Pipeline:
    """Runs sources through engines into sinks, until the sources end, `stop` is set, or something raises."""

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
        """Join the parts.

        Args:
            sources: each gets a thread, and a window of its own.
            engines: each is called from one worker thread only. Sources are spread over them, a session at a time.
            sinks: are called from one output thread only, in order.
            window: makes a `SlidingWindow`.
            lossless: whether everybody waits for everybody, instead of dropping what is old.
            max_frames: stop a source after so many frames.
            metrics: where to count; by default a new one.
            clock: Unix time in nanoseconds.
        """
        self.stop = Event()
        self.metrics = metrics or Metrics()
        self.left_behind: tuple[str, ...] = ()
        """Threads that `run` could not end."""
        self._sources, self._sinks, self._window = sources, sinks, window
        self._lossless, self._max_frames, self._clock = lossless, max_frames, clock
        self._crew = [
            Worker(engine, self._deliver, name=f"worker {i}", lossless=lossless) for i, engine in enumerate(engines)
        ]
        self._workers = WorkerPool(self._crew)
        self._outputs: SourceQueue[_Output] = SourceQueue(
            depth=LOSSLESS_DEPTH if lossless else OUTPUT_DEPTH, lossless=lossless
        )
        self._output_pulse = Pulse()
        self._newest: dict[str, _Newest] = {}
        self._states = StatusLog()
        self._error: BaseException | None = None
        self._error_lock = Lock()

    def run(self, *, wait: Callable[[], None] = lambda: None) -> None:
        """Run to the end.

        Args:
            wait: called about ten times a second on this thread, to show how it goes.

        Raises:
            StuckError: a worker or the output thread hangs, and cannot be ended.
            whatever a part raised, usually within a second, and at the latest when five have passed. Threads that do
            not end by then are left behind as daemons, and named in `left_behind`.
        """
        readers = [Thread(target=self._guarded, args=(self._read, s), daemon=True, name=s.name) for s in self._sources]
        workers = [Thread(target=self._guarded, args=(w.run,), daemon=True, name=w.name) for w in self._crew]
        output = [Thread(target=self._guarded, args=(self._give_out,), daemon=True, name="output")]
        threads = [*output, *workers, *readers]
        pulses = {worker.name: worker.pulse for worker in self._crew}
        if not self._lossless:  # there, whoever takes results may take all the time in the world
            pulses["output"] = self._output_pulse
        watchdog = Watchdog(pulses)
        for thread in threads:
            thread.start()
        try:
            for stage, close in ((readers, self._close_inboxes), (workers, self._outputs.close), (output, None)):
                while (alive := [thread for thread in stage if thread.is_alive()]) and not self.stop.is_set():
                    wait()
                    self._log_states()
                    watchdog.look()
                    alive[0].join(0.1)
                if close is not None and not self.stop.is_set():
                    close()  # what is under way comes through, stage by stage
        finally:
            self._halt(threads)
            self._log_states()
        if self._error is not None:
            raise self._error

    def _log_states(self) -> None:
        for source in self._sources:
            self._states.note(source.name, source.status)

    def _close_inboxes(self, *, discard: bool = False) -> None:
        for worker in self._crew:
            worker.inbox.close(discard=discard)

    def _halt(self, threads: Sequence[Thread]) -> None:
        """Wake and join everybody; what is ready to go out still goes."""
        self.stop.set()
        self._close_inboxes(discard=True)
        self._outputs.close()
        end_s = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        self.left_behind = tuple(thread.name for thread in threads if thread.is_alive())

    def _guarded(self, body: Callable[..., None], *args: object) -> None:
        """Run a thread's body; its error ends everything and reaches the caller of `run`."""
        try:
            body(*args)
        except BaseException as e:
            with self._error_lock:
                self._error = self._error or e
            self.stop.set()
            self._close_inboxes(discard=True)
            self._outputs.close(discard=True)

    def _read(self, source: Source) -> None:
        """One source's thread."""
        if not self._lossless:
            give_way()
        try:
            self._read_frames(source)
        finally:
            self._count_drops(source)
            self._workers.remove_source(source.name)

    def _count_drops(self, source: Source) -> None:
        for stage, total in list(source.drops.items()):
            self.metrics.dropped(source.name, stage, total)

    def _read_frames(self, source: Source) -> None:
        window = self._window()
        for count, frame in enumerate(source.frames(self.stop), start=1):
            self.metrics.frame(source.name)
            self._count_drops(source)
            start_s = time.perf_counter()
            clip = window.push(frame)
            self.metrics.pieces[source.name], self.metrics.longest[source.name] = window.pieces, window.longest
            prepare_ms = (time.perf_counter() - start_s) * 1e3
            self.metrics.took("prepare", prepare_ms)
            self._hand_on(frame, clip, prepare_ms)
            if count == self._max_frames:
                return

    def _hand_on(self, frame: Frame, clip: Clip | None, prepare_ms: float) -> None:
        source = frame.source
        if clip is not None and clip.full:
            self.metrics.windows[source] += 1
        work = Work(clip, frame if self._lossless else None, prepare_ms, self.metrics.windows[source])
        if self._lossless:  # on one worker from beginning to end: on another, it could overtake itself
            self._workers.place(source, 0).inbox.put(source, work)
            return
        if self._outputs.put(source, _Output(frame)) is not None:
            self.metrics.dropped(source, "output")
        if clip is None:
            return
        lost = self._workers.place(source, frame.session).inbox.put(source, work)
        if lost is not None and lost.clip is not None and lost.clip.full:
            self.metrics.dropped(source, "window")

    def _deliver(self, work: Work, heat: Heat | None, timings_ms: Mapping[str, float]) -> None:
        """On a worker's thread: hand on what it has done."""
        clip = work.clip
        if clip is not None and heat is not None:
            self.metrics.took("wait", timings_ms["wait"])
            self.metrics.took("infer", timings_ms["infer"])
            if self._outputs.put(clip.last.source, _Output(clip.last, heat, timings_ms, work.number)) is not None:
                self.metrics.dropped(clip.last.source, "output")
        if work.frame is not None:
            self._outputs.put(work.frame.source, _Output(work.frame))

    def _give_out(self) -> None:
        """The output thread: everything that leaves, in one order."""
        while not self._outputs.finished:
            item = self._outputs.get(timeout_s=TICK_S)
            self._output_pulse.begin()
            if item is not None:
                start_s = time.perf_counter()
                self._give(item)
                self.metrics.took("output", (time.perf_counter() - start_s) * 1e3)
            for sink in self._sinks:
                sink.tick()
            self._output_pulse.end()

    def _give(self, item: _Output) -> None:
        frame, newest = item.frame, self._newest.get(item.frame.source)
        if item.heat is not None:
            newest = self._take(frame, item.heat, item.number)
            if newest is None:
                return
        if newest is None or newest.session != frame.session:
            result = Result(frame, None, item.timings_ms, self.metrics.drops(frame.source))
        else:
            drops = self.metrics.drops(frame.source)
            result = Result(frame, newest.heat, item.timings_ms, drops, newest.hop_s, newest.skipped)
        for sink in self._sinks:
            sink.on_frame(result) if item.heat is None else sink.on_window(result)
        published = "capture_to_frame" if item.heat is None else "capture_to_result"
        if not self._lossless:
            self.metrics.took(published, (self._clock() - frame.captured_ns) / 1e6)

    def _take(self, frame: Frame, heat: Heat, number: int) -> _Newest | None:
        """Note a new heat; None, and it is dropped, where another worker was faster with the source's next session."""
        source, before = frame.source, self._newest.get(frame.source)
        if before is not None and before.session > frame.session:
            self.metrics.dropped(source, "window")
            return None
        newest = _Newest(frame.session, number, heat)
        if before is not None and before.session == frame.session:
            hop_s = heat.clip_pts_s[1] - before.heat.clip_pts_s[1]
            newest = replace(newest, hop_s=hop_s, skipped=number - before.number - 1)
        self._newest[source] = newest
        self.metrics.result(source, newest.hop_s, newest.skipped)
        return newest


def give_way() -> None:
    """Let this thread, and those that FFmpeg begins from it, have what time others leave.

    Where there is more to do than a machine can, many cameras' decoding would leave the one thread that computes next
    to none: better that frames are lost than that nobody learns anything of those which were decoded.
    """
    if sys.platform == "linux":  # elsewhere, threads have no priorities of their own that an ordinary program may set
        with suppress(OSError):  # where a sandbox forbids it, all go on alike
            os.setpriority(os.PRIO_PROCESS, get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + READERS_NICE)
