"""Make the textures and shapes of rendered scenes from a seed."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skimage
from sklearn.datasets import load_sample_images

Picture = npt.NDArray[np.uint8]
Rng = np.random.Generator

PHASES, SHAPE_PX, TEXTURE_PX = 8, 64, 192

TEXTURES = {
    "train": ["astronaut", "brick", "camera", "cell", "chelsea", "grass", "ihc", "microaneurysms", "moon", "page",
              "motorcycle_left", "retina", "clock_motion", "color", "china"],
    "held-out": ["coffee", "coins", "gravel", "hubble_deep_field", "rocket", "text", "flower"],
}  # fmt: skip


def textures(part: str, rng: Rng, *, photos: int = 160, made: int = 80) -> Picture:
    """Return textures, uint8 [S,3,192,192]: crops of photographs, then made ones. `part` is a key of `TEXTURES`."""
    pictures = [_picture(name) for name in TEXTURES[part]]
    crops = [_crop(pictures[i % len(pictures)], rng) for i in range(photos)]
    crops += [MADE[i % len(MADE)](rng) for i in range(made)]
    return np.stack(crops).transpose(0, 3, 1, 2)


def _picture(name: str) -> Picture:
    """uint8 [H,W,3], from scikit-image or scikit-learn."""
    samples = load_sample_images()
    for path, image in zip(samples.filenames, samples.images, strict=True):
        if name in path:
            return np.asarray(image)
    path = next((Path(skimage.__file__).parent / "data").glob(f"{name}.*"))
    image = cv2.imread(str(path))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _crop(picture: Picture, rng: Rng) -> Picture:
    """A square of a picture, from a quarter of its shorter side up, turned by a multiple of 90°."""
    side = int(min(picture.shape[:2]) * rng.uniform(0.25, 1))
    top, left = (rng.integers(0, s - side + 1) for s in picture.shape[:2])
    crop = cv2.resize(picture[top : top + side, left : left + side], (TEXTURE_PX,) * 2, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(crop, int(rng.integers(4))), np.uint8)


def _clouds(rng: Rng) -> Picture:
    """Noise of 1/f^a."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(TEXTURE_PX), np.fft.fftfreq(TEXTURE_PX))) + 1 / TEXTURE_PX
    noise = rng.normal(size=(3, TEXTURE_PX, TEXTURE_PX))
    noise[1:] = noise[:1] + 0.3 * noise[1:]
    z = np.fft.ifft2(np.fft.fft2(noise) / f ** rng.uniform(0.7, 2.2)).real
    z = (z - z.mean()) / z.std()
    return np.asarray(np.clip(128 + 50 * z.transpose(1, 2, 0), 0, 255).astype(np.uint8))


def _pattern(rng: Rng) -> Picture:
    """Stripes or checks between two colours, hard or soft."""
    y, x = np.mgrid[:TEXTURE_PX, :TEXTURE_PX] * 2 * np.pi / rng.uniform(8, 60)
    angle = rng.uniform(0, np.pi)
    wave = np.sin(x * np.cos(angle) + y * np.sin(angle))
    if rng.random() < 0.5:
        wave = wave * np.sin(y * np.cos(angle) - x * np.sin(angle))
    mix = 1 / (1 + np.exp(-wave * rng.choice([1.0, 4.0, 20.0])))[..., None]
    a, b = rng.uniform(0, 255, (2, 3))
    return np.asarray((a * mix + b * (1 - mix)).astype(np.uint8))


def _gradient(rng: Rng) -> Picture:
    """A wall: one colour to another, nothing else."""
    y, x = np.mgrid[:TEXTURE_PX, :TEXTURE_PX] / TEXTURE_PX
    angle = rng.uniform(0, 2 * np.pi)
    mix = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)[..., None]
    a = rng.uniform(0, 255, 3)
    b = np.clip(a + rng.normal(0, 40, 3), 0, 255)
    return np.asarray((a * mix + b * (1 - mix)).astype(np.uint8))


def _patches(rng: Rng) -> Picture:
    """Rectangles and circles over each other: print, toys, shelves."""
    image = np.full((TEXTURE_PX, TEXTURE_PX, 3), rng.uniform(0, 255, 3), np.uint8)
    for _ in range(rng.integers(4, 30)):
        colour = rng.uniform(0, 255, 3).tolist()
        (x, y), (w, h) = rng.integers(0, TEXTURE_PX, 2).tolist(), rng.integers(4, 70, 2).tolist()
        if rng.random() < 0.6:
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.circle(image, (x, y), w // 2, colour, -1, cv2.LINE_AA)
    return image


MADE: list[Callable[[Rng], Picture]] = [_clouds, _pattern, _gradient, _patches]


def shapes(rng: Rng, *, count: int = 96) -> Picture:
    """uint8 [S,8,64,64]: how much of each pixel a shape covers, in 8 phases of its gait; most have but one.

    They fill their square but for a margin of 3 pixels.
    """
    return np.stack([SHAPES[i % len(SHAPES)](rng) for i in range(count)])


def softened(shapes: Picture) -> Picture:
    """The same shapes, uint8 [S,8,64,64], with edges as soft as a shade's; smaller, to have room for them."""
    inner, margin = SHAPE_PX - 24, 12
    small = [[cv2.resize(s, (inner, inner), interpolation=cv2.INTER_AREA) for s in phases] for phases in shapes]
    padded = np.pad(np.asarray(small), ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    return np.asarray([[cv2.GaussianBlur(s, (0, 0), 4) for s in phases] for phases in padded], np.uint8)


def _still(draw: Callable[[Picture], object]) -> Picture:
    canvas = np.zeros((SHAPE_PX * 4,) * 2, np.uint8)
    draw(canvas)
    return np.repeat(_fit([canvas]), PHASES, axis=0)


def _fit(canvases: list[Picture]) -> Picture:
    """Scale what is drawn on canvases to their square."""
    x, y, w, h = cv2.boundingRect(np.max(canvases, axis=0))
    inner = SHAPE_PX - 6
    small = [cv2.resize(c[y : y + h, x : x + w], (inner, inner), interpolation=cv2.INTER_AREA) for c in canvases]
    return np.stack([np.pad(s, 3) for s in small])


def _ellipse(_: Rng) -> Picture:
    return _still(lambda c: cv2.ellipse(c, (128, 128), (120, 120), 0, 0, 360, 255, -1, cv2.LINE_AA))


def _rectangle(_: Rng) -> Picture:
    return _still(lambda c: cv2.rectangle(c, (8, 8), (248, 248), 255, -1))


def _polygon(rng: Rng) -> Picture:
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    points = 128 + rng.uniform(40, 120, len(angles))[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return _still(lambda c: cv2.fillPoly(c, [points.astype(np.int32)], 255, cv2.LINE_AA))


def _blob(rng: Rng) -> Picture:
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    radius = 80 + sum(rng.normal(0, 22 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(1, 7))
    points = 128 + np.maximum(radius, 15)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _still(lambda c: cv2.fillPoly(c, [points.astype(np.int32)], 255, cv2.LINE_AA))


def _walker(rng: Rng) -> Picture:
    """Somebody who walks: head, trunk, arms and legs that swing."""
    trunk, thick = rng.uniform(18, 34), rng.integers(12, 26)
    swing, arm = rng.uniform(0.15, 0.6), rng.uniform(0.1, 0.7)
    canvases = []
    for phase in range(PHASES):
        c = np.zeros((256, 256), np.uint8)
        cv2.ellipse(c, (128, 30), (int(thick * 0.95), 22), 0, 0, 360, 255, -1, cv2.LINE_AA)
        cv2.ellipse(c, (128, 100), (int(trunk), 55), 0, 0, 360, 255, -1, cv2.LINE_AA)
        for side in (-1, 1):
            s = side * np.sin(2 * np.pi * phase / PHASES)
            _limb(c, (128 + 6 * side, 140), swing * s, 108, int(thick))
            _limb(c, (128 + side * trunk * 0.8, 68), arm * -s + 0.1 * side, 78, int(thick * 0.6))
        canvases.append(c)
    return _fit(canvases)


def _limb(canvas: Picture, top: tuple[float, float], angle: float, length: float, thick: int) -> None:
    x, y = int(top[0]), int(top[1])
    end = (int(x + length * np.sin(angle)), int(y + length * np.cos(angle)))
    cv2.line(canvas, (x, y), end, 255, int(thick), cv2.LINE_AA)


SHAPES: list[Callable[[Rng], Picture]] = [_walker, _blob, _rectangle, _polygon, _blob, _ellipse]
