"""Pictures over HTTP, asked of a real server that watches a real publisher."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import pairwise
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt
import psutil
import pytest

from tests.support.ports import unused_port
from tests.support.publish_demo import COLOURS, Demo, eventually, publishing
from tests.support.web_server import WebServer, web_server

pytestmark = pytest.mark.slow


@dataclass
class Served:
    demo: Demo
    web: WebServer

    @property
    def wanted(self) -> bool:
        """Whether somebody wants the publisher's frames."""
        return self.demo.lines[-1].strip() == "frames wanted"


@contextmanager
def served(*options: str) -> Iterator[Served]:
    with ExitStack() as stack:
        demo = stack.enter_context(publishing(f"tcp://127.0.0.1:{unused_port()}", *options))
        yield Served(demo, stack.enter_context(web_server(demo.endpoint)))


@pytest.fixture(scope="module")
def cameras() -> Iterator[Served]:
    with served("--sources", "demo", "yard.jpg", "--fps", "30", "--seconds", "300") as found:
        found.web.await_cameras("demo", "yard.jpg")
        yield found


def get(web: WebServer, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(web.address, timeout=10)
    with closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def pixels(jpeg: bytes) -> npt.NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(decoded, np.uint8)


def colour(jpeg: bytes) -> int:
    """The number of the demo's colour that a picture has."""
    mean = pixels(jpeg).mean((0, 1))
    return int(np.argmin([np.abs(mean - np.array(c)).sum() for c in COLOURS]))


class Parts:
    """Reads a multipart stream as its definition says, by each part's length."""

    def __init__(self, connection: socket.socket) -> None:
        self.file = connection.makefile("rb")
        self.head = self._lines()
        self.chunked = any("chunked" in line.lower() for line in self.head)
        self._left = b""
        assert self.line() == b"--picture\r\n"

    def _lines(self) -> list[str]:
        lines = []
        while (line := self.file.readline().decode().strip()) != "":
            lines.append(line)
        return lines

    def _more(self) -> None:
        if not self.chunked:
            self._left += self.file.read1()
            return
        size = int(self.file.readline(), 16)
        assert size, "the stream has ended"
        self._left += self.file.read(size)
        self.file.readline()

    def read(self, count: int) -> bytes:
        while len(self._left) < count:
            self._more()
        found, self._left = self._left[:count], self._left[count:]
        return found

    def line(self) -> bytes:
        while b"\n" not in self._left:
            self._more()
        return self.read(self._left.index(b"\n") + 1)

    def part(self) -> bytes:
        assert self.line() == b"Content-Type: image/jpeg\r\n"
        length = re.fullmatch(rb"Content-Length: (\d+)\r\n", self.line())
        assert length
        assert self.line() == b"\r\n"
        jpeg = self.read(int(length[1]))
        assert self.line() == b"\r\n"
        assert self.line() == b"--picture\r\n"
        return jpeg


@pytest.mark.parametrize("path", ["/cameras/demo.jpg", "/cameras/demo.jpg?kind=frame", "/cameras/yard.jpg.jpg"])
def test_the_newest_picture_is_a_jpeg_that_nobody_keeps(cameras: Served, path: str) -> None:
    code, headers, body = get(cameras.web, path)
    assert (code, headers["content-type"], headers["cache-control"]) == (200, "image/jpeg", "no-store")
    assert pixels(body).shape == (480, 640, 3)
    assert int(headers["content-length"]) == len(body)


def test_pictures_are_asked_for_only_while_somebody_watches(cameras: Served) -> None:
    get(cameras.web, "/cameras/demo.jpg?kind=frame")
    eventually(lambda: not cameras.wanted, "the publisher paints no more")


def test_head_says_what_get_would_without_a_body(cameras: Served) -> None:
    code, headers, body = get(cameras.web, "/cameras/demo.jpg", method="HEAD")
    assert (code, headers["content-type"], body) == (200, "image/jpeg", b"")
    code, headers, body = get(cameras.web, "/cameras/demo.mjpeg", method="HEAD")
    assert (code, body) == (200, b"")
    assert headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"


@pytest.mark.parametrize("suffix", ["jpg", "mjpeg"])
def test_an_unknown_camera_is_told_which_there_are(cameras: Served, suffix: str) -> None:
    page = cameras.web.ask(f"/cameras/nobody.{suffix}")
    assert page.code == 404
    assert page.text == (
        """{"error":"no camera has the name 'nobody': there are demo, yard.jpg","cameras":["demo","yard.jpg"]}"""
    )


@pytest.mark.parametrize("suffix", ["jpg", "mjpeg"])
def test_an_unknown_kind_of_picture_is_refused_in_one_line(cameras: Served, suffix: str) -> None:
    page = cameras.web.ask(f"/cameras/demo.{suffix}?kind=heat")
    assert (page.code, page.text) == (
        400,
        '{"error":"expected kind=overlay or kind=frame, got heat"}'.replace("heat", "'heat'"),
    )


@pytest.mark.parametrize("path", ["/cameras/", "/cameras/demo", "/cameras/..%2fdemo.jpg", "/cameras/demo.png"])
def test_other_paths_are_not_found(cameras: Served, path: str) -> None:
    assert cameras.web.ask(path).code == 404


def test_pictures_come_one_after_the_other(cameras: Served) -> None:
    with cameras.web.connect("/cameras/demo.mjpeg") as connection:
        parts = Parts(connection)
        seen = [colour(parts.part()) for _ in range(45)]
    assert all(b in (a, (a + 1) % len(COLOURS)) for a, b in pairwise(seen)), seen
    assert len(set(seen)) == len(COLOURS)


def test_a_client_that_goes_is_watched_for_no_more(cameras: Served) -> None:
    with cameras.web.connect("/cameras/demo.mjpeg?kind=frame") as connection:
        Parts(connection).part()
        eventually(lambda: cameras.wanted, "the publisher paints")
    eventually(lambda: not cameras.wanted, "the publisher paints no more")


def test_a_slow_reader_gets_fewer_and_newer_pictures(cameras: Served) -> None:
    """It stops for four seconds, in which 120 pictures of 6 kB come; then it sees the newest after a few old ones."""
    with cameras.web.connect("/cameras/demo.mjpeg", buffer=8192) as connection:
        parts = Parts(connection)
        before = [parts.part() for _ in range(3)]
        time.sleep(4)  # it is the reader that is slow
        begin_s, waiting = time.monotonic(), 0
        while True:  # what waited comes at once
            part_s = time.monotonic()
            parts.part()
            if time.monotonic() - part_s > 0.02 or time.monotonic() - begin_s > 1:
                break
            waiting += 1
        newest = colour(get(cameras.web, "/cameras/demo.jpg")[2])
        shown = colour(parts.part())
    assert waiting * len(before[0]) < 300_000
    assert (newest - shown) % len(COLOURS) in (0, 1, 3)


def test_a_reader_that_stops_costs_no_memory() -> None:
    """A queue would show: 30 pictures of 6 kB a second are 700 kB in four seconds for each of 20 readers."""
    with served("--fps", "30", "--seconds", "60") as found, ExitStack() as stack:
        found.web.await_cameras("demo")
        process = psutil.Process(found.web.process.pid)
        for _ in range(20):
            stack.enter_context(found.web.connect("/cameras/demo.mjpeg?kind=frame", buffer=4096))
        eventually(lambda: found.wanted, "they are served")
        time.sleep(1)  # until all buffers are full
        before = process.memory_info().rss
        time.sleep(4)
        assert process.memory_info().rss - before < 6_000_000
        assert get(found.web, "/cameras/demo.jpg")[0] == 200


def test_a_silent_camera_is_told_of_by_a_picture_and_waited_for_by_a_stream() -> None:
    """The publisher serves late joiners alone, and is then frozen before it has sent any picture."""
    with served("--fps", "20", "--seconds", "60") as found:
        found.web.await_cameras("demo")
        psutil.Process(found.demo.process.pid).suspend()
        begin_s = time.monotonic()
        page = found.web.ask("/cameras/demo.jpg?kind=frame")
        assert (page.code, page.text) == (503, """{"error":"camera 'demo' gives no picture"}""")
        assert 1.5 < time.monotonic() - begin_s < 4
        with found.web.connect("/cameras/demo.mjpeg?kind=frame") as connection:
            parts = Parts(connection)
            psutil.Process(found.demo.process.pid).resume()
            assert parts.part()


def test_two_publishers_may_have_a_camera_of_the_same_name() -> None:
    with ExitStack() as stack:
        ports = unused_port(), unused_port()
        first, second = (stack.enter_context(publishing(f"tcp://127.0.0.1:{port}")) for port in ports)
        web = stack.enter_context(web_server(first.endpoint, second.endpoint))
        eventually(lambda: len(web.json("/api/cameras")["cameras"]) == 2, "both are listed")
        (other,) = [c["id"] for c in web.json("/api/cameras")["cameras"] if c["id"] != "demo"]
        assert get(web, f"/cameras/{other}.jpg")[0] == get(web, f"/cameras/{quote(other)}.jpg")[0] == 200
        assert quote(other) != other


def test_before_a_publisher_has_been_heard_no_camera_is_said_to_be_unknown() -> None:
    with web_server(f"tcp://127.0.0.1:{unused_port()}") as web:
        page = web.ask("/cameras/demo.jpg")
        assert (page.code, page.headers["retry-after"]) == (503, "1")
