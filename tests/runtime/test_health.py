import threading
from collections.abc import Iterator
from typing import cast

import pytest

from streamcam.clips import SlidingWindow
from streamcam.engines.base import Engine
from streamcam.errors import StuckError
from streamcam.records import Result
from streamcam.runtime import pipeline as pipeline_module
from streamcam.runtime import watchdog
from streamcam.runtime.health import UNWATCHED_S, Health
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.base import Sink
from streamcam.sources.status import SourceStatus
from tests.support.frames import TINY_FORMAT, FakeSource, make_frame
from tests.support.late_engine import LateEngine


class FakeClock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


class Broken(Sink):
    def on_frame(self, result: Result) -> None:
        raise RuntimeError("the sink is broken\nand more")


class Hanging(Sink):
    def __init__(self, let_go: threading.Event) -> None:
        self._let_go = let_go

    def on_frame(self, result: Result) -> None:
        self._let_go.wait()


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    for limit in ("FIRST_S", "STUCK_S"):
        monkeypatch.setattr(watchdog, limit, 0.5)
    monkeypatch.setattr(pipeline_module, "JOIN_S", 0.3)
    before, event = set(threading.enumerate()), threading.Event()
    yield event
    event.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def run_of(*sinks: Sink) -> tuple[Pipeline, FakeSource]:
    source = FakeSource([make_frame(i) for i in range(40)], live=True, pause_s=0.02)
    window = SlidingWindow(TINY_FORMAT)
    return Pipeline([source], [cast(Engine, LateEngine())], sinks, window=lambda: window), source


def test_before_and_after_a_run_it_is_not_healthy_and_within_it_is() -> None:
    run, _ = run_of()
    assert run.health.trouble() == "the run has not begun"
    seen = []
    run.run(wait=lambda: seen.append(run.health.trouble()))
    assert seen[0] is None
    assert run.health.trouble() == "the run ends"


def test_a_lost_camera_is_no_trouble_of_the_process() -> None:
    run, source = run_of()
    source.status = SourceStatus("lost", "it is gone")
    seen = []
    run.run(wait=lambda: seen.append(run.health.trouble()))
    assert seen[0] is None


def test_a_part_that_fails_is_the_reason_in_one_line() -> None:
    run, _ = run_of(Broken())
    with pytest.raises(RuntimeError):
        run.run()
    assert run.health.trouble() == "the sink is broken"


def test_a_thread_that_hangs_is_the_reason(let_go: threading.Event, capfd: pytest.CaptureFixture[str]) -> None:
    run, _ = run_of(Hanging(let_go))
    with pytest.raises(StuckError):
        run.run()
    assert (run.health.trouble() or "").startswith("output has made no progress")
    assert "on_frame" in capfd.readouterr().err


def test_a_thread_that_has_ended_is_named() -> None:
    health, thread = Health(), threading.Thread(target=lambda: None, name="output")
    thread.start()
    thread.join()
    health.begin([thread])
    assert health.trouble() == "the thread 'output' has ended"


def test_a_watchdog_that_does_not_look_is_trouble_until_it_does() -> None:
    clock = FakeClock()
    health = Health(clock=clock)
    health.begin([threading.current_thread()])
    clock.now_s += UNWATCHED_S
    assert health.trouble() is None
    clock.now_s += 1
    assert health.trouble() == "nothing has looked for threads that hang for 11 s"
    health.look()
    assert health.trouble() is None


def test_the_first_reason_stays() -> None:
    health = Health()
    health.fail(ValueError("first"))
    health.fail(ValueError("second"))
    health.end()
    assert health.trouble() == "first"
