"""The watchdog finds a thread that hangs, and gives no false alarm."""

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import av
import pytest

import streamcam
from streamcam.clips import SlidingWindow
from streamcam.engines.base import BatchFuture, Engine
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StuckError
from streamcam.models.base import CamModel
from streamcam.records import Clip, Frame, Result
from streamcam.runtime import pipeline, watchdog
from streamcam.runtime.pipeline import Pipeline
from streamcam.runtime.watchdog import FIRST_S, STUCK_S, Heartbeat, Watchdog
from streamcam.sinks.base import Sink
from tests.support.frames import TINY_FORMAT, FakeSource, make_frame
from tests.support.late_engine import Late, LateEngine


class Watched:
    """A heartbeat, a watchdog, and a clock that is looked at ten times a second."""

    def __init__(self) -> None:
        self.now_s, self.heartbeat = 0.0, Heartbeat()
        self.dog = Watchdog({"worker": self.heartbeat}, clock=lambda: self.now_s)

    def pass_s(self, seconds: float, *, tick_s: float = 0.1) -> None:
        for _ in range(round(seconds / tick_s)):
            self.now_s += tick_s
            self.dog.check()

    def piece(self, seconds: float) -> None:
        self.heartbeat.begin()
        self.pass_s(seconds)
        self.heartbeat.end()


@pytest.fixture
def warm() -> Watched:
    """A thread that has done its first piece of work."""
    watched = Watched()
    watched.piece(1.0)
    return watched


def test_a_piece_of_work_that_does_not_end_is_reported_with_all_stacks(
    warm: Watched, capfd: pytest.CaptureFixture[str]
) -> None:
    warm.heartbeat.begin()
    warm.pass_s(STUCK_S - 0.2)
    assert capfd.readouterr().err == ""
    with pytest.raises(StuckError, match=r"^worker has made no progress for 10 s"):
        warm.pass_s(0.5)
    assert capfd.readouterr().err.count("(most recent call first)") >= 1


def test_no_work_is_no_hang(warm: Watched) -> None:
    warm.pass_s(10 * STUCK_S)


def test_work_without_a_pause_is_no_hang(warm: Watched) -> None:
    for _ in range(10):
        warm.heartbeat.begin()
        warm.pass_s(STUCK_S / 2)
        warm.heartbeat.end()
        warm.heartbeat.begin()


def test_the_first_piece_may_take_minutes_since_networks_are_compiled() -> None:
    watched = Watched()
    watched.piece(FIRST_S - 1)
    watched.heartbeat.begin()
    with pytest.raises(StuckError):  # and that is nothing to go by
        watched.pass_s(STUCK_S + 1)


def test_a_first_piece_that_never_ends_is_reported_as_well() -> None:
    watched = Watched()
    watched.heartbeat.begin()
    with pytest.raises(StuckError):
        watched.pass_s(FIRST_S + 1)


def test_what_takes_long_each_time_is_given_time(warm: Watched) -> None:
    warm.piece(8)
    warm.piece(25)
    warm.heartbeat.begin()
    warm.pass_s(90)
    with pytest.raises(StuckError, match="for 100 s"):
        warm.pass_s(11)


def test_a_process_that_was_stopped_or_a_machine_that_slept_is_not_stuck(warm: Watched) -> None:
    warm.heartbeat.begin()
    warm.pass_s(5)
    warm.pass_s(3600, tick_s=3600)
    warm.pass_s(3)
    with pytest.raises(StuckError):
        warm.pass_s(3)


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An event that ends what hangs in a test. The limits of the watchdog are short meanwhile."""
    monkeypatch.setattr(watchdog, "STUCK_S", 0.5)
    monkeypatch.setattr(watchdog, "FIRST_S", 1.0)
    monkeypatch.setattr(pipeline, "JOIN_S", 0.3)
    before, event = set(threading.enumerate()), threading.Event()
    yield event
    event.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) == before


class Hangs(LateEngine):
    """An engine that hangs in its fifth batch: for ever in `submit`, or for seconds in `wait`."""

    def __init__(self, let_go: threading.Event, *, in_wait: bool) -> None:
        super().__init__(in_flight=2 if in_wait else 1)
        self._let_go, self._in_wait = let_go, in_wait

    def submit(self, clips: Sequence[Clip]) -> Late:
        late = super().submit(clips)
        if len(self.batches) >= 5:
            if self._in_wait:
                return Late(self, clips, ready_s=time.monotonic() + 4)
            self._let_go.wait()
        return late


class HangingSink(Sink):
    def __init__(self, let_go: threading.Event) -> None:
        self._let_go = let_go

    def on_window(self, result: Result) -> None:
        if result.frame.index == 10:
            self._let_go.wait()


def run_of(engine: LateEngine, *sinks: Sink, lossless: bool = False, count: int = 10_000) -> Pipeline:
    frames = [make_frame(i) for i in range(min(count, 100))]

    class Endless(FakeSource):
        def frames(self, stop: threading.Event) -> Iterator[Frame]:
            for i in range(count):
                if stop.wait(0.005):
                    return
                yield make_frame(i)

    return Pipeline(
        [Endless(frames)],
        [cast(Engine, engine)],
        list(sinks),
        window=lambda: SlidingWindow(TINY_FORMAT),
        lossless=lossless,
    )


@pytest.mark.parametrize("lossless", [False, True])
def test_a_worker_that_hangs_ends_the_run(
    let_go: threading.Event, lossless: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    run = run_of(Hangs(let_go, in_wait=False), lossless=lossless)
    with pytest.raises(StuckError, match=r"^worker 0 has made no progress"):
        run.run()
    assert run.left_behind == ("worker 0",)
    stacks = capfd.readouterr().err
    assert stacks.count("in submit") == 1
    assert "test_watchdog.py" in stacks


def test_a_batch_that_never_comes_back_ends_the_run(let_go: threading.Event) -> None:
    run = run_of(Hangs(let_go, in_wait=True))
    with pytest.raises(StuckError, match=r"^worker 0 has made no progress"):
        run.run()


def test_an_output_that_hangs_ends_a_live_run(let_go: threading.Event) -> None:
    run = run_of(LateEngine(), HangingSink(let_go))
    with pytest.raises(StuckError, match=r"^output has made no progress"):
        run.run()
    assert run.left_behind == ("output",)


def test_whoever_takes_every_result_of_a_file_may_take_long(let_go: threading.Event) -> None:
    run = run_of(LateEngine(), HangingSink(let_go), lossless=True, count=40)
    threading.Timer(2.0, let_go.set).start()
    run.run()
    assert run.metrics.results["cam"] == 37


def test_in_python_it_is_raised(let_go: threading.Event, tiny: CamModel, monkeypatch: pytest.MonkeyPatch) -> None:
    submit, calls = WindowEngine.submit, iter(range(10_000))

    def hang(self: WindowEngine, clips: Sequence[Clip]) -> BatchFuture:
        if next(calls) > 4:
            let_go.wait()
        return submit(self, clips)

    monkeypatch.setattr(WindowEngine, "submit", hang)
    results = streamcam.stream("sample", model=tiny, device="cpu", loop=True)
    with pytest.raises(StuckError, match="no progress"):
        for result in results:
            assert result.heat is not None


SCRIPT = """
import sys, threading, time
from streamcam.runtime import pipeline, watchdog
from streamcam.cli import exit_process
from streamcam.cli.main import main
from streamcam.engines.exported.stream_engine import GraphStreamEngine
from streamcam.sinks.video_file import VideoRecorder

watchdog.STUCK_S = exit_process.CLOSE_S = watchdog.SLOWER = pipeline.JOIN_S = 1.0
submit, calls = GraphStreamEngine.submit, iter(range(10_000))

def hang(self, clips):
    if next(calls) > 14:
        threading.Event().wait()
    return submit(self, clips)

GraphStreamEngine.submit = hang
if sys.argv[1] == "closing hangs too":
    VideoRecorder.finish = lambda self: threading.Event().wait()
options = ["--loop", "--as-fast-as-possible", "--model", "imagenet-fast", "--bind", "none", "--record", sys.argv[2]]
sys.argv[1:] = ["run", "sample", *options]
main()
"""


@pytest.mark.parametrize("closing", ["files are closed", "closing hangs too"])
def test_the_process_ends_with_70_and_what_was_recorded_is_complete(tmp_path: Path, closing: str) -> None:
    out = tmp_path / "out.mp4"
    start_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), closing, str(out)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 70, done.stderr
    assert time.monotonic() - start_s < 45
    assert done.stderr.count("worker 0 has made no progress") == 1
    assert done.stderr.count("in hang") == 1  # the stacks, once
    assert "Traceback" not in done.stderr
    assert ("could not be finished" in done.stderr) == (closing == "closing hangs too")
    if closing == "files are closed":
        assert "left behind: worker 0" in done.stderr
        with av.open(str(out)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 10
