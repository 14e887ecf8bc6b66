"""The record of something that happened, by a rule of the user's. `docs/events.md` explains rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

EventState = Literal["start", "update", "end", "saved"]
"""`update` comes at most once a second; `saved` once the event's files are complete."""

EndReason = Literal["over", "lost", "ended", "stopped", "no results"]
"""Why an event ended: its score fell; its camera was lost; its file ended; the run was stopped; nothing was computed
for too long."""


class Rectangle(NamedTuple):
    """A part of the picture, as fractions of its width and height, from its left and top edge."""

    left: float
    top: float
    right: float
    bottom: float


class TubeBox(NamedTuple):
    """Where the heat of an event was at one moment."""

    pts_s: float
    box: Rectangle


@dataclass(frozen=True, slots=True)
class Event:
    """One event at one moment of its life. A later record of the same `id` replaces it.

    Stream times are the `pts_s` of the source's frames, in the event's session. They are those of the moments that heat
    speaks of, not of when it was computed.
    """

    id: str
    """Unique; sorts by time, and can be a file's name."""
    state: EventState
    rule: str
    """The rule's name."""
    source: str
    """The source's name."""
    session: int
    """The source's session; an event never spans two."""
    zone: str | None
    """The zone's name; None for the whole picture."""
    label: str
    """The strongest of the rule's classes at the peak."""
    start_pts_s: float
    """When it began: the first moment at which the score was high enough."""
    pts_s: float
    """The newest moment that this record speaks of; of an end, the last at which the score was high enough."""
    start_ns: int
    """`start_pts_s` by this machine's clock: Unix time in nanoseconds."""
    score: float
    """The score at `pts_s`, 0–1."""
    peak: float
    """The highest score so far, 0–1."""
    peak_pts_s: float
    """When that was."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The score of each of the rule's classes at the peak, 0–1."""
    box: Rectangle | None = None
    """Where in the zone the heat was at the peak; None where there was none."""
    tube: tuple[TubeBox, ...] = ()
    """Where the heat was over time: at most `MAX_TUBE` moments, evenly spaced."""
    camera_ns: int | None = None
    """`start_pts_s` by the camera's own clock, where it tells (RTCP): Unix time in nanoseconds."""
    reason: EndReason | None = None
    """Why it ended."""
    folder: str | None = None
    """Where its files are, below the events' folder, once they are complete."""
    files: tuple[str, ...] = ()
    """The names of these files."""

    @property
    def seconds(self) -> float:
        """How long it has gone on, by the stream's time."""
        return self.pts_s - self.start_pts_s

    @property
    def started(self) -> datetime:
        """When it began by this machine's clock, in UTC."""
        return datetime.fromtimestamp(self.start_ns / 1e9, UTC)


MAX_TUBE = 64
"""A longer tube is thinned out."""


def event_id(rule: str, source: str, start_ns: int) -> str:
    """Make an event's id, such as `20261130T172209.041Z-yard-wrong-way`."""
    started = datetime.fromtimestamp(start_ns // 1_000_000 / 1e3, UTC)
    return f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}Z-{source}-{rule}"
