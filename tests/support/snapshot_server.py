"""A camera for tests that gives one JPEG picture for each question over HTTP."""

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler

from tests.support.mjpeg_server import picture
from tests.support.serving import Quiet, serving


@dataclass
class Snapshots:
    """How it answers, and when it was asked."""

    host: str = ""
    asked_s: list[float] = field(default_factory=list)
    busy: Collection[int] = ()
    """Which questions, from 0, are answered with 503."""
    gone: bool = False
    """Whether all are answered with 404."""
    length: bool = True
    """Whether an answer says how long it is."""
    tail: bytes = b""
    """What follows the picture."""
    login: tuple[str, str] | None = None
    """Whom it lets in: user and password, which do not travel (digest)."""
    paint: bytes | None = None
    """The picture; by default a bar that moves on."""


def digest(header: str, user: str, password: str, method: str, nonce: str) -> bool:
    """Whether this is the answer to a challenge (RFC 2617, 3.2.2)."""
    told = dict(re.findall(r'(\w+)="?([^",]*)"?', header))
    first = md5(f"{user}:camera:{password}".encode()).hexdigest()
    second = md5(f"{method}:{told.get('uri')}".encode()).hexdigest()
    return told.get("response") == md5(f"{first}:{nonce}:{second}".encode()).hexdigest()


@contextmanager
def snapshot_server(**answers: object) -> Iterator[Snapshots]:
    """Answer whoever asks, in a way that may be changed on the way."""
    camera = Snapshots(**answers)  # type: ignore[arg-type]

    class Camera(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if camera.login and not digest(self.headers.get("Authorization", ""), *camera.login, "GET", "once"):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Digest realm="camera", nonce="once"')
                self.end_headers()
                return
            index = len(camera.asked_s)
            camera.asked_s.append(time.monotonic())
            if camera.gone or index in camera.busy:
                self.send_error(404 if camera.gone else 503)
                return
            body = (camera.paint or picture(index)) + camera.tail
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            if camera.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Camera) as host:
        camera.host = host
        yield camera
