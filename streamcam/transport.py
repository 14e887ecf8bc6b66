"""Sockets: results out to any number of processes, and in again. A slow receiver costs the sender nothing."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import zmq

from streamcam.endpoints import reason_of, require_bindable, require_resolvable
from streamcam.errors import StreamcamError
from streamcam.keys import ClientKeys, ServerKeys, client_keys, server_keys
from streamcam.records import Image, Result
from streamcam.wire import (
    DIRECTORY,
    MAX_PART_BYTES,
    Header,
    Kind,
    Message,
    Scalar,
    Stamp,
    WireError,
    decode,
    decode_header,
    encode_directory,
    encode_picture,
    encode_result,
    encode_status,
    topic,
)

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

HIGH_WATER_MARK = 8
"""Messages per source that wait for one receiver; a high-water mark alone still queues in the kernel, hence the small
buffers."""
RECEIVE_HIGH_WATER_MARK = 256
KERNEL_BUFFER_BYTES = 256 * 1024

MAX_REQUEST_BYTES = 4096
"""Longer messages from a subscriber end its connection: all that it may say is which topics it wants."""

REQUESTS_AT_ONCE = 256
"""So many of them are taken in at a time, so that nobody can keep a publisher busy with them."""

HEARTBEAT_S = 2
DEAD_AFTER_S = 6
"""A peer that has not answered for so long (a cable was pulled, a machine went down) is disconnected."""

HANDSHAKE_S = 5
RECONNECT_S, RECONNECT_MAX_S = 0.1, 1.0
ZAP_DOMAIN = b"streamcam"

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Offer:
    """A picture that nobody has wanted yet."""

    kind: Literal["frame", "overlay"]
    result: Result
    paint: Callable[[Result], Image]
    offered_ns: int


class Publisher:
    """Sends results to whoever subscribes. One thread owns it: all its methods are called from there.

    Pictures are painted and encoded only while somebody subscribes to them. A late joiner is sent the last message of
    each topic that it subscribes to, a picture included.
    """

    def __init__(
        self, endpoint: str, *, sources: int = 1, keys: Path | str | None = None, clock: Clock = time.time_ns
    ) -> None:
        """Bind.

        Args:
            endpoint: tcp://127.0.0.1:PORT or ipc://PATH; with keys, also what other machines can reach.
            sources: how many there are: all may have something to say at the same moment.
            keys: the folder with the publisher's key and those of all who may watch; None encrypts nothing.
            clock: Unix time in nanoseconds.

        Raises:
            StreamcamError: the endpoint is in use, malformed, or open to other machines without keys; or a key is
                missing or malformed.
        """
        folder = None if keys is None else Path(keys)
        require_bindable(endpoint, keys=folder)
        own = None if folder is None else server_keys(folder)
        self.id = uuid.uuid4().hex[:12]
        self._clock = clock
        self._subscriptions: set[bytes] = set()
        self._seq: Counter[bytes] = Counter()
        self._last: dict[bytes, list[bytes]] = {}
        self._offers: dict[bytes, _Offer] = {}
        self._owed: dict[bytes, None] = {}
        self._context = zmq.Context()
        self._doorkeeper = None if own is None else _doorkeeper(self._context, own)
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK * (sources + 1))
        self._socket.setsockopt(zmq.SNDBUF, KERNEL_BUFFER_BYTES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        _notice_the_dead(self._socket)
        if own is not None:
            _lock(self._socket, own)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise StreamcamError(f"cannot bind {endpoint}: {reason_of(e)}") from e
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        """Where it is bound, with the port number where `*` was asked for."""

    def wants(self, source: str, kind: Kind) -> bool:
        """Whether anybody subscribes to a topic."""
        return self._wanted(topic(source, kind))

    def send_result(self, result: Result) -> None:
        """Send heat (kind `result`)."""
        self._send(encode_result(result, self._stamp(result.frame.source, "result")))

    def offer_picture(
        self, kind: Literal["frame", "overlay"], result: Result, paint: Callable[[Result], Image]
    ) -> None:
        """Send a picture if anybody wants it; otherwise keep it for the next one who does.

        Args:
            kind: `frame` (as it came) or `overlay` (painted).
            result: what it shows.
            paint: makes the picture, uint8 [H,W,3] RGB; called from here or from `serve`.
        """
        name = topic(result.frame.source, kind)
        self._last.pop(name, None)
        self._offers[name] = _Offer(kind, result, paint, self._clock())
        if self._wanted(name):
            self._keep_offer(name)

    def send_status(self, source: str, data: Mapping[str, Scalar]) -> None:
        """Say how a source fares (kind `status`)."""
        self._send(encode_status(source, data, self._stamp(source, "status")))

    def send_directory(self, sources: Sequence[str]) -> None:
        """Say which sources there are, so that subscribers can choose."""
        self._send(encode_directory(sources, self._stamp(DIRECTORY, "status")))

    def serve(self) -> None:
        """Take in subscriptions that came since the last call; send late joiners the last values. Never waits."""
        for _ in range(REQUESTS_AT_ONCE):
            if not self._socket.poll(0):
                break
            self._take_in(self._socket.recv())
        if self._owed:  # one at a time: a picture takes milliseconds, and what is live has others to send
            self._keep_offer(next(iter(self._owed)))

    def close(self) -> None:
        """Unbind; what is on its way has 0.2 s to leave. Closing twice is fine."""
        self._socket.close()
        if self._doorkeeper is not None:
            self._doorkeeper.stop()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _wanted(self, name: bytes) -> bool:
        return any(name[:length] in self._subscriptions for length in range(len(name) + 1))

    def _take_in(self, request: bytes) -> None:
        """A subscription (1, then a prefix of topics) or its end (0); whatever else it is says nothing."""
        prefix = request[1:]
        if request[:1] == b"\1":
            self._subscriptions.add(prefix)
            for message in [m for name, m in self._last.items() if name.startswith(prefix)]:
                self._socket.send_multipart(message, zmq.NOBLOCK)
            self._owed |= dict.fromkeys(name for name in self._offers if name.startswith(prefix))
        elif request[:1] == b"\0":
            self._subscriptions.discard(prefix)

    def _keep_offer(self, name: bytes) -> None:
        """Paint, encode and send a picture."""
        self._owed.pop(name, None)
        offer = self._offers.pop(name)
        stamp = self._stamp(offer.result.frame.source, offer.kind, sent_ns=offer.offered_ns)
        self._send(encode_picture(offer.kind, offer.result, offer.paint(offer.result), stamp))

    def _stamp(self, source: str, kind: Kind, *, sent_ns: int | None = None) -> Stamp:
        name = topic(source, kind)
        self._seq[name] += 1
        return Stamp(self.id, self._seq[name] - 1, self._clock() if sent_ns is None else sent_ns)

    def _send(self, message: list[bytes]) -> None:
        self._last[message[0]] = message
        self._socket.send_multipart(message, zmq.NOBLOCK)


class Subscriber:
    """Receives results: iterate over it, in the thread that made it.

    It always gives the newest: where messages of one topic have piled up, the older ones are skipped and counted.

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
        clock: Clock = time.time_ns,
    ) -> None:
        """Connect; the publisher may start later, and come back.

        Args:
            endpoint: where the publisher is bound, such as tcp://127.0.0.1:5555 or ipc:///tmp/streamcam.
            kinds: `result` (heat), `overlay` (painted pictures), `frame` (pictures as they came), `status`, `event`.
            sources: only these cameras; None means all that the publisher has.
            max_age_ms: skip and count messages that were sent longer ago.
            keys: the folder with this program's key and the publisher's public one; None for a publisher without keys.
            clock: Unix time in nanoseconds.

        Raises:
            StreamcamError: the endpoint is malformed, or its host is unknown; or a key is missing or malformed.
        """
        require_resolvable(endpoint)
        own = None if keys is None else client_keys(Path(keys))
        wanted = [topic(DIRECTORY, "status")] if sources is None else _topics(sources, kinds)
        self.skipped: Counter[str] = Counter()
        """What was not given out: `stale` (older than the newest, or than `max_age_ms`), `malformed`, and `lost` on
        the way (known from gaps in the sequence)."""
        self._kinds, self._max_age_ms, self._clock = tuple(kinds), max_age_ms, clock
        self._newest: dict[bytes, tuple[str, int]] = {}
        self._waiting: dict[bytes, list[bytes]] = {}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, RECEIVE_HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_PART_BYTES)
        self._socket.setsockopt(zmq.RCVBUF, KERNEL_BUFFER_BYTES)
        self._socket.setsockopt(zmq.RECONNECT_IVL, round(RECONNECT_S * 1000))
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, round(RECONNECT_MAX_S * 1000))
        _notice_the_dead(self._socket)
        if own is not None:
            _unlock(self._socket, own)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise StreamcamError(f"cannot connect to {endpoint}: {reason_of(e)}") from e
        self._subscribed: set[bytes] = set()
        self._subscribe(wanted)

    def __iter__(self) -> Iterator[Result]:
        """Results for ever, as they come."""
        return (message.result for message in self.messages() if message.result is not None)

    def messages(self, *, timeout_s: float | None = None) -> Iterator[Message]:
        """Messages as they come, until none could be given for `timeout_s`; None waits for ever."""
        given_s = time.monotonic()
        while True:
            left_ms = None if timeout_s is None else max(0, round((given_s + timeout_s - time.monotonic()) * 1000))
            if not self._waiting and not self._socket.poll(left_ms):
                return
            self._drain()
            message = self._take() if self._waiting else None
            if message is not None:
                yield message
                given_s = time.monotonic()
            elif left_ms == 0:
                return

    def close(self) -> None:
        """Disconnect. Closing twice is fine."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _subscribe(self, topics: Sequence[bytes]) -> None:
        for name in topics:
            if name not in self._subscribed:
                self._subscribed.add(name)
                self._socket.setsockopt(zmq.SUBSCRIBE, name)

    def _drain(self) -> None:
        """Take in all that has come; of each topic, keep the newest."""
        while self._socket.poll(0):
            message = self._socket.recv_multipart()
            try:
                header = decode_header(message)
            except WireError:
                self.skipped["malformed"] += 1
                continue
            if header.source == DIRECTORY:
                self._follow(header)
            elif self._is_new(message[0], header):
                # A newer message takes the older one's turn, so that no topic waits for ever behind a busier one.
                self.skipped["stale"] += message[0] in self._waiting
                self._waiting[message[0]] = message

    def _follow(self, directory: Header) -> None:
        """Subscribe to the sources that there are now, and to no others."""
        try:
            wanted = {topic(DIRECTORY, "status"), *_topics(directory.sources, self._kinds)}
        except WireError:
            self.skipped["malformed"] += 1
            return
        for name in self._subscribed - wanted:
            self._subscribed.discard(name)
            self._socket.setsockopt(zmq.UNSUBSCRIBE, name)
            self._waiting.pop(name, None)
            self._newest.pop(name, None)
        self._subscribe(sorted(wanted))

    def _is_new(self, name: bytes, header: Header) -> bool:
        publisher, seq = self._newest.get(name, ("", -1))
        if publisher == header.publisher:
            if header.seq <= seq:
                return False  # sent again, for a late joiner
            self.skipped["lost"] += header.seq - seq - 1
        self._newest[name] = header.publisher, header.seq
        return True

    def _take(self) -> Message | None:
        """The message that has waited longest, unless it is too old or malformed."""
        message = self._waiting.pop(next(iter(self._waiting)))
        try:
            decoded = decode(message)
        except WireError:
            self.skipped["malformed"] += 1
            return None
        if self._max_age_ms is not None and self._clock() - decoded.header.sent_ns > self._max_age_ms * 1e6:
            self.skipped["stale"] += 1
            return None
        return decoded


def _topics(sources: Sequence[str], kinds: Sequence[Kind]) -> list[bytes]:
    return [topic(source, kind) for source in sources for kind in kinds]


class _Doorkeeper:
    """Says who may connect, to ZeroMQ's authenticator."""

    def __init__(self, keys: ServerKeys) -> None:
        self._keys = keys

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether the owner of a public key may."""
        return self._keys.admits(key)


def _doorkeeper(context: "zmq.Context[zmq.Socket[bytes]]", keys: ServerKeys) -> "ThreadAuthenticator":
    """A thread that answers for each connection whether it may be made."""
    from zmq.auth.thread import ThreadAuthenticator  # brings asyncio along, which a viewer has no use for

    authenticator = ThreadAuthenticator(context)
    authenticator.configure_curve_callback(ZAP_DOMAIN.decode(), credentials_provider=_Doorkeeper(keys))
    authenticator.start()
    return authenticator


def _lock(socket: "zmq.Socket[bytes]", keys: ServerKeys) -> None:
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # where nobody answers for a client, it may not


def _unlock(socket: "zmq.Socket[bytes]", keys: ClientKeys) -> None:
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


def _notice_the_dead(socket: "zmq.Socket[bytes]") -> None:
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, DEAD_AFTER_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_TTL, DEAD_AFTER_S * 1000)
    socket.setsockopt(zmq.TCP_MAXRT, DEAD_AFTER_S * 1000)
