"""Make the pictures of the README and of the guide to Python.

    python -m scripts.footage.readme_picture VIDEOS

docs/overlay.webp   six seconds of real footage, as `streamcam run` paints it: somebody stands, then walks off
docs/classes.jpg    the five likeliest classes of one picture, and where each is seen

VIDEOS is a folder with `one-by-one-person-detection.mp4` of *sample-videos*, Intel IoT DevKit, CC BY 4.0:
https://github.com/intel-iot-devkit/sample-videos
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image as PillowImage

import scripts.footage.render_table as render_table
import streamcam
from scripts.paths import DOCS
from streamcam.records import Image
from streamcam.render.contact_sheet import Cell, grid
from streamcam.render.overlay import paint

FOOTAGE = "one-by-one-person-detection.mp4"
FPS = 10
START_S, END_S = 115.6, 121.6
SIZE = (640, 360)


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, help="the folder with the footage")
    write_moving(moving_picture(parser.parse_args().videos / FOOTAGE), DOCS / "overlay.webp")
    picture = cv2.cvtColor(classes(table()), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(DOCS / "classes.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


def moving_picture(footage: Path) -> list[Image]:
    """Record the overlay of a file, and return its frames from START_S to END_S, RGB."""
    with TemporaryDirectory() as folder:
        recording = Path(folder) / "overlay.mp4"
        options = ["--as-fast-as-possible", "--bind", "none", "--record", str(recording)]
        subprocess.run([sys.executable, "-m", "streamcam", "run", str(footage), *options], check=True)
        return list(frames_between(recording, round(START_S * FPS), round(END_S * FPS)))


def frames_between(video: Path, start: int, end: int) -> Iterator[Image]:
    """Yield the frames from `start` to the one before `end`, uint8 [H,W,3], RGB, at the size of the README."""
    capture = cv2.VideoCapture(str(video))
    for index in range(end):
        found, frame = capture.read()
        if not found:
            raise SystemExit(f"{video} ends at frame {index}: expected {end}")
        if index >= start:
            small = cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA)
            yield np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)


def write_moving(frames: list[Image], file: Path) -> None:
    """Write an animated WebP that plays for ever."""
    first, *rest = (PillowImage.fromarray(frame) for frame in frames)
    first.save(file, save_all=True, append_images=rest, duration=1000 // FPS, loop=0, quality=60, method=6)


def table() -> Image:
    """Render a cat and a cup on a table."""
    things = {name: render_table.cut_out(name) for name in render_table.THINGS}
    return render_table.render(4.2, render_table.table(), things)


def classes(picture: Image) -> Image:
    """Show the picture, and the heat of each of its five likeliest classes."""
    heat = streamcam.load_model("imagenet").explain(picture[None])
    assert heat.scale is not None
    cells = [Cell(picture, ("the picture",))]
    for k in heat.scores.argsort()[:-6:-1]:
        painted = paint(picture, heat, k=int(k), pts_s=0, scale=float(heat.scale[k]), fade=False)
        cells.append(Cell(painted, (f"{heat.labels[k]} {heat.scores[k]:.0%}",)))
    return grid(cells, columns=3, width=320)


if __name__ == "__main__":
    main()
