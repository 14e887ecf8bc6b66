"""Events arrive whole, all of them and in order; what is beyond the limits is refused."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from streamcam.event import Rectangle, TubeBox
from streamcam.events.event_json import decode_event, encode_event
from streamcam.transport import subscriber as subscribing
from streamcam.transport.messages import Message, Stamp, decode, encode_directory, encode_event_message, topic
from streamcam.transport.payloads import MessageError
from streamcam.transport.publisher import Publisher
from streamcam.transport.subscriber import Subscriber
from tests.support.messages import STAMP, an_event
from tests.support.publish_demo import eventually
from tests.transport.test_transport import Raw


@pytest.fixture
def ipc(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


def changed(**fields: Any) -> list[bytes]:
    name, header = encode_event_message(an_event(), STAMP)
    content = json.loads(header)
    content["event"] |= fields
    return [name, json.dumps(content).encode()]


def numbered(seq: int, source: str = "cam1") -> list[bytes]:
    return encode_event_message(an_event(pts_s=float(seq), source=source), Stamp("p", seq, 0))


def moments(messages: list[Message]) -> list[float]:
    return [message.event.pts_s for message in messages if message.event is not None]


def test_an_event_comes_back_as_it_was() -> None:
    message = decode(encode_event_message(an_event(), STAMP))
    assert message.event == an_event()
    assert message.event is not None
    assert isinstance(message.event.box, Rectangle)
    assert all(isinstance(part, TubeBox) and isinstance(part.box, Rectangle) for part in message.event.tube)
    assert (message.result, message.header.session) == (None, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "x" * 200},
        {"id": "0_.-"},
        {"rule": "x" * 48, "zone": "0_-"},
        {"label": "x" * 200, "scores": {f"{n:0200}": 1.001 for n in range(200)}},
        {"label": "", "scores": {}},
        {"start_pts_s": -1e10, "pts_s": 1e10, "peak_pts_s": 0.0},
        {"start_ns": 2**63 - 1, "camera_ns": 0, "session": -(2**63)},
        {"score": -0.001, "peak": 1.001},
        {"folder": "x" * 400},
        {"folder": "_a/-b/0.c"},
        {"files": tuple(f"_{n}" for n in range(64))},
        {"files": ("x" * 100,)},
    ],
    ids=lambda fields: ",".join(fields),
)
def test_what_a_message_may_hold_can_be_kept_and_told_as_json(fields: dict[str, Any]) -> None:
    event = decode(encode_event_message(an_event(**fields), STAMP)).event
    assert event is not None
    assert decode_event(encode_event(event)) == event == an_event(**fields)


def test_an_event_that_has_only_begun_comes_back() -> None:
    event = an_event(state="start", zone=None, box=None, tube=(), camera_ns=None, reason=None, folder=None, files=())
    assert decode(encode_event_message(event, STAMP)).event == event


def test_fields_of_the_future_are_ignored() -> None:
    assert decode(changed(weather={"rain": 1})).event == an_event()


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "../etc"},
        {"id": ".hidden"},
        {"id": "x" * 201},
        {"id": "two\n"},
        {"state": "begun"},
        {"rule": "a/b"},
        {"rule": "#"},
        {"source": "cam2"},
        {"zone": ""},
        {"label": "x" * 201},
        {"pts_s": 1e300},
        {"pts_s": None},
        {"start_ns": -1},
        {"start_ns": 2**63},
        {"score": 1.1},
        {"score": -0.1},
        {"scores": {"x" * 201: 0.5}},
        {"scores": {str(n): 0.5 for n in range(1001)}},
        {"box": [0, 0, 1]},
        {"box": [0, 0, 1, 1e9]},
        {"tube": [[0, [0, 0, 1, 1]]] * 65},
        {"reason": "why not"},
        {"folder": ""},
        {"folder": "../a"},
        {"folder": "x" * 401},
        {"files": ["a"] * 65},
        {"files": ["../a"]},
        {"files": [".."]},
        {"files": ["x" * 101]},
    ],
    ids=str,
)
def test_what_is_beyond_the_limits_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        decode(changed(**fields))


@pytest.mark.parametrize("fields", [{"label": "x" * 201}, {"files": ("a/b",)}, {"tube": an_event().tube * 40}], ids=str)
def test_an_event_beyond_the_limits_is_not_sent(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="event '20261130T172209"):
        encode_event_message(an_event(**fields), STAMP)


def test_an_event_message_without_an_event_is_refused() -> None:
    name, header = encode_event_message(an_event(), STAMP)
    content = json.loads(header)
    del content["event"]
    with pytest.raises(MessageError, match="without an event"):
        decode([name, json.dumps(content).encode()])


def test_events_arrive_all_and_in_order_while_results_would_be_skipped(ipc: str) -> None:
    with Publisher(ipc) as publisher, Subscriber(ipc, kinds=("event",), sources=["cam1"], max_age_ms=0) as subscriber:
        eventually(lambda: publisher.serve() or publisher.wants("cam1", "event"), "the subscription")
        for i in range(12):
            publisher.send_event(an_event(pts_s=float(i)))
        got = list(islice(subscriber.messages(timeout_s=10), 12))
    assert moments(got) == [float(i) for i in range(12)]
    assert subscriber.skipped.total() == 0


def test_a_late_joiner_gets_the_last_event_and_nobody_gets_it_twice(ipc: str) -> None:
    with Publisher(ipc) as publisher, Subscriber(ipc, kinds=("event",), sources=["cam1"]) as early:
        eventually(lambda: publisher.serve() or publisher.wants("cam1", "event"), "the first subscription")
        publisher.send_event(an_event(pts_s=1.0))
        publisher.send_event(an_event(pts_s=2.0))
        assert moments(list(islice(early.messages(timeout_s=10), 2))) == [1.0, 2.0]
        with Subscriber(ipc, kinds=("event",), sources=["cam1"]) as late:
            got: list[Message] = []
            eventually(lambda: publisher.serve() or got.extend(late.messages(timeout_s=0.05)) or got, "the last one")
        assert moments(got) == [2.0]
        assert list(early.messages(timeout_s=0.2)) == []
        assert early.skipped.total() == 0


def test_more_events_than_there_is_room_for_are_counted_as_lost(ipc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribing, "MAX_EVENTS", 5)
    raw = Raw(ipc)
    try:
        with Subscriber(ipc, kinds=("event",), sources=["cam1", "cam2"]) as subscriber:
            raw.await_subscription(topic("cam1", "event"))
            raw.await_subscription(topic("cam2", "event"))
            raw.send(*(numbered(seq) for seq in range(9)), numbered(0, "cam2"))
            got: list[Message] = []

            def newest_came() -> bool:
                got.extend(subscriber.messages(timeout_s=0.05))
                return {("cam1", 8), ("cam2", 0)} <= {(message.header.source, message.header.seq) for message in got}

            eventually(newest_came, "what is left")
            last = [message for message in got if message.header.source == "cam1"]
    finally:
        raw.close()
    assert moments(last) == sorted(moments(last))
    assert moments(last)[-1] == 8.0
    assert len(last) + subscriber.skipped["lost"] == 9
    assert subscriber.skipped == Counter(lost=9 - len(last)) - Counter()


def test_a_malformed_event_is_counted_and_the_next_one_arrives(ipc: str) -> None:
    raw = Raw(ipc)
    try:
        with Subscriber(ipc, kinds=("event",), sources=["cam1"]) as subscriber:
            raw.await_subscription(topic("cam1", "event"))
            raw.send(changed(score=7), changed(source="cam2"), numbered(42))
            assert moments(list(islice(subscriber.messages(timeout_s=10), 1))) == [42.0]
    finally:
        raw.close()
    assert subscriber.skipped["malformed"] == 2


def test_events_of_a_source_that_is_gone_are_still_told(ipc: str) -> None:
    raw = Raw(ipc)
    try:
        with Subscriber(ipc, kinds=("event",)) as subscriber:
            raw.await_subscription(b"sc1/_/status/")
            raw.send(encode_directory(["cam1"], Stamp("p", 0, 0)))
            list(subscriber.messages(timeout_s=0.2))
            raw.await_subscription(topic("cam1", "event"))
            raw.send(numbered(0), numbered(1), encode_directory([], Stamp("p", 1, 0)))
            assert moments(list(islice(subscriber.messages(timeout_s=10), 2))) == [0.0, 1.0]
    finally:
        raw.close()
