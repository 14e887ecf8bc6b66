"""Cameras and results as JSON, asked of a real server that watches a real publisher."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import psutil
import pytest

from streamcam.event import Event, Rectangle
from streamcam.records import Result
from streamcam.transport.messages import RawMessage, Stamp, decode_header, encode_result
from streamcam.transport.payloads import MessageError
from streamcam.transport.publisher import Publisher
from streamcam.web.api.result_json import encode_result_json, utc
from tests.support.ports import unused_port
from tests.support.publish_demo import CLASSES, HOT_CELLS, LABELS, eventually, publish, publishing, result_of
from tests.support.web_server import WebServer, web_server

MS = 1_000_000


def raw_of(result: Result) -> RawMessage:
    parts = encode_result(result, Stamp("here", 7, 1_796_000_000_000_000_000))
    return RawMessage(decode_header(parts), parts)


def test_a_result_says_what_and_where() -> None:
    result = result_of(5)
    found = json.loads(encode_result_json("demo@2", raw_of(result)))
    assert (found["camera"], found["source"], found["session"], found["seq"]) == ("demo@2", "demo", 0, 7)
    assert (found["pts_s"], found["captured_ns"]) == (0.25, result.frame.captured_ns)
    assert (found["model"], found["lookahead_s"], found["heat_pts_s"]) == ("demo", 0.0, 0.25)
    assert [c["label"] for c in found["classes"]] == list(LABELS)
    assert [c["index"] for c in found["classes"]] == list(CLASSES)
    assert [c["score"] for c in found["classes"]] == pytest.approx([0.8, 0.15, 0.04])
    assert [c["logit"] for c in found["classes"]] == pytest.approx([8.0, 1.0, 0.1])
    for of_class, (x, y) in zip(found["classes"], HOT_CELLS, strict=True):
        left, top, right, bottom = of_class["box"]
        assert left < x < right
        assert top < y < bottom
        assert right - left < 0.4


def test_where_nothing_is_hot_there_is_no_box() -> None:
    result = result_of(5)
    assert result.heat is not None
    result.heat.cube[:] = result.heat.common
    found = json.loads(encode_result_json("demo", raw_of(result)))
    assert [c["box"] for c in found["classes"]] == [None, None, None]


def test_a_malformed_result_is_refused() -> None:
    raw = raw_of(result_of(5))
    with pytest.raises(MessageError):
        encode_result_json("demo", RawMessage(raw.header, raw.parts[:-1]))


@pytest.mark.parametrize(
    ("unix_ns", "text"),
    [
        (1_796_059_329_041_999_999, "2026-11-30T17:22:09.041Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854Z"),
        (-(2**63), "1677-09-21T00:12:43.145Z"),
    ],
)
def test_a_time_is_written_in_utc(unix_ns: int, text: str) -> None:
    assert utc(unix_ns) == text


@dataclass
class Served:
    publisher: "Scripted"
    web: WebServer


@dataclass
class Scripted:
    """A publisher in this process; a thread of its own publishes 20 results a second while `live`."""

    endpoint: str
    live: bool = True
    events: list[Event] = field(default_factory=list)
    """To be sent."""
    stop: bool = False
    wanted: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    def run(self) -> None:
        index = 0
        with Publisher(self.endpoint) as publisher:
            while not self.stop:
                publisher.serve()
                publisher.send_directory(["door"])
                if self.live:
                    publish(publisher, index, source="door", cells=7)
                publisher.send_status("door", self.data)
                if self.events:  # one at a time: the publisher's own queue is a short one
                    publisher.send_event(self.events.pop(0))
                self.wanted = publisher.wants("door", "result")
                index += 1
                time.sleep(0.05)


DATA = {
    "state": "live", "reason": None, "next_try_s": None, "fps": 19.5, "frames": 40, "windows": 20, "results": 19,
    "rules": "", "dropped_window": 3, "dropped_engine": 0,
}  # fmt: skip


@contextmanager
def scripted() -> Iterator[Served]:
    publisher = Scripted(f"tcp://127.0.0.1:{unused_port()}", data=dict(DATA))
    thread = threading.Thread(target=publisher.run)
    thread.start()
    try:
        with web_server(publisher.endpoint) as web:
            web.await_cameras("door")
            yield Served(publisher, web)
    finally:
        publisher.stop = True
        thread.join()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted() as found:
        yield found


def event(number: int, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "id": f"20261130T172209.041Z-door-{number}", "state": "start", "rule": "r", "source": "door", "session": 0,
        "zone": None, "label": "Häuschen", "start_pts_s": 1.0, "pts_s": 1.0, "start_ns": 1_796_059_329_041_000_000,
        "score": 0.9, "peak": 0.9, "peak_pts_s": 1.0, "scores": {"Häuschen": 0.9}, "box": Rectangle(0.1, 0.2, 0.3, 0.4),
    }  # fmt: skip
    return Event(**(values | changes))


@pytest.mark.slow
def test_all_cameras_are_listed_with_what_is_known_of_them(served: Served) -> None:
    page = served.web.ask("/api/cameras")
    assert page.headers["content-type"] == "application/json"
    assert page.headers["cache-control"] == "no-store"
    (door,) = json.loads(page.text)["cameras"]
    latency_ms, last = door.pop("latency_ms"), door.pop("last_result")
    assert 0 <= latency_ms < 1000
    assert abs(time.time() - time.mktime(time.strptime(last, "%Y-%m-%dT%H:%M:%S.%fZ")) + time.timezone) < 5
    assert door == {
        "id": "door", "source": "door", "publisher": 0, "state": "live", "reason": None, "fps": 19.5, "frames": 40,
        "windows": 20, "results": 19, "drops": {"window": 3, "engine": 0},
        "links": {
            "picture": "/cameras/door.jpg", "pictures": "/cameras/door.mjpeg", "results": "/api/results/door"
        },
    }  # fmt: skip
    for link in door["links"].values():
        assert served.web.ask(link, method="HEAD").code == 200


@pytest.mark.slow
def test_the_newest_result_is_asked_for_only_while_somebody_does(served: Served) -> None:
    first, second = served.web.json("/api/results/door"), served.web.json("/api/results/door")
    assert second["pts_s"] >= first["pts_s"]
    assert first["classes"][1]["label"] == "Häuschen"
    eventually(lambda: not served.publisher.wanted, "nobody asks for results")


@pytest.mark.slow
def test_a_result_of_an_unknown_camera_is_not_found(served: Served) -> None:
    for headers in ([], [("Accept", "text/event-stream")]):
        page = served.web.ask("/api/results/gate", headers=headers)
        assert (page.code, json.loads(page.text)["cameras"]) == (404, ["door"])
    assert served.web.ask("/api/results/door", method="POST").code == 405


class Events:
    """Reads Server-Sent Events as their definition says."""

    def __init__(self, web: WebServer, path: str) -> None:
        self.connection = HTTPConnection(web.address, timeout=10)
        self.connection.request("GET", path, headers={"Accept": "text/event-stream"})
        self.answer = self.connection.getresponse()

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.connection.close()

    def __iter__(self) -> Iterator[dict[str, str]]:
        fields: dict[str, str] = {}
        for line in self.answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                yield fields
                fields = {}


@pytest.mark.slow
def test_results_and_events_are_streamed(served: Served) -> None:
    with Events(served.web, "/api/results/door") as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-store"
        messages = iter(stream)
        results = [next(messages) for _ in range(5)]
        served.publisher.events += [event(number) for number in range(20)]
        told: list[dict[str, str]] = []
        while len(told) < 20:
            told += [message for message in [next(messages)] if message["event"] == "event"]
    assert {m["event"] for m in results} == {"result"}
    ids = [int(m["id"]) for m in results]
    assert ids == sorted(set(ids))
    assert json.loads(results[0]["data"])["seq"] == ids[0]
    assert [json.loads(m["data"])["id"] for m in told] == [event(number).id for number in range(20)]
    assert json.loads(told[0]["data"])["box"] == [0.1, 0.2, 0.3, 0.4]
    eventually(lambda: not served.publisher.wanted, "nobody asks for results")


@pytest.mark.slow
def test_a_stream_that_nobody_reads_costs_no_memory(served: Served) -> None:
    with ExitStack() as stack:
        process = psutil.Process(served.web.process.pid)
        for _ in range(20):
            headers = {"Accept": "text/event-stream"}
            stack.enter_context(served.web.connect("/api/results/door", headers, buffer=4096))
        eventually(lambda: served.publisher.wanted, "they are served")
        before = process.memory_info().rss
        time.sleep(4)  # 80 results for each
        assert process.memory_info().rss - before < 6_000_000
        assert served.web.json("/api/results/door")["camera"] == "door"


@pytest.mark.slow
def test_a_camera_that_is_lost_says_why_and_a_dead_publisher_is_silent() -> None:
    with scripted() as served:
        served.publisher.live = False
        served.publisher.data |= {"state": "lost", "reason": "it closed the connection"}

        def state() -> tuple[str, str]:
            (door,) = served.web.json("/api/cameras")["cameras"]
            return door["state"], door["reason"]

        eventually(lambda: state() == ("lost", "it closed the connection"), "it is lost")
        served.publisher.stop = True
        eventually(lambda: state() == ("silent", "its publisher says nothing"), "it is silent", seconds=3)


@pytest.mark.slow
def test_a_camera_without_results_is_told_of_in_one_line() -> None:
    with (
        publishing(f"tcp://127.0.0.1:{unused_port()}", "--seconds", "60") as demo,
        web_server(demo.endpoint) as web,
    ):
        web.await_cameras("demo")
        psutil.Process(demo.process.pid).suspend()
        time.sleep(0.2)  # until what is on the way has come
        page = web.ask("/api/results/demo")
        assert (page.code, page.text) == (503, """{"error":"camera 'demo' gives no result"}""")


@pytest.mark.slow
def test_a_silent_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, so that the wait can be a short one."""
    import asyncio

    from streamcam.web.api import results
    from streamcam.web.hub import Hub

    monkeypatch.setattr(results, "KEEP_ALIVE_S", 0.05)

    async def read() -> list[bytes]:
        parts = results._events(Hub(1), "door", results._Results())
        found = [await anext(parts) for _ in range(3)]
        await parts.aclose()
        return found

    assert asyncio.run(read()) == [b"retry: 2000\n\n", b": keep-alive\n\n", b": keep-alive\n\n"]


def test_a_result_is_encoded_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamcam.web.api import results
    from streamcam.web.hub import CameraMessage

    calls: list[str] = []

    def encode(camera: str, raw: RawMessage) -> bytes:
        calls.append(camera)
        if raw.header.seq:
            raise MessageError("no")
        return b"{}"

    monkeypatch.setattr(results, "encode_result_json", encode)
    kept, message = results._Results(), CameraMessage("door", raw_of(result_of(1)))
    assert [kept.encode(message) for _ in range(3)] == [None] * 3  # the malformed one is tried once, too
    assert calls == ["door"]
