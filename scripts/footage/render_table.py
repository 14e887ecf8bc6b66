"""Render a clip for tests: a cat, then a cup of coffee, wander over a table.

    python -m scripts.footage.render_table OUT.mp4

The pictures are scikit-image's (chelsea and coffee, both CC0). `boxes(t)` says where things are, so that a test can
hold the heat against it. 8 s, 480×360, 30 fps.
"""

import sys
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from scripts.footage.photographs import photograph

WIDTH, HEIGHT, FPS, SECONDS = 480, 360, 30, 8

Picture = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

# name: (part of the photograph: x0, y0, x1, y1; size on the table, in pixels)
THINGS = {"cat": ((65, 0, 355, 290), (220, 220)), "cup": ((60, 0, 560, 400), (300, 240))}


def centre(name: str, t: float) -> tuple[float, float]:
    """Where the middle of a thing is at time t, in pixels: the cat goes out to the left while the cup comes in."""
    moved = 440 * smoothstep((t - 3.0) / 2.0)
    if name == "cat":
        return 240 + 70 * sin(2 * pi * t / 3.5) - moved, 180 + 50 * sin(2 * pi * t / 2.3)
    return 240 + 60 * sin(2 * pi * t / 3.1) + 440 - moved, 180 + 40 * cos(2 * pi * t / 2.6)


def smoothstep(u: float) -> float:
    """0 below 0, 1 above 1, smooth between."""
    u = min(1.0, max(0.0, u))
    return u * u * (3 - 2 * u)


def boxes(t: float) -> dict[str, Box]:
    """The boxes (x0, y0, x1, y1) at time t, in pixels, of the things of which at least a quarter is in the picture."""
    found = {}
    for name, (_, (width, height)) in THINGS.items():
        x, y = centre(name, t)
        x0, x1 = max(0.0, x - width / 2), min(float(WIDTH), x + width / 2)
        if x1 - x0 >= width / 4:
            found[name] = (x0, y - height / 2, x1, y + height / 2)
    return found


def table() -> Picture:
    """The background: a strip of the wood beside the cup, mirrored again and again."""
    strip = photograph("coffee")[40:400, 512:600]
    tiles = [strip if i % 2 == 0 else strip[:, ::-1] for i in range(-(-WIDTH // strip.shape[1]))]
    return np.asarray(cv2.GaussianBlur(np.concatenate(tiles, axis=1)[:, :WIDTH], (0, 0), 1.0), np.uint8)


def cut_out(name: str) -> tuple[Picture, npt.NDArray[np.float32]]:
    """A thing, and how much of each pixel it covers: an ellipse with a soft edge."""
    (x0, y0, x1, y1), size = THINGS[name]
    image = photograph({"cat": "chelsea", "cup": "coffee"}[name])
    picture = cv2.resize(image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    mask = np.zeros(size[::-1], np.float32)
    cv2.ellipse(mask, (size[0] // 2, size[1] // 2), (size[0] // 2 - 4, size[1] // 2 - 4), 0, 0, 360, 1.0, cv2.FILLED)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0), np.float32)
    return np.asarray(picture, np.uint8), soft[..., None]


def render(t: float, background: Picture, things: dict[str, tuple[Picture, npt.NDArray[np.float32]]]) -> Picture:
    """The picture at time t; things are placed to a fraction of a pixel."""
    canvas = background.astype(np.float32)
    for name, (picture, mask) in things.items():
        x, y = centre(name, t)
        shift = np.array([[1, 0, x - picture.shape[1] / 2], [0, 1, y - picture.shape[0] / 2]])
        placed = cv2.warpAffine(picture.astype(np.float32), shift, (WIDTH, HEIGHT))
        cover = cv2.warpAffine(mask, shift, (WIDTH, HEIGHT))[..., None]
        canvas += cover * (placed - canvas)
    return canvas.round().astype(np.uint8)


def main(out: Path) -> None:
    """Write the clip."""
    background, things = table(), {name: cut_out(name) for name in THINGS}
    out.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(out), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "25", "preset": "slow", "g": "60"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for i in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(render(i / FPS, background, things), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
