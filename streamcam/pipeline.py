"""Threads and hand-offs: sources → windows → engine → sinks. It receives its parts and knows none of them inside.

live      a source's thread hands each frame straight to the output thread, and each clip to the worker; what is
          not taken in time is replaced by what is newer, and counted
lossless  (files) each frame goes through the worker, in order, and everybody waits for everybody
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from streamcam.clips import SlidingWindow
from streamcam.engines import Engine
from streamcam.handoff import Handoff
from streamcam.metrics import Metrics
from streamcam.records import Clip, Frame, Heat, Result
from streamcam.sources import Source

OUTPUT_DEPTH = 4
"""Frames of one live source that may wait for the output thread before the oldest is dropped."""

LOSSLESS_DEPTH = 8
TICK_S = 0.02
JOIN_S = 0.9
"""How long threads may take to end when they are told to."""


class Sink:
    """Takes results, on the output thread. Override what is needed."""

    def on_frame(self, result: Result) -> None:
        """Every camera frame, with the newest heat of its session."""

    def on_window(self, result: Result) -> None:
        """Every new heat, with the newest frame of its clip."""

    def tick(self) -> None:
        """Called about every 20 ms, also when nothing comes."""


@dataclass(frozen=True, slots=True)
class _Work:
    """For the worker: a clip, or (lossless) a frame on its way, with the clip that it completed, if any."""

    clip: Clip | None
    frame: Frame | None
    prepare_ms: float
    queued_s: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class _Output:
    """For the output thread: a frame, or the heat of a clip that ends with it."""

    frame: Frame
    heat: Heat | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """Runs sources through one engine into sinks, until the sources end, `stop` is set, or something raises."""

    def __init__(
        self,
        sources: Sequence[Source],
        engine: Engine,
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
            engine: is called from one worker thread only.
            sinks: are called from one output thread only, in order.
            window: makes a `SlidingWindow`.
            lossless: whether everybody waits for everybody, instead of dropping what is old.
            max_frames: stop a source after so many frames.
            metrics: where to count; by default a new one.
            clock: Unix time in nanoseconds.
        """
        self.stop = Event()
        self.metrics = metrics or Metrics()
        self._sources, self._engine, self._sinks, self._window = sources, engine, sinks, window
        self._lossless, self._max_frames, self._clock = lossless, max_frames, clock
        self._clips: Handoff[_Work] = Handoff(depth=LOSSLESS_DEPTH if lossless else 1, lossless=lossless)
        self._outputs: Handoff[_Output] = Handoff(depth=LOSSLESS_DEPTH if lossless else OUTPUT_DEPTH, lossless=lossless)
        self._newest: dict[str, tuple[int, Heat]] = {}
        self._error: BaseException | None = None
        self._error_lock = Lock()

    def run(self, *, wait: Callable[[], None] = lambda: None) -> None:
        """Run to the end.

        Args:
            wait: called about ten times a second on this thread, to show how it goes.

        Raises:
            whatever a part raised, within a second. Threads that cannot be woken (a read from a dead camera) are left
            behind as daemons.
        """
        readers = [Thread(target=self._guarded, args=(self._read, s), daemon=True, name=s.name) for s in self._sources]
        worker = Thread(target=self._guarded, args=(self._infer,), daemon=True, name="worker")
        output = Thread(target=self._guarded, args=(self._give_out,), daemon=True, name="output")
        threads = [output, worker, *readers]
        for thread in threads:
            thread.start()
        try:
            while any(reader.is_alive() for reader in readers) and not self.stop.is_set():
                wait()
                self.stop.wait(0.1)
            self._finish(worker, output)
        finally:
            self._halt(threads)
        if self._error is not None:
            raise self._error

    def _finish(self, worker: Thread, output: Thread) -> None:
        """Let what is under way come through, stage by stage, unless stopped."""
        for handoff, thread in ((self._clips, worker), (self._outputs, output)):
            if not self.stop.is_set():
                handoff.close()
            while thread.is_alive() and not self.stop.is_set():
                thread.join(0.1)

    def _halt(self, threads: Sequence[Thread]) -> None:
        """Wake and join everybody; what is ready to go out still goes."""
        self.stop.set()
        self._clips.close(discard=True)
        self._outputs.close()
        end_s = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))

    def _guarded(self, body: Callable[..., None], *args: object) -> None:
        """Run a thread's body; its error ends everything and reaches the caller of `run`."""
        try:
            body(*args)
        except BaseException as e:
            with self._error_lock:
                self._error = self._error or e
            self.stop.set()
            self._clips.close(discard=True)
            self._outputs.close(discard=True)

    def _read(self, source: Source) -> None:
        """One source's thread."""
        try:
            self._read_frames(source)
        finally:
            self._count_drops(source)

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
            prepare_ms = (time.perf_counter() - start_s) * 1e3
            self.metrics.took("prepare", prepare_ms)
            self._hand_on(frame, clip, prepare_ms)
            if count == self._max_frames:
                return

    def _hand_on(self, frame: Frame, clip: Clip | None, prepare_ms: float) -> None:
        if clip is not None and clip.full:
            self.metrics.windows[frame.source] += 1
        if self._lossless:
            self._clips.put(frame.source, _Work(clip, frame, prepare_ms))
            return
        if self._outputs.put(frame.source, _Output(frame)):
            self.metrics.dropped(frame.source, "output")
        if clip is not None and self._clips.put(frame.source, _Work(clip, None, prepare_ms)) and clip.full:
            self.metrics.dropped(frame.source, "window")

    def _infer(self) -> None:
        """The worker's thread: one device, the clips of all sources that are due in one batch."""
        while (first := self._clips.get()) is not None:
            work = [first]
            while not self._lossless and len(work) < self._engine.max_batch:
                another = self._clips.get(timeout_s=0)
                if another is None:
                    break
                work.append(another)
            self._infer_batch([w for w in work if w.clip is not None])
            for w in work:
                if w.frame is not None:
                    self._outputs.put(w.frame.source, _Output(w.frame))

    def _infer_batch(self, work: Sequence[_Work]) -> None:
        start_s = time.perf_counter()
        clips = [w.clip for w in work if w.clip is not None]
        heats = self._engine.infer(clips) if clips else []
        infer_ms = (time.perf_counter() - start_s) * 1e3
        for w, clip, heat in zip(work, clips, heats, strict=True):
            if heat is None:
                continue
            timings_ms = {"prepare": w.prepare_ms, "wait": (start_s - w.queued_s) * 1e3, "infer": infer_ms}
            self.metrics.took("wait", timings_ms["wait"])
            self.metrics.took("infer", infer_ms)
            if self._outputs.put(clip.last.source, _Output(clip.last, heat, timings_ms)):
                self.metrics.dropped(clip.last.source, "output")

    def _give_out(self) -> None:
        """The output thread: everything that leaves, in one order."""
        while not self._outputs.finished:
            item = self._outputs.get(timeout_s=TICK_S)
            if item is not None:
                start_s = time.perf_counter()
                self._give(item)
                self.metrics.took("output", (time.perf_counter() - start_s) * 1e3)
            for sink in self._sinks:
                sink.tick()

    def _give(self, item: _Output) -> None:
        frame, source = item.frame, item.frame.source
        if item.heat is not None:
            self._newest[source] = frame.session, item.heat
            self.metrics.results[source] += 1
        session, heat = self._newest.get(source, (frame.session, None))
        current = heat if session == frame.session else None
        result = Result(frame, current, item.timings_ms, self.metrics.drops(source))
        for sink in self._sinks:
            sink.on_frame(result) if item.heat is None else sink.on_window(result)
        published = "capture_to_frame" if item.heat is None else "capture_to_result"
        if not self._lossless:
            self.metrics.took(published, (self._clock() - frame.captured_ns) / 1e6)
