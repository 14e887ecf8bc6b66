"""The WebSocket of a browser: a real server in a process of its own, and what speaks its protocol, or does not."""

import json
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from streamcam.transport.headers import Header, Kind
from streamcam.transport.keys import make_keys
from streamcam.transport.messages import decode, decode_header
from streamcam.web.browser import IN_FLIGHT, InFlight
from streamcam.web.framing import unframe
from tests.support.browser import Web, serving
from tests.support.ports import unused_port
from tests.support.publish_demo import colour_of, eventually, publishing

ANY_PORT = "tcp://127.0.0.1:*"
WAIT_S = 20.0


@dataclass(frozen=True)
class Received:
    """A message of a camera."""

    camera: str
    parts: list[bytes]
    """As the publisher sent them."""

    @property
    def header(self) -> Header:
        return decode_header(self.parts)


@dataclass
class Client:
    """What a browser does."""

    socket: ClientConnection
    told: dict[str, Any]
    """What the server last said of cameras."""

    def receive(self) -> Received | None:
        """Wait for a message; None if it is not of a camera."""
        message = self.socket.recv(timeout=WAIT_S)
        if isinstance(message, str):
            self.told = json.loads(message)
            return None
        camera, *parts = unframe(message)
        return Received(camera.decode(), parts)

    def messages(self, *, acknowledge: Collection[str]) -> Iterator[Received]:
        """Yield messages of cameras; acknowledge those of some kinds."""
        while True:
            if (message := self.receive()) is not None:
                yield message
                if message.header.kind in acknowledge:
                    self.got((message.camera, message.header.kind))

    def wait_for_cameras(self, *ids: str) -> None:
        while {camera["id"] for camera in self.told.get("cameras", [])} != set(ids):
            self.receive()

    def want(self, kinds: dict[str, Sequence[Kind]]) -> None:
        self.socket.send(json.dumps({"want": kinds}))

    def got(self, *topics: tuple[str, Kind]) -> None:
        self.socket.send(json.dumps({"got": topics}))


@contextmanager
def connected(web: Web, *, waiting: int = 16) -> Iterator[Client]:
    """Connect to a server; so many messages wait here before nothing more is read."""
    with connect(
        f"ws://127.0.0.1:{web.port}/ws",
        subprotocols=["streamcam.1"],  # type: ignore[list-item]
        compression=None,
        max_size=None,
        max_queue=waiting,
        close_timeout=1,
    ) as socket:
        hello = json.loads(socket.recv(timeout=WAIT_S))
        assert hello["type"] == "hello"
        yield Client(socket, hello)


@pytest.fixture(scope="module")
def demo() -> Iterator[Web]:
    """A server of one camera, `demo`, at 20 frames a second."""
    with publishing(ANY_PORT) as publisher, serving(publisher.endpoint) as web:
        yield web


pytestmark = pytest.mark.slow


def test_a_browser_gets_messages_as_they_were_sent(demo: Web) -> None:
    with connected(demo) as client:
        client.wait_for_cameras("demo")
        client.want({"demo": ["frame", "result"]})
        seen: dict[str, Received] = {}
        for message in client.messages(acknowledge=("frame", "result")):
            seen[message.header.kind] = message
            if len(seen) == 2:
                break
    picture, result = decode(seen["frame"].parts).result, decode(seen["result"].parts).result
    assert picture is not None
    assert result is not None
    assert result.heat is not None
    assert result.heat.labels[0] == "teapot"
    expected = colour_of(picture.frame.index)
    assert all(abs(int(picture.frame.pixels[240, 320, i]) - expected[i]) < 12 for i in range(3))


def test_cameras_are_told_without_any_address(demo: Web) -> None:
    with connected(demo) as client:
        client.wait_for_cameras("demo")
        assert client.told["cameras"] == [{"id": "demo", "source": "demo", "endpoint": 0}]
        assert client.told["endpoints"] == [{"number": 0, "refused": None}]
        assert "://" not in json.dumps(client.told)


def test_what_is_not_acknowledged_holds_back_its_topic_alone_and_then_the_newest_comes(demo: Web) -> None:
    with connected(demo) as client:
        client.want({"demo": ["frame", "status"]})
        frames: list[int] = []
        newest = 0
        for message in client.messages(acknowledge=("status",)):
            if message.header.frame is not None:
                frames.append(message.header.frame.index)
            else:
                newest = int(message.header.data["frames"] or 0)
            if len(frames) >= IN_FLIGHT and newest > frames[-1] + 20:  # a second has passed
                break
        assert len(frames) == IN_FLIGHT
        client.got(("demo", "frame"))
        following = next(m.header for m in client.messages(acknowledge=("status",)) if m.header.kind == "frame")
        assert following.frame is not None
        assert following.frame.index >= newest


def test_what_is_wanted_again_is_not_held_back_by_what_was_never_acknowledged(demo: Web) -> None:
    with connected(demo) as client:
        for _ in range(3):
            client.want({"demo": ["frame", "status"]})
            frames = (m for m in client.messages(acknowledge=("status",)) if m.header.kind == "frame")
            assert [next(frames).header.kind for _ in range(IN_FLIGHT)] == ["frame"] * IN_FLIGHT
            client.want({"demo": ["status"]})


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nothing",
        "[]",
        '{"other": 1}',
        '{"want": ["demo"]}',
        '{"want": {"demo": ["pixels"]}}',
        '{"got": [["demo"]]}',
        '{"got": [["demo", "frame", "status"]]}',
        json.dumps({"want": {"x" * 101: ["frame"]}}),
        "[" * 20_000,
        b'{"want": {}}',
        b"\xff\xfe",
    ],
)
def test_what_is_not_of_the_protocol_closes_the_connection_with_1007(demo: Web, message: str | bytes) -> None:
    with connected(demo) as client:
        client.socket.send(message)
        with pytest.raises(ConnectionClosed):
            while True:
                client.receive()
        assert client.socket.close_code == 1007


def test_a_message_that_is_too_long_closes_the_connection_with_1009(demo: Web) -> None:
    with connected(demo) as client:
        with pytest.raises(ConnectionClosed):
            client.socket.send(json.dumps({"got": [["demo", "frame"]] * 10_000}))
            while True:
                client.receive()
        assert client.socket.close_code == 1009


def test_unknown_cameras_can_be_wanted_and_do_no_harm(demo: Web) -> None:
    with connected(demo) as client:
        client.want({"nobody": ["frame"], "../x": ["status"], "demo": ["frame"]})
        client.got(("nobody", "frame"), ("demo", "event"))
        message = next(client.messages(acknowledge=()))
        assert (message.camera, message.header.kind) == ("demo", "frame")


def test_what_was_never_sent_is_acknowledged_without_effect() -> None:
    in_flight = InFlight()
    for number in range(1000):
        in_flight.got((f"cam{number}", "frame"))
    assert len(in_flight) == 0
    for _ in range(IN_FLIGHT):
        assert in_flight.full == set()
        in_flight.sent(("door", "frame"))
    assert in_flight.full == {("door", "frame")}


def test_a_browser_that_stops_reading_takes_little_memory_and_nothing_from_others() -> None:
    with (
        publishing(ANY_PORT, "--cells", "100", "--fps", "60") as publisher,
        serving(publisher.endpoint) as web,
        connected(web) as client,
    ):
        client.want({"demo": ["result"]})
        watched = client.messages(acknowledge=("result",))
        for _ in range(30):
            next(watched)
        before = psutil.Process(web.process.pid).memory_info().rss
        stop = Event()
        stopped = [Thread(target=_stop_reading, args=(web, stop)) for _ in range(5)]
        for thread in stopped:
            thread.start()
        try:
            sizes = [sum(map(len, next(watched).parts)) for _ in range(200)]
        finally:
            stop.set()
            for thread in stopped:
                thread.join()
        growth = psutil.Process(web.process.pid).memory_info().rss - before
    assert sum(sizes) > 20e6  # so much would lie in the server for each, if it kept all
    assert growth < 20e6


def _stop_reading(web: Web, stop: Event) -> None:
    """Read nothing, and acknowledge all the same."""
    with connected(web, waiting=1) as client:
        client.want({"demo": ["result", "frame", "overlay"]})
        while not stop.wait(0.02):
            client.got(("demo", "result"), ("demo", "frame"), ("demo", "overlay"))


def test_sources_of_one_name_are_cameras_of_their_own() -> None:
    with (
        publishing(ANY_PORT) as one,
        publishing(ANY_PORT, "--sources", "demo", "other") as two,
        serving(one.endpoint, two.endpoint) as web,
        connected(web) as client,
    ):
        while len(client.told.get("cameras", [])) < 3:
            client.receive()
        ids = {camera["id"]: (camera["source"], camera["endpoint"]) for camera in client.told["cameras"]}
        second = next(name for name in ids if "@" in name)
        assert second == f"demo@{ids[second][1] + 1}"
        assert ids == {"demo": ("demo", 1 - ids[second][1]), second: ("demo", ids[second][1]), "other": ("other", 1)}
        client.want({"demo": ["status"], second: ["status"]})
        publishers: dict[str, str] = {}
        for message in client.messages(acknowledge=("status",)):
            publishers[message.camera] = message.header.publisher
            if len(publishers) == 2:
                break
    assert len(set(publishers.values())) == 2


def test_messages_go_on_after_the_publisher_was_started_again() -> None:
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    publishers = []
    with serving(endpoint) as web, connected(web) as client:
        client.want({"demo": ["frame"]})  # before it exists
        for _ in range(2):
            with publishing(endpoint):
                watched = client.messages(acknowledge=("frame",))
                publishers.append(next(m.header.publisher for m in watched if m.header.publisher not in publishers))
    assert len(publishers) == 2


def test_why_a_publisher_refuses_is_told_and_no_longer_once_it_does_not(tmp_path: Path) -> None:
    server, laptop = tmp_path / "server", tmp_path / "laptop"
    make_keys("server", server)
    public, _ = make_keys("laptop", laptop)
    shutil.copy(server / "server.public", laptop)
    with (
        publishing(ANY_PORT, "--keys", str(server)) as publisher,
        serving(publisher.endpoint, "--keys", str(laptop)) as web,
        connected(web) as client,
    ):
        while not client.told.get("endpoints", [{"refused": None}])[0]["refused"]:
            client.receive()
        assert "does not list your key" in client.told["endpoints"][0]["refused"]
        assert client.told["cameras"] == []
        shutil.copy(public, server / "clients")
        client.wait_for_cameras("demo")
        assert client.told["endpoints"] == [{"number": 0, "refused": None}]


def test_browsers_are_told_that_the_server_goes_away() -> None:
    with publishing(ANY_PORT) as publisher, serving(publisher.endpoint) as web, connected(web) as client:
        client.want({"demo": ["frame"]})
        next(client.messages(acknowledge=("frame",)))
        began_s = time.monotonic()
        web.process.terminate()
        with pytest.raises(ConnectionClosed):
            while True:
                client.receive()
        assert client.socket.close_code in (1001, 1012)  # going away; service restart
        eventually(lambda: web.process.poll() is not None, "the server has ended")
        assert time.monotonic() - began_s < 5
