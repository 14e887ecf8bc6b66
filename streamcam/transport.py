"""Sockets: results out to any number of processes, and in again. A slow receiver costs the sender nothing."""

import ipaddress
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Literal, Self

import zmq

from streamcam.errors import StreamcamError
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

HIGH_WATER_MARK = 8
"""Messages per source that wait for one receiver; a high-water mark alone still queues in the kernel, hence the small
buffers."""
RECEIVE_HIGH_WATER_MARK = 256
KERNEL_BUFFER_BYTES = 256 * 1024

Clock = Callable[[], int]


class Publisher:
    """Sends results to whoever subscribes. One thread owns it: all its methods are called from there.

    Pictures are wanted only while somebody subscribes to them. A late joiner is sent the last message of each other
    topic that it subscribes to.
    """

    def __init__(self, endpoint: str, *, sources: int = 1, clock: Clock = time.time_ns) -> None:
        """Bind.

        Args:
            endpoint: tcp://127.0.0.1:PORT or ipc://PATH.
            sources: how many there are: all may have something to say at the same moment.
            clock: Unix time in nanoseconds.

        Raises:
            StreamcamError: the endpoint is in use, malformed, or open to other machines.
        """
        require_local(endpoint)
        self.id = uuid.uuid4().hex[:12]
        self._clock = clock
        self._subscriptions: set[bytes] = set()
        self._seq: Counter[bytes] = Counter()
        self._last: dict[bytes, list[bytes]] = {}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK * (sources + 1))
        self._socket.setsockopt(zmq.SNDBUF, KERNEL_BUFFER_BYTES)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise StreamcamError(f"cannot bind {endpoint}: {_reason(e)}") from e
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        """Where it is bound, with the port number where `*` was asked for."""

    def wants(self, source: str, kind: Kind) -> bool:
        """Whether anybody subscribes to a topic."""
        name = topic(source, kind)
        return any(name.startswith(prefix) for prefix in self._subscriptions)

    def send_result(self, result: Result) -> None:
        """Send heat (kind `result`)."""
        self._send(encode_result(result, self._stamp(result.frame.source, "result")))

    def send_picture(self, kind: Literal["frame", "overlay"], result: Result, picture: Image) -> None:
        """Send a picture, uint8 [H,W,3] RGB; call it only where `wants` says so."""
        message = encode_picture(kind, result, picture, self._stamp(result.frame.source, kind))
        self._socket.send_multipart(message, zmq.NOBLOCK)  # not kept: by the time that somebody joins it is stale

    def send_status(self, source: str, data: Mapping[str, Scalar]) -> None:
        """Say how a source fares (kind `status`)."""
        self._send(encode_status(source, data, self._stamp(source, "status")))

    def send_directory(self, sources: Sequence[str]) -> None:
        """Say which sources there are, so that subscribers can choose."""
        self._send(encode_directory(sources, self._stamp(DIRECTORY, "status")))

    def serve(self) -> None:
        """Take in subscriptions that came since the last call; send late joiners the last values. Never waits."""
        while self._socket.poll(0):
            event = self._socket.recv()
            prefix = event[1:]
            if event[:1] == b"\1":
                self._subscriptions.add(prefix)
                for message in [m for name, m in self._last.items() if name.startswith(prefix)]:
                    self._socket.send_multipart(message, zmq.NOBLOCK)
            elif event[:1] == b"\0":
                self._subscriptions.discard(prefix)

    def close(self) -> None:
        """Unbind; what is on its way has 0.2 s to leave. Closing twice is fine."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _stamp(self, source: str, kind: Kind) -> Stamp:
        name = topic(source, kind)
        self._seq[name] += 1
        return Stamp(self.id, self._seq[name] - 1, self._clock())

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
        clock: Clock = time.time_ns,
    ) -> None:
        """Connect; the publisher may start later, and come back.

        Args:
            endpoint: where the publisher is bound, such as tcp://127.0.0.1:5555 or ipc:///tmp/streamcam.
            kinds: `result` (heat), `overlay` (painted pictures), `frame` (pictures as they came), `status`, `event`.
            sources: only these cameras; None means all that the publisher has.
            max_age_ms: skip and count messages that were sent longer ago.
            clock: Unix time in nanoseconds.

        Raises:
            StreamcamError: the endpoint is malformed, or its host is unknown.
        """
        require_resolvable(endpoint)
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
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise StreamcamError(f"cannot connect to {endpoint}: {_reason(e)}") from e
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


def require_local(endpoint: str) -> None:
    """Let nobody bind what other machines could reach: messages are pictures, and there are no keys yet.

    Raises:
        StreamcamError: the endpoint is malformed, in use, or not on this machine alone.
    """
    scheme, address = _split(endpoint)
    if scheme == "ipc":
        return _require_unused(address)
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost" and not _is_loopback(host):
        raise StreamcamError(
            f"refused to bind {endpoint}: other machines could watch. Bind tcp://127.0.0.1:PORT, and let them in by an "
            "SSH tunnel"
        )
    return None


def require_resolvable(endpoint: str) -> None:
    """Find a mistyped host now; ZeroMQ would wait for it in silence.

    Raises:
        StreamcamError: the endpoint is malformed, or its host is unknown.
    """
    scheme, address = _split(endpoint)
    if scheme == "tcp":
        host = address.rpartition(":")[0].strip("[]")
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError) as e:  # the latter: a name that cannot be one
            raise StreamcamError(f"cannot connect to {endpoint}: unknown host {host!r}") from e


def _split(endpoint: str) -> tuple[str, str]:
    scheme, separator, address = endpoint.partition("://")
    host, _, port = address.rpartition(":")
    tcp_ok = scheme == "tcp" and host and (port == "*" or (port.isdecimal() and int(port) < 65536))
    if not separator or not (tcp_ok or (scheme == "ipc" and address)):
        raise StreamcamError(f"not an endpoint: {endpoint} (use tcp://127.0.0.1:5555 or ipc:///tmp/streamcam)")
    return scheme, address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_unused(path: str) -> None:
    """ZeroMQ would take a Unix socket away from the program that serves it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return
    raise StreamcamError(f"cannot bind ipc://{path}: another program serves it; stop that, or give another --bind")


def _reason(error: zmq.ZMQError) -> str:
    if error.errno == zmq.EADDRINUSE:
        return "another program serves it; stop that, or give another --bind"
    return error.strerror
