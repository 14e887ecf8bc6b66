"""Make the README's pictures: python -m scripts.footage.readme_picture

docs/overlay.jpg   what `streamcam run sample` paints, at three moments
docs/classes.jpg   the five likeliest classes of one picture, and where each is seen
"""

import cv2
import numpy as np

import scripts.footage.render_sample as render_sample
import streamcam
from scripts.paths import DOCS
from streamcam.records import Image, on_host
from streamcam.render.contact_sheet import Cell, grid
from streamcam.render.overlay import Painter, paint

MOMENTS_S = (2.0, 4.2, 6.4)


def main() -> None:
    """Write both."""
    write("overlay.jpg", moments())
    write("classes.jpg", classes(table()))


def moments() -> Image:
    """The windows that end at those moments, side by side."""
    painter, pictures = Painter(), list[Image]()
    for result in streamcam.stream("sample", model="imagenet", as_fast_as_possible=True):
        if len(pictures) < len(MOMENTS_S) and result.frame.pts_s >= MOMENTS_S[len(pictures)]:
            pictures.append(on_host(painter.overlay(result)))
    return np.concatenate(pictures, axis=1)


def table() -> Image:
    """A cat and a cup on a table."""
    things = {name: render_sample.cut_out(name) for name in render_sample.THINGS}
    return render_sample.render(4.2, render_sample.table(), things)


def classes(picture: Image) -> Image:
    """The picture, and the heat of each of its five likeliest classes."""
    heat = streamcam.load_model("imagenet").explain(picture[None])
    assert heat.scale is not None
    cells = [Cell(picture, ("the picture",))]
    for k in heat.scores.argsort()[:-6:-1]:
        painted = paint(picture, heat, k=int(k), pts_s=0, scale=float(heat.scale[k]), fade=False)
        cells.append(Cell(painted, (f"{heat.labels[k]} {heat.scores[k]:.0%}",)))
    return grid(cells, columns=3, width=320)


def write(name: str, picture: Image) -> None:
    cv2.imwrite(str(DOCS / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
