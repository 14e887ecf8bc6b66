"""What both kinds of socket are told: who may connect, and who counts as gone."""

from typing import TYPE_CHECKING

import zmq

from streamcam.transport.keys import ClientKeys, ServerKeys

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

KERNEL_BUFFER_BYTES = 256 * 1024

HEARTBEAT_S = 2
DEAD_AFTER_S = 6
"""A peer that has not answered for so long (a cable was pulled, a machine went down) is disconnected."""

HANDSHAKE_S = 5
ZAP_DOMAIN = b"streamcam"


class _Doorkeeper:
    """Says who may connect, to ZeroMQ's authenticator."""

    def __init__(self, keys: ServerKeys) -> None:
        self._keys = keys

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether the owner of a public key may."""
        return self._keys.admits(key)


def doorkeeper(context: "zmq.Context[zmq.Socket[bytes]]", keys: ServerKeys) -> "ThreadAuthenticator":
    """A thread that answers for each connection whether it may be made."""
    from zmq.auth.thread import ThreadAuthenticator  # brings asyncio along, which a viewer has no use for

    authenticator = ThreadAuthenticator(context)
    authenticator.configure_curve_callback(ZAP_DOMAIN.decode(), credentials_provider=_Doorkeeper(keys))
    authenticator.start()
    return authenticator


def lock(socket: "zmq.Socket[bytes]", keys: ServerKeys) -> None:
    """Let a publisher's socket encrypt, and ask the doorkeeper for everybody."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # where nobody answers for a client, it may not


def unlock(socket: "zmq.Socket[bytes]", keys: ClientKeys) -> None:
    """Let a subscriber's socket prove who it is, and believe no other publisher."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


def notice_the_dead(socket: "zmq.Socket[bytes]") -> None:
    """Let a socket find out that a peer is gone although nobody has closed the connection."""
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, DEAD_AFTER_S * 1000)
    socket.setsockopt(zmq.HEARTBEAT_TTL, DEAD_AFTER_S * 1000)
    socket.setsockopt(zmq.TCP_MAXRT, DEAD_AFTER_S * 1000)
