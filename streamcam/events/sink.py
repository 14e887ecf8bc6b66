"""The sink that finds events in a run, and passes them on."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from streamcam.event import EndReason, Event
from streamcam.events.detector import EventDetector
from streamcam.records import Result
from streamcam.sinks.base import Sink
from streamcam.sources.status import SourceStatus

log = logging.getLogger(__name__)

LATE_S = 1.0
"""Results of a lost camera that are still on their way are waited for this long."""


class EventSource(Protocol):
    """What the sink asks of a source."""

    name: str

    @property
    def status(self) -> SourceStatus:
        """What the source does now."""
        ...

    def camera_ns(self, pts_s: float) -> int | None:
        """A moment of the present session by the camera's own clock; None where the camera does not tell."""
        ...


class EventOutput(Protocol):
    """What keeps an event's files. Only `close` waits."""

    def on_window(self, result: Result) -> None:
        """Take a window's heat."""
        ...

    def on_event(self, event: Event) -> None:
        """Take an event's record."""
        ...

    def take_saved(self) -> Iterable[Event]:
        """Return the records of events whose files have become complete, in state `saved`."""
        ...

    def close(self) -> None:
        """Complete all files."""
        ...


class EventSink(Sink):
    """Finds events in results, on the output thread; ends those of a lost camera."""

    def __init__(
        self,
        detector: EventDetector,
        sources: Sequence[EventSource],
        *,
        tell: Callable[[Event], None],
        files: EventOutput | None = None,
        lossless: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the parts.

        Args:
            detector: has the rules.
            sources: all sources of the run.
            tell: called with each record, as to publish it.
            files: keeps clips, heat and pictures.
            lossless: whether every result comes, however late: then a source's end waits for the end of the run.
            clock: gives seconds.
        """
        self.counts: Counter[tuple[str, str]] = Counter()
        """How many events began, by source and rule."""
        self.going: set[tuple[str, str]] = set()
        """The source and rule of each event that goes on."""
        self._detector, self._sources, self._tell, self._files = detector, sources, tell, files
        self._lossless, self._clock = lossless, clock
        self._by_name = {source.name: source for source in sources}
        self._began_ns: dict[str, int] = {}
        """By the id of an event that goes on: when it began by the camera's own clock."""
        self._last: dict[str, tuple[int, float]] = {}
        """By source: the session of its last result, and when that came."""

    def on_window(self, result: Result) -> None:
        """Look for events in a window's heat."""
        self._last[result.frame.source] = result.frame.session, self._clock()
        if self._files is not None:
            self._files.on_window(result)
        self._pass_on(self._detector.push(result))

    def tick(self) -> None:
        """End the events of sources that are lost, and tell of files that are complete."""
        self._tell_saved()
        if self._lossless or not self.going:
            return
        for source in self._sources:
            kind = source.status.kind
            session, seen_s = self._last.get(source.name, (-1, 0.0))
            if kind in ("lost", "ended") and session >= 0 and self._clock() - seen_s > LATE_S:
                reason: EndReason = "lost" if kind == "lost" else "ended"
                self._pass_on(self._detector.end_source(source.name, session, reason))

    def close(self) -> None:
        """End all events, and complete their files. Closing twice is fine."""
        for source in self._sources:
            session, _ = self._last.get(source.name, (-1, 0.0))
            reason: EndReason = "ended" if source.status.kind == "ended" else "stopped"
            self._pass_on(self._detector.end_source(source.name, session, reason))
        if self._files is not None:
            self._files.close()
        self._tell_saved()

    def _tell_saved(self) -> None:
        for event in self._files.take_saved() if self._files is not None else ():
            self._tell(event)

    def _pass_on(self, events: Sequence[Event]) -> None:
        for event in events:
            key = event.source, event.rule
            if event.state == "start":
                self.counts[key] += 1
                self.going.add(key)
            elif event.state == "end":
                self.going.discard(key)
            told = replace(event, camera_ns=self._camera_ns(event))
            if self._files is not None:
                self._files.on_event(told)
            self._tell(told)
            if event.state != "update":
                log.info("%s: %s", event.source, describe(event))

    def _camera_ns(self, event: Event) -> int | None:
        """Return when an event began by the camera's own clock, as it was first told: a later session has another."""
        known = self._began_ns.get(event.id)
        if known is None and event.reason != "lost":
            known = self._by_name[event.source].camera_ns(event.start_pts_s)
        if event.state == "end":
            self._began_ns.pop(event.id, None)
        elif known is not None:
            self._began_ns[event.id] = known
        return known

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def describe(event: Event) -> str:
    """Write an event as one line for people, without its source."""
    where = f" in {event.zone}" if event.zone else ""
    what = f"{event.rule}: {event.label}{where}, {100 * event.peak:.0f} %"
    if event.state != "end":
        return what
    why = "" if event.reason == "over" else f" ({event.reason})"
    return f"{what}, over after {event.seconds:.1f} s{why}"
