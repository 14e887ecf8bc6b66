"""Ports for servers of tests."""

import socket


def unused_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
