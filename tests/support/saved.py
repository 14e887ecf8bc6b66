"""Events whose files are complete, in a folder as a run leaves it."""

import shutil
from dataclasses import replace
from pathlib import Path

from streamcam.event import Event, event_id
from streamcam.events.event_json import encode_event
from streamcam.events.store.folders import EVENT_JSON, PART, folder_of

FILES = ("clip.mp4", EVENT_JSON)
SECOND_NS, DAY_NS = 1_000_000_000, 86_400_000_000_000
NOON_NS = 1_796_040_000 * SECOND_NS
"""2026-11-30 12:00 UTC."""


def make_event(start_ns: int = NOON_NS, *, rule: str = "way", source: str = "yard", peak: float = 0.75) -> Event:
    """Make an event that has ended."""
    times = {"start_pts_s": 10.0, "pts_s": 12.5, "peak_pts_s": 11.0}
    scores = {"person": peak, "car": peak / 2}
    what = {"zone": "gate", "label": "person", "scores": scores, "score": 0.4, "peak": peak, "reason": "over"}
    identity = {"id": event_id(rule, source, start_ns), "rule": rule, "source": source, "start_ns": start_ns}
    return Event(state="end", session=1, **identity, **times, **what)  # type: ignore[arg-type]


def save(root: Path, event: Event, clip: Path | bytes = b"clip") -> Event:
    """Write an event's folder as a run does: under another name until it is complete."""
    folder = root / folder_of(event)
    partial = folder.with_name(folder.name + PART)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / FILES[0]).write_bytes(clip if isinstance(clip, bytes) else clip.read_bytes())
    saved = replace(event, state="saved", folder=folder_of(event), files=FILES)
    (partial / EVENT_JSON).write_bytes(encode_event(saved))
    partial.rename(folder)
    return saved
