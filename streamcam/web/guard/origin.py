"""Where a request comes from: its address, the name it was sent to, and the page that sent it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from streamcam.config.web import LOOPBACK_HOSTS

DEFAULT_PORTS = {"http": 80, "https": 443}


def client_of(peer: str, headers: Headers, *, behind_proxy: bool) -> str:
    """Return the address of a client.

    Behind a proxy, that is the last one of `X-Forwarded-For`, which the proxy has added: all before it is what the
    client says of itself. Without a proxy the header means nothing.
    """
    if behind_proxy and (forwarded := headers.getlist("x-forwarded-for")):
        last = forwarded[-1].rpartition(",")[2].strip()
        try:
            return str(ip_address(last))
        except ValueError:
            return peer
    return peer


def is_for_loopback(headers: Headers) -> bool:
    """Whether the name that a request was sent to is this machine's own.

    Another website may let its name point to 127.0.0.1 (DNS rebinding). Its scripts could read the page then.
    """
    hosts = headers.getlist("host")
    return len(hosts) == 1 and _host_port("http", hosts[0])[0] in LOOPBACK_HOSTS


def is_same_origin(headers: Headers) -> bool:
    """Whether a request comes from our own page, or from no page at all."""
    origins, hosts = headers.getlist("origin"), headers.getlist("host")
    if not origins:
        return headers.get("sec-fetch-site") not in ("cross-site", "same-site")
    if len(origins) != 1 or len(hosts) != 1:
        return False
    scheme, _, place = origins[0].partition("://")
    own = _host_port(scheme, hosts[0])
    return scheme in DEFAULT_PORTS and own[0] != "" and _host_port(scheme, place) == own


def _host_port(scheme: str, place: str) -> tuple[str, int | None]:
    """Read HOST or HOST:PORT; what is malformed gives an empty host."""
    try:
        parts = urlsplit(f"//{place}")
        port = parts.port
    except ValueError:
        return "", None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return "", None
    return parts.hostname or "", DEFAULT_PORTS.get(scheme) if port is None else port
