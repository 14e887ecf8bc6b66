import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq

from streamcam.errors import StreamcamError
from streamcam.records import Frame, Image, Result
from streamcam.transport.endpoints import require_bindable, require_resolvable
from streamcam.transport.headers import Kind
from streamcam.transport.messages import Message, Stamp, encode_directory, encode_result, topic
from streamcam.transport.publisher import Publisher
from streamcam.transport.subscriber import Subscriber
from tests.support.proxy import way_to
from tests.support.publish_demo import eventually, heat_of, image_of, publishing, result_of

ANY_PORT = "tcp://127.0.0.1:*"
READER = """
import sys
from streamcam.transport.subscriber import Subscriber

with Subscriber(sys.argv[1]) as subscriber:
    for result in subscriber:
        print(result.frame.index, flush=True)
"""


@pytest.fixture
def ipc(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


def take(subscriber: Subscriber, count: int, *, seconds: float = 15.0) -> list[Message]:
    """So many messages, within a time limit."""
    messages = list(islice(subscriber.messages(timeout_s=seconds), count))
    assert len(messages) == count, f"{len(messages)} of {count} messages within {seconds:g} s"
    return messages


def given_until_skipped(subscriber: Subscriber, why: str, count: int) -> list[Message]:
    """What is given out until so many messages have been skipped for one reason."""
    given: list[Message] = []

    def are_skipped() -> bool:
        given.extend(subscriber.messages(timeout_s=0.02))
        return subscriber.skipped[why] >= count

    eventually(are_skipped, f"{count} messages are {why}")
    return given


def result_in(message: Message) -> Result:
    assert message.result is not None
    return message.result


def indices(messages: Sequence[Message]) -> list[int]:
    return [result_in(message).frame.index for message in messages]


class Raw:
    """A publisher that sends whatever it is told to, to one subscriber."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.bind(endpoint)
        self._topics: set[bytes] = set()

    def await_subscription(self, name: bytes) -> None:
        while b"\1" + name not in self._topics:
            assert self._socket.poll(10_000), f"nobody subscribes to {name!r}"
            self._topics.add(self._socket.recv())

    def send(self, *messages: list[bytes]) -> None:
        for message in messages:
            self._socket.send_multipart(message)

    def close(self) -> None:
        self._context.destroy(linger=0)


@contextmanager
def raw_publisher(endpoint: str, **options: Any) -> Iterator[tuple[Raw, Subscriber]]:
    """A publisher and a subscriber of its source `demo` that are connected."""
    raw = Raw(endpoint)
    try:
        with Subscriber(endpoint, sources=["demo"], **options) as subscriber:
            raw.await_subscription(topic("demo", "result"))
            yield raw, subscriber
    finally:
        raw.close()


def numbered(seq: int, *, publisher: str = "p", source: str = "demo", sent_ns: int = 0) -> list[bytes]:
    return encode_result(result_of(seq, source=source), Stamp(publisher, seq, sent_ns))


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_heat_arrives_in_another_process_as_it_was_sent(transport: str, ipc: str) -> None:
    with publishing(ANY_PORT if transport == "tcp" else ipc) as demo, Subscriber(demo.endpoint) as subscriber:
        for message in take(subscriber, 3):
            result = result_in(message)
            sent, got = heat_of(result.frame.index), result.heat
            assert got is not None
            np.testing.assert_allclose(got.cube, sent.cube, rtol=1e-3)
            np.testing.assert_allclose(got.common, sent.common, rtol=1e-3)
            np.testing.assert_array_equal(got.logits, sent.logits)
            assert (got.labels, got.classes.tolist()) == (sent.labels, sent.classes.tolist())
            assert result.frame.image is None


def test_iterating_gives_results(ipc: str) -> None:
    with publishing(ipc), Subscriber(ipc) as subscriber:
        results = list(islice(subscriber, 2))
    assert [result.frame.source for result in results] == ["demo", "demo"]


def test_pictures_are_sent_only_while_somebody_wants_them(ipc: str) -> None:
    with publishing(ipc) as demo:
        with Subscriber(ipc, kinds=("result",)) as subscriber:
            assert {message.header.kind for message in take(subscriber, 10)} == {"result"}
        assert demo.lines[1:] == []
        with Subscriber(ipc, kinds=("frame",)) as subscriber:
            messages = take(subscriber, 3)
            assert {message.header.kind for message in messages} == {"frame"}
            got = result_in(messages[-1]).frame
            assert np.abs(got.pixels.astype(int) - image_of(got.index)).max() < 6
        eventually(lambda: demo.lines[1:] == ["frames wanted\n", "frames unwanted\n"], "pictures are wanted no longer")


def test_kinds_and_sources_can_be_chosen(ipc: str) -> None:
    kinds: tuple[Kind, ...] = ("overlay", "status")
    with publishing(ipc, "--sources", "a", "ab", "b"), Subscriber(ipc, kinds=kinds, sources=["a", "b"]) as subscriber:
        messages = take(subscriber, 40)
    assert {(m.header.source, m.header.kind) for m in messages} == {(s, k) for s in ("a", "b") for k in kinds}


def test_all_sources_arrive_where_none_are_chosen(ipc: str) -> None:
    with publishing(ipc, "--sources", "a", "ab", "b"), Subscriber(ipc) as subscriber:
        messages = take(subscriber, 30)
    assert {message.header.source for message in messages} == {"a", "ab", "b"}


@pytest.mark.parametrize("sources", [None, ["demo"]])
def test_a_late_joiner_gets_the_last_result(ipc: str, sources: list[str] | None) -> None:
    with publishing(ipc, "--results", "3", "--fps", "100") as demo:
        with Subscriber(ipc, sources=sources) as first:
            eventually(lambda: indices(take(first, 1)) == [2], "the last result has been sent")
        with Subscriber(ipc, sources=sources) as late:
            assert indices(take(late, 1)) == [2]
            assert list(late.messages(timeout_s=0.2)) == []
            assert late.skipped.total() == 0
        assert demo.process.poll() is None


def test_a_message_that_is_sent_again_for_others_is_not_given_twice(ipc: str) -> None:
    with Publisher(ipc) as publisher, Subscriber(ipc, sources=["demo"]) as early:
        publisher.send_result(result_of(7))
        eventually(lambda: publisher.serve() or publisher.wants("demo", "result"), "the first subscription")
        assert indices(take(early, 1)) == [7]
        with Subscriber(ipc, sources=["demo"]) as late:
            got: list[Message] = []
            eventually(
                lambda: publisher.serve() or got.extend(late.messages(timeout_s=0.05)) or got, "it is sent again"
            )
        assert list(early.messages(timeout_s=0.2)) == []
        assert early.skipped.total() == 0


def test_older_and_repeated_sequence_numbers_are_not_given(ipc: str) -> None:
    with raw_publisher(ipc) as (raw, subscriber):
        given = []
        for seqs in ([4], [4, 3, 5], [5, 1, 6]):
            raw.send(*map(numbered, seqs))
            given += indices(take(subscriber, 1))
        assert given == [4, 5, 6]
        assert subscriber.skipped.total() == 0


def test_gaps_in_the_sequence_are_counted_as_lost(ipc: str) -> None:
    with raw_publisher(ipc) as (raw, subscriber):
        for seq in (10, 11, 15):
            raw.send(numbered(seq))
            take(subscriber, 1)
        assert subscriber.skipped == Counter(lost=3)


def test_a_new_publishers_numbers_start_again_without_loss(ipc: str) -> None:
    with raw_publisher(ipc) as (raw, subscriber):
        raw.send(numbered(40))
        take(subscriber, 1)
        raw.send(numbered(0, publisher="q"))
        assert indices(take(subscriber, 1)) == [0]
        assert subscriber.skipped.total() == 0


def test_a_slow_reader_gets_the_newest_and_every_message_is_accounted_for(ipc: str) -> None:
    with publishing(ipc, "--fps", "150"), Subscriber(ipc) as subscriber:
        first = take(subscriber, 1)[0].header.seq
        before, seqs, ages_s = subscriber.skipped.total(), [first], []
        for message in islice(subscriber.messages(timeout_s=10), 12):
            seqs.append(message.header.seq)
            ages_s.append(time.time() - message.header.sent_ns / 1e9)
            time.sleep(0.1)
        assert subscriber.skipped["stale"] > 20
        assert subscriber.skipped.total() - before == seqs[-1] - seqs[0] + 1 - len(seqs)
    assert float(np.median(ages_s)) < 0.3


def test_a_reader_that_was_away_notices_what_was_lost(ipc: str) -> None:
    """Large messages: they do not fit into the queues."""
    with publishing(ipc, "--fps", "150", "--cells", "120"), Subscriber(ipc) as subscriber:
        first = take(subscriber, 1)[0].header.seq
        before, last, given = subscriber.skipped.total(), first, 1
        time.sleep(4)
        while not subscriber.skipped["lost"]:
            last, given = take(subscriber, 1)[0].header.seq, given + 1
        assert subscriber.skipped["stale"] > 0
        assert subscriber.skipped.total() - before == last - first + 1 - given


def test_a_slow_reader_sees_all_sources(ipc: str) -> None:
    with publishing(ipc, "--fps", "60", "--sources", "a", "b", "c"), Subscriber(ipc) as subscriber:
        seen = []
        for message in islice(subscriber.messages(timeout_s=10), 15):
            seen.append(message.header.source)
            time.sleep(0.1)
    assert min(seen.count(source) for source in "abc") >= 4


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_subscriber_survives_the_publishers_restarts_in_one_socket(transport: str, ipc: str, free_port: int) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port}" if transport == "tcp" else ipc
    process = psutil.Process()
    seen, used = [], []
    with Subscriber(endpoint) as subscriber:
        for _ in range(3):
            with publishing(endpoint):
                seen.append(take(subscriber, 3)[-1].header)
                used.append((process.num_fds(), process.num_threads()))
            list(subscriber.messages(timeout_s=0.1))
    assert len({header.publisher for header in seen}) == 3
    assert used[1] == used[2] == used[0]
    assert subscriber.skipped["lost"] == 0


def test_a_subscriber_waits_through_a_stranger_at_the_publishers_port(free_port: int) -> None:
    """Whatever it says. ZeroMQ alone would not try again."""
    with Subscriber(f"tcp://127.0.0.1:{free_port}", sources=["demo"]) as subscriber:
        with socket.create_server(("127.0.0.1", free_port)) as stranger:
            stranger.settimeout(0.1)
            for reply in (
                b"HTTP/1.1 200 OK\r\n\r\n" * 10,
                bytes(range(256)) * 8,
                b"\xff" + bytes(8) + b"\x7f\x03\x01" * 99,
            ):
                caller = None
                while caller is None:
                    list(subscriber.messages(timeout_s=0.02))
                    with suppress(TimeoutError):
                        caller, _ = stranger.accept()
                with caller, suppress(OSError):
                    caller.sendall(reply)
                    list(subscriber.messages(timeout_s=0.2))
        with publishing(f"tcp://127.0.0.1:{free_port}"):
            assert len(take(subscriber, 2)) == 2


def test_both_sides_notice_that_the_connection_is_dead_though_nobody_closed_it() -> None:
    with Publisher(ANY_PORT) as publisher, way_to(publisher.endpoint) as way:
        publisher.send_result(result_of(0))
        with Subscriber(way.endpoint, sources=["demo"]) as subscriber:
            eventually(lambda: publisher.serve() or publisher.wants("demo", "result"), "the subscription")
            assert indices(take(subscriber, 1)) == [0]
            way.frozen = True
            eventually(lambda: publisher.serve() or not publisher.wants("demo", "result"), "it is gone", seconds=40)
            way.frozen = False
            publisher.send_result(result_of(1))
            got: list[Message] = []
            eventually(
                lambda: publisher.serve() or got.extend(subscriber.messages(timeout_s=0.02)) or got,
                "it is back",
                seconds=40,
            )
            assert indices(got) == [1]


def test_a_stopped_subscriber_costs_the_publisher_neither_time_nor_memory(ipc: str) -> None:
    """1500 messages of 160 kB."""
    with (
        Publisher(ipc) as publisher,
        subprocess.Popen([sys.executable, "-c", READER, ipc], stdout=subprocess.PIPE, text=True) as reader,
    ):
        assert reader.stdout is not None
        try:
            publisher.send_directory(["demo"])
            publisher.send_result(result_of(0, cells=100))
            eventually(lambda: publisher.serve() or publisher.wants("demo", "result"), "the reader subscribes")
            assert reader.stdout.readline() == "0\n"
            os.kill(reader.pid, signal.SIGSTOP)
            result, memory = result_of(1, cells=100), psutil.Process().memory_info
            before_bytes, started_s, slowest_s = memory().rss, time.monotonic(), 0.0
            for _ in range(1500):
                sent_s = time.monotonic()
                publisher.send_result(result)
                publisher.serve()
                slowest_s = max(slowest_s, time.monotonic() - sent_s)
            assert time.monotonic() - started_s < 6
            assert slowest_s < 1
            assert memory().rss - before_bytes < 40_000_000
            os.kill(reader.pid, signal.SIGCONT)
            assert reader.stdout.readline() == "1\n"
        finally:
            reader.kill()


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:5555",
        "tcp://*:5555",
        "tcp://192.168.1.5:5555",
        "tcp://10.0.0.1:*",
        "tcp://[::]:5555",
        "tcp://8.8.8.8:5555",
        "tcp://camera.example:5555",
        "tcp://eth0:5555",
        "tcp://0:5555",
        "tcp://127.0.0.1;0.0.0.0:5555",
    ],
)
def test_what_other_machines_could_reach_is_refused(endpoint: str) -> None:
    with pytest.raises(StreamcamError, match="refused to bind"), Publisher(endpoint):
        pass


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5555", "tcp://localhost:*", "ipc:///tmp/nobody-is-here"])
def test_this_machine_alone_is_fine(endpoint: str) -> None:
    require_bindable(endpoint)


def test_localhost_can_be_bound() -> None:
    with Publisher("tcp://localhost:*") as publisher:
        assert publisher.endpoint.startswith("tcp://127.0.0.1:")


MALFORMED = [
    "",
    "5555",
    "localhost:5555",
    "tcp:/127.0.0.1:5555",
    "tcp://",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:",
    "tcp://:5555",
    "tcp://127.0.0.1:http",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:-1",
    "ipc://",
    "http://127.0.0.1:5555",
    "inproc://here",
    f"ipc:///tmp/{'x' * 200}/s",
    "ipc:///nowhere/at/all/s",
]


@pytest.mark.parametrize("endpoint", MALFORMED)
def test_binding_a_malformed_endpoint_is_an_error_for_people(endpoint: str) -> None:
    with pytest.raises(StreamcamError), Publisher(endpoint):
        pass


@pytest.mark.parametrize("endpoint", [*MALFORMED[:-1], "tcp://127.0.0.1:*", "tcp://*:5555"])
def test_connecting_to_a_malformed_endpoint_is_an_error_for_people(endpoint: str) -> None:
    with pytest.raises(StreamcamError), Subscriber(endpoint):
        pass


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70, "."])
def test_an_unknown_host_is_an_error_for_people(host: str) -> None:
    with pytest.raises(StreamcamError, match="unknown host"):
        require_resolvable(f"tcp://{host}:5555")


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_an_endpoint_in_use_is_an_error_for_people(transport: str, ipc: str) -> None:
    with Publisher(ANY_PORT if transport == "tcp" else ipc) as first:
        with pytest.raises(StreamcamError, match="another program serves it"):
            Publisher(first.endpoint)
        with Subscriber(first.endpoint, sources=["demo"]) as subscriber:  # the first has kept it
            first.send_result(result_of(0))
            eventually(lambda: first.serve() or first.wants("demo", "result"), "the subscription")
            assert indices(take(subscriber, 1)) == [0]


def test_an_endpoint_can_be_bound_again_after_closing(ipc: str) -> None:
    for _ in range(2):
        with Publisher(ipc):
            pass


def test_closing_twice_is_fine(ipc: str) -> None:
    publisher, subscriber = Publisher(ipc), Subscriber(ipc)
    for _ in range(2):
        publisher.close()
        subscriber.close()


def test_a_subscriber_refuses_source_names_that_cannot_be_and_leaves_nothing_open(ipc: str) -> None:
    open_before = psutil.Process().num_fds()
    with pytest.raises(ValueError, match="source name"):
        Subscriber(ipc, sources=["cam 1"])
    assert psutil.Process().num_fds() == open_before


def test_messages_older_than_the_limit_are_discarded_and_counted(ipc: str) -> None:
    now_ns = 10_000_000_000
    with raw_publisher(ipc, max_age_ms=500, clock=lambda: now_ns) as (raw, subscriber):
        raw.send(numbered(0, sent_ns=now_ns - 501_000_000))
        assert given_until_skipped(subscriber, "stale", 1) == []
        raw.send(numbered(1, sent_ns=now_ns - 499_000_000))
        assert indices(take(subscriber, 1)) == [1]


def test_the_publisher_says_when_it_sent(ipc: str) -> None:
    with Publisher(ipc, clock=lambda: 77) as publisher, Subscriber(ipc, sources=["demo"]) as subscriber:
        publisher.send_result(result_of(0))
        eventually(lambda: publisher.serve() or publisher.wants("demo", "result"), "the subscription")
        assert take(subscriber, 1)[0].header.sent_ns == 77


def truncated(message: list[bytes]) -> list[bytes]:
    return [*message[:-1], message[-1][:-1]]


MALFORMATIONS: list[Callable[[list[bytes]], list[bytes]]] = [
    truncated,
    lambda m: m[:1],
    lambda m: m[:-1],
    lambda m: [*m, b"more"],
    lambda m: [*m[:2], *m[:1:-1]],
    lambda m: [m[0], b"{}", *m[2:]],
    lambda m: [m[0], b"\xff" * 100, *m[2:]],
    lambda m: [m[0], m[1].replace(b"streamcam/1", b"streamcam/2"), *m[2:]],
    lambda m: [m[0], *[b""] * 100],
    lambda m: [m[0] + b"more/", *m[1:]],
]


def test_malformed_messages_are_counted_and_never_raise(ipc: str) -> None:
    with raw_publisher(ipc) as (raw, subscriber):
        for seq, malform in enumerate(MALFORMATIONS):
            raw.send(malform(numbered(seq)))
            assert given_until_skipped(subscriber, "malformed", seq + 1) == []
        raw.send(numbered(100))
        assert indices(take(subscriber, 1)) == [100]


def test_a_directory_with_impossible_names_is_counted_and_never_raises(ipc: str) -> None:
    raw = Raw(ipc)
    try:
        with Subscriber(ipc) as subscriber:
            raw.await_subscription(topic("_", "status"))
            raw.send(encode_directory(["demo", "a/b"], Stamp("p", 0, 0)))
            assert given_until_skipped(subscriber, "malformed", 1) == []
    finally:
        raw.close()


def test_the_waiting_time_is_kept_although_messages_come_that_cannot_be_given(ipc: str) -> None:
    with publishing(ipc, "--fps", "50", "--seconds", "5"), Subscriber(ipc, max_age_ms=0) as subscriber:
        eventually(lambda: subscriber.skipped.total() or list(subscriber.messages(timeout_s=0.01)), "the first message")
        started_s = time.monotonic()
        assert list(subscriber.messages(timeout_s=0.3)) == []
        assert time.monotonic() - started_s < 2


def test_many_sources_can_speak_at_the_same_moment(ipc: str) -> None:
    names = [f"cam{i}" for i in range(40)]
    with (
        Publisher(ipc, sources=len(names)) as publisher,
        Subscriber(ipc, kinds=("status",), sources=names) as subscriber,
    ):
        eventually(lambda: publisher.serve() or publisher.wants(names[-1], "status"), "all topics are subscribed to")
        for name in names:
            publisher.send_status(name, {"state": "live"})
        heard = {message.header.source for message in islice(subscriber.messages(timeout_s=5), len(names))}
    assert heard == set(names)


def a_picture(index: int) -> Result:
    return Result(Frame(np.full((8, 8, 3), 40 * index, np.uint8), index, index / 10, 0, "cam"))


def joined(publisher: Publisher, kind: Kind) -> tuple[Message, float]:
    """What somebody who joins now is sent first, and after how many seconds."""
    with Subscriber(publisher.endpoint, kinds=(kind,), sources=["cam"]) as subscriber:
        got: list[Message] = []
        started_s = time.monotonic()
        eventually(
            lambda: publisher.serve() or got.extend(islice(subscriber.messages(timeout_s=0.02), 1)) or got,
            f"the last {kind}",
        )
        taken_s = time.monotonic() - started_s
    eventually(lambda: publisher.serve() or not publisher.wants("cam", kind), "it has left")
    return got[0], taken_s


@pytest.mark.parametrize("kind", ["frame", "overlay"])
def test_a_late_joiner_has_the_last_picture_at_once_although_no_more_come(ipc: str, kind: Any) -> None:
    """It is painted when it is wanted first, and not again."""
    painted: list[int] = []

    def paint(result: Result) -> Image:
        painted.append(result.frame.index)
        return result.frame.pixels

    with Publisher(ipc, clock=iter(range(100)).__next__) as publisher:
        for index in range(3):
            publisher.offer_picture(kind, a_picture(index), paint)
        assert painted == []
        first, taken_s = joined(publisher, kind)
        second, _ = joined(publisher, kind)
    assert painted == [2]
    assert taken_s < 1
    assert indices([first, second]) == [2, 2]
    assert (first.header.seq, first.header.sent_ns) == (0, 2)  # as old as it is
    assert second.header == first.header
    assert np.abs(result_in(first).frame.pixels.astype(int) - 80).max() < 4


def test_pictures_that_joiners_are_owed_are_painted_one_at_a_time(ipc: str) -> None:
    names = ["a", "b", "c"]
    painted: list[str] = []

    def paint(result: Result) -> Image:
        painted.append(result.frame.source)
        return result.frame.pixels

    with Publisher(ipc) as publisher, Subscriber(ipc, kinds=("overlay",), sources=names) as subscriber:
        for name in names:
            publisher.offer_picture("overlay", result_of(0, source=name), paint)
        counts = []
        while len(painted) < 3:
            publisher.serve()
            counts.append(len(painted))
        assert {b - a for a, b in pairwise(counts)} <= {0, 1}
        assert {message.header.source for message in take(subscriber, 3)} == set(names)


def test_a_joiner_that_a_newer_picture_has_reached_is_not_sent_the_older_one(ipc: str) -> None:
    with Publisher(ipc) as publisher, Subscriber(ipc, kinds=("overlay",), sources=["a", "cam"]) as subscriber:
        publisher.offer_picture("overlay", result_of(0, source="a"), lambda r: r.frame.pixels)
        publisher.offer_picture("overlay", a_picture(1), lambda r: r.frame.pixels)
        eventually(lambda: publisher.wants("cam", "overlay") or publisher.serve(), "both are wanted")
        publisher.offer_picture("overlay", a_picture(2), lambda r: r.frame.pixels)
        for _ in range(5):
            publisher.serve()
        messages = [m for m in subscriber.messages(timeout_s=0.5) if m.header.source == "cam"]
    assert indices(messages)[-1] == 2
    assert subscriber.skipped["lost"] == 0


def test_a_publisher_tells_how_much_it_has_sent_and_how_many_subscribe(ipc: str) -> None:
    with Publisher(ipc) as publisher, Subscriber(ipc, kinds=("result",), sources=["a"]):
        publisher.send_directory(["a", "b"])
        for name in ("a", "a", "b"):
            publisher.send_result(result_of(0, source=name))
        publisher.send_status("a", {})
        publisher.offer_picture("overlay", result_of(0, source="a"), lambda r: r.frame.pixels)  # nobody wants it
        assert publisher.sent == {("a", "result"): 2, ("b", "result"): 1, ("a", "status"): 1}
        eventually(lambda: publisher.subscriptions or publisher.serve(), "there is a subscription")
