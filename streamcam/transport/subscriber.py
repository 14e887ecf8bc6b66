"""The subscriber: receives results from a publisher, which may stop and start again meanwhile."""

import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import zmq
from zmq.utils.monitor import parse_monitor_message

from streamcam.errors import StreamcamError
from streamcam.records import Result
from streamcam.transport.endpoints import reason_of, require_resolvable
from streamcam.transport.headers import DIRECTORY, Header, Kind
from streamcam.transport.keys import client_keys
from streamcam.transport.messages import Message, RawMessage, decode, decode_header, topic
from streamcam.transport.payloads import MAX_PAYLOAD_BYTES, MessageError
from streamcam.transport.sockets import KERNEL_BUFFER_BYTES, disconnect_dead_peers, encrypt_subscriber

T = TypeVar("T")

HIGH_WATER_MARK = 256
MAX_EVENTS = 1000
"""Events of one source that wait to be yielded; above that, the oldest are lost, and counted."""
RECONNECT_MS, RECONNECT_MAX_MS = 100, 1000

_CLOSED = "it closes the connection: has it keys at all, and is your server.public its own?"
_WITH_KEYS: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the publisher does not list your key: copy its .public file to clients there",
    # The publisher closes the connection; which of these two events that gives is chance.
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: _CLOSED,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: _CLOSED,
}
_WITHOUT_KEYS: dict[int, str] = dict.fromkeys(
    _WITH_KEYS, "it closes the connection: has it keys? You have none (see --keys)"
)
_REFUSED = sum(_WITH_KEYS)
"""All of these events, as bits."""


class Subscriber:
    """A receiver of results: iterate over it, in the thread that made it.

    It always yields the newest result: where messages of one topic have piled up, it skips and counts the older ones.
    Events alone are all yielded, in order: of each source, up to `MAX_EVENTS` wait.

        with Subscriber("tcp://127.0.0.1:5555") as subscriber:
            for result in subscriber:
                print(result.frame.source, result.heat.labels[0])
    """

    def __init__(
        self,
        endpoint: str,
        *,
        kinds: Sequence[Kind] = ("result",),
        sources: Sequence[str] | None = None,
        max_age_ms: float | None = None,
        keys: Path | str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Connect to a publisher, which may start later.

        Args:
            endpoint: the publisher's address, such as tcp://127.0.0.1:5555 or ipc:///tmp/streamcam.
            kinds: `result` (heat), `overlay` (painted pictures), `frame` (the camera's pictures), `status`, `event`.
            sources: the names of the cameras; None means all that the publisher has.
            max_age_ms: skip and count messages that were sent longer ago, but for events.
            keys: the folder with this program's key and the publisher's public one; None for a publisher without keys.
            clock: gives Unix time in nanoseconds.

        Raises:
            StreamcamError: the endpoint is malformed, its host is unknown, or a key is missing or malformed.
        """
        require_resolvable(endpoint)
        client = None if keys is None else client_keys(Path(keys))
        wanted = [topic(DIRECTORY, "status")] if sources is None else _topics(sources, kinds)
        self.skipped: Counter[str] = Counter()
        """The number of messages that were not yielded, by reason: `stale`, `malformed` or `lost`.

        A message is stale where a newer one had come, or where it is older than `max_age_ms`. Messages that were lost
        on the way are known from gaps in the sequence; events that had no more room are counted with them.
        """
        self.refused: str | None = None
        """Why the publisher refuses this program, for people; None if it does not. It tries again every second."""
        self._refusals = _WITHOUT_KEYS if client is None else _WITH_KEYS
        self._kinds, self._max_age_ms, self._clock = tuple(kinds), max_age_ms, clock
        # What `want` has added, by source, and the sources that the directory lists; None before it has come.
        self._wanted: Mapping[str, Sequence[Kind]] = {}
        self._listed: Sequence[str] | None = None
        # By topic: publisher and number of the newest message, and those that are not yielded yet.
        self._newest: dict[bytes, tuple[str, int]] = {}
        self._pending: dict[bytes, deque[RawMessage]] = {}
        self._context = zmq.Context()
        self._socket = _make_socket(self._context)
        if client is not None:
            encrypt_subscriber(self._socket, client)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | _REFUSED)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._endpoint = endpoint
        self._reconnect_s = float("inf")  # when to connect again, by the monotonic clock
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise StreamcamError(f"cannot connect to {endpoint}: {reason_of(e)}") from e
        self._subscribed: set[bytes] = set()
        self._subscribe(wanted)

    def __iter__(self) -> Iterator[Result]:
        """Yield results as they come, without end."""
        return (message.result for message in self.messages() if message.result is not None)

    def messages(self, *, timeout_s: float | None = None) -> Iterator[Message]:
        """Yield messages as they come, until there has been none for `timeout_s` seconds; None waits without end.

        Messages that are skipped do not count as any: the time runs on.
        """
        return self._yielded(self._decoded, timeout_s)

    def raw_messages(self, *, timeout_s: float | None = None) -> Iterator[RawMessage]:
        """Yield messages as `messages` does, with payloads that are not decoded: for whoever passes them on."""
        return self._yielded(lambda raw: raw, timeout_s)

    def fileno(self) -> int:
        """Return a file descriptor that becomes readable when messages may have come: for `receive_raw`."""
        return int(self._socket.getsockopt(zmq.FD))

    def receive_raw(self, *, at_most: int) -> tuple[list[RawMessage], bool]:
        """Return what has come, as `raw_messages` does, without waiting: for event loops.

        Call it when `fileno` is readable; after each call of `want`, which may leave it unreadable although messages
        have come (see ZMQ_FD in zmq_getsockopt(3)); and a few times a second, to connect again after a refusal.

        Args:
            at_most: so many messages are read from the socket. Of one topic, the newest alone is returned.

        Returns:
            The messages, and whether more may have come already.
        """
        self._check_handshakes()
        self._reconnect_if_due()
        more = self._receive_all(at_most)
        messages = []
        while self._pending:
            if (message := self._next_pending()) is not None:
                messages.append(message)
        return messages, more

    @property
    def sources(self) -> Sequence[str] | None:
        """The sources that the publisher lists; None before it has said so."""
        return self._listed

    def want(self, kinds: Mapping[str, Sequence[Kind]]) -> None:
        """Receive these kinds of messages, too, from now on; those of an earlier call no more.

        Args:
            kinds: by the source's name. A source that the publisher does not list is waited for.
        """
        self._wanted = dict(kinds)
        if self._listed is not None:
            self._follow(self._listed)

    def _yielded(self, read: Callable[[RawMessage], T | None], timeout_s: float | None) -> Iterator[T]:
        """Yield what `read` makes of the messages that are new; it gives None for one that is malformed."""
        yielded_s = time.monotonic()
        while True:
            left_s = float("inf") if timeout_s is None else max(0.0, yielded_s + timeout_s - time.monotonic())
            if not self._pending and not self._wait(left_s):
                return
            self._receive_all()
            raw = self._next_pending() if self._pending else None
            message = None if raw is None else read(raw)
            if message is not None:
                yield message
                yielded_s = time.monotonic()
            elif left_s == 0:
                return

    def close(self) -> None:
        """Disconnect. Closing twice is fine."""
        if not self._socket.closed:
            self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _wait(self, timeout_s: float) -> bool:
        """Wait for a message; return whether one has come."""
        end_s = time.monotonic() + timeout_s
        while True:
            self._reconnect_if_due()
            now_s = time.monotonic()
            until_s = min(end_s, self._reconnect_s)
            wait_ms = None if until_s == float("inf") else max(0, math.ceil((until_s - now_s) * 1000))
            ready = dict(self._poller.poll(wait_ms))
            if self._monitor in ready:
                self._check_handshakes()
            if self._socket in ready:
                return True
            if not ready and now_s >= end_s:
                return False

    def _check_handshakes(self) -> None:
        """Note whether the publisher accepts this program. If not, reconnect after a second: ZeroMQ would give up."""
        while (message := _receive(self._monitor)) is not None:
            event = parse_monitor_message(message)["event"]
            self.refused = self._refusals.get(event)
            self._reconnect_s = float("inf") if self.refused is None else time.monotonic() + RECONNECT_MAX_MS / 1000

    def _reconnect_if_due(self) -> None:
        """Connect again, if the publisher has refused a second ago."""
        if time.monotonic() >= self._reconnect_s:
            self._reconnect_s = float("inf")
            with suppress(zmq.ZMQError):  # the connection is closed already
                self._socket.disconnect(self._endpoint)
            self._socket.connect(self._endpoint)

    def _subscribe(self, topics: Sequence[bytes]) -> None:
        for name in topics:
            if name not in self._subscribed:
                self._subscribed.add(name)
                self._socket.setsockopt(zmq.SUBSCRIBE, name)

    def _receive_all(self, at_most: int = sys.maxsize) -> bool:
        """Receive all messages that have come; keep all events, and the newest message of each other topic.

        Returns:
            Whether it stopped at so many.
        """
        for _ in range(at_most):
            if (message := _receive(self._socket)) is None:
                return False
            try:
                header = decode_header(message)
            except MessageError:
                self.skipped["malformed"] += 1
                continue
            if header.source == DIRECTORY:
                self._follow_directory(header)
            elif self._is_new(message[0], header):
                self._keep(RawMessage(header, message))
        return True

    def _keep(self, message: RawMessage) -> None:
        """Let a message wait to be yielded, and count the one that has to give way to it."""
        room, why = (MAX_EVENTS, "lost") if message.header.kind == "event" else (1, "stale")
        # A newer message takes the older one's place in the order: at its end, a busy topic would starve.
        waiting = self._pending.setdefault(message.parts[0], deque(maxlen=room))
        self.skipped[why] += len(waiting) == room
        waiting.append(message)

    def _follow_directory(self, directory: Header) -> None:
        """Note the sources that the directory lists, and follow them."""
        try:
            self._follow(directory.sources)
        except MessageError:
            self.skipped["malformed"] += 1

    def _follow(self, sources: Sequence[str]) -> None:
        """Subscribe to these sources, and unsubscribe from all others."""
        chosen = [_topics([name], {*self._kinds, *self._wanted.get(name, ())}) for name in sources]
        wanted = {topic(DIRECTORY, "status"), *(name for names in chosen for name in names)}
        self._listed = list(sources)
        for name in self._subscribed - wanted:
            self._subscribed.discard(name)
            self._socket.setsockopt(zmq.UNSUBSCRIBE, name)
            self._newest.pop(name, None)
            if not name.endswith(b"/event/"):  # what has happened is told, also of a source that is gone
                self._pending.pop(name, None)
        self._subscribe(sorted(wanted))

    def _is_new(self, name: bytes, header: Header) -> bool:
        """Return whether a message is newer than the last of its topic; count those that were lost in between."""
        publisher, seq = self._newest.get(name, ("", -1))
        if publisher == header.publisher:
            if header.seq <= seq:
                return False  # sent again, for a late joiner
            self.skipped["lost"] += header.seq - seq - 1
        self._newest[name] = header.publisher, header.seq
        return True

    def _next_pending(self) -> RawMessage | None:
        """Take the message that has waited longest; return None if it is too old."""
        name = next(iter(self._pending))
        waiting = self._pending.pop(name)
        message = waiting.popleft()
        if waiting:
            self._pending[name] = waiting  # at the end: one source's events do not keep others waiting
        if message.header.kind != "event" and self._is_too_old(message.header):
            self.skipped["stale"] += 1
            return None
        return message

    def _decoded(self, raw: RawMessage) -> Message | None:
        """Decode a message; return None if it is malformed."""
        try:
            return decode(raw.parts)
        except MessageError:
            self.skipped["malformed"] += 1
            return None

    def _is_too_old(self, header: Header) -> bool:
        return self._max_age_ms is not None and self._clock() - header.sent_ns > self._max_age_ms * 1e6


def _make_socket(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make a socket with a short queue, which reconnects by itself."""
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_PAYLOAD_BYTES)
    socket.setsockopt(zmq.RCVBUF, KERNEL_BUFFER_BYTES)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
    disconnect_dead_peers(socket)
    return socket


def _receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """Return a message that has come, if there is one."""
    try:  # costs less than asking first
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None


def _topics(sources: Sequence[str], kinds: Collection[Kind]) -> list[bytes]:
    return [topic(source, kind) for source in sources for kind in kinds]
