"""Sends an H.264 stream to an RTSP server: ANNOUNCE, SETUP, RECORD (RFC 2326), all over one TCP connection.

FFmpeg has this too. But PyAV holds Python's global lock while FFmpeg connects, so a server that accepts a connection
and says nothing would stop every thread of this program, for ever.
"""

import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from streamcam.errors import StreamcamError, one_line
from streamcam.web.rtsp.login import Login

TIMEOUT_S = 5.0
"""A server that takes or says nothing for so long is away."""
PORTS = {"rtsp": 554, "rtsps": 322}
MAX_LINE_BYTES, MAX_LINES, MAX_BODY_BYTES = 8192, 100, 64 * 1024
"""The limits of an answer."""
UNAUTHORIZED = 401


class RtspError(Exception):
    """The server refuses, or does not speak RTSP. Its text is one line for people."""


@dataclass(frozen=True, slots=True)
class RtspUrl:
    """Where to send a stream."""

    host: str
    port: int
    uri: str
    """As servers are told it: without user and password."""
    tls: bool = False
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def parse_rtsp_url(url: str) -> RtspUrl:
    """Parse rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH, or rtsps:// for TLS.

    Raises:
        StreamcamError: it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    is_malformed = not url.isprintable() or " " in url or bool(set("{}") & set(parts.path + parts.query))
    if not host or parts.scheme not in PORTS or parts.path in ("", "/") or is_malformed:
        raise StreamcamError("expected --rtsp-out rtsp://HOST/{camera} or rtsps://HOST/{camera}, without spaces")
    shown_host = f"[{host}]" if ":" in host else host
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~") + (
        f"?{quote(parts.query, safe='/%:@!$&()*+,;=?')}" if parts.query else ""
    )
    uri = f"{parts.scheme}://{shown_host}:{port}{path}"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return RtspUrl(host, port, uri, parts.scheme == "rtsps", user, password)


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    reason: str
    headers: Sequence[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


class RtspSender:
    """A connection to an RTSP server, to which one stream is sent. Only `abort` may be called from another thread."""

    def __init__(self, url: RtspUrl) -> None:
        """Connect.

        Raises:
            OSError: the server is away.
        """
        self._url, self._login = url, Login(url.user, url.password)
        plain = socket.create_connection((url.host, url.port), timeout=TIMEOUT_S)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = ssl.create_default_context() if url.tls else None
            self._socket = plain if tls is None else tls.wrap_socket(plain, server_hostname=url.host)
        except BaseException:
            plain.close()
            raise
        self._reader = self._socket.makefile("rb")
        self._sequence = 0
        self._session: str | None = None
        self._aborted = False

    def ask_options(self) -> None:
        """Ask what the server can do, to see that there is one.

        Raises:
            OSError: the server is away.
            RtspError: it does not speak RTSP.
        """
        self._request("OPTIONS", self._url.uri)

    def begin(self, description: str) -> None:
        """Begin the stream that a session description (SDP) describes.

        Raises:
            OSError: the server is away.
            RtspError: it refuses.
        """
        uri = self._url.uri
        self._request("ANNOUNCE", uri, {"Content-Type": "application/sdp"}, description)
        setup = self._request(
            "SETUP", f"{uri}/streamid=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"}
        )
        sessions = setup.all("session")
        if not sessions:
            raise RtspError("it gives no session")
        self._session = sessions[0].partition(";")[0].strip()
        self._request("RECORD", uri, {"Range": "npt=0.000-"})

    def send(self, packets: Sequence[bytes], report: bytes | None = None) -> None:
        """Send RTP packets, and before them a report.

        Raises:
            OSError: the server is away, or takes nothing any more.
        """
        channels = [(1, report)] if report is not None else []
        channels += [(0, packet) for packet in packets]
        self._socket.sendall(b"".join(struct.pack(">cBH", b"$", c, len(p)) + p for c, p in channels))
        self._take_what_has_come()

    def keep_alive(self) -> None:
        """Tell the server that the stream still goes on, while nothing is sent. Its answer is not waited for.

        Raises:
            OSError: the server is away.
        """
        self._socket.sendall(self._written("OPTIONS", self._url.uri, {}, ""))
        self._take_what_has_come()

    def abort(self) -> None:
        """Let whatever waits for the server fail at once."""
        self._aborted = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the stream, and the connection. Closing twice is fine."""
        if self._session is not None and not self._aborted:
            with suppress(OSError):
                self._socket.settimeout(0.2)
                self._socket.sendall(self._written("TEARDOWN", self._url.uri, {}, ""))
        self._session = None
        with suppress(OSError):
            self._reader.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _request(self, method: str, uri: str, headers: dict[str, str] | None = None, body: str = "") -> _Answer:
        """Send a request and read its answer; with the login, if that is demanded."""
        for attempt in range(2):
            self._socket.sendall(self._written(method, uri, headers or {}, body))
            answer = self._read_answer()
            can_log_in = answer.code == UNAUTHORIZED and attempt == 0 and self._url.user
            if not (can_log_in and self._login.take(answer.all("www-authenticate"))):
                break
        if answer.code != 200:
            hint = "" if answer.code != UNAUTHORIZED else ": it wants another user and password"
            raise RtspError(f"it answers {method} with {answer.code} {answer.reason}{hint}")
        return answer

    def _written(self, method: str, uri: str, headers: dict[str, str], body: str) -> bytes:
        self._sequence += 1
        fields = {"CSeq": str(self._sequence), "User-Agent": "streamcam", **headers}
        if (login := self._login.header(method, uri)) is not None:
            fields["Authorization"] = login
        if self._session is not None:
            fields["Session"] = self._session
        if body:
            fields["Content-Length"] = str(len(body.encode()))
        lines = [f"{method} {uri} RTSP/1.0", *(f"{name}: {value}" for name, value in fields.items()), "", body]
        return "\r\n".join(lines).encode()

    def _read_answer(self) -> _Answer:
        first = self._line()
        version, _, rest = first.partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("RTSP/1.") or not code.isdecimal():
            raise RtspError("it does not speak RTSP")
        headers = []
        for _ in range(MAX_LINES):
            if not (line := self._line()):
                break
            name, _, value = line.partition(":")
            headers.append((name.strip().lower(), value.strip()))
        answer = _Answer(int(code), one_line(reason[:80]), headers)
        length = (answer.all("content-length") or ["0"])[0]
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise RtspError("its answer is too long")
        self._reader.read(int(length))
        return answer

    def _line(self) -> str:
        line = self._reader.readline(MAX_LINE_BYTES)
        if not line:
            raise ConnectionError("it closed the connection")
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def _take_what_has_come(self) -> None:
        """Read answers and receivers' reports, and forget them: else the server could write no more."""
        self._socket.settimeout(0)
        try:
            while data := self._socket.recv(65536):
                del data
            raise ConnectionError("it closed the connection")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            self._socket.settimeout(TIMEOUT_S)
