"""URLs of cameras and servers: whom to ask, what FFmpeg is told, and what is written wrong in them."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv6Address, ip_address

from streamcam.errors import StreamcamError, redact_uri

NETWORK_TIMEOUT_S = 3
"""How long a host may take for its name, for an answer, or for the next packet."""

HTTP_FORMATS = "mpjpeg,mjpeg,jpeg_pipe,mpegts,mpeg,mov,matroska,flv,avi,ogg,asf,h264,hevc"
"""What may come over HTTP: nothing that has FFmpeg ask another host, as playlists (HLS, DASH) do."""

TRANSPORTS = {
    "auto": {"rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"},
    "tcp": {"rtsp_transport": "tcp"},
    "udp": {"rtsp_transport": "udp"},
    "http": {"rtsp_transport": "http"},
}
"""The ways that RTSP's pictures may take → FFmpeg's options."""

_TIMEOUT = {"timeout": str(NETWORK_TIMEOUT_S * 1_000_000)}
# With these FFmpeg opens a camera in 0.1 s instead of 1 s; timeout (not stimeout) holds for reads as well.
_RTSP = {**_TIMEOUT, "probesize": "32", "analyzeduration": "0"}
_HTTP = {**_TIMEOUT, "max_redirects": "0", "format_whitelist": HTTP_FORMATS}
OPTIONS = {"rtsp": _RTSP, "http": _HTTP, "rtsps": _RTSP, "https": _HTTP}
"""The schemes that are read → FFmpeg's options."""

_NOT_READ = frozenset({"rtmp", "rtmps", "srt", "udp", "rtp", "tcp", "rist", "mms", "whep", "webrtc", "ndi", "onvif"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTES = "'\"`‘’“”"
_PARTS = re.compile(r"(\w+)://([^/?#]*)(.*)")
_QUERY = re.compile(r"\?[^/?#&=@]+=")
_PLACE = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[^:]*))?")


@dataclass(frozen=True, slots=True)
class NetworkUrl:
    """A URL, understood."""

    scheme: str
    host: str
    """Whom to ask, by name or number."""
    url: str = field(repr=False)
    """As FFmpeg takes it; it may hold a password."""


def plain(uri: str) -> str:
    """A URL without the blanks and quotes that were copied along with it; anything else as it is."""
    text = uri.strip()
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text if "://" in text else uri


def read_url(uri: str) -> NetworkUrl:
    """Understand a network camera's URL.

    Raises:
        StreamcamError: it cannot be one that is read; the message says why, without credentials.
    """
    if _CONTROL.search(uri):
        raise StreamcamError(
            f"not a URL: {' '.join(redact_uri(uri).split())} (there is a line break, or the like, in it)"
        )
    scheme, _, _ = uri.partition("://")
    parts = _PARTS.fullmatch(uri)
    if parts is None or scheme.lower() not in OPTIONS:
        raise StreamcamError(f"cannot read {redact_uri(uri)}: {_other_scheme(scheme.lower())}")
    authority, rest = parts[2], parts[3]
    _require_login_written_right(uri, authority, rest)
    login, at, place = authority.rpartition("@")
    # What stands where a port should be may be a password, its @ and host forgotten.
    shown = redact_uri(uri) if at or "[" in place else f"{scheme}://***"
    host, written = _host(place, shown)
    return NetworkUrl(scheme.lower(), host, f"{scheme.lower()}://{login}{at}{written}{rest}")


def _other_scheme(scheme: str) -> str:
    advice = f"use a camera number, {', '.join(OPTIONS)} or a file"
    if scheme in _NOT_READ:
        return f"{advice} (a media server can take {scheme} in, and give it out as rtsp)"
    close = get_close_matches(scheme, OPTIONS, n=1)
    return f"{advice} (did you mean {close[0]}://?)" if close else advice


def _require_login_written_right(uri: str, authority: str, rest: str) -> None:
    """A / ? or # ends the host's part of a URL: a password that holds one makes the user the host.

    Raises:
        StreamcamError: it looks like that; no name is looked up then, for it may be the user's, or half a password.
    """
    held = rest.rpartition("@")[0]
    is_odd = rest[:1] in ("?", "#") or "#" in held or ":" in held
    in_path = "@" in _QUERY.split(rest)[0]
    has_login_or_port = "@" in authority or ":" in authority.rpartition("]")[2]
    if held and (is_odd or (in_path and has_login_or_port)):
        codes = " and ".join(f"{sign} as %{ord(sign):X}" for sign in "/?#" if sign in held)
        raise StreamcamError(
            f"not a URL with a host: {redact_uri(uri)} (in a user name or password, write {codes}; "
            "elsewhere, write @ as %40)"
        )


def _host(place: str, shown: str) -> tuple[str, str]:
    """`host:port`, `[IPv6]:port` → (whom to ask, the same as FFmpeg takes it)."""
    parts = _PLACE.fullmatch(place)
    if parts is None:
        raise StreamcamError(f"not a URL with a host: {shown}{_why_no_host(place)}")
    port = parts["port"] or ""
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise StreamcamError(f"not a URL with a host: {shown} (its port is not a number from 1 to 65535)")
    if parts["six"] is None:
        return parts["host"], parts["host"] + (f":{port}" if port else "")
    host = _ipv6(parts["six"], shown)
    return host, f"[{host}]" + (f":{port}" if port else "")


def _why_no_host(place: str) -> str:
    if place.count(":") > 1 and "[" not in place:
        return " (an IPv6 address stands in brackets: [2001:db8::1])"
    return ""


def _ipv6(text: str, shown: str) -> str:
    """An address, and for one that is valid on a single link alone, the interface: `fe80::1%eth0`.

    In a URL % is written %25 (RFC 6874); the system and FFmpeg take it as it is.
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
