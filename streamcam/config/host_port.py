"""Addresses of servers: HOST:PORT."""

LOOPBACK = "127.0.0.1"


def check_host_port(value: object) -> object:
    """Read `HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`, and return it with a host: by default this machine's own.

    Raises:
        ValueError: it is none of these; the message says what would be.
    """
    if value is None:
        return None
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    host, _, port = text.strip().rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536
    if not is_port or any(c.isspace() or c in "/@" for c in host) or (":" in host and not in_brackets):
        raise ValueError("expected HOST:PORT such as 127.0.0.1:9464, or a port from 0 to 65535 alone")
    return f"{host or LOOPBACK}:{int(port)}"


def split_host_port(address: str) -> tuple[str, int]:
    """Return the host, without brackets, and the port of a checked address.

    >>> split_host_port("[::1]:9464")
    ('::1', 9464)
    """
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
