"""A subscriber that asks for more kinds of messages while it runs, and passes messages on undecoded."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from streamcam.transport.headers import Kind
from streamcam.transport.messages import RawMessage, decode
from streamcam.transport.publisher import Publisher
from streamcam.transport.subscriber import Subscriber
from tests.support.publish_demo import publish


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:*", sources=2) as made:
        yield made


def received(
    publisher: Publisher, subscriber: Subscriber, until: Callable[[list[RawMessage]], bool]
) -> list[RawMessage]:
    """Publish, and receive until a condition holds."""
    messages: list[RawMessage] = []
    end_s = time.monotonic() + 10
    index = 0
    while not until(messages):
        assert time.monotonic() < end_s, [message.parts[0] for message in messages]
        publisher.serve()
        publisher.send_directory(["a", "b"])
        for source in ("a", "b"):
            publish(publisher, index, source=source, cells=7)
        index += 1
        while (message := next(subscriber.raw_messages(timeout_s=0.01), None)) is not None:
            messages.append(message)
    return messages


def topics(messages: Sequence[RawMessage]) -> set[tuple[str, Kind]]:
    return {(message.header.source, message.header.kind) for message in messages}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"a": ["frame"]}, {("a", "frame")}),
        ({"a": ["frame", "result"], "b": ["result"]}, {("a", "frame"), ("a", "result"), ("b", "result")}),
        ({"a": ["frame"], "missing": ["frame"]}, {("a", "frame")}),
    ],
)
def test_what_is_wanted_comes_beside_what_always_comes(
    publisher: Publisher, wanted: Mapping[str, Sequence[Kind]], expected: set[tuple[str, Kind]]
) -> None:
    expected = expected | {("a", "status"), ("b", "status")}
    with Subscriber(publisher.endpoint, kinds=("status",)) as subscriber:
        subscriber.want(wanted)
        messages = received(publisher, subscriber, lambda messages: topics(messages) >= expected)
        assert topics(messages) == expected
        assert subscriber.sources == ["a", "b"]


def test_what_is_no_longer_wanted_ends(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint, kinds=("status",)) as subscriber:
        subscriber.want({"a": ["frame"]})
        received(publisher, subscriber, lambda messages: ("a", "frame") in topics(messages))
        subscriber.want({"b": ["frame"]})
        received(publisher, subscriber, lambda messages: ("b", "frame") in topics(messages))
        later = received(publisher, subscriber, lambda messages: len(messages) > 20)
        assert ("b", "frame") in topics(later)
        assert ("a", "frame") not in topics(later)
        assert not publisher.wants("a", "frame")


def test_raw_messages_are_those_that_were_sent(publisher: Publisher) -> None:
    with Subscriber(publisher.endpoint, kinds=("result",)) as subscriber:
        raw = received(publisher, subscriber, bool)[0]
    decoded = decode(raw.parts)
    assert decoded.header == raw.header
    assert decoded.result is not None
    assert decoded.result.heat is not None
    assert decoded.result.heat.labels[0] == "teapot"
