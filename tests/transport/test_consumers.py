"""Whatever those do who watch, the pipeline goes on; and who comes late, or to a camera that is lost, sees at once."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import psutil
import pytest

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.metrics import Metrics
from streamcam.models.base import CamModel
from streamcam.records import Frame
from streamcam.render.overlay import Painter
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.publish import OverlaySink, PublishSink
from streamcam.sources.status import SourceStatus
from streamcam.transport.headers import Kind
from streamcam.transport.publisher import HIGH_WATER_MARK, Publisher
from streamcam.transport.subscriber import Subscriber
from tests.support.bad_consumers import consumers
from tests.support.frames import FakeSource
from tests.support.publish_demo import eventually

FPS = 10
NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)  # as large as a JPEG can be
MESSAGE_BYTES = 120_000


def frames(count: int) -> list[Frame]:
    return [Frame(np.roll(NOISE, 7 * i, axis=1), i, i / FPS, time.time_ns(), "cam") for i in range(count)]


@contextmanager
def running(source: FakeSource, model: CamModel, endpoint: str) -> Iterator[tuple[Pipeline, Publisher]]:
    """A pipeline that publishes, in a thread; at the end it is stopped, if it has not ended by itself."""
    engine = make_engine(model, name="window", device="cpu", precision="fp32")
    metrics = Metrics()
    with ExitStack() as stack:
        publisher = stack.enter_context(Publisher(endpoint))
        sinks = [PublishSink(publisher, [source], metrics), OverlaySink(publisher, Painter())]
        pipeline = Pipeline(
            [source],
            [engine],
            sinks,
            window=lambda: SlidingWindow(model.spec.clip_format, hop=4),
            metrics=metrics,
        )
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        try:
            yield pipeline, publisher
        finally:
            pipeline.stop.set()
            thread.join()


class Halting(FakeSource):
    """A camera that is lost after some frames, until it is told to go on."""

    def __init__(self, before: list[Frame], after: list[Frame], *, pause_s: float = 0.0) -> None:
        super().__init__(before, live=True, pause_s=pause_s)
        self.lost, self.go_on, self._after = Event(), Event(), after

    def frames(self, stop: Event) -> Iterator[Frame]:
        yield from super().frames(stop)
        self.lost.set()
        while not self.go_on.wait(0.02):
            if stop.is_set():
                return
        for frame in self._after:
            if stop.wait(self._pause_s):
                return
            yield frame


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_slow_stopped_and_vanished_subscribers_cost_the_pipeline_nothing(
    transport: str, tiny: CamModel, tmp_path: Path
) -> None:
    """Ten of each, and one that never reads; frames come ten times a second and are all published."""
    every = frames(56)
    source = Halting(every[:6], every[6:], pause_s=1 / FPS)
    endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/s"
    memory = psutil.Process().memory_info
    with running(source, tiny, endpoint) as (pipeline, publisher), ExitStack() as stack:
        assert source.lost.wait(20)
        stopped = stack.enter_context(consumers(publisher.endpoint, 10))
        vanished = stack.enter_context(consumers(publisher.endpoint, 10))
        stack.enter_context(consumers(publisher.endpoint, 10, every_s=1))
        stack.enter_context(consumers(publisher.endpoint, 1))
        os.kill(stopped.pid, signal.SIGSTOP)
        os.kill(vanished.pid, signal.SIGKILL)
        before_bytes = memory().rss
        source.go_on.set()
        eventually(lambda: pipeline.metrics.percentiles("capture_to_frame")["count"] == 56, "all is out", seconds=60)
        taken_bytes = memory().rss - before_bytes
        metrics = pipeline.metrics
        eventually(lambda: metrics.results["cam"] == metrics.windows["cam"], "all heat is out")
    assert metrics.windows["cam"] == 14
    assert metrics.drops("cam") == {}
    assert metrics.percentiles("output")["p99"] < 1000
    assert taken_bytes < HIGH_WATER_MARK * 2 * MESSAGE_BYTES * 31 + 30_000_000


@pytest.mark.parametrize("kind", ["result", "overlay", "frame"])
def test_a_late_joiner_of_a_camera_that_is_lost_sees_its_last_within_a_second(
    kind: Kind, tiny: CamModel, tmp_path: Path
) -> None:
    source = Halting(frames(8), [])
    with running(source, tiny, f"ipc://{tmp_path}/s") as (pipeline, publisher):
        assert source.lost.wait(20)
        metrics = pipeline.metrics

        def all_is_out() -> bool:
            given = metrics.percentiles("capture_to_frame")["count"] + metrics.results["cam"]
            return given + sum(metrics.drops("cam").values()) == metrics.frames["cam"] + metrics.windows["cam"] == 10

        eventually(all_is_out, "the last picture and heat are out")
        started_s = time.monotonic()
        with Subscriber(publisher.endpoint, kinds=(kind,)) as subscriber:
            message = next(subscriber.messages(timeout_s=10))
        assert time.monotonic() - started_s < 1
    assert message.result is not None
    assert message.result.frame.index == 7
    assert (message.header.kind, message.result.frame.image is None) == (kind, kind == "result")


def test_a_change_of_state_is_published_at_once_and_not_a_second_later(tmp_path: Path) -> None:
    source = FakeSource([])
    states = [
        SourceStatus("live"),
        SourceStatus("stalled"),
        SourceStatus("lost", "no answer from rtsp://***@cam", 0, 1_795_360_041.5, 0.5),
        SourceStatus("connecting", "no answer from rtsp://***@cam"),
    ]
    with (
        Publisher(f"ipc://{tmp_path}/s") as publisher,
        Subscriber(publisher.endpoint, kinds=("status",), sources=["cam"]) as subscriber,
    ):
        sink = PublishSink(publisher, [source], Metrics(), clock=lambda: 0.0)  # nothing is ever due again
        eventually(lambda: sink.tick() or publisher.wants("cam", "status"), "the subscription")
        told = []
        for state in states:
            source.status = state
            sink.tick()
            sink.tick()
            (message,) = subscriber.messages(timeout_s=0.5)
            told.append(message.header.data)
    assert [data["state"] for data in told] == ["live", "stalled", "lost", "connecting"]
    assert told[2]["reason"] == "no answer from rtsp://***@cam"
    assert told[2]["next_try_s"] == 1_795_360_041.5
    assert told[0]["reason"] is None
