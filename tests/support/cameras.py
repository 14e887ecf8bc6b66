"""Cameras for tests, and sources that watch them."""

import itertools
import select
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread, Timer

import psutil
import pytest

from streamcam.records import Frame
from streamcam.sources.address import parse_address
from streamcam.sources.status import RETRY_DELAYS_S, Backoff
from streamcam.sources.video import VideoSource
from tests.support.paths import SUPPORT

RTSP_SERVER = SUPPORT / "rtsp_server.py"


@contextmanager
def rtsp_server(port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A camera at rtsp://127.0.0.1:PORT/live that is listening."""
    command = ["/usr/bin/python3", str(RTSP_SERVER), str(port), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as server:
        try:
            assert server.stdout is not None
            answered, _, _ = select.select([server.stdout], [], [], 20)
            if not answered or server.stdout.readline() != "ready\n":
                pytest.fail("the RTSP server did not start (its message is below): scripts/test installs what it needs")
            yield server
        finally:
            server.kill()


@contextmanager
def playing(port: int) -> Iterator[None]:
    """Somebody watches it already: GStreamer's server may abort where several are the first at once."""
    stop, begun = Event(), Event()

    def watch() -> None:
        with closing(camera(f"rtsp://127.0.0.1:{port}/live")) as source:
            for _ in source.frames(stop):
                begun.set()

    thread = Thread(target=watch)
    thread.start()
    try:
        if not begun.wait(30):
            pytest.fail("the RTSP server does not play")
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def stop_after(seconds: float) -> Iterator[Event]:
    stop = Event()
    timer = Timer(seconds, stop.set)
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()
        timer.join()


def camera(
    uri: str, *, retry_s: float | None = None, name: str | None = None, rtsp_transport: str = "auto"
) -> VideoSource:
    """A source; with `retry_s`, it always waits so long before it is tried again."""
    delays_s = RETRY_DELAYS_S if retry_s is None else (retry_s,)
    return VideoSource(parse_address(uri, rtsp_transport=rtsp_transport), name=name, backoff=Backoff(delays_s))


def in_order(frames: list[Frame]) -> bool:
    """Index by index, by session and then time, and never back in the time of capture."""
    keys = [(f.session, f.pts_s) for f in frames]
    captured_ns = [f.captured_ns for f in frames]
    return (
        [f.index for f in frames] == list(range(frames[0].index, frames[0].index + len(frames)))
        and all(a < b for a, b in itertools.pairwise(keys))
        and captured_ns == sorted(captured_ns)
    )


def held() -> tuple[int, int, int]:
    """What this process holds: file descriptors, threads, connections."""
    process = psutil.Process()
    return process.num_fds(), process.num_threads(), len(process.net_connections())
