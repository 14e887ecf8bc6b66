"""Workers in a pipeline: batches, several of them in flight, several devices, and overload."""

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcam.cli.output.live import StatusLine
from streamcam.clips import SlidingWindow
from streamcam.engines.base import BatchFuture, Engine
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.metrics import Metrics
from streamcam.models.base import CamModel
from streamcam.records import Clip, Frame, Result
from streamcam.runtime.caption import LiveCaption
from streamcam.runtime.pipeline import Pipeline
from streamcam.runtime.worker import Worker, WorkerPool
from streamcam.sinks.base import Sink
from tests.support.frames import TINY_FORMAT, FakeSource, make_frame
from tests.support.late_engine import Late, LateEngine

FIRST = TINY_FORMAT.length - 1
"""Index of the frame that completes a session's first window."""


class Log(Sink):
    """Collects every window, and how late it is."""

    def __init__(self) -> None:
        self.windows: list[Result] = []
        self.ages: list[int] = []
        """How many windows of its source had begun after each."""
        self.run: Pipeline | None = None

    def on_window(self, result: Result) -> None:
        self.windows.append(result)
        if self.run is not None:
            self.ages.append(self.run.metrics.windows[result.frame.source] - (result.frame.index - FIRST + 1))

    def of(self, source: str) -> list[Result]:
        return [result for result in self.windows if result.frame.source == source]


def source(name: str, count: int, *, pause_s: float = 0.0, live: bool = False) -> FakeSource:
    return FakeSource([make_frame(i, source=name) for i in range(count)], name=name, pause_s=pause_s, live=live)


def pipeline(sources: Sequence[FakeSource], *engines: LateEngine, **options: object) -> tuple[Pipeline, Log]:
    log = Log()
    run = Pipeline(sources, engines, [log], window=lambda: SlidingWindow(TINY_FORMAT), **options)  # type: ignore[arg-type]
    log.run = run
    return run, log


def is_of_its_own_clip(result: Result) -> bool:
    assert result.heat is not None
    return bool(result.heat.logits[0] == result.frame.index and result.heat.clip_pts_s[1] == result.frame.pts_s)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    in_flight=st.integers(1, 4),
    max_batch=st.integers(1, 5),
    cameras=st.integers(1, 4),
    lossless=st.booleans(),
)
def test_results_stay_in_order_and_with_their_frames_whenever_the_device_answers(
    seed: int, in_flight: int, max_batch: int, cameras: int, lossless: bool
) -> None:
    lags = Random(seed)
    engine = LateEngine(0.0005, in_flight=in_flight, max_batch=max_batch, lag=lambda: lags.choice((0, 0, 0.004, 0.01)))
    sources = [source(f"cam{i}", 25, pause_s=0.001) for i in range(cameras)]
    run, log = pipeline(sources, engine, lossless=lossless)
    run.run()
    assert engine.under_way == 0
    assert engine.most_under_way <= in_flight
    for camera in sources:
        indices = [result.frame.index for result in log.of(camera.name)]
        assert indices == sorted(set(indices))
        assert all(is_of_its_own_clip(result) for result in log.of(camera.name))
        lost = sum(run.metrics.drops(camera.name).values())
        if lossless:
            assert (indices, lost) == (list(range(FIRST, 25)), 0)
    assert all(len(set(batch)) == len(batch) for batch in engine.batches)


@pytest.mark.parametrize(("in_flight", "lossless"), [(1, False), (3, False), (3, True)])
def test_the_next_batch_is_handed_over_before_the_last_has_come_back(in_flight: int, lossless: bool) -> None:
    engine = LateEngine(0.01, in_flight=in_flight)
    run, _ = pipeline([source(name, 40, pause_s=0.002) for name in "ab"], engine, lossless=lossless)
    run.run()
    assert engine.most_under_way == in_flight


class LittleMemory(LateEngine):
    """An engine whose memory runs out at its first batch of more than two clips."""

    def submit(self, clips: Sequence[Clip]) -> Late:
        late = super().submit(clips)
        if len(clips) > 2:
            self.max_batch = 2
        return late


def test_batches_are_smaller_once_memory_has_run_out() -> None:
    engine = LittleMemory(0.01, max_batch=4, in_flight=2)
    run, log = pipeline([source(name, 40, pause_s=0.002) for name in "abcd"], engine)
    run.run()  # the engine itself refuses what is too much
    ran_out = next(i for i, batch in enumerate(engine.batches) if len(batch) > 2)
    assert max(map(len, engine.batches[ran_out + 1 :])) == 2
    assert {result.frame.source for result in log.windows} == set("abcd")


class InTurn(FakeSource):
    """A source that gives a frame when it is its turn, and all threads are waiting."""

    def __init__(self, frames: list[Frame], *, name: str, turns: deque[str], caught_up: Callable[[], bool]) -> None:
        super().__init__(frames, name=name, live=True)
        self._turns, self._caught_up = turns, caught_up

    def frames(self, stop: Event) -> Iterator[Frame]:
        for frame in self._frames:
            end_s = time.monotonic() + 20
            while self._turns[0] != self.name or not self._caught_up():
                assert time.monotonic() < end_s, "somebody does not come to rest"
                if stop.wait(0.0003):
                    return
            yield frame
            self._turns.rotate(-1)  # the frame has been handed on


def test_twice_the_work_that_fits_widens_the_hop_and_latency_does_not_creep() -> None:
    """The clock counts windows, so that the test is the same on any machine. A clip takes as long as two windows."""
    metrics, all_windows = Metrics(), 2 * (300 - FIRST)

    def clock() -> float:
        windows = metrics.windows.total()
        return windows if windows < all_windows else float("inf")

    engine = LateEngine(2, in_flight=2, max_batch=1, clock=clock)
    turns = deque("ab")
    held: list[Any] = []

    def caught_up() -> bool:
        busy = engine.under_way == min(clock(), engine.in_flight)
        given_out = len(log.windows) == len(engine.batches) - engine.under_way
        if not (engine.waited_s == clock() and busy and given_out):
            return False
        if len(held) < len(log.windows) // 50:
            held.append(sum(type(thing) is Clip for thing in gc.get_objects()))
        return True

    cameras = [
        InTurn([make_frame(i, source=n) for i in range(300)], name=n, turns=turns, caught_up=caught_up) for n in "ab"
    ]
    run, log = pipeline(cameras, engine, metrics=metrics)
    run.run()
    assert len(held) == 5
    assert max(held) <= 12, "queues hold on to clips"
    for name in "ab":
        results, lost = log.of(name), metrics.drops(name)["window"]
        for before, result in pairwise(results):
            assert result.skipped == result.frame.index - before.frame.index - 1
            assert result.hop_s == pytest.approx((result.skipped + 1) / 10)
        assert (results[0].hop_s, results[0].skipped) == (None, 0)
        assert lost + len(results) == metrics.windows[name] == 297
        assert lost > 0.6 * len(results)
        assert metrics.wide_hop_s(name) == pytest.approx(np.mean([r.hop_s or 0 for r in results[-16:]]))
    third = len(log.ages) // 3
    early, late = (float(np.percentile(ages, 95)) for ages in (log.ages[:third], log.ages[-third:]))
    assert late <= 1.1 * early + 1  # windows; creeping, it would be a hundred


def test_overlay_and_status_line_say_that_the_device_cannot_keep_up_and_only_then() -> None:
    metrics = Metrics()
    live = SimpleNamespace(pipeline=SimpleNamespace(metrics=metrics), config=SimpleNamespace(as_fast_as_possible=False))
    caption, line = LiveCaption(metrics), StatusLine()
    for hop_s, skipped in ((0.2, 0), (0.6, 2)):
        metrics.count_result("cam", hop_s, skipped)
        shown = [*caption(Result(make_frame(0))).notes, line._part(live, "cam", "live")]  # type: ignore[arg-type]
        assert sum("a window every 0.40 s" in text for text in shown) == (2 if skipped else 0)
        assert any("every" in text for text in shown) == bool(skipped)


class SlowStream(StreamEngine):
    """An engine that takes as long for a clip as the camera for ten frames, which is more than a clip has."""

    metrics: Metrics

    def submit(self, clips: Sequence[Clip]) -> BatchFuture:
        ready, end_s = self.metrics.frames["cam"] + 10, time.monotonic() + 1
        while self.metrics.frames["cam"] < ready and time.monotonic() < end_s:
            time.sleep(0.0005)
        return super().submit(clips)


def test_an_overloaded_stream_that_needs_every_frame_goes_on_answering(tiny: CamModel) -> None:
    engine = SlowStream(TorchRunner(tiny, torch.device("cpu"), "fp32"))
    assert engine.needs_every_frame
    log = Log()
    frames = [source("cam", 300, pause_s=0.003)]
    run = Pipeline(frames, [engine], [log], window=lambda: SlidingWindow(TINY_FORMAT, head_start=True))
    engine.metrics = run.metrics
    run.run()
    computed = run.metrics.windows["cam"] - run.metrics.drops("cam")["window"]
    assert len(log.windows) >= computed - 2  # the first may wait for what comes next
    assert len(log.windows) > 10
    late = log.windows[len(log.windows) // 2 :]
    assert np.median([result.hop_s for result in late if result.hop_s]) > TINY_FORMAT.length / TINY_FORMAT.fps


def test_where_all_windows_come_the_hop_is_as_asked_and_nothing_is_said_of_it() -> None:
    run, log = pipeline([source("cam", 20)], LateEngine(), lossless=True)
    run.run()
    assert [result.skipped for result in log.windows] == [0] * 17
    assert [result.hop_s for result in log.windows[1:]] == pytest.approx([0.1] * 16)
    assert run.metrics.wide_hop_s("cam") is None


def test_two_devices_share_the_cameras_and_each_camera_stays_on_its_own() -> None:
    engines = [LateEngine(0.001), LateEngine(0.001)]
    run, log = pipeline([source(name, 30, pause_s=0.002) for name in "abcd"], *engines)
    run.run()
    homes = [{name for batch in engine.batches for name in batch} for engine in engines]
    assert [len(home) for home in homes] == [2, 2]
    assert homes[0] | homes[1] == set("abcd")
    assert {result.frame.source for result in log.windows} == set("abcd")


def test_lossless_on_two_devices_gives_every_window_of_every_file_in_order() -> None:
    lags = Random(3)
    engines = [LateEngine(0.0005, lag=lambda: lags.choice((0, 0.004))) for _ in range(2)]
    run, log = pipeline([source(name, 30) for name in "abc"], *engines, lossless=True)
    run.run()
    for name in "abc":
        assert [result.frame.index for result in log.of(name)] == list(range(FIRST, 30))


def test_lossless_a_file_that_begins_again_stays_on_its_device() -> None:
    late, prompt = LateEngine(lag=lambda: 0.1), LateEngine()
    run, log = pipeline([FakeSource([make_frame(i, session=i // 10) for i in range(20)])], late, prompt, lossless=True)
    run._pool.worker_for = lambda source, session: run._workers[session]  # type: ignore[method-assign]
    run.run()
    assert [result.frame.index for result in log.windows] == [i for i in range(20) if i % 10 >= FIRST]


def test_a_device_that_fails_ends_the_others_too() -> None:
    class Broken(LateEngine):
        def submit(self, clips: Sequence[Clip]) -> Late:
            raise OSError("the device is lost")

    run, _ = pipeline([source(name, 1_000, pause_s=0.01) for name in "ab"], LateEngine(), Broken())
    with pytest.raises(OSError, match="the device is lost"):
        run.run()
    assert run.left_behind == ()


def workers(count: int) -> tuple[list[Worker], WorkerPool]:
    members = [Worker(cast(Engine, LateEngine()), lambda *_: None, name=f"worker {i}") for i in range(count)]
    return members, WorkerPool(members)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["frame", "reconnect", "end"]))))
def test_a_camera_stays_for_a_session_and_goes_where_the_fewest_are(events: list[tuple[str, str]]) -> None:
    members, pool = workers(3)
    homes: dict[str, tuple[int, Worker]] = {}
    for name, event in events:
        if event == "end":
            pool.remove_source(name)
            homes.pop(name, None)
            continue
        session, own = homes.get(name, (0, None))
        session += event == "reconnect"
        others = [sum(home is worker for n, (_, home) in homes.items() if n != name) for worker in members]
        place = pool.worker_for(name, session)
        if own is not None and event == "frame":
            assert place is own
        else:
            assert others[members.index(place)] == min(others)
            if own is not None and others[members.index(own)] == min(others):
                assert place is own
        homes[name] = session, place


def test_of_devices_with_as_many_cameras_the_less_busy_one_gets_the_next() -> None:
    members, pool = workers(3)
    for busy, worker in zip((0.5, 0.2, 0.9), members, strict=True):
        worker.load.busy = busy
    assert [pool.worker_for(name, 0) for name in "abcd"] == [members[1], members[0], members[2], members[1]]


def test_heat_of_a_session_before_that_comes_late_from_another_device_is_dropped() -> None:
    late, prompt = LateEngine(lag=lambda: 0.3, in_flight=20), LateEngine()
    frames = [make_frame(i, session=i // 10) for i in range(20)]
    run, log = pipeline([FakeSource(frames, pause_s=0.005)], late, prompt)
    run._pool.worker_for = lambda source, session: run._workers[session]  # type: ignore[method-assign]
    run.run()
    assert {result.frame.session for result in log.windows} == {1}
    assert run.metrics.drops("cam")["window"] >= len(late.batches) > 0
