"""Make the pictures of the README and of the guide to Python.

    python -m scripts.footage.readme_picture

docs/overlay.webp   the sample clip, as `streamcam run --demo` paints it
docs/classes.jpg    the five likeliest classes of one picture, and where each is seen
"""

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
from scripts.footage.make_sample import FPS
from scripts.paths import DOCS
from streamcam.cli.demo import SAMPLE_WINDOW
from streamcam.records import Image
from streamcam.render.contact_sheet import Cell, grid
from streamcam.render.overlay import paint

STRIDE = 2
"""Every so many frames of the clip are shown."""


def main() -> None:
    """Write both pictures."""
    write_moving(list(overlays()), DOCS / "overlay.webp")
    picture = cv2.cvtColor(classes(table()), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(DOCS / "classes.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


def overlays() -> Iterator[Image]:
    """Record the overlay of the sample, and yield some of its frames, uint8 [H,W,3], RGB."""
    with TemporaryDirectory() as folder:
        recording = Path(folder) / "overlay.mp4"
        run = [sys.executable, "-m", "streamcam", "run", "sample", "--bind", "none"]
        model = ["--model", "imagenet-fast", "--window", str(SAMPLE_WINDOW), "--as-fast-as-possible"]
        subprocess.run([*run, *model, "--record", str(recording)], check=True)
        capture = cv2.VideoCapture(str(recording))
        while capture.grab():
            _, frame = capture.retrieve()
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
            for _ in range(STRIDE - 1):
                capture.grab()


def write_moving(frames: list[Image], file: Path) -> None:
    """Write an animated WebP that plays for ever."""
    first, *rest = (PillowImage.fromarray(frame) for frame in frames)
    first.save(
        file, save_all=True, append_images=rest, duration=round(1000 * STRIDE / FPS), loop=0, quality=45, method=4
    )


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
