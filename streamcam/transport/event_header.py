"""The record of an event in the header of a message, within limits. Fields as in `streamcam/events/event.py`."""

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from streamcam.events.event import MAX_TUBE, EndReason, Event, EventState
from streamcam.transport.payloads import MessageError

MAX_SCORES = 1024
MAX_FILES = 32

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UnixNs = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Meta(ge=-1e12, le=1e12)]
Score = Annotated[float, Meta(ge=0, le=1.001)]  # a sum of rounded scores may lie a little above 1
Fraction = Annotated[float, Meta(ge=-0.001, le=1.001)]
EventId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\Z")]
RuleName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,47}\Z")]
Label = Annotated[str, Meta(max_length=200)]
FileName = Annotated[str, Meta(pattern=r"\A(?!\.\.?\Z)[^/\\\x00-\x1f]{1,255}\Z")]
Folder = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f]{1,400}\Z")]
Box = tuple[Fraction, Fraction, Fraction, Fraction]


class EventHeader(msgspec.Struct, frozen=True, kw_only=True):
    """One event at one moment of its life, as JSON. A rectangle is [left, top, right, bottom]."""

    id: EventId
    state: EventState
    rule: RuleName
    source: Annotated[str, Meta(max_length=64)]
    session: Int64
    zone: RuleName | None = None
    label: Label
    start_pts_s: Seconds
    pts_s: Seconds
    start_ns: UnixNs
    score: Score
    peak: Score
    peak_pts_s: Seconds
    scores: Annotated[dict[Label, Score], Meta(max_length=MAX_SCORES)] = {}
    box: Box | None = None
    tube: Annotated[list[tuple[Seconds, Box]], Meta(max_length=MAX_TUBE)] = []
    camera_ns: Int64 | None = None
    reason: EndReason | None = None
    folder: Folder | None = None
    files: Annotated[list[FileName], Meta(max_length=MAX_FILES)] = []

    @classmethod
    def of(cls, event: Event) -> Self:
        """Make the header of an event.

        Raises:
            MessageError: a text, a list or a number is beyond the limits.
        """
        try:
            return msgspec.convert(event, cls, from_attributes=True)
        except msgspec.ValidationError as e:
            raise MessageError(f"event {event.id[:200]!r}: {e}") from e

    def event(self) -> Event:
        """Return the record."""
        return msgspec.convert(self, Event, from_attributes=True)
