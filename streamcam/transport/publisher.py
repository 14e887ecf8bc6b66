"""The publisher: sends results to whoever subscribes, and encodes pictures only for those who want them."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import zmq

from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.records import Picture, Result
from streamcam.transport.endpoints import reason_of, require_bindable
from streamcam.transport.headers import DIRECTORY, Kind, Scalar
from streamcam.transport.keys import server_keys
from streamcam.transport.messages import (
    Stamp,
    encode_directory,
    encode_event_message,
    encode_picture,
    encode_result,
    encode_status,
    topic,
)
from streamcam.transport.sockets import (
    KERNEL_BUFFER_BYTES,
    disconnect_dead_peers,
    encrypt_publisher,
    start_authenticator,
)

HIGH_WATER_MARK = 8
"""Messages per source that ZeroMQ queues for one subscriber. The kernel queues more, so its buffers are kept small."""

MAX_REQUEST_BYTES = 4096
"""A longer message from a subscriber ends its connection: all that it may send is which topics it wants."""

REQUESTS_AT_ONCE = 256
"""The most requests handled in one call, so that no subscriber can keep a publisher busy with them."""

LINGER_MS = 200


@dataclass(frozen=True, slots=True)
class _Offer:
    """A picture that is not painted yet, since nobody subscribes to it."""

    kind: Literal["frame", "overlay"]
    result: Result
    paint: Callable[[Result], Picture]
    offered_ns: int


class Publisher:
    """A publisher of results. It belongs to one thread: call all its methods from there.

    Pictures are painted and encoded only while somebody subscribes to them. A late joiner is sent the last message of
    each topic that it subscribes to; a picture is painted for it if need be.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        sources: int = 1,
        keys: Path | str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Bind to an endpoint.

        Args:
            endpoint: tcp://127.0.0.1:PORT or ipc://PATH; with keys, also an address that other machines can reach.
            sources: the number of sources; queues have room for messages of all of them at once.
            keys: the folder with the publisher's key and those of all who may watch; None encrypts nothing.
            clock: gives Unix time in nanoseconds.

        Raises:
            StreamcamError: the endpoint is in use, malformed, or open to other machines without keys; or a key is
                missing or malformed.
        """
        folder = None if keys is None else Path(keys)
        require_bindable(endpoint, keys=folder)
        server = None if folder is None else server_keys(folder)
        self.id = uuid.uuid4().hex[:12]
        """Random for each start: the `publisher` of its messages."""
        self._clock = clock
        self._subscriptions: set[bytes] = set()
        # By topic: the next number, the last message, and the last picture that is not painted yet.
        self._seq: Counter[bytes] = Counter()
        self._last: dict[bytes, list[bytes]] = {}
        self._offers: dict[bytes, _Offer] = {}
        # Topics of offers that a late joiner waits for; a dict, since it keeps their order.
        self._requested: dict[bytes, None] = {}
        self._context = zmq.Context()
        self._authenticator = None if server is None else start_authenticator(self._context, server)
        self._socket = _make_socket(self._context, sources)
        if server is not None:
            encrypt_publisher(self._socket, server)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise StreamcamError(f"cannot bind {endpoint}: {reason_of(e)}") from e
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        """The address that it is bound to, with the port number in place of `*`."""

    @property
    def sent(self) -> dict[tuple[str, str], int]:
        """By source and kind: how many messages have been sent so far, without the directory. Any thread may ask."""
        # Copied in one step, since the publisher's thread adds topics meanwhile.
        numbers = [(name.decode().split("/"), number) for name, number in list(self._seq.items())]
        return {(source, kind): number for (_, source, kind, _), number in numbers if source != DIRECTORY}

    @property
    def subscriptions(self) -> int:
        """How many different subscriptions there are. Any thread may ask."""
        return len(self._subscriptions)

    def wants(self, source: str, kind: Kind) -> bool:
        """Return whether anybody subscribes to a source's messages of one kind."""
        return self._is_subscribed(topic(source, kind))

    def send_result(self, result: Result) -> None:
        """Send heat (kind `result`)."""
        self._send(encode_result(result, self._stamp(result.frame.source, "result")))

    def offer_picture(
        self, kind: Literal["frame", "overlay"], result: Result, paint: Callable[[Result], Picture]
    ) -> None:
        """Send a picture if anybody wants it; otherwise keep it for the next one who does.

        Args:
            kind: `frame` (the camera's picture) or `overlay` (a painted one).
            result: the frame and heat to show.
            paint: makes the picture, uint8 [H,W,3] RGB, on the host or a GPU; called from here or from `serve`.
        """
        name = topic(result.frame.source, kind)
        self._last.pop(name, None)  # older than the offer: a late joiner gets the offer now
        self._offers[name] = _Offer(kind, result, paint, self._clock())
        if self._is_subscribed(name):
            self._send_offer(name)

    def send_status(self, source: str, data: Mapping[str, Scalar]) -> None:
        """Send the state of a source and its counters (kind `status`)."""
        self._send(encode_status(source, data, self._stamp(source, "status")))

    def send_event(self, event: Event) -> None:
        """Send what has happened (kind `event`), subscribers or not: a late joiner is sent the last one.

        Raises:
            MessageError: the event is beyond the limits of the format.
        """
        self._send(encode_event_message(event, self._stamp(event.source, "event")))

    def send_directory(self, sources: Sequence[str]) -> None:
        """Send the list of sources, by which subscribers choose their topics."""
        self._send(encode_directory(sources, self._stamp(DIRECTORY, "status")))

    def serve(self) -> None:
        """Handle new subscriptions, and send late joiners the last message of their topics. It never waits."""
        for _ in range(REQUESTS_AT_ONCE):
            if not self._socket.poll(0):
                break
            self._handle(self._socket.recv())
        if self._requested:  # one picture a call: painting takes milliseconds, and live results must not wait
            self._send_offer(next(iter(self._requested)))

    def close(self) -> None:
        """Unbind; queued messages are sent for another 0.2 s. Closing twice is fine."""
        self._socket.close()
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _is_subscribed(self, name: bytes) -> bool:
        # A subscription is any prefix of a topic. Topics are short, and subscriptions can be many: try the prefixes.
        return any(name[:length] in self._subscriptions for length in range(len(name) + 1))

    def _handle(self, request: bytes) -> None:
        """Handle a subscription (byte 1, then a prefix of topics) or its end (byte 0); ignore anything else."""
        prefix = request[1:]
        if request[:1] == b"\1":
            self._subscriptions.add(prefix)
            for message in [m for name, m in self._last.items() if name.startswith(prefix)]:
                self._socket.send_multipart(message, zmq.NOBLOCK)
            self._requested |= dict.fromkeys(name for name in self._offers if name.startswith(prefix))
        elif request[:1] == b"\0":
            self._subscriptions.discard(prefix)

    def _send_offer(self, name: bytes) -> None:
        """Paint, encode and send the picture that a topic offers."""
        self._requested.pop(name, None)
        offer = self._offers.pop(name)
        # The time at which the picture was due, also for a late joiner: `max_age_ms` must see how old it is.
        stamp = self._stamp(offer.result.frame.source, offer.kind, sent_ns=offer.offered_ns)
        self._send(encode_picture(offer.kind, offer.result, offer.paint(offer.result), stamp))

    def _stamp(self, source: str, kind: Kind, *, sent_ns: int | None = None) -> Stamp:
        name = topic(source, kind)
        self._seq[name] += 1
        return Stamp(self.id, self._seq[name] - 1, self._clock() if sent_ns is None else sent_ns)

    def _send(self, message: list[bytes]) -> None:
        self._last[message[0]] = message
        self._socket.send_multipart(message, zmq.NOBLOCK)


def _make_socket(context: zmq.Context[zmq.Socket[bytes]], sources: int) -> zmq.Socket[bytes]:
    """Make a socket that reports subscriptions, with queues for so many sources."""
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    # Every subscription is passed on, not just a topic's first: each joiner is to be sent the last message.
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK * (sources + 1))
    socket.setsockopt(zmq.SNDBUF, KERNEL_BUFFER_BYTES)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
    disconnect_dead_peers(socket)
    return socket
