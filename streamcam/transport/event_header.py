"""The record of an event in the header of a message, within the limits that `events/event_json.py` has, too."""

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from streamcam.event import MAX_TUBE, EndReason, Event, EventState
from streamcam.transport.payloads import MessageError

MAX_SCORES = 1000
MAX_FILES = 64

Session = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UnixTime = Annotated[int, Meta(ge=0, le=2**63 - 1)]
StreamTime = Annotated[float, Meta(ge=-1e10, le=1e10)]
Fraction = Annotated[float, Meta(ge=-0.001, le=1.001)]  # sums of rounded scores are a little beside 0 and 1
Box = tuple[Fraction, Fraction, Fraction, Fraction]
Text = Annotated[str, Meta(max_length=200)]
Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\Z")]
FileName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}\Z")]
Folder = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*\Z", max_length=400)
]
RuleName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,47}\Z")]
"""A rule's or a zone's. It is part of topics."""


class EventHeader(msgspec.Struct, frozen=True, kw_only=True):
    """One event at one moment of its life, as JSON. A rectangle is [left, top, right, bottom]."""

    id: Id
    state: EventState
    rule: RuleName
    source: Annotated[str, Meta(max_length=64)]
    session: Session
    zone: RuleName | None = None
    label: Text
    start_pts_s: StreamTime
    pts_s: StreamTime
    start_ns: UnixTime
    score: Fraction
    peak: Fraction
    peak_pts_s: StreamTime
    scores: Annotated[dict[Text, Fraction], Meta(max_length=MAX_SCORES)] = {}
    box: Box | None = None
    tube: Annotated[list[tuple[StreamTime, Box]], Meta(max_length=MAX_TUBE)] = []
    camera_ns: UnixTime | None = None
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
