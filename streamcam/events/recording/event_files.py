"""Events → their files, on a thread of its own, so that nobody waits for a disk."""

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Condition, Thread

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError, first_line, one_line
from streamcam.event import Event
from streamcam.events.recording.one_event import FAILURES, Limits, Recording
from streamcam.events.recording.unfinished_folder import UnfinishedFolder, rescue
from streamcam.records import Result
from streamcam.render.overlay import Painter
from streamcam.sinks.base import Sink
from streamcam.sources.packet_ring import PacketRing

log = logging.getLogger(__name__)

MAX_WINDOWS = 256
"""So many windows may wait for the thread; then new ones are left out of the events' heat, and counted."""

MAX_EVENTS = 1024
"""So many records of events may wait; then new ones are left out, and counted."""

RECENT_WINDOWS = 64
"""So many of a source's newest windows are kept, for an event that is told of after it has begun."""

STEP_S = 0.2
"""How often packets are written while an event goes on."""

CLOSE_S = 20.0
"""For how long `close` waits for the last files."""


class EventFiles(Sink):
    """Writes each event's clip, snapshot, heat and record into a folder of its own.

    The pipeline gives it windows, and whoever finds events gives it their records; neither waits. A disk that is full
    or fails costs the event's files and nothing else.

    Memory: for each source its ring, and 64 windows of heat. While an event goes on, the packets from a key frame to
    its peak are kept, too.
    """

    def __init__(
        self,
        config: EventFilesConfig,
        rings: Mapping[str, PacketRing],
        *,
        labels: tuple[str, ...],
        saved: Callable[[Event], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the folder, and start the thread. It first completes what a killed run has left.

        Args:
            config: where the files go, and how long clips are.
            rings: the sources' packets, by the sources' names.
            labels: the names of the model's classes.
            saved: called on the thread with each event whose files are complete, as `saved`.
            clock: seconds of a clock that is never set.

        Raises:
            StreamcamError: the folder cannot be made.
        """
        self.counts: Counter[str] = Counter()
        """`saved` and `failed` events, `missed` packets, and `windows` and `records` that were left out."""
        self._root, self._rings, self._labels, self._saved, self._clock = config.folder, rings, labels, saved, clock
        self._limits = Limits(config.before_s, config.after_s, config.longest_s)
        self._painter = Painter()
        self._open: dict[str, Recording] = {}
        self._done: deque[str] = deque(maxlen=MAX_EVENTS)
        """The ids of events that were begun: none is begun again, such as after an error."""
        self._recent: defaultdict[str, deque[Result]] = defaultdict(lambda: deque(maxlen=RECENT_WINDOWS))
        self._complete: deque[Event] = deque(maxlen=MAX_EVENTS)
        """Complete events that nobody has taken yet."""
        # Protects the two lists and `_closing`, and is notified of changes.
        self._changed = Condition()
        self._items: deque[Event | Result] = deque()
        self._waiting: Counter[type] = Counter()
        self._closing = False
        self._is_failing = False
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise StreamcamError(f"cannot write events to {self._root}: {e.strerror or e}") from e
        self._thread = Thread(target=self._run, daemon=True, name="event files")
        self._thread.start()

    def on_window(self, result: Result) -> None:
        """Take a window; its picture is not kept."""
        self._put(replace(result, frame=replace(result.frame, image=None)), MAX_WINDOWS, "windows")

    def on_event(self, event: Event) -> None:
        """Take an event's record: its start, an update or its end."""
        if event.state != "saved":
            self._put(event, MAX_EVENTS, "records")

    def take_saved(self) -> list[Event]:
        """Return the events whose files have become complete since the last call, as `saved`."""
        taken: list[Event] = []
        with suppress(IndexError):
            while True:
                taken.append(self._complete.popleft())
        return taken

    def close(self) -> None:
        """Complete the files of all events; one that still goes on counts as stopped. Closing twice is fine."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.warning("the files of %d events are not complete: the disk is too slow", len(self._open))

    def _put(self, item: Event | Result, most: int, name: str) -> None:
        with self._changed:
            if self._closing or self._waiting[type(item)] >= most:
                self.counts[name] += 1
                return
            self._items.append(item)
            self._waiting[type(item)] += 1
            self._changed.notify_all()

    def _run(self) -> None:
        self._rescue()
        while True:
            with self._changed:
                timeout_s = STEP_S if self._open else None
                self._changed.wait_for(lambda: self._items or self._closing, timeout_s)
                items, closing = list(self._items), self._closing
                self._items.clear()
                self._waiting.clear()
            for item in items:
                self._take(item)
            for event_id in list(self._open):
                self._step(event_id, closing=closing)
            if closing:
                return

    def _rescue(self) -> None:
        try:
            for event in rescue(self._root):
                self._tell(event)
        except Exception as e:
            self._failed(e)

    def _take(self, item: Event | Result) -> None:
        if isinstance(item, Event):
            self._take_event(item)
            return
        source = item.frame.source
        self._recent[source].append(item)
        if item.heat is not None and item.heat.scale is None:
            self._painter.scale(source, item.heat)  # a running scale has to see every window
        for event_id, recording in list(self._open.items()):
            if recording.event.source == source:
                self._try(event_id, partial(recording.window, item))

    def _take_event(self, event: Event) -> None:
        recent = self._recent[event.source]
        recording = self._open.get(event.id)
        if recording is not None:
            self._try(event.id, partial(recording.update, event, recent))
        elif event.id not in self._done:
            self._done.append(event.id)
            self._try(event.id, partial(self._begin, event, recent))

    def _begin(self, event: Event, recent: Iterable[Result]) -> None:
        folder = UnfinishedFolder.make(self._root, event)
        try:
            self._open[event.id] = Recording(
                event,
                folder=folder,
                ring=self._rings.get(event.source),
                labels=self._labels,
                recent=recent,
                limits=self._limits,
                painter=self._painter,
                clock=self._clock,
            )
        except BaseException:
            folder.discard()
            raise

    def _step(self, event_id: str, *, closing: bool) -> None:
        recording = self._open[event_id]

        def step() -> None:
            if closing and recording.event.state != "end":
                recording.update(replace(recording.event, state="end", reason="stopped"))
            if recording.step() or closing:
                saved = recording.finish()
                del self._open[event_id]
                self.counts["missed"] += recording.missed
                self._is_failing = False
                self._tell(saved)

        self._try(event_id, step)

    def _try(self, event_id: str, action: Callable[[], None]) -> None:
        """Do something for an event; give its files up if that fails."""
        try:
            action()
        except Exception as e:
            if recording := self._open.pop(event_id, None):
                recording.abandon()
            self._failed(e)

    def _tell(self, event: Event) -> None:
        self.counts["saved"] += 1
        self._complete.append(event)
        try:
            self._saved(event)
        except Exception:
            log.exception("what is told of complete events has failed")

    def _failed(self, error: Exception) -> None:
        """Count an event without files, and log the first of several. What is no file's fault is a mistake of ours."""
        self.counts["failed"] += 1
        if not self._is_failing:
            reason = getattr(error, "strerror", None) or first_line(error)
            known = isinstance(error, FAILURES)
            text = "cannot write an event's files to %s: %s"
            log.warning(text, one_line(str(self._root)), one_line(reason), exc_info=None if known else error)
        self._is_failing = True
