"""Checks of the addresses at which sockets are bound and connected."""

import ipaddress
import socket
from pathlib import Path

import zmq

from streamcam.errors import StreamcamError
from streamcam.transport.keys import SERVER, default_folder


def require_bindable(endpoint: str, *, keys: Path | None = None) -> None:
    """Check that an endpoint can be bound. Without keys, refuse one that other machines can reach.

    Messages hold pictures, and without keys everybody who connects may watch.

    Raises:
        StreamcamError: the endpoint is malformed, in use, or open to others without keys.
    """
    scheme, address = _split(endpoint)
    if scheme == "ipc":
        return _require_unused(address)
    host = address.rpartition(":")[0].strip("[]")
    if keys is None and host != "localhost" and not _is_loopback(host):
        folder = default_folder()
        raise StreamcamError(
            f"refused to bind {endpoint} without keys: anybody could watch. Make them with "
            f"`streamcam keys new {SERVER}` and add `--keys {folder}`, or bind tcp://127.0.0.1:PORT"
        )
    return None


def require_resolvable(endpoint: str) -> None:
    """Check that an endpoint's host exists: ZeroMQ would wait for a mistyped one without a word.

    Raises:
        StreamcamError: the endpoint is malformed, or its host is unknown.
    """
    scheme, address = _split(endpoint)
    if scheme == "tcp":
        host = address.rpartition(":")[0].strip("[]")
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError) as e:  # UnicodeError: no host can have such a name
            raise StreamcamError(f"cannot connect to {endpoint}: unknown host {host!r}") from e


def reason_of(error: zmq.ZMQError) -> str:
    """Say why a socket could not be bound or connected."""
    if error.errno == zmq.EADDRINUSE:
        return "another program serves it; stop that, or give another --bind"
    return error.strerror


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
    """Refuse a Unix socket that answers: ZeroMQ would take it away from the program that serves it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return
    raise StreamcamError(f"cannot bind ipc://{path}: another program serves it; stop that, or give another --bind")
