"""What all publishers send, for any number of watchers: browsers, pictures over HTTP, JSON, RTSP.

    Subscriber ──► Feed (one for each publisher) ──► Hub ──► Watcher, Watcher, …

A publisher is asked only for the kinds of messages that somebody watches. All of it belongs to the event loop's thread.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from streamcam.transport.headers import Kind, Scalar
from streamcam.transport.messages import RawMessage
from streamcam.web.framing import frame

SILENT_S = 1.9
"""A publisher sends the status of each source every second. One that has sent none for so long is silent."""
MAX_EVENTS = 1000
"""Events that wait for one watcher; above that, the oldest are lost."""

ALWAYS = frozenset({"status", "event"})
"""Kinds of messages that come whether somebody watches them or not."""

Topic = tuple[str, Kind]
"""A camera's id, and a kind of messages."""


@dataclass(frozen=True)
class CameraMessage:
    """A message of one camera, as its publisher sent it."""

    camera: str
    raw: RawMessage

    @property
    def topic(self) -> Topic:
        """The camera and the kind."""
        return self.camera, self.raw.header.kind

    @cached_property
    def framed(self) -> bytes:
        """The message as one binary WebSocket message. All browsers are sent the same bytes."""
        return frame([self.camera.encode(), *self.raw.parts])


@dataclass
class Camera:
    """What is known of one camera."""

    id: str
    """Unique among all publishers: the source's name, or NAME@N where publisher N has one of a name that is taken."""
    source: str
    """Its name at its publisher."""
    endpoint: int
    """The number of its publisher, from 0."""
    status: Mapping[str, Scalar] = field(default_factory=dict)
    """The `data` of its last status."""
    heard_s: float = 0.0
    """When that came, by the monotonic clock."""


@dataclass
class Endpoint:
    """What is known of one publisher."""

    number: int
    sources: Sequence[str] = ()
    refused: str | None = None
    """Why it refuses this program."""
    heard_s: float | None = None
    """When its last message came, by the monotonic clock; None before the first."""


class Watcher:
    """What waits for one client: the newest message of each topic, and all events."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self.topics: frozenset[Topic] = frozenset()
        self._pending: dict[Topic, CameraMessage] = {}
        self._events: deque[CameraMessage] = deque(maxlen=MAX_EVENTS)
        self._ready = asyncio.Event()
        self.skipped = 0
        """Messages that gave way to newer ones, or had no more room."""
        self.cameras_changed = True
        """Whether the list of cameras is another since this was last set to False."""
        self.closed = False

    def want(self, topics: Collection[Topic]) -> None:
        """Watch these topics from now on, and no others. What is known of them already comes at once."""
        new, self.topics = frozenset(topics) - self.topics, frozenset(topics)
        self._pending = {topic: message for topic, message in self._pending.items() if topic in self.topics}
        self._hub.wants_changed()
        for topic in new:
            if (last := self._hub.last.get(topic)) is not None:
                self.take(last)

    def take(self, message: CameraMessage) -> None:
        """Let a message wait; one that waits already gives way."""
        if message.raw.header.kind == "event":
            self.skipped += len(self._events) == MAX_EVENTS
            self._events.append(message)
        else:
            # The newer one takes the older one's place in the order: at its end, a busy topic would starve.
            topic = message.topic
            self.skipped += topic in self._pending
            self._pending[topic] = message
        self._ready.set()

    @property
    def waits(self) -> bool:
        """Whether any message waits."""
        return bool(self._pending or self._events)

    def wake(self) -> None:
        """Let `wait` return."""
        self._ready.set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait until something may have come, or been changed."""
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_s)
        except TimeoutError:
            return
        self._ready.clear()

    def pop(self, *, busy: Collection[Topic] = ()) -> CameraMessage | None:
        """Take the message that has waited longest; None if there is none.

        Args:
            busy: topics to leave waiting.
        """
        if self._events:
            return self._events.popleft()
        topic = next((topic for topic in self._pending if topic not in busy), None)
        return None if topic is None else self._pending.pop(topic)

    async def messages(self) -> AsyncIterator[CameraMessage]:
        """Yield messages as they come, until the hub is closed."""
        while not self.closed:
            message = self.pop()
            if message is not None:
                yield message
            else:
                await self.wait()


class Hub:
    """All cameras of all publishers, and who watches them."""

    def __init__(self, endpoints: int) -> None:
        """Start without cameras.

        Args:
            endpoints: the number of publishers.
        """
        self.endpoints = [Endpoint(number) for number in range(endpoints)]
        self.cameras: dict[str, Camera] = {}
        """By id, in the order in which they were first heard of."""
        self.last: dict[Topic, CameraMessage] = {}
        """The newest message of each topic that is watched, and of each camera's status and events."""
        self._watchers: set[Watcher] = set()
        self._ids: dict[tuple[int, str], str] = {}
        self.wants: list[dict[str, frozenset[Kind]]] = [{} for _ in range(endpoints)]
        """By publisher: the kinds of messages that somebody wants, by source. Replaced, never changed."""

    @contextmanager
    def watch(self, topics: Collection[Topic] = ()) -> Iterator[Watcher]:
        """Watch topics until the block ends; each camera's `event` messages come only where they are among them."""
        watcher = Watcher(self)
        self._watchers.add(watcher)
        watcher.want(topics)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self.wants_changed()

    @property
    def watchers(self) -> int:
        """How many there are."""
        return len(self._watchers)

    def camera_id(self, endpoint: int, source: str) -> str:
        """Return the id of a source of a publisher; it stays the same while this program runs."""
        known = self._ids.get((endpoint, source))
        if known is None:
            known = source if source not in self._ids.values() else f"{source}@{endpoint + 1}"
            self._ids[endpoint, source] = known
        return known

    def take(self, endpoint: int, raw: RawMessage) -> None:
        """Take a message of a publisher."""
        now_s = self.endpoints[endpoint].heard_s = time.monotonic()
        message = CameraMessage(self.camera_id(endpoint, raw.header.source), raw)
        kind = raw.header.kind
        if kind == "status" and (camera := self.cameras.get(message.camera)) is not None:
            camera.status, camera.heard_s = raw.header.data, now_s
        topic = message.topic
        watchers = [watcher for watcher in self._watchers if topic in watcher.topics]
        if watchers or kind in ALWAYS:
            self.last[topic] = message
        for watcher in watchers:
            watcher.take(message)

    def list_sources(self, endpoint: int, sources: Sequence[str], refused: str | None) -> None:
        """Take the list of a publisher's sources."""
        known = self.endpoints[endpoint]
        if (known.sources, known.refused) == (sources, refused):
            return
        known.sources, known.refused = sources, refused
        ids = {self.camera_id(endpoint, source): source for source in sources}
        for camera in [c for c in self.cameras.values() if c.endpoint == endpoint and c.id not in ids]:
            del self.cameras[camera.id]
        for camera_id, source in ids.items():
            self.cameras.setdefault(camera_id, Camera(camera_id, source, endpoint, heard_s=time.monotonic()))
        for watcher in self._watchers:
            watcher.cameras_changed = True
            watcher.wake()
        self.wants_changed()

    def wants_changed(self) -> None:
        """Work out anew what to ask the publishers for, and forget what nobody watches."""
        topics = {topic for watcher in self._watchers for topic in watcher.topics}
        self.last = {topic: m for topic, m in self.last.items() if topic in topics or topic[1] in ALWAYS}
        wants: list[dict[str, frozenset[Kind]]] = [{} for _ in self.endpoints]
        for camera_id, kind in topics:
            if (camera := self.cameras.get(camera_id)) is not None:
                of_source = wants[camera.endpoint]
                of_source[camera.source] = of_source.get(camera.source, frozenset()) | {kind}
        self.wants = wants

    def close(self) -> None:
        """Let all watchers end."""
        for watcher in self._watchers:
            watcher.closed = True
            watcher.wake()
