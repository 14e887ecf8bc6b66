"""URLs of cameras and servers: their hosts, FFmpeg's options for them, and words for what is written wrong in them."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv6Address, ip_address

from streamcam.errors import StreamcamError, redact_uri

NETWORK_TIMEOUT_S = 3
"""How many seconds the look-up of a host's name, its first answer, and each further packet may take."""

HTTP_FORMATS = "mpjpeg,mjpeg,jpeg_pipe,mpegts,mpeg,mov,matroska,flv,avi,ogg,asf,h264,hevc"
"""FFmpeg's formats that are read over HTTP. Playlists (HLS, DASH) are not: they send FFmpeg to other hosts."""

TRANSPORTS = {
    "auto": {"rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"},
    "tcp": {"rtsp_transport": "tcp"},
    "udp": {"rtsp_transport": "udp"},
    "http": {"rtsp_transport": "http"},
}
"""How RTSP transports its pictures → FFmpeg's options."""

_TIMEOUT = {"timeout": str(NETWORK_TIMEOUT_S * 1_000_000)}
# With probesize and analyzeduration as small as this, FFmpeg opens a camera in 0.1 s instead of 1 s.
# timeout (not stimeout) holds for reads as well.
_RTSP = {**_TIMEOUT, "probesize": "32", "analyzeduration": "0"}
_HTTP = {**_TIMEOUT, "max_redirects": "0", "format_whitelist": HTTP_FORMATS}
RTSP, HTTP = ("rtsp", "rtsps"), ("http", "https")
OPTIONS = {"rtsp": _RTSP, "http": _HTTP, "rtsps": _RTSP, "https": _HTTP}
"""The schemes that are read → FFmpeg's options for them."""

_UNSUPPORTED = frozenset({"rtmp", "rtmps", "srt", "udp", "rtp", "tcp", "rist", "mms", "whep", "webrtc", "ndi", "onvif"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTES = "'\"`‘’“”"
_URL = re.compile(r"(\w+)://([^/?#]*)(.*)")
_QUERY = re.compile(r"\?[^/?#&=@]+=")
_HOST_AND_PORT = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[^:]*))?")


@dataclass(frozen=True, slots=True)
class NetworkUrl:
    """A URL, split into what the rest of the program needs."""

    scheme: str
    """In small letters."""
    host: str
    """The host's name or number, as the system looks it up."""
    url: str = field(repr=False)
    """The URL as FFmpeg takes it; it may hold a password."""


def without_quotes(uri: str) -> str:
    """Remove the blanks and quotes that were copied along with a URL; return anything else as it is."""
    text = uri.strip()
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text if "://" in text else uri


def parse_url(uri: str) -> NetworkUrl:
    """Understand the URL of a network camera or server.

    Raises:
        StreamcamError: it is not a valid URL, or its scheme is not read; the message says why, without credentials.
    """
    if _CONTROL.search(uri):
        raise StreamcamError(
            f"not a URL: {' '.join(redact_uri(uri).split())} (there is a line break, or the like, in it)"
        )
    scheme, _, _ = uri.partition("://")
    parts = _URL.fullmatch(uri)
    if parts is None or scheme.lower() not in OPTIONS:
        raise StreamcamError(f"cannot read {redact_uri(uri)}: {_advice_on_scheme(scheme.lower())}")
    authority, rest = parts[2], parts[3]
    _require_escaped_login(uri, authority, rest)
    login, at, host_and_port = authority.rpartition("@")
    # In rtsp://user:password, with @host forgotten, the password stands where the port should: do not show it.
    shown = redact_uri(uri) if at or "[" in host_and_port else f"{scheme}://***"
    host, for_ffmpeg = _parse_host(host_and_port, shown)
    return NetworkUrl(scheme.lower(), host, f"{scheme.lower()}://{login}{at}{for_ffmpeg}{rest}")


def _advice_on_scheme(scheme: str) -> str:
    advice = f"use a camera number, {', '.join(OPTIONS)} or a file"
    if scheme in _UNSUPPORTED:
        return f"{advice} (a media server can take {scheme} in, and give it out as rtsp)"
    close = get_close_matches(scheme, OPTIONS, n=1)
    return f"{advice} (did you mean {close[0]}://?)" if close else advice


def _require_escaped_login(uri: str, authority: str, rest: str) -> None:
    """Refuse a URL whose login seems to hold a `/`, `?` or `#` that is not escaped.

    Each of these characters ends the part of a URL with login and host (RFC 3986, section 3.2). In
    rtsp://user:pass/word@camera, the host would be `user`. Its name must not be looked up: it may be a user's name or
    half a password.

    Args:
        uri: the whole URL.
        authority: its part with login and host, up to the first of these characters.
        rest: all that follows.

    Raises:
        StreamcamError: the login has to be escaped.
    """
    before_at = rest.rpartition("@")[0]
    is_odd = rest[:1] in ("?", "#") or "#" in before_at or ":" in before_at
    # An @ may well stand in a path, as in http://camera/user@home, or in a query: then nothing else looks like a login.
    in_path = "@" in _QUERY.split(rest)[0]
    has_login_or_port = "@" in authority or ":" in authority.rpartition("]")[2]
    if before_at and (is_odd or (in_path and has_login_or_port)):
        codes = " and ".join(f"{sign} as %{ord(sign):X}" for sign in "/?#" if sign in before_at)
        raise StreamcamError(
            f"not a URL with a host: {redact_uri(uri)} (in a user name or password, write {codes}; "
            "elsewhere, write @ as %40)"
        )


def _parse_host(host_and_port: str, shown: str) -> tuple[str, str]:
    """Split `host:port` or `[IPv6]:port` into (the host to look up, host and port as FFmpeg takes them)."""
    parts = _HOST_AND_PORT.fullmatch(host_and_port)
    if parts is None:
        raise StreamcamError(f"not a URL with a host: {shown}{_hint_on_host(host_and_port)}")
    port = parts["port"] or ""
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise StreamcamError(f"not a URL with a host: {shown} (its port is not a number from 1 to 65535)")
    if parts["six"] is None:
        return parts["host"], parts["host"] + (f":{port}" if port else "")
    host = _parse_ipv6(parts["six"], shown)
    return host, f"[{host}]" + (f":{port}" if port else "")


def _hint_on_host(host_and_port: str) -> str:
    if host_and_port.count(":") > 1 and "[" not in host_and_port:
        return " (an IPv6 address stands in brackets: [2001:db8::1])"
    return ""


def _parse_ipv6(text: str, shown: str) -> str:
    """Return an IPv6 address; a link-local one comes with its network interface: `fe80::1%eth0`.

    In a URL, % is written %25 (RFC 6874). The system and FFmpeg expect % itself.
    """
    address, percent, zone = text.partition("%")
    zone = zone.removeprefix("25") or zone
    try:
        number = ip_address(address)
    except ValueError:
        number = None
    if not isinstance(number, IPv6Address):
        raise StreamcamError(f"not a URL with a host: {shown} (in brackets stands an IPv6 address)")
    if number.is_link_local and not zone:
        raise StreamcamError(
            f"cannot reach {shown}: a link-local address needs its network interface: [{address}%25eth0]"
        )
    return f"{address}{percent and '%'}{zone}"
