"""Render a small set with truth: a cat and a cup of coffee that come and go over various backgrounds.

    python -m scripts.footage.render_eval_set DIR [--clips 8] [--pictures 12]

The photographs are scikit-image's (chelsea and coffee, both CC0), the backgrounds of other pictures that it ships, out
of focus. Beside each clip lies an npz with a mask of each thing for every fourth frame; classes.yaml says which of
ImageNet's classes count as cat and cup. The same bytes for the same seed, but for the video encoder's version.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import pi, sin
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from scripts.footage.photographs import photograph
from streamcam.evaluate.truth import write_truth

WIDTH, HEIGHT, FPS, SECONDS = 320, 240, 30, 6.0
EVERY = 4
"""Frames between two masks."""

NAMES = """\
# Which of the model's classes count as one of the truth's.
cat: [Egyptian cat, tabby, tiger cat, Persian cat, Siamese cat, lynx]
cup: [espresso, cup, coffee mug]
"""

PARTS = {"cat": (65, 0, 355, 290), "cup": (60, 0, 560, 400)}
"""Of the photographs: x0, y0, x1, y1."""

Picture = npt.NDArray[np.uint8]
Cover = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Actor:
    """A thing that is there from `start_s` to `end_s`, and wanders meanwhile."""

    name: str
    start_s: float
    end_s: float
    x: float
    y: float
    size: float
    """Height in pixels."""
    phase: float
    sweep: float
    """How far it wanders, in pixels."""

    def centre(self, t: float) -> tuple[float, float]:
        """Where its middle is."""
        return self.x + self.sweep * sin(2 * pi * t / 5 + self.phase), self.y + 0.4 * self.sweep * sin(2 * pi * t / 3)


def background(i: int) -> Picture:
    """One of several scenes without anything that ImageNet would name with certainty, out of focus."""
    image = photograph(("gravel", "grass", "brick", "coffee", "rocket")[i % 5])
    if i % 5 == 3:
        image = image[40:400, 512:600]  # the table beside the cup
    elif i % 5 == 4:
        image = image[:200]  # the sky above the rocket
    image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image[..., :3]
    image = np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    tint = np.array([(1.0, 0.95, 0.85), (0.75, 1.0, 0.7), (1.0, 0.85, 0.75), (1, 1, 1), (1, 1, 1)][i % 5])
    return np.asarray(cv2.GaussianBlur(np.clip(image * tint, 0, 255).astype(np.uint8), (0, 0), 1.5), np.uint8)


def cut_out(name: str, height: float) -> tuple[Picture, Cover]:
    """A thing, and how much of each pixel it covers: a shape between ellipse and rectangle, with a soft edge."""
    x0, y0, x1, y1 = PARTS[name]
    image = photograph({"cat": "chelsea", "cup": "coffee"}[name])
    size = round(height * (x1 - x0) / (y1 - y0)), round(height)
    picture = cv2.resize(image[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    x, y = np.linspace(-1.04, 1.04, size[0]), np.linspace(-1.04, 1.04, size[1])[:, None]
    cover = (x**4 + y**4 < 1).astype(np.float32)
    return np.asarray(picture, np.uint8), np.asarray(cv2.GaussianBlur(cover, (0, 0), 1.5), np.float32)


def compose(scene: Picture, actors: Sequence[Actor], t: float) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """The picture at time t, and masks [n,H,W] of the actors, less what others hide."""
    canvas = scene.astype(np.float32)
    masks = np.zeros((len(actors), HEIGHT, WIDTH), np.bool_)
    for i, actor in enumerate(actors):
        if not actor.start_s <= t < actor.end_s:
            continue
        picture, cover = cut_out(actor.name, actor.size)
        x, y = actor.centre(t)
        shift = np.array([[1.0, 0, x - picture.shape[1] / 2], [0, 1, y - picture.shape[0] / 2]])
        placed = cv2.warpAffine(picture.astype(np.float32), shift, (WIDTH, HEIGHT))
        covered = cv2.warpAffine(cover, shift, (WIDTH, HEIGHT))
        canvas += covered[..., None] * (placed - canvas)
        masks[:i] &= covered < 0.5
        masks[i] = covered >= 0.5
    return canvas.round().astype(np.uint8), masks


def script(i: int, generator: np.random.Generator) -> list[Actor]:
    """Who is in clip i, when and where: cat, cup, both one after the other, both at once."""
    left, right = generator.uniform(0.2, 0.32) * WIDTH, generator.uniform(0.68, 0.8) * WIDTH
    places = [left, right] if generator.random() < 0.5 else [right, left]

    def actor(name: str, start_s: float, end_s: float, x: float, scale: float = 1.0) -> Actor:
        y, phase = generator.uniform(0.4, 0.6) * HEIGHT, generator.uniform(0, 2 * pi)
        size = scale * generator.uniform(0.45, 0.85) * HEIGHT
        return Actor(name, start_s, end_s, x, y, size, phase, generator.uniform(5, 25))

    first, second = ("cat", "cup") if i // 4 % 2 == 0 else ("cup", "cat")
    a, b = generator.uniform(1.0, 2.0), generator.uniform(4.0, 5.0)
    if i % 4 < 2:
        return [actor((first, second)[i % 4], a, b, places[0])]
    if i % 4 == 2:
        return [actor(first, 0.0, 2.7, places[0]), actor(second, 3.0, SECONDS, places[1])]
    return [actor(first, 0.0, SECONDS, places[0], 0.8), actor(second, 0.0, b, places[1], 0.8)]


def write_clip(path: Path, scene: Picture, actors: Sequence[Actor], seconds: float) -> None:
    """A clip and its truth."""
    masks = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for i in range(round(FPS * seconds)):
            picture, drawn = compose(scene, actors, i / FPS)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            if i % EVERY == 0:
                masks.append(drawn)
        container.mux(stream.encode(None))
    times = np.arange(len(masks)) * EVERY / FPS
    write_truth(path, np.stack(masks, axis=1), [actor.name for actor in actors], pts_s=times)


def write_picture(path: Path, scene: Picture, actors: Sequence[Actor], t: float) -> None:
    """A still and its truth."""
    picture, masks = compose(scene, actors, t)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
    shown = [i for i in range(len(actors)) if masks[i].any()]
    write_truth(path, masks[shown][:, None], [actors[i].name for i in shown])


def render(folder: Path, *, clips: int = 8, pictures: int = 12, seconds: float = SECONDS, seed: int = 0) -> None:
    """Write the set."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "classes.yaml").write_text(NAMES, encoding="utf-8")
    for i in range(clips):
        actors = script(i, np.random.default_rng((seed, 0, i)))
        write_clip(folder / "clips" / f"clip{i:02d}.mp4", background(i), actors, seconds)
    for i in range(pictures):
        actors = script(i, np.random.default_rng((seed, 1, i)))
        write_picture(folder / "pictures" / f"picture{i:02d}.jpg", background(i + 2), actors, actors[0].start_s)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=12)
    options = parser.parse_args(arguments)
    render(options.folder, clips=options.clips, pictures=options.pictures)
    print(f"{options.folder}: {options.clips} clips of {SECONDS:g} s and {options.pictures} pictures, with truth")
    return 0


if __name__ == "__main__":
    sys.exit(main())
