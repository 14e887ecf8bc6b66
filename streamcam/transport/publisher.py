"""Results out, to whoever subscribes."""

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
from streamcam.records import Picture, Result
from streamcam.transport.endpoints import reason_of, require_bindable
from streamcam.transport.keys import server_keys
from streamcam.transport.messages import (
    DIRECTORY,
    Kind,
    Scalar,
    Stamp,
    encode_directory,
    encode_picture,
    encode_result,
    encode_status,
    topic,
)
from streamcam.transport.sockets import KERNEL_BUFFER_BYTES, doorkeeper, lock, notice_the_dead

HIGH_WATER_MARK = 8
"""Messages per source that wait for one receiver; a high-water mark alone still queues in the kernel, hence the small
buffers."""

MAX_REQUEST_BYTES = 4096
"""Longer messages from a subscriber end its connection: all that it may say is which topics it wants."""

REQUESTS_AT_ONCE = 256
"""So many of them are taken in at a time, so that nobody can keep a publisher busy with them."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A picture that nobody has wanted yet."""

    kind: Literal["frame", "overlay"]
    result: Result
    paint: Callable[[Result], Picture]
    offered_ns: int


class Publisher:
    """Sends results to whoever subscribes. One thread owns it: all its methods are called from there.

    Pictures are painted and encoded only while somebody subscribes to them. A late joiner is sent the last message of
    each topic that it subscribes to, a picture included.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        sources: int = 1,
        keys: Path | str | None = None,
        clock: Callable[[], int] = time.time_ns,
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
        self._doorkeeper = None if own is None else doorkeeper(self._context, own)
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK * (sources + 1))
        self._socket.setsockopt(zmq.SNDBUF, KERNEL_BUFFER_BYTES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        notice_the_dead(self._socket)
        if own is not None:
            lock(self._socket, own)
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
        self, kind: Literal["frame", "overlay"], result: Result, paint: Callable[[Result], Picture]
    ) -> None:
        """Send a picture if anybody wants it; otherwise keep it for the next one who does.

        Args:
            kind: `frame` (as it came) or `overlay` (painted).
            result: what it shows.
            paint: makes the picture, uint8 [H,W,3] RGB, here or on a GPU; called from here or from `serve`.
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
