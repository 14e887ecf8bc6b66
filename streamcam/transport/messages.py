"""`streamcam/1`: results ↔ multipart messages, as lists of bytes. No sockets, no pickle.

Specified in docs/reference/message-format.md.

0    topic      sc1/<source>/<kind>/
1    header     JSON, at most 64 KiB
2…   payloads   in the order of the header's `parts`: raw little-endian tensors in C order, or JPEG pictures
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from streamcam.event import Event
from streamcam.records import Frame, Heat, Picture, Result, Transform
from streamcam.transport.event_header import EventHeader
from streamcam.transport.headers import (
    DIRECTORY,
    MAX_HEADER_BYTES,
    MAX_PAYLOADS,
    PROTOCOL,
    ClassHeader,
    FrameHeader,
    Header,
    HeatHeader,
    Kind,
    Scalar,
)
from streamcam.transport.payloads import MessageError, PayloadInfo, decode_payload, encode_image, encode_tensor

READ_PAYLOADS: dict[str, tuple[str, ...]] = {
    "result": ("cube", "common", "logits"),
    "frame": ("image",),
    "overlay": ("image",),
}
"""The payloads that are read, by the kind of message. All others are ignored."""

_SOURCE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message."""

    header: Header
    result: Result | None
    """The content as a record; None for a message that belongs to no frame."""
    event: Event | None = None
    """The content of an `event`."""


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message whose header alone is decoded."""

    header: Header
    parts: Sequence[bytes]
    """Topic, header and payloads, as they were sent."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The sender of a message, its number in the sequence, and its time."""

    publisher: str
    seq: int
    sent_ns: int
    """Unix time in nanoseconds."""


def topic(source: str, kind: Kind) -> bytes:
    """Return the topic of a source's messages of one kind.

    Subscriptions are prefixes: the slash at the end keeps `cam1` from matching `cam10`.

    Raises:
        MessageError: the source name cannot stand in a topic.
    """
    if not _SOURCE_NAME.fullmatch(source):
        raise MessageError(f"expected a source name of letters, digits, '.', '_' and '-', got {source!r}")
    return f"sc1/{source}/{kind}/".encode()


def encode_result(result: Result, stamp: Stamp) -> list[bytes]:
    """Encode a `result`: the heat cube, the common map and all logits, without pixels.

    Raises:
        ValueError: the result has no heat.
        MessageError: the header would be too large: there are too many classes.
    """
    heat = result.heat
    if heat is None:
        raise ValueError("expected a result with heat, got one without")
    tensors = [
        encode_tensor("cube", heat.cube, "f2"),
        encode_tensor("common", heat.common, "f2"),
        encode_tensor("logits", heat.logits, "f4"),
    ]
    return _encode("result", result, stamp, tensors)


def encode_picture(kind: Literal["frame", "overlay"], result: Result, picture: Picture, stamp: Stamp) -> list[bytes]:
    """Encode a `frame` (the camera's picture) or an `overlay` (a painted one), uint8 [H,W,3] RGB, as JPEG."""
    return _encode(kind, result, stamp, [encode_image("image", picture)])


def encode_status(source: str, data: Mapping[str, Scalar], stamp: Stamp) -> list[bytes]:
    """Encode a `status`: the state of a source and its counters."""
    return _assemble(_header("status", source, stamp, data=dict(data)), [])


def encode_event_message(event: Event, stamp: Stamp) -> list[bytes]:
    """Encode an `event`: all of its record, and no payload.

    Raises:
        MessageError: a text, a list or a number is beyond the limits of the format.
    """
    return _assemble(_header("event", event.source, stamp, session=event.session, event=EventHeader.of(event)), [])


def encode_directory(sources: Sequence[str], stamp: Stamp) -> list[bytes]:
    """Encode the directory: a `status` that lists all sources, by which a subscriber chooses its topics."""
    return _assemble(_header("status", DIRECTORY, stamp, sources=list(sources)), [])


def decode(message: Sequence[bytes]) -> Message:
    """Decode a message. It is strict about what it reads, and ignores fields that it does not know.

    It allocates nothing beyond the size of the message and of the picture in it.

    Raises:
        MessageError: the message is malformed or of another major version. Nothing else is ever raised.
    """
    header = decode_header(message)
    bodies = message[2:]
    if len(bodies) != len(header.payloads):
        raise MessageError(f"expected {len(header.payloads)} payloads, got {len(bodies)}")
    payloads = {info.name: (info, body) for info, body in zip(header.payloads, bodies, strict=True)}
    if len(payloads) != len(bodies):
        raise MessageError("two payloads have the same name")
    try:
        names = [name for name in READ_PAYLOADS.get(header.kind, ()) if name in payloads]
        values = {name: decode_payload(*payloads[name]) for name in names}
        return Message(header, _result(header, values), _event(header))
    except (ValueError, KeyError, OverflowError) as e:
        raise MessageError(str(e)) from e


def decode_header(message: Sequence[bytes]) -> Header:
    """Decode the header of a message, and check it against the topic.

    Raises:
        MessageError: as for `decode`.
    """
    if not 2 <= len(message) <= 2 + MAX_PAYLOADS:
        raise MessageError(f"expected 2 to {2 + MAX_PAYLOADS} parts, got {len(message)}")
    if len(message[1]) > MAX_HEADER_BYTES:
        raise MessageError(f"expected a header of at most {MAX_HEADER_BYTES} bytes, got {len(message[1])}")
    try:
        header = msgspec.json.decode(message[1], type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise MessageError(f"header: {e}") from e
    if header.protocol.partition(".")[0] != PROTOCOL:  # streamcam/1.N only adds fields
        raise MessageError(f"expected {PROTOCOL}, got {header.protocol[:40]!r}")
    # A subscriber sorts messages by topic, and trusts the header's source and kind: they have to agree.
    if message[0] != topic(header.source, header.kind):
        raise MessageError("the topic and the header disagree")
    return header


def _encode(kind: Kind, result: Result, stamp: Stamp, payloads: Sequence[tuple[PayloadInfo, bytes]]) -> list[bytes]:
    frame = result.frame
    header = _header(
        kind,
        frame.source,
        stamp,
        session=frame.session,
        frame=FrameHeader(frame.index, frame.pts_s, frame.captured_ns),
        heat=None if result.heat is None else _heat_header(result, result.heat),
        timings_ms={k: round(v, 3) for k, v in result.timings_ms.items()},
        drops=dict(result.drops),
        payloads=[info for info, _ in payloads],
    )
    return _assemble(header, [body for _, body in payloads])


def _header(kind: Kind, source: str, stamp: Stamp, **fields: Any) -> Header:
    return Header(
        protocol=PROTOCOL,
        kind=kind,
        publisher=stamp.publisher,
        seq=stamp.seq,
        source=source,
        sent_ns=stamp.sent_ns,
        **fields,
    )


def _assemble(header: Header, bodies: list[bytes]) -> list[bytes]:
    encoded = msgspec.json.encode(header)
    if len(encoded) > MAX_HEADER_BYTES:
        raise MessageError(
            f"expected a header of at most {MAX_HEADER_BYTES} bytes, got {len(encoded)}: send fewer classes"
        )
    return [topic(header.source, header.kind), encoded, *bodies]


def _heat_header(result: Result, heat: Heat) -> HeatHeader:
    rows = zip(heat.classes.tolist(), heat.labels, heat.scores.tolist(), strict=True)
    scales = [None] * len(heat.labels) if heat.scale is None else heat.scale.tolist()
    return HeatHeader(
        model=heat.model,
        model_hash=heat.model_hash,
        top=[
            ClassHeader(index, label, score, float(heat.logits[index]), scale)
            for (index, label, score), scale in zip(rows, scales, strict=True)
        ],
        pts_s=heat.pts_s.tolist(),
        clip_pts_s=heat.clip_pts_s,
        transform=(heat.transform.left, heat.transform.top, heat.transform.right, heat.transform.bottom),
        lookahead_s=round(heat.lookahead_s, 6),
        hop_s=None if result.hop_s is None else round(result.hop_s, 6),
        skipped=result.skipped,
    )


def _event(header: Header) -> Event | None:
    if header.kind != "event":
        return None
    if header.event is None or header.event.source != header.source:
        raise MessageError("an event message without an event of its own source")
    return header.event.event()


def _result(header: Header, values: Mapping[str, npt.NDArray[Any]]) -> Result | None:
    frame = header.frame
    if frame is None:
        if header.kind in ("result", "overlay", "frame"):
            raise MessageError(f"a message of kind {header.kind!r} without a frame")
        return None
    if header.kind in ("overlay", "frame") and "image" not in values:
        raise MessageError(f"a message of kind {header.kind!r} without a picture")
    return Result(
        frame=Frame(
            values.get("image"), frame.index, frame.pts_s, frame.captured_ns, header.source, session=header.session
        ),
        heat=_heat(header.heat, values) if header.kind == "result" else None,
        timings_ms=header.timings_ms,
        drops=header.drops,
        hop_s=header.heat.hop_s if header.heat else None,
        skipped=header.heat.skipped if header.heat else 0,
    )


def _heat(header: HeatHeader | None, values: Mapping[str, npt.NDArray[Any]]) -> Heat:
    if header is None:
        raise MessageError("a result without heat")
    known = [row.scale for row in header.top if row.scale is not None]
    # JSON's numbers may exceed float32: they become infinite here without a warning, and `Heat` refuses them.
    with np.errstate(over="ignore"):
        scale = np.array(known, np.float32) if len(known) == len(header.top) else None
        scores = np.array([row.score for row in header.top], np.float32)
    return Heat(
        cube=values["cube"],
        common=values["common"],
        classes=np.array([row.index for row in header.top], np.int64),
        labels=tuple(row.label for row in header.top),
        scores=scores,
        logits=values["logits"],
        scale=scale,
        pts_s=np.array(header.pts_s, np.float64),
        clip_pts_s=header.clip_pts_s,
        transform=Transform(*header.transform),
        model=header.model,
        model_hash=header.model_hash,
        lookahead_s=header.lookahead_s,
    )
