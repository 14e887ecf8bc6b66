"""Counts of events, by source and rule."""

from collections.abc import Iterable
from threading import Lock

from streamcam.events.event import Event


class EventCounts:
    """How many events there were, and which go on. Any thread may write and read it.

    Call `note` with every record of an event. A rule has one open event in a source at most.
    """

    def __init__(self, watched: Iterable[tuple[str, str]] = ()) -> None:
        """Begin at 0 for the source and rule of each pair, so that a rule's first event is seen as an increase."""
        self._begun = dict.fromkeys(watched, 0)
        self._open: dict[tuple[str, str], str] = {}  # the ids
        self._lock = Lock()

    def note(self, event: Event) -> None:
        """Count an event when it starts; note whether it goes on."""
        key = event.source, event.rule
        with self._lock:
            if event.state == "start":
                self._begun[key] = self._begun.get(key, 0) + 1
                self._open[key] = event.id
            elif event.state == "end" and self._open.get(key) == event.id:
                del self._open[key]

    def begun(self) -> dict[tuple[str, str], int]:
        """Return by source and rule how many events have begun."""
        with self._lock:
            return dict(self._begun)

    def open(self) -> dict[tuple[str, str], bool]:
        """Return by source and rule whether an event goes on."""
        with self._lock:
            return {key: key in self._open for key in self._begun}
