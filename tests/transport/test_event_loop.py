"""A subscriber in an event loop, which looks after many things and waits for none of them alone."""

import select
import time
from collections.abc import Iterator

import pytest

from streamcam.transport.messages import RawMessage
from streamcam.transport.publisher import Publisher
from streamcam.transport.subscriber import Subscriber
from tests.support.publish_demo import publish


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:*") as made:
        yield made


@pytest.fixture
def subscriber(publisher: Publisher) -> Iterator[Subscriber]:
    """One that the publisher sends results to, of which none has been received."""
    with Subscriber(publisher.endpoint, sources=["demo"]) as made:
        end_s = time.monotonic() + 10
        while not publisher.wants("demo", "result"):
            assert time.monotonic() < end_s
            publisher.serve()
            made.receive_raw(at_most=1)
        yield made


def received(subscriber: Subscriber, *, at_most: int = 64, timeout_s: float = 0.05) -> tuple[list[RawMessage], bool]:
    """Receive as an event loop does: once the descriptor is readable, and after a while in any case."""
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        select.select([subscriber], [], [], timeout_s)
        messages, more = subscriber.receive_raw(at_most=at_most)
        if messages:
            return messages, more
    raise AssertionError("nothing has come")


def test_the_descriptor_tells_of_every_message(publisher: Publisher, subscriber: Subscriber) -> None:
    for index in range(20):
        publish(publisher, index, source="demo", cells=7)
        began_s = time.monotonic()
        messages, _ = received(subscriber, timeout_s=1)
        assert [message.header.seq for message in messages] == [index]
        assert time.monotonic() - began_s < 0.9  # or it was the timeout of `select` that told


def test_nothing_is_waited_for(subscriber: Subscriber) -> None:
    began_s = time.monotonic()
    assert subscriber.receive_raw(at_most=64) == ([], False)
    assert time.monotonic() - began_s < 0.5


def test_of_messages_that_have_piled_up_the_newest_is_received(publisher: Publisher, subscriber: Subscriber) -> None:
    for index in range(6):
        publish(publisher, index, source="demo", cells=7)
    end_s, seqs = time.monotonic() + 10, [0]
    while seqs[-1] < 5 and time.monotonic() < end_s:
        seqs += [message.header.seq for message in received(subscriber)[0]]
    assert seqs == sorted(seqs)
    assert seqs[-1] == 5


def test_so_many_are_read_at_once_and_what_is_left_is_told(publisher: Publisher, subscriber: Subscriber) -> None:
    for index in range(3):
        publish(publisher, index, source="demo", cells=7)
    seqs = []
    for _ in range(3):
        messages, more = received(subscriber, at_most=1)
        assert more
        seqs += [message.header.seq for message in messages]
    assert seqs == [0, 1, 2]
    assert subscriber.receive_raw(at_most=1) == ([], False)
