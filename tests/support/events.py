"""Events for tests."""

from dataclasses import replace
from typing import Any

from streamcam.events.event import Event

START = Event(
    id="20261130T172209.041Z-door-cat",
    state="start",
    rule="cat",
    source="door",
    session=0,
    zone=None,
    label="cat",
    start_pts_s=1.0,
    pts_s=1.0,
    start_ns=1_796_059_329_041_000_000,
    score=0.6,
    peak=0.6,
    peak_pts_s=1.0,
)


def event(**fields: Any) -> Event:
    return replace(START, **fields)
