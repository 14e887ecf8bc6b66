"""Publishes cameras as `streamcam run` would, without a network: so that measurements of the page measure the page.

    python -m scripts.web.cameras ENDPOINT [--cameras 8] [--fps 15] [--seconds 600] [--stamped] [--without-heat]

Pictures are those of the sample clip, 640×480. They are encoded beforehand, but with `--stamped`: then each bears the
time at which it was published, as squares that survive JPEG. Heat has the size of the network `motion`'s. The cameras
take turns: no two publish at the same moment.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import cast

import cv2
import numpy as np

from scripts.benchmarks.transport_worker import stamp
from streamcam.records import Frame, GpuImage, Heat, Image, Picture, Result, Transform
from streamcam.transport.payloads import JPEG_QUALITY
from streamcam.transport.publisher import Publisher

WIDTH, HEIGHT = 640, 480
PICTURES = 60
LABELS = ("moving left", "moving right", "approaching", "turning clockwise", "camera moving")
CUBE = (5, 16, 28, 36)
"""[K,L',h,w] of `motion` on such a picture."""
CLASSES = 15
LOOKAHEAD_S = 1 / 3


@dataclass(frozen=True)
class Encoded:
    """A picture that is JPEG already. A publisher asks it as it would ask one on a GPU."""

    shape: tuple[int, int, int]
    content: bytes

    def jpeg(self, quality: int) -> bytes:  # noqa: ARG002 (it has been encoded)
        """Return the file."""
        return self.content


def pictures() -> list[Image]:
    """Return the first pictures of the sample, uint8 [480,640,3] RGB."""
    video, found = cv2.VideoCapture(str(files("streamcam") / "data" / "sample.mp4")), []
    for _ in range(PICTURES):
        bgr = cv2.resize(video.read()[1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        found.append(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8))
    return found


def encoded(image: Image) -> Picture:
    """Encode a picture as a publisher does."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return cast(GpuImage, Encoded((HEIGHT, WIDTH, 3), content))


def stamped(image: Image) -> Image:
    """Copy a picture, with the time on it."""
    copy = image.copy()
    stamp(copy, time.time_ns())
    return copy


class Heats:
    """Heat of one camera: a blob that moves."""

    def __init__(self, camera: int) -> None:
        """Draw it.

        Args:
            camera: its number; cameras have blobs at different places.
        """
        count, slices, height, width = CUBE
        ys, xs = np.mgrid[:height, :width].astype(np.float32)
        at = (np.arange(slices, dtype=np.float32) + camera * 3)[:, None, None] % width
        blob = 150 * np.exp(-((xs - at) ** 2 + (ys - height / 2) ** 2) / 20).astype(np.float32)
        self._cube = np.stack([blob / (k + 1) for k in range(count)]).astype(np.float32)
        self._common = np.zeros(CUBE[1:], np.float32)

    def at(self, index: int, pts_s: float) -> Heat:
        """Return the heat of the window that ends with a frame."""
        scores = (0.5 + 0.45 * np.sin(index / 20 + np.arange(CUBE[0]))).astype(np.float32)
        return Heat(
            cube=self._cube,
            common=self._common,
            classes=np.arange(CUBE[0]),
            labels=LABELS,
            scores=scores,
            logits=np.log(np.resize(scores, CLASSES) / (1 - np.resize(scores, CLASSES))),
            scale=np.full(CUBE[0], 150.0, np.float32),
            pts_s=pts_s - LOOKAHEAD_S - np.arange(CUBE[1] - 1, -1, -1) / 15,
            clip_pts_s=(pts_s - 2.0, pts_s),
            transform=Transform(),
            model="motion",
            model_hash="0123456789ab",
            lookahead_s=LOOKAHEAD_S,
        )


def publish(
    publisher: Publisher, *, names: Sequence[str], fps: float, seconds: float, stamps: bool, heat: bool
) -> None:
    """Publish for a while: each camera so many frames and windows a second, and its status every second."""
    images, heats = pictures(), [Heats(number) for number in range(len(names))]
    ready = images if stamps else [encoded(image) for image in images]
    began_s, turn, status_s = time.monotonic(), 0, 0.0
    latest: dict[str, Heat] = {}
    while (now_s := time.monotonic() - began_s) < seconds:
        publisher.serve()
        if now_s >= status_s:
            status_s += 1.0
            publisher.send_directory(names)
            for name in names:
                publisher.send_status(name, {"state": "live", "fps": fps, "frames": turn // len(names)})
        due_s = turn / (fps * len(names))
        if now_s < due_s:
            time.sleep(min(due_s - now_s, 0.005))
            continue
        number, index = turn % len(names), turn // len(names)
        name, pts_s = names[number], index / fps
        frame = Frame(None, index, pts_s, time.time_ns(), name)
        picture = ready[(index + 7 * number) % len(ready)]
        shown = stamped(cast(Image, picture)) if stamps else picture
        publisher.offer_picture("frame", Result(frame, latest.get(name)), lambda _, shown=shown: shown)  # type: ignore[misc]
        publisher.offer_picture("overlay", Result(frame, latest.get(name)), lambda _, shown=shown: shown)  # type: ignore[misc]
        if heat:
            latest[name] = heats[number].at(index, pts_s)
            publisher.send_result(Result(frame, latest[name], {"infer": 20.0}, hop_s=1 / fps))
        turn += 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long, at most")
    parser.add_argument("--stamped", action="store_true", help="each picture bears the time")
    parser.add_argument("--without-heat", action="store_true", help="pictures alone")
    options = parser.parse_args(arguments)
    names = [f"cam{number + 1}" for number in range(options.cameras)]
    with Publisher(options.endpoint, sources=len(names)) as publisher:
        print(f"bound {publisher.endpoint}", flush=True)
        heat = not options.without_heat
        publish(publisher, names=names, fps=options.fps, seconds=options.seconds, stamps=options.stamped, heat=heat)


if __name__ == "__main__":
    main()
