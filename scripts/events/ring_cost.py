"""What the ring of a 1080p camera costs: processor time and memory, as packets are copied and as pictures are encoded.

    python -m scripts.events.ring_cost [SECONDS]

It makes a noisy 1080p30 H.264 video of 6 Mbit/s with AAC, reads it as fast as possible, and adds up the processor time
that the reading thread spends for the ring.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import av
import numpy as np

from streamcam.sources.base import open_source
from streamcam.sources.packet_ring import PacketRing
from streamcam.sources.packet_tap import PacketTap

FPS, WIDTH, HEIGHT = 30, 1920, 1080


class Meter:
    """Adds up the processor time of one thread in functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def measured(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is measured."""

        @wraps(function)
        def call(*arguments: Any) -> Any:
            begin_s = time.thread_time()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.thread_time() - begin_s

        return call


def write_video(path: Path, seconds: int, codec: str) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (HEIGHT + 64, WIDTH + 64, 3), dtype=np.uint8)
    options = {"preset": "ultrafast", "g": "60"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=FPS, options=options)
        video.width, video.height, video.bit_rate = WIDTH, HEIGHT, 6_000_000
        video.pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
        sound: Any = container.add_stream("aac", rate=48_000, layout="mono")
        silence = np.zeros((1, 1024), np.float32)
        written = 0
        for i in range(seconds * FPS):
            image = np.ascontiguousarray(noise[i % 64 :, (3 * i) % 64 :][:HEIGHT, :WIDTH])
            image[400:600, (8 * i) % 1500 :][:, :300] = 220
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            while written < (i + 1) * 48_000 // FPS:
                frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, written, Fraction(1, 48_000)
                container.mux(sound.encode(frame))
                written += 1024
        container.mux([*video.encode(), *sound.encode()])


def measure(path: Path, seconds: int) -> str:
    meter, ring = Meter(), PacketRing(max_bytes=32_000_000, max_s=15)
    push, see = PacketTap.push, PacketTap.see
    PacketTap.push, PacketTap.see = meter.measured(push), meter.measured(see)  # type: ignore[method-assign]
    try:
        with closing(open_source(str(path), paced=False, ring=ring)) as source:
            begin_s = time.thread_time()
            count = sum(1 for _ in source.frames(Event()))
            all_s = time.thread_time() - begin_s
    finally:
        PacketTap.push, PacketTap.see = push, see  # type: ignore[method-assign]
    rate = path.stat().st_size * 8 / seconds / 1e6
    share, whole = 100 * meter.seconds / (count / FPS), 100 * all_s / (count / FPS)
    return (
        f"{count} frames, {rate:.1f} Mbit/s: ring {share:.2f} % of a core a camera (its thread: {whole:.0f} % "
        f"in all); {ring.bytes / 1e6:.1f} MB in the ring"
    )


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with TemporaryDirectory() as folder:
        for name, codec in (("copied", "libx264"), ("encoded", "mjpeg")):
            path = Path(folder, f"{name}.mkv")
            write_video(path, seconds, codec)
            print(f"{name}: {measure(path, seconds)}", flush=True)


if __name__ == "__main__":
    main()
