"""A page's server as others build it, with the pictures that `scripts/web/cameras.py --stamped` has.

    PYTHON -m scripts.web.peer_server TOOL PORT VIDEO

PYTHON is that of an environment with vidgear and flask; nothing of streamcam is imported. A thread reads the camera,
and each client is sent the newest picture that it has not had: this suits both tools better than their own examples,
where each picture goes to one client only.
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scripts.benchmarks.transport_worker import QUALITY, stamp

Picture = npt.NDArray[np.uint8]

SIZE, PICTURES, FPS = (640, 480), 60, 15.0
WAIT_S = 0.002
PART = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"


class Camera:
    """The newest picture of a camera; a thread of its own reads them."""

    def __init__(self, video: str) -> None:
        """Read the pictures of a video, and begin."""
        capture = cv2.VideoCapture(video)
        self._pictures = [cv2.resize(capture.read()[1], SIZE, interpolation=cv2.INTER_AREA) for _ in range(PICTURES)]
        self._changed = threading.Condition()
        self.number, self.picture = 0, self._pictures[0]
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, after: int) -> tuple[int, Picture]:
        """Wait for a picture that is newer than the one of this number."""
        with self._changed:
            self._changed.wait_for(lambda: self.number > after)
            return self.number, np.asarray(self.picture, np.uint8)

    def _run(self) -> None:
        began_s, number = time.monotonic(), 0
        while True:
            number += 1
            time.sleep(max(0.0, began_s + number / FPS - time.monotonic()))
            picture = np.array(self._pictures[number % PICTURES], np.uint8)
            stamp(picture, time.time_ns())
            with self._changed:
                self.number, self.picture = number, picture
                self._changed.notify_all()


def jpeg(picture: Picture) -> bytes:
    """Encode a picture, BGR."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def flask(camera: Camera, port: int) -> None:
    """The MJPEG loop that answers and tutorials show: a generator for each client, by Flask's own server."""
    from flask import Flask, Response

    app = Flask(__name__)

    def parts() -> Iterator[bytes]:
        number = 0
        while True:
            number, picture = camera.wait(number)
            yield PART + jpeg(picture) + b"\r\n"

    def video() -> Any:
        return Response(parts(), mimetype="multipart/x-mixed-replace; boundary=frame")

    app.add_url_rule("/video", view_func=video)
    print("ready", flush=True)
    app.run(host="127.0.0.1", port=port, threaded=True)


def webgear(camera: Camera, port: int) -> None:
    """vidgear's `WebGear` with a source of one's own, as its documentation has it."""
    import uvicorn
    from vidgear.gears.asyncio import WebGear

    web = WebGear(logging=False, skip_generate_webdata=True)

    async def parts() -> AsyncIterator[bytes]:
        number = 0
        while True:
            while camera.number == number:
                await asyncio.sleep(WAIT_S)
            number, picture = camera.number, camera.picture
            yield PART + jpeg(np.asarray(picture, np.uint8)) + b"\r\n"
            await asyncio.sleep(0)

    web.config["generator"] = parts
    print("ready", flush=True)
    uvicorn.run(web(), host="127.0.0.1", port=port, log_level="error")


TOOLS: dict[str, Callable[[Camera, int], None]] = {"flask": flask, "webgear": webgear}

if __name__ == "__main__":
    cv2.setNumThreads(1)
    TOOLS[sys.argv[1]](Camera(sys.argv[3]), int(sys.argv[2]))
