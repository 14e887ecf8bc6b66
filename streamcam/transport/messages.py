"""`streamcam/1`: results ↔ message parts. Pure bytes: no sockets, no pickle. Specified in docs/wire.md.

part 0   topic             sc1/<source>/<kind>/
part 1   header            JSON, at most 64 KiB
part 2…  what the header's `parts` list, in that order: raw little-endian tensors in C order, or JPEG pictures
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from streamcam.records import Frame, Heat, Picture, Result, Transform
from streamcam.transport.payloads import Part, WireError, picture_part, read, tensor_part

PROTOCOL = "streamcam/1"
MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 16
MAX_SOURCES = 1024

PARTS: dict[str, tuple[str, ...]] = {
    "result": ("cube", "common", "logits"),
    "frame": ("image",),
    "overlay": ("image",),
}
"""What is read of a message, by its kind; other parts are left alone."""

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Kind = Literal["result", "overlay", "frame", "event", "status"]
Scalar = str | int | float | bool | None

DIRECTORY = "_"
"""The source name under which a publisher's `status` lists its sources."""

_SOURCE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class FrameHeader(msgspec.Struct, frozen=True):
    """Which frame a message speaks of."""

    index: Int64
    pts_s: float
    captured_ns: Int64


class ClassHeader(msgspec.Struct, frozen=True):
    """One of the K classes whose heat is sent, in the cube's order."""

    index: Int64
    label: str
    score: float
    logit: float
    scale: float | None = None


class HeatHeader(msgspec.Struct, frozen=True):
    """What the heat of a `result` speaks of."""

    model: str
    model_hash: str
    top: list[ClassHeader]
    pts_s: list[float]
    clip_pts_s: tuple[float, float]
    transform: tuple[float, float, float, float]
    lookahead_s: float = 0.0
    hop_s: float | None = None
    skipped: Int64 = 0


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Part 1 of every message."""

    protocol: str
    kind: Kind
    publisher: str
    """Random per start, so that a subscriber notices a restart."""
    seq: Int64
    """Running number per topic, from 0: a step greater than 1 means that messages were lost on the way."""
    source: str
    sent_ns: Int64
    """Unix time in nanoseconds."""
    session: Int64 = 0
    frame: FrameHeader | None = None
    heat: HeatHeader | None = None
    timings_ms: dict[str, float] = {}
    drops: dict[str, Int64] = {}
    data: dict[str, str | Int64 | float | bool | None] = {}
    """Of `status` and `event`: what they say."""
    sources: Annotated[list[str], msgspec.Meta(max_length=MAX_SOURCES)] = []
    """Of the directory: the names of all sources."""
    parts: Annotated[list[Part], msgspec.Meta(max_length=MAX_PARTS)] = []


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message: its header, and what it says as a record, if it speaks of a frame."""

    header: Header
    result: Result | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who sends a message, and its place in the sequence."""

    publisher: str
    seq: int
    sent_ns: int


def topic(source: str, kind: Kind) -> bytes:
    """The topic of a source's messages of one kind.

    The trailing slash keeps `cam1` from matching `cam10`.

    Raises:
        WireError: a source name that cannot be part of a topic.
    """
    if not _SOURCE_NAME.fullmatch(source):
        raise WireError(f"expected a source name of letters, digits, '.', '_' and '-', got {source!r}")
    return f"sc1/{source}/{kind}/".encode()


def encode_result(result: Result, stamp: Stamp) -> list[bytes]:
    """A `result`: the heat cube, the common map and all logits, and no pixels."""
    heat = result.heat
    if heat is None:
        raise ValueError("expected a result with heat, got one without")
    tensors = [
        tensor_part("cube", heat.cube, "f2"),
        tensor_part("common", heat.common, "f2"),
        tensor_part("logits", heat.logits, "f4"),
    ]
    return _message("result", result, stamp, tensors)


def encode_picture(kind: Literal["frame", "overlay"], result: Result, picture: Picture, stamp: Stamp) -> list[bytes]:
    """A `frame` (as it came) or an `overlay` (painted), uint8 [H,W,3] RGB, as JPEG."""
    return _message(kind, result, stamp, [picture_part("image", picture)])


def encode_status(source: str, data: Mapping[str, Scalar], stamp: Stamp) -> list[bytes]:
    """A `status`: once a second, how a source fares."""
    return _assemble(_bare_header("status", source, stamp, data=dict(data)), [])


def encode_directory(sources: Sequence[str], stamp: Stamp) -> list[bytes]:
    """The list of all sources, so that a subscriber can choose topics: one per source and kind."""
    return _assemble(_bare_header("status", DIRECTORY, stamp, sources=list(sources)), [])


def decode(message: Sequence[bytes]) -> Message:
    """Message parts → records. Strict about what it reads, silent about fields that it does not know.

    Raises:
        WireError: the message is malformed or of another major version. Nothing else is ever raised, and nothing is
            allocated beyond the size of the message (and of the picture that it holds).
    """
    header = decode_header(message)
    bodies = message[2:]
    if len(bodies) != len(header.parts):
        raise WireError(f"expected {len(header.parts)} parts, got {len(bodies)}")
    parts = {part.name: (part, body) for part, body in zip(header.parts, bodies, strict=True)}
    if len(parts) != len(bodies):
        raise WireError("two parts have the same name")
    try:
        values = {name: read(*parts[name]) for name in PARTS.get(header.kind, ()) if name in parts}
        return Message(header, _result(header, values))
    except (ValueError, KeyError, OverflowError) as e:
        raise WireError(str(e)) from e


def decode_header(message: Sequence[bytes]) -> Header:
    """The header of a message, checked against its topic.

    Raises:
        WireError: as for `decode`.
    """
    if not 2 <= len(message) <= 2 + MAX_PARTS:
        raise WireError(f"expected 2 to {2 + MAX_PARTS} parts, got {len(message)}")
    if len(message[1]) > MAX_HEADER_BYTES:
        raise WireError(f"expected a header of at most {MAX_HEADER_BYTES} bytes, got {len(message[1])}")
    try:
        header = msgspec.json.decode(message[1], type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise WireError(f"header: {e}") from e
    if header.protocol.partition(".")[0] != PROTOCOL:
        raise WireError(f"expected {PROTOCOL}, got {header.protocol[:40]!r}")
    if message[0] != topic(header.source, header.kind):
        raise WireError("the topic and the header disagree")
    return header


def _message(kind: Kind, result: Result, stamp: Stamp, parts: Sequence[tuple[Part, bytes]]) -> list[bytes]:
    frame = result.frame
    header = _bare_header(
        kind,
        frame.source,
        stamp,
        session=frame.session,
        frame=FrameHeader(frame.index, frame.pts_s, frame.captured_ns),
        heat=None if result.heat is None else _heat_header(result, result.heat),
        timings_ms={k: round(v, 3) for k, v in result.timings_ms.items()},
        drops=dict(result.drops),
        parts=[part for part, _ in parts],
    )
    return _assemble(header, [body for _, body in parts])


def _bare_header(kind: Kind, source: str, stamp: Stamp, **fields: Any) -> Header:
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
        raise WireError(
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


def _result(header: Header, values: Mapping[str, npt.NDArray[Any]]) -> Result | None:
    frame = header.frame
    if frame is None:
        if header.kind in ("result", "overlay", "frame"):
            raise WireError(f"a message of kind {header.kind!r} without a frame")
        return None
    if header.kind in ("overlay", "frame") and "image" not in values:
        raise WireError(f"a message of kind {header.kind!r} without a picture")
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
        raise WireError("a result without heat")
    known = [row.scale for row in header.top if row.scale is not None]
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
