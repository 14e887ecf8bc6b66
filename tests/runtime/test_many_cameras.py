"""A real pipeline with several real cameras, one of which fails."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from random import Random

import psutil
import pytest

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.models.base import CamModel
from streamcam.records import Result
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.base import Sink
from tests.support.cameras import camera, playing, rtsp_server
from tests.support.frames import TINY_FORMAT
from tests.support.proxy import Proxy, proxy

pytestmark = pytest.mark.slow

SECONDS = 4.0
FPS = 30


class Count(Sink):
    """Counts the results of each camera."""

    def __init__(self) -> None:
        self.frames: dict[str, list[tuple[int, float]]] = {}
        self.windows: dict[str, list[tuple[int, float]]] = {}

    def on_frame(self, result: Result) -> None:
        self.frames.setdefault(result.frame.source, []).append((result.frame.session, result.frame.pts_s))

    def on_window(self, result: Result) -> None:
        assert result.heat is not None
        self.windows.setdefault(result.frame.source, []).append((result.frame.session, result.heat.clip_pts_s[1]))


def _dead(way: Proxy) -> None:
    way.refusing = True
    way.cut()


def _silent(way: Proxy) -> None:
    way.frozen = True


def _slow(way: Proxy) -> None:
    way.bytes_per_s = 2000


def _garbage(way: Proxy) -> None:
    random = Random(0)
    way.edit = lambda packet: packet[:12] + random.randbytes(len(packet) - 12)


@pytest.mark.parametrize("fault", [_dead, _silent, _slow, _garbage])
def test_a_camera_that_fails_costs_the_others_nothing(
    tiny: CamModel, free_port: int, fault: Callable[[Proxy], None]
) -> None:
    with ExitStack() as stack:
        stack.enter_context(rtsp_server(free_port))
        stack.enter_context(playing(free_port))
        threads = set(threading.enumerate())
        way = stack.enter_context(proxy(free_port))
        url = "rtsp://127.0.0.1:{}/live".format
        sources = [
            stack.enter_context(closing(camera(url(port), name=name)))
            for name, port in (("one", free_port), ("two", free_port), ("bad", way.port))
        ]
        count = Count()
        engine = make_engine(tiny, device="cpu", precision="fp32")
        pipeline = Pipeline(sources, [engine], [count], window=lambda: SlidingWindow(TINY_FORMAT, hop=4))
        began_s = time.monotonic()

        def conduct() -> None:
            if time.monotonic() - began_s > 2 and "bad" in count.frames and not way_fails:
                way_fails.append(time.monotonic())
                fault(way)
            if way_fails and time.monotonic() - way_fails[0] > SECONDS:
                pipeline.stop.set()

        way_fails: list[float] = []
        pipeline.run(wait=conduct)
        ran_s = time.monotonic()
        while set(threading.enumerate()) - threads - {t for t in threading.enumerate() if t.name == "proxy"}:
            assert time.monotonic() - ran_s < 4
            time.sleep(0.02)
    for name in ("one", "two"):
        times_s = [pts_s for _, pts_s in count.frames[name]]
        assert {session for session, _ in count.frames[name]} == {0}
        assert times_s == sorted(set(times_s))
        sent = round((times_s[-1] - times_s[0]) * FPS) + 1
        assert sent > SECONDS * FPS
        assert len(times_s) >= 0.98 * sent
        assert count.windows[name] == sorted(set(count.windows[name]))
    assert count.frames["bad"] == sorted(set(count.frames["bad"]))
    assert not [c for c in psutil.Process().net_connections() if c.raddr and c.raddr.port == free_port]
