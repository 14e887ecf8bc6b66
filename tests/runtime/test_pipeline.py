import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Event
from typing import cast

import pytest

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.engines.base import Engine
from streamcam.models.base import CamModel
from streamcam.records import Clip, Frame, Result
from streamcam.runtime.pipeline import READERS_NICE, Pipeline
from streamcam.sinks.base import Sink
from tests.support.done import Done
from tests.support.frames import TINY_FORMAT, FakeSource, make_frame
from tests.support.late_engine import LateEngine


class Log(Sink):
    """Collects all results."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Result]] = []
        self.ticks = 0

    def on_frame(self, result: Result) -> None:
        self.events.append(("frame", result))

    def on_window(self, result: Result) -> None:
        self.events.append(("window", result))

    def tick(self) -> None:
        self.ticks += 1

    def of(self, kind: str, source: str = "cam") -> list[Result]:
        return [result for k, result in self.events if k == kind and result.frame.source == source]


class SlowEngine:
    """An engine that takes long, and gives no heat."""

    name, max_batch, in_flight, head_start = "slow", 8, 1, False

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.batches: list[list[str]] = []

    def weight(self, _clip: Clip) -> int:
        return 1

    def submit(self, clips: Sequence[Clip]) -> Done:
        self.batches.append([clip.last.source for clip in clips])
        time.sleep(self.seconds)
        return Done([None for _ in clips])


def pipeline(sources: Sequence[FakeSource], engine: object, *sinks: Sink, **options: object) -> Pipeline:
    return Pipeline(sources, [cast(Engine, engine)], sinks, window=lambda: SlidingWindow(TINY_FORMAT), **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_lossless_every_frame_comes_out_in_order_with_the_heat_of_its_own_window(tiny: CamModel) -> None:
    log = Log()
    engine = make_engine(tiny, device="cpu", precision="fp32")
    run = pipeline([FakeSource([make_frame(i) for i in range(40)])], engine, log, lossless=True)
    run.run()
    assert [r.frame.index for r in log.of("frame")] == list(range(40))
    assert [r.frame.index for r in log.of("window")] == list(range(3, 40))
    for result in log.of("frame"):
        if result.frame.index < 3:
            assert result.heat is None
        else:
            assert result.heat is not None
            assert result.heat.clip_pts_s[1] == result.frame.pts_s
            assert result.heat_age_s == 0
    assert run.metrics.drops("cam") == {}
    assert (run.metrics.windows["cam"], run.metrics.results["cam"]) == (37, 37)


def test_lossless_two_runs_agree_to_the_last_bit_whatever_the_timing(tiny_framewise: CamModel) -> None:
    runs = []
    for pause_s in (0.0, 0.001):
        log = Log()
        sources = [
            FakeSource([make_frame(i, source=name) for i in range(30)], name=name, pause_s=pause_s) for name in "ab"
        ]
        pipeline(sources, make_engine(tiny_framewise, device="cpu"), log, lossless=True).run()
        windows = [(r.heat.cube.tobytes(), r.heat.logits.tobytes()) for r in log.of("window", "a") if r.heat]
        runs.append(windows)
    assert runs[0] == runs[1]
    assert len(runs[0]) == 27


def test_live_every_frame_goes_out_and_windows_that_come_too_fast_are_dropped_and_counted() -> None:
    log, engine = Log(), SlowEngine(0.05)
    frames = [make_frame(i) for i in range(60)]
    run = pipeline([FakeSource(frames, live=True, pause_s=0.005)], engine, log)
    run.run()
    assert [r.frame.index for r in log.of("frame")] == list(range(60))
    dropped = run.metrics.drops("cam")["window"]
    assert dropped + len(engine.batches) == run.metrics.windows["cam"] == 57
    assert dropped > 20


def test_live_a_clip_that_is_not_full_yet_is_no_window_that_is_dropped() -> None:
    """Each clip replaces the one before it, also the first full one the last that is not full."""
    source = FakeSource([make_frame(i) for i in range(60)], live=True, pause_s=0.005)
    window = partial(SlidingWindow, TINY_FORMAT, head_start=True)
    run = Pipeline([source], [cast(Engine, LateEngine(0.05, in_flight=1))], [], window=window)
    run.run()
    assert run.metrics.windows["cam"] == 57
    assert run.metrics.results["cam"] + run.metrics.drops("cam")["window"] == 57


def test_live_clips_of_several_cameras_share_a_batch() -> None:
    engine = SlowEngine(0.03)
    names = ("a", "b", "c")
    sources = [
        FakeSource([make_frame(i, source=n) for i in range(30)], name=n, live=True, pause_s=0.005) for n in names
    ]
    pipeline(sources, engine).run()
    assert max(len(batch) for batch in engine.batches) == 3
    assert all(len(set(batch)) == len(batch) for batch in engine.batches)
    counts = [sum(name in batch for batch in engine.batches) for name in names]
    assert min(counts) >= 0.6 * max(counts)


def test_heat_of_another_session_is_never_painted_on_a_frame(tiny: CamModel) -> None:
    log = Log()
    frames = [make_frame(i, session=i // 10) for i in range(20)]
    pipeline([FakeSource(frames)], make_engine(tiny, device="cpu"), log, lossless=True).run()
    without_heat = [r.frame.index for r in log.of("frame") if r.heat is None]
    assert without_heat == [0, 1, 2, 10, 11, 12]


class BrokenSource(FakeSource):
    def frames(self, stop: Event) -> Iterator[Frame]:
        yield from super().frames(stop)
        raise OSError("the cable is out")


class BrokenSink(Sink):
    def on_window(self, result: Result) -> None:
        raise OSError("the disk is full")


class BrokenEngine(SlowEngine):
    def submit(self, clips: Sequence[Clip]) -> Done:
        raise OSError("the device is lost")


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("part", ["source", "engine", "sink"])
def test_an_error_anywhere_reaches_the_caller_within_a_second(tiny: CamModel, part: str, lossless: bool) -> None:
    frames = [make_frame(i) for i in range(10)]
    endless = FakeSource([make_frame(i, source="other") for i in range(10_000)], name="other", pause_s=0.01)
    source = BrokenSource(frames) if part == "source" else FakeSource(frames)
    engine = BrokenEngine(0) if part == "engine" else make_engine(tiny, device="cpu")
    sink = BrokenSink() if part == "sink" else Log()
    start_s = time.monotonic()
    with pytest.raises(OSError, match=r"^the (cable|device|disk)"):
        pipeline([source, endless], engine, sink, lossless=lossless).run()
    assert time.monotonic() - start_s < 2


@pytest.mark.parametrize("lossless", [True, False])
def test_stop_ends_a_run_within_a_second_however_much_is_queued(lossless: bool) -> None:
    frames = [make_frame(i) for i in range(10_000)]
    run = pipeline([FakeSource(frames, pause_s=0.001)], SlowEngine(0.2), Log(), lossless=lossless)
    threading.Timer(0.3, run.stop.set).start()
    start_s = time.monotonic()
    run.run()
    assert time.monotonic() - start_s < 1.3


def test_ctrl_c_ends_a_run_and_wakes_everybody() -> None:
    def wait() -> None:
        if time.monotonic() - start_s > 0.2:
            raise KeyboardInterrupt

    run = pipeline([FakeSource([make_frame(i) for i in range(10_000)], pause_s=0.001)], SlowEngine(0.01), Log())
    start_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run.run(wait=wait)
    assert time.monotonic() - start_s < 1.2


class BlockedReader(FakeSource):
    """A source in a read that `stop` cannot interrupt, as in FFmpeg."""

    def __init__(self, seconds: float, *, name: str) -> None:
        super().__init__([make_frame(0, source=name)], name=name)
        self._seconds, self.let_go = seconds, Event()

    def frames(self, stop: Event) -> Iterator[Frame]:
        yield from super().frames(stop)
        stop.wait()
        self.let_go.wait(self._seconds)


def test_a_reader_that_takes_seconds_to_end_is_waited_for_and_no_longer() -> None:
    run = pipeline([BlockedReader(2.0, name="a"), BlockedReader(0.0, name="b")], SlowEngine(0), Log())
    threading.Timer(0.2, run.stop.set).start()
    start_s = time.monotonic()
    run.run()
    assert run.left_behind == ()
    assert 2.0 < time.monotonic() - start_s < 4


def test_a_run_ends_within_five_seconds_from_every_state_and_names_what_it_leaves() -> None:
    for_ever = BlockedReader(60.0, name="dead")
    broken = BrokenSource([make_frame(i, source="broken") for i in range(3)], name="broken", pause_s=0.1)
    run = pipeline([for_ever, broken], SlowEngine(0), Log())
    start_s = time.monotonic()
    with pytest.raises(OSError, match="the cable is out"):
        run.run()
    assert time.monotonic() - start_s < 5.5
    assert run.left_behind == ("dead",)
    for_ever.let_go.set()


def test_max_frames_ends_each_source() -> None:
    log = Log()
    sources = [FakeSource([make_frame(i, source=n) for i in range(50)], name=n) for n in "ab"]
    pipeline(sources, SlowEngine(0), log, lossless=True, max_frames=7).run()
    assert len(log.of("frame", "a")) == len(log.of("frame", "b")) == 7


def test_what_a_source_drops_is_in_every_later_result() -> None:
    log = Log()
    source = FakeSource([make_frame(i) for i in range(5)])
    source.drops["late"] = 3
    pipeline([source], SlowEngine(0), log, lossless=True).run()
    assert log.of("frame")[-1].drops == {"late": 3}


def test_sinks_tick_while_nothing_comes() -> None:
    log = Log()
    pipeline([FakeSource([make_frame(0)], pause_s=0.3)], SlowEngine(0), log).run()
    assert log.ticks >= 5


def test_a_window_says_how_long_each_stage_took(tiny: CamModel) -> None:
    log = Log()
    run = pipeline([FakeSource([make_frame(i) for i in range(9)])], make_engine(tiny, device="cpu"), log, lossless=True)
    run.run()
    assert set(log.of("window")[0].timings_ms) == {"prepare", "wait", "infer"}
    assert run.metrics.percentiles("infer")["count"] == 6


class Nice(FakeSource):
    """A source that notes the niceness of the thread that reads it."""

    def frames(self, stop: Event) -> Iterator[Frame]:
        self.nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        yield from super().frames(stop)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own here")
def test_who_decodes_gives_way_to_who_computes() -> None:
    class Computing(SlowEngine):
        nice: int | None = None

        def submit(self, clips: Sequence[Clip]) -> Done:
            self.nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            return super().submit(clips)

    own, source, engine = os.getpriority(os.PRIO_PROCESS, 0), Nice([make_frame(i) for i in range(20)]), Computing(0)
    pipeline([source], engine).run()
    assert engine.nice == own
    assert source.nice == min(19, own + READERS_NICE)


class LastPacketsBroken(FakeSource):
    def frames(self, stop: Event) -> Iterator[Frame]:
        yield from super().frames(stop)
        self.drops["corrupt"] += 10


def test_what_a_source_drops_after_its_last_frame_is_counted() -> None:
    run = pipeline([LastPacketsBroken([make_frame(0)])], SlowEngine(0), lossless=True)
    run.run()
    assert run.metrics.drops("cam") == {"corrupt": 10}
