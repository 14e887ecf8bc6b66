"""A camera for tests: JPEG pictures over HTTP, as multipart/x-mixed-replace."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from threading import Event

import cv2
import numpy as np

from tests.support.serving import Quiet, serving

WIDTH, HEIGHT, FPS = 160, 120, 20


def picture(index: int) -> bytes:
    """A JPEG with a bright bar that moves on from picture to picture."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    x = 4 * index % WIDTH
    image[:, x : x + 8] = 220
    return cv2.imencode(".jpg", image)[1].tobytes()


@dataclass(frozen=True)
class Form:
    """How a camera writes its pictures."""

    content_type: str | None = "multipart/x-mixed-replace; boundary=picture"
    boundary: bytes = b"--picture"
    part_type: str | None = "image/jpeg"
    others: tuple[str, ...] = ()
    """More lines in each part's head."""
    length: bool = True
    """Whether each part says how long it is."""
    eol: bytes = b"\r\n"
    before: bytes = b""
    """What comes before the first part."""
    after: bytes = b""
    """What comes after each part."""
    begins: bool = True
    """Whether a boundary comes before the first part."""
    heads: bool = True
    """Whether there is anything but pictures."""

    def part(self, index: int, jpeg: bytes) -> bytes:
        """What is sent for a picture."""
        if not self.heads:
            return jpeg
        told = [f"Content-Type: {self.part_type}"] if self.part_type else []
        told += [f"Content-Length: {len(jpeg)}"] if self.length else []
        head = [line.encode() for line in (*told, *self.others)]
        lines = [self.boundary, *head] if index or self.begins else head
        before = b"" if index else self.before
        return before + self.eol.join([*lines, b"", jpeg, b""]) + self.after


@contextmanager
def mjpeg_server(
    *,
    login: str | None = None,
    frames: int | None = None,
    paint: Callable[[int], bytes] = picture,
    fps: float = FPS,
    form: Form | None = None,
    address: str = "127.0.0.1",
) -> Iterator[str]:
    """Serve 20 pictures a second to whoever asks, or only to `login` (user:password); gives host:port.

    After `frames` pictures it stalls, with the connection open.
    """
    written = form or Form()
    stop = Event()
    expected = login and f"Basic {b64encode(login.encode()).decode()}"

    class Camera(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if expected and self.headers["Authorization"] != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
            self.send_response(200)
            if written.content_type is not None:
                self.send_header("Content-Type", written.content_type)
            self.end_headers()
            with suppress(ConnectionError):  # the viewer went away
                self.send_pictures()

        def send_pictures(self) -> None:
            index = 0
            while not stop.wait(1 / fps):
                if index == frames:
                    continue
                self.wfile.write(written.part(index, paint(index)))
                index += 1

    with serving(Camera, address) as host:
        try:
            yield host
        finally:
            stop.set()
