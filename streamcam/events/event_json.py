"""Events ↔ JSON, as it is in files, webhooks and MQTT messages."""

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from streamcam.errors import StreamcamError, first_line, one_line
from streamcam.event import MAX_TUBE, EndReason, Event, EventState, Rectangle, TubeBox

MAX_EVENT_BYTES = 256 * 1024
"""An event in JSON is never longer."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"  # it never begins with a dot, so it leads to no other folder
FILE_NAME = re.compile(_NAME[:-1] + "{0,99}")
"""What a file of an event may be called."""
MAX_FILES = 64
"""An event names so many files at most."""

Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z", max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=200)]
FileName = Annotated[str, msgspec.Meta(pattern=rf"^{FILE_NAME.pattern}\Z")]
Folder = Annotated[str, msgspec.Meta(pattern=rf"^{_NAME}(/{_NAME})*\Z", max_length=400)]
Fraction = Annotated[float, msgspec.Meta(ge=-0.001, le=1.001)]  # sums of float32 are a little beside 0 and 1
StreamTime = Annotated[float, msgspec.Meta(ge=-1e10, le=1e10)]
UnixTime = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Session = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Box = tuple[Fraction, Fraction, Fraction, Fraction]


class _EventJson(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `Event`, with the limits of each."""

    id: Id
    state: EventState
    rule: Name
    source: Name
    session: Session
    zone: Name | None
    label: Text
    start_pts_s: StreamTime
    pts_s: StreamTime
    start_ns: UnixTime
    score: Fraction
    peak: Fraction
    peak_pts_s: StreamTime
    scores: Annotated[dict[Text, Fraction], msgspec.Meta(max_length=1000)] = {}
    box: Box | None = None
    tube: Annotated[list[tuple[StreamTime, Box]], msgspec.Meta(max_length=MAX_TUBE)] = []
    camera_ns: UnixTime | None = None
    reason: EndReason | None = None
    folder: Folder | None = None
    files: Annotated[list[FileName], msgspec.Meta(max_length=MAX_FILES)] = []


_FIELDS = tuple(field.name for field in fields(Event))
_decoder = msgspec.json.Decoder(_EventJson)


def encode_event(event: Event) -> bytes:
    """Encode an event as one line of JSON.

    Its keys are the fields of `Event`. For people, `started`, `peak_at` and `last_at` (at `pts_s`) follow the id, in
    UTC, as `2026-11-30T17:22:09.041Z`; readers of programs ignore them. A box is [left, top, right, bottom].

    Raises:
        StreamcamError: a field is not what it may be, so nobody could decode it.
    """
    times = {
        "started": _readable(event, event.start_pts_s),
        "peak_at": _readable(event, event.peak_pts_s),
        "last_at": _readable(event, event.pts_s),
    }
    content = {"id": event.id, "state": event.state, **times} | {name: getattr(event, name) for name in _FIELDS}
    try:
        encoded = msgspec.json.encode(content)
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, TypeError) as e:
        raise StreamcamError(f"an event cannot be written as JSON: {one_line(first_line(e))}") from e
    decode_event(encoded)  # nan, for instance, is encoded as null
    return encoded


def decode_event(content: bytes) -> Event:
    """Decode an event. Keys that are not fields of `Event` are ignored: a later version may have written them.

    Raises:
        StreamcamError: it is not an event in JSON.
    """
    if len(content) > MAX_EVENT_BYTES:
        raise StreamcamError(f"not an event in JSON: {len(content)} bytes, expected at most {MAX_EVENT_BYTES}")
    try:
        found = _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise StreamcamError(f"not an event in JSON: {one_line(first_line(e))}") from e
    values = {name: getattr(found, name) for name in _FIELDS}
    values["box"] = None if found.box is None else Rectangle(*found.box)
    values["tube"] = tuple(TubeBox(pts_s, Rectangle(*box)) for pts_s, box in found.tube)
    values["files"] = tuple(found.files)
    return Event(**values)


def _readable(event: Event, pts_s: float) -> str | None:
    """Write a moment of the stream by this machine's clock; None if it is none."""
    try:
        seconds = event.start_ns / 1e9 + (pts_s - event.start_pts_s)
        moment = _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError, TypeError):  # the fields are checked once all is encoded
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
