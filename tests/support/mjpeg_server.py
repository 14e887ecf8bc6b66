"""A camera for tests: JPEG pictures over HTTP, as multipart/x-mixed-replace."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from threading import Event

import cv2
import numpy as np

from support.serving import Quiet, serving

WIDTH, HEIGHT, FPS = 160, 120, 20


def picture(index: int) -> bytes:
    """A JPEG with a bright bar that moves on from picture to picture."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    x = 4 * index % WIDTH
    image[:, x : x + 8] = 220
    return cv2.imencode(".jpg", image)[1].tobytes()


@contextmanager
def mjpeg_server(
    *, login: str | None = None, frames: int | None = None, paint: Callable[[int], bytes] = picture, fps: float = FPS
) -> Iterator[str]:
    """Serve 20 pictures a second to whoever asks, or only to `login` (user:password); gives host:port.

    After `frames` pictures it stalls, with the connection open.
    """
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
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
            self.end_headers()
            with suppress(ConnectionError):  # the viewer went away
                self.send_pictures()

        def send_pictures(self) -> None:
            index = 0
            while not stop.wait(1 / fps):
                if index == frames:
                    continue
                jpeg = paint(index)
                self.wfile.write(b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                self.wfile.write(jpeg + b"\r\n")
                index += 1

    with serving(Camera) as address:
        try:
            yield address
        finally:
            stop.set()
