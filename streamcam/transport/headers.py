"""The JSON header of a `streamcam/1` message. Specified in docs/reference/message-format.md."""

from typing import Annotated, Literal

import msgspec

from streamcam.transport.event_header import EventHeader
from streamcam.transport.payloads import PayloadInfo

PROTOCOL = "streamcam/1"
MAX_HEADER_BYTES = 64 * 1024
MAX_PAYLOADS = 16
MAX_SOURCES = 1024

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Kind = Literal["result", "overlay", "frame", "event", "status"]
Scalar = str | int | float | bool | None

DIRECTORY = "_"
"""The source name under which a publisher's `status` lists its sources."""


class FrameHeader(msgspec.Struct, frozen=True):
    """The frame that a message belongs to."""

    index: Int64
    pts_s: float
    captured_ns: Int64


class ClassHeader(msgspec.Struct, frozen=True):
    """One of the K classes whose heat is sent; they come in the order of the cube's first axis."""

    index: Int64
    label: str
    score: float
    logit: float
    scale: float | None = None


class HeatHeader(msgspec.Struct, frozen=True):
    """The heat of a message without its tensors: model, classes, times and place."""

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
    """The header of every message. Its fields, in JSON, are those of docs/reference/message-format.md."""

    protocol: str
    kind: Kind
    publisher: str
    """Random for each start of a publisher, so that a subscriber notices a restart."""
    seq: Int64
    """Running number in its topic, from 0. A step greater than 1 means that messages were lost on the way."""
    source: str
    sent_ns: Int64
    """Unix time in nanoseconds."""
    session: Int64 = 0
    frame: FrameHeader | None = None
    heat: HeatHeader | None = None
    timings_ms: dict[str, float] = {}
    drops: dict[str, Int64] = {}
    data: dict[str, str | Int64 | float | bool | None] = {}
    """The content of a `status`."""
    event: EventHeader | None = None
    """The content of an `event`."""
    sources: Annotated[list[str], msgspec.Meta(max_length=MAX_SOURCES)] = []
    """The names of all sources; in the directory only."""
    payloads: Annotated[list[PayloadInfo], msgspec.Meta(max_length=MAX_PAYLOADS)] = msgspec.field(
        default_factory=list, name="parts"
    )
