import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streamcam.errors import StreamcamError
from streamcam.event import MAX_TUBE, Event, Rectangle, TubeBox
from streamcam.events.event_json import MAX_EVENT_BYTES, decode_event, encode_event
from tests.support.saved import make_event

unhurried = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


fractions = st.floats(0, 1) | st.just(1 + 1e-6)
times = st.floats(-1e9, 1e9)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=100)
boxes = st.builds(Rectangle, fractions, fractions, fractions, fractions)
unix_ns = st.integers(0, 2**63 - 1)
events = st.builds(
    Event,
    id=names,
    state=st.sampled_from(["start", "update", "end", "saved"]),
    rule=names,
    source=names,
    session=st.integers(-(2**63), 2**63 - 1),
    zone=st.none() | names,
    label=texts,
    start_pts_s=times,
    pts_s=times,
    start_ns=unix_ns,
    score=fractions,
    peak=fractions,
    peak_pts_s=times,
    scores=st.dictionaries(texts, fractions, max_size=5),
    box=st.none() | boxes,
    tube=st.lists(st.builds(TubeBox, times, boxes), max_size=MAX_TUBE).map(tuple),
    camera_ns=st.none() | unix_ns,
    reason=st.sampled_from([None, "over", "lost", "ended", "stopped", "no results"]),
    folder=st.none() | st.just("2026/11/30/id"),
    files=st.lists(st.sampled_from(["clip.mp4", "snapshot.jpg", "heat.npz"]), unique=True).map(tuple),
)


@unhurried
@given(events)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    decoded = decode_event(encode_event(event))
    assert decoded == event
    assert decoded.box is None or isinstance(decoded.box, Rectangle)


@unhurried
@given(events, st.data())
def test_mangled_json_is_refused_in_one_line_or_is_an_event(event: Event, data: st.DataObject) -> None:
    encoded = bytearray(encode_event(event))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    _refused_or_event(bytes(encoded))


@unhurried
@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"id":' * 50_000)
def test_any_bytes_are_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(StreamcamError, match="not an event in JSON") as caught:
        decode_event(content)
    assert str(caught.value).isprintable()


def _refused_or_event(content: bytes) -> None:
    try:
        event = decode_event(content)
    except StreamcamError as e:
        assert str(e).isprintable()
    else:
        assert decode_event(encode_event(event)) == event


def test_people_can_read_its_times() -> None:
    content = json.loads(encode_event(make_event()))
    readable = [content[name] for name in ("started", "peak_at", "last_at")]
    assert readable == ["2026-11-30T12:00:00.000Z", "2026-11-30T12:00:01.000Z", "2026-11-30T12:00:02.500Z"]
    assert content["rule"] == "way"


def test_a_box_is_left_top_right_bottom() -> None:
    content = json.loads(encode_event(replace(make_event(), box=Rectangle(0.1, 0.2, 0.3, 0.4))))
    assert content["box"] == [0.1, 0.2, 0.3, 0.4]


def test_keys_of_a_later_version_are_ignored() -> None:
    later = json.loads(encode_event(make_event())) | {"plate": {"text": "B 1"}}
    assert decode_event(json.dumps(later).encode()) == make_event()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("id", value) for value in ("", "../etc", "a/b", ".hidden", "a\n", "x" * 201, 7, None)),
        *(("folder", value) for value in ("/etc", "..", "2026/../..", "a//b", "a/", "a\n", "x" * 401)),
        *(("files", value) for value in (["../clip.mp4"], [".hidden"], ["a\n"], ["a"] * 65, "clip.mp4")),
        *(("score", value) for value in (-0.1, 1.1, "0.5", None)),
        *(("start_ns", value) for value in (-1, 2**63, 0.5)),
        *(("state", value) for value in ("gone", None)),
        ("scores", {"person": 2}),
        ("box", [0, 0, 1]),
        ("box", [0, 0, 1, 1.5]),
        ("tube", [[0, [0, 0, 1, 1]]] * (MAX_TUBE + 1)),
        ("pts_s", 1e300),
        ("reason", "bored"),
        ("session", True),
    ],
)
def test_a_field_that_is_wrong_is_named(key: str, value: Any) -> None:
    content = json.loads(encode_event(make_event())) | {key: value}
    with pytest.raises(StreamcamError, match=rf"not an event in JSON: .*\$\.{key}"):
        decode_event(json.dumps(content).encode())


def test_a_field_that_is_missing_is_named() -> None:
    content = json.loads(encode_event(make_event()))
    del content["peak"]
    with pytest.raises(StreamcamError, match="missing required field `peak`"):
        decode_event(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("score", v) for v in (math.nan, math.inf, -1.0)), ("pts_s", math.inf), ("start_pts_s", math.nan)],
)
def test_what_nobody_could_read_is_not_written(name: str, value: float) -> None:
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(StreamcamError):
        encode_event(replace(make_event(), **wrong))


def test_text_that_is_not_unicode_is_not_written() -> None:
    with pytest.raises(StreamcamError, match="cannot be written as JSON"):
        encode_event(replace(make_event(), label="\ud800"))


def test_a_long_one_is_not_even_read() -> None:
    with pytest.raises(StreamcamError, match="expected at most"):
        decode_event(b" " * (MAX_EVENT_BYTES + 1))
