"""The configuration of zones, rules and what is kept of events."""

import re
from datetime import time
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from streamcam.strict import Strict

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def _check_name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name[:60]!r} is no name: use letters, digits, - and _, at most 48")
    return name


Name = Annotated[str, AfterValidator(_check_name)]
"""A zone's or a rule's name. It is part of file names and topics."""

ClassName = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
Score = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Point = tuple[float, float]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

MAX_POINTS = 64
"""A polygon has so many corners at most."""


class ZoneConfig(Strict):
    """A part of the picture."""

    polygon: list[Point] = Field(
        min_length=3,
        max_length=MAX_POINTS,
        description="corners as fractions of the picture, as it is seen: [[0.1, 0.2], [0.6, 0.2], [0.6, 0.9]]",
    )
    source: str | None = Field(
        default=None, description="the source's name; by default it is in the picture of every source"
    )

    @field_validator("polygon")
    @classmethod
    def _check_polygon(cls, points: list[Point]) -> list[Point]:
        for x, y in points:
            if not (isfinite(x) and isfinite(y) and 0 <= x <= 1 and 0 <= y <= 1):
                raise ValueError(f"the corner [{x:g}, {y:g}] is outside of the picture: give fractions from 0 to 1")
        if crossing := _crossing_edges(points):
            raise ValueError(
                f"the edges from corner {crossing[0]} and from corner {crossing[1]} cross: go around it once"
            )
        if abs(_signed_area(points)) < 1e-6:
            raise ValueError("the corners are on one line: there is nothing inside")
        return points


class Schedule(Strict):
    """When a rule may begin an event, by this machine's local time."""

    days: list[Day] = Field(
        default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1, description="days of the week"
    )
    begin: time = Field(default=time(0), alias="from", description="the first minute: '22:00'")
    end: time = Field(
        default=time(0), alias="to", description="the minute at which it ends; before `from`: on the day after"
    )

    @field_validator("begin", "end", mode="before")
    @classmethod
    def _read_clock(cls, value: object) -> object:
        """Read 6:00 and 24:00, too."""
        found = CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None or int(found[1]) > 24 or int(found[2]) > 59 or (int(found[1]) == 24 and int(found[2])):
            raise ValueError("expected hours and minutes, such as '22:00'")
        return time(int(found[1]) % 24, int(found[2]))


class RuleConfig(Strict):
    """What is an event."""

    classes: list[ClassName] = Field(min_length=1, description="any of these classes of the model")
    zone: Name | None = Field(default=None, description="where; by default in the whole picture")
    source: str | None = Field(default=None, description="the source's name; by default the zone's, or every source")
    on: Score = Field(default=0.5, description="an event begins when the score reaches this")
    off: Score | None = Field(default=None, description="and ends when it falls below this; by default 0.8 of `on`")
    for_s: Seconds = Field(default=0.0, description="it has to go on for so long, by the stream's time")
    gap_s: Seconds = Field(default=0.5, description="the score may be below `off` for so long in between")
    cooldown_s: Seconds = Field(default=0.0, description="after an event, none begins for so long")
    schedule: Schedule | None = Field(default=None, description="days, and from when to when; by default always")
    quiet: dict[ClassName, Score] = Field(
        default={},
        description="while one of these classes has such a score in the whole picture, no event begins; one that is "
        "really there begins as soon as that is over",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _read_one(cls, value: object) -> object:
        """Let one class be given as its name alone."""
        return [value] if isinstance(value, str) else value

    @property
    def off_at(self) -> float:
        """The score below which an event ends."""
        return 0.8 * self.on if self.off is None else self.off

    @model_validator(mode="after")
    def _check_together(self) -> "RuleConfig":
        if self.off is not None and self.off > self.on:
            raise ValueError(f"off {self.off:g} is above on {self.on:g}: an event would end as it begins")
        return self


class EventFilesConfig(Strict):
    """What is kept of events, where and for how long."""

    folder: Path = Field(description="each event's clip, snapshot, heat and JSON go into a folder in this one")
    before_s: float = Field(default=5.0, ge=0, le=60, description="a clip begins so long before its event")
    after_s: float = Field(default=5.0, ge=0, le=60, description="and ends so long after it")
    longest_s: float = Field(
        default=120.0, gt=0, le=3600, description="a clip ends after so long, even if its event goes on"
    )
    ring_mb: float = Field(
        32.0, gt=0, le=4096, description="so many MB of each camera's packets wait in memory at most"
    )
    days: float | None = Field(default=30.0, gt=0, description="events older than this are removed, but for kept ones")
    max_gb: float | None = Field(default=10.0, gt=0, description="the oldest are removed when the folder is larger")
    free_gb: float | None = Field(default=1.0, ge=0, description="the oldest are removed when the disk has less left")


def _signed_area(points: list[Point]) -> float:
    """Twice the polygon's area would be the cross products' sum; positive if the corners go clockwise on a screen."""
    following = [*points[1:], points[0]]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following, strict=True)) / 2


def _crossing_edges(points: list[Point]) -> tuple[int, int] | None:
    """Return the numbers, from 1, of the first two edges that meet although they are not neighbours."""
    edges = list(zip(points, [*points[1:], points[0]], strict=True))
    for i in range(len(edges)):
        for j in range(i + 1, len(edges)):
            neighbours = j == i + 1 or (i == 0 and j == len(edges) - 1)
            if not neighbours and _meet(*edges[i], *edges[j]):
                return i + 1, j + 1
    return None


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the line segments a–b and c–d have a point in common."""
    sides = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(side == 0 and _between(*end) for side, end in zip(sides, ends, strict=True))


def _side(a: Point, b: Point, p: Point) -> float:
    """Return above 0 on one side of the line through a and b, below 0 on the other, 0 on it."""
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def _between(a: Point, b: Point, p: Point) -> bool:
    """Whether p, which is on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])
