"""Settings that publisher and subscriber sockets share: encryption, authentication, and the detection of dead peers."""

from typing import TYPE_CHECKING

import zmq

from streamcam.transport.keys import ClientKeys, ServerKeys

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

KERNEL_BUFFER_BYTES = 256 * 1024
"""Small, since what lies in the kernel's buffers is delivered however old it is."""

HEARTBEAT_S = 2
DEAD_AFTER_S = 6
"""A peer that has not answered for so long (a cable was pulled, a machine went down) is disconnected."""

HANDSHAKE_S = 5
ZAP_DOMAIN = b"streamcam"
"""The name under which the publisher's socket asks the authenticator (ZAP, https://rfc.zeromq.org/spec/27/)."""


class _CredentialsProvider:
    """The callback by which ZeroMQ's authenticator asks whether a client may connect."""

    def __init__(self, keys: ServerKeys) -> None:
        self._keys = keys

    def callback(self, _domain: str, key: bytes) -> bool:
        """Return whether the owner of a public key may connect."""
        return self._keys.admits(key)


def start_authenticator(context: "zmq.Context[zmq.Socket[bytes]]", keys: ServerKeys) -> "ThreadAuthenticator":
    """Start a thread that decides for each connection to the context's sockets whether it may be made."""
    from zmq.auth.thread import ThreadAuthenticator  # imports asyncio, which a viewer does not need

    authenticator = ThreadAuthenticator(context)
    authenticator.configure_curve_callback(ZAP_DOMAIN.decode(), credentials_provider=_CredentialsProvider(keys))
    authenticator.start()
    return authenticator


def encrypt_publisher(socket: "zmq.Socket[bytes]", keys: ServerKeys) -> None:
    """Make a publisher's socket encrypt, and ask the authenticator about every client."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    # Without this, ZeroMQ would let in any client while no authenticator is running.
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def encrypt_subscriber(socket: "zmq.Socket[bytes]", keys: ClientKeys) -> None:
    """Make a subscriber's socket prove its identity, and accept no publisher but the one whose key it has."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


def disconnect_dead_peers(socket: "zmq.Socket[bytes]") -> None:
    """Make a socket notice that a peer is gone although nobody has closed the connection."""
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, DEAD_AFTER_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_TTL, DEAD_AFTER_S * 1000)
    # How long the kernel goes on sending data that the peer does not acknowledge.
    socket.setsockopt(zmq.TCP_MAXRT, DEAD_AFTER_S * 1000)
