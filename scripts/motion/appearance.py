"""Make the textures and shapes of rendered scenes from a seed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skimage
from sklearn.datasets import load_sample_images

Picture = npt.NDArray[np.uint8]
Rng = np.random.Generator

PHASES, SHAPE_PX, TEXTURE_PX = 8, 96, 256
MARGIN = 4
"""Pixels about a shape that it leaves free."""

TEXTURES = {
    "train": ["astronaut", "brick", "camera", "cell", "chelsea", "grass", "ihc", "microaneurysms", "moon", "page",
              "motorcycle_left", "retina", "clock_motion", "color", "china"],
    "held-out": ["coffee", "coins", "gravel", "hubble_deep_field", "rocket", "text", "flower"],
}  # fmt: skip


LOOKS = ("skin", "face", "cloth", "trousers")


@dataclass
class Stock:
    """The shapes and textures that scenes are made of."""

    shapes: Picture
    """uint8 [S,8,96,96]: hard shapes, as many soft ones in the same order, then each kind of `PARTS`."""
    hard: int
    """How many hard shapes there are."""
    textures: list[Picture]
    """uint8 [256,256,3] each."""
    first: dict[str, int]
    """Where the textures of each kind begin: "photo", "rich" and "plain" ones, then each of `LOOKS`."""

    def shape(self, rng: Rng, kind: str = "") -> int:
        """The number of a shape of a kind of `PARTS`; of any hard one if empty."""
        if not kind:
            return int(rng.integers(self.hard))
        first = 2 * self.hard + list(PARTS).index(kind) * EACH
        return first + int(rng.integers(EACH))

    def texture(self, rng: Rng, kind: str) -> int:
        """The number of a texture of a kind: "photo", "rich", "any" that is not of a person, or one of `LOOKS`."""
        if kind in ("cloth", "trousers"):
            kind = "any" if rng.random() < 0.4 else "cloth"
        first = {"any": "photo"}.get(kind, kind)
        ends = [*self.first.values(), len(self.textures)]
        end = self.first["skin"] if kind == "any" else ends[list(self.first).index(first) + 1]
        return int(rng.integers(self.first[first], end))


EACH = 12
"""How many shapes there are of each kind of `PARTS`."""


def stock(part: str, rng: Rng, *, photographs: Path | None = None, crops: int = 3) -> Stock:
    """Draw shapes and cut textures, of a part of the data.

    Args:
        part: a key of `TEXTURES`.
        rng: what they depend on.
        photographs: a folder that `scripts.motion.photographs` filled, for more pictures than there are without it.
        crops: how many textures each of those pictures gives; the few others give 11.
    """
    hard = shapes(rng)
    parts = [PARTS[kind](rng) for kind in PARTS for _ in range(EACH)]
    pictures = [_picture(name) for name in TEXTURES[part]]
    photos = [_crop(picture, rng) for picture in pictures for _ in range(11)]
    if photographs is not None:
        photos += [_crop(picture, rng) for picture in folder_pictures(photographs, part) for _ in range(crops)]
    kinds = {
        "photo": photos,
        "rich": [make(rng) for make in (_clouds, _pattern, _patches) for _ in range(20)],
        "plain": [_gradient(rng) for _ in range(20)],
        "skin": [_skin(rng) for _ in range(16)],
        "face": [_face(rng) for _ in range(32)],
        "cloth": [_cloth(rng) for _ in range(24)],
    }
    first = dict(zip(kinds, np.cumsum([0, *map(len, kinds.values())]).tolist(), strict=False))
    every = np.concatenate([hard, softened(hard), np.stack(parts)])
    return Stock(every, len(hard), [texture for made in kinds.values() for texture in made], first)


class NoPhotographsError(Exception):
    """A folder that was named for its pictures has none."""


def folder_pictures(folder: Path, part: str) -> list[Picture]:
    """The pictures of a folder, each uint8 [H,W,3]; a fifth of them, by a hash of their names, are held out."""
    try:
        names = [picture["file"] for picture in json.loads((folder / "photographs.json").read_text())]
    except OSError as error:
        raise NoPhotographsError(
            f"{folder} has no photographs.json: fill it with python -m scripts.motion.photographs {folder}"
        ) from error
    chosen = [name for name in names if held_out(name) == (part == "held-out")]
    return [_read(folder / name) for name in chosen]


def held_out(name: str) -> bool:
    """Whether nothing is to be taught with a picture."""
    return sha256(name.encode()).digest()[0] % 5 == 0


def _picture(name: str) -> Picture:
    """uint8 [H,W,3], from scikit-image or scikit-learn."""
    samples = load_sample_images()
    for path, image in zip(samples.filenames, samples.images, strict=True):
        if name in path:
            return np.asarray(image)
    return _read(next((Path(skimage.__file__).parent / "data").glob(f"{name}.*")))


def _read(path: Path) -> Picture:
    """uint8 [H,W,3]."""
    image = cv2.imread(str(path))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _crop(picture: Picture, rng: Rng) -> Picture:
    """A square of a picture, from a quarter of its shorter side up, turned by a multiple of 90°."""
    side = int(min(picture.shape[:2]) * rng.uniform(0.35, 1))
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


def _unit() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """x and y of each pixel of a texture, −1 to 1."""
    y, x = (np.mgrid[:TEXTURE_PX, :TEXTURE_PX] + 0.5) * 2 / TEXTURE_PX - 1
    return x, y


def _skin(rng: Rng) -> Picture:
    """Soft light on something round, and hardly anything else."""
    x, y = _unit()
    light, angle = rng.uniform(5, 45), rng.uniform(0, 6.3)
    z = 128 + light * (x * np.cos(angle) + y * np.sin(angle)) - rng.uniform(0, 30) * (x**2 + y**2)
    z = z[..., None] + 0.12 * (_clouds(rng).astype(float) - 128)
    return np.asarray(np.clip(z, 0, 255).astype(np.uint8))


def _cloth(rng: Rng) -> Picture:
    """Something round with folds, or stripes across it."""
    x, y = _unit()
    z = 128 - rng.uniform(5, 60) * x**2 + rng.uniform(0, 25) * np.sin(rng.uniform(2, 9) * (x + rng.uniform(-2, 2) * y))
    if rng.random() < 0.3:
        z = z + rng.uniform(10, 60) * np.sign(np.sin(y * rng.uniform(6, 30)))
    z = z[..., None] + 0.2 * (_clouds(rng).astype(float) - 128)
    return np.asarray(np.clip(z, 0, 255).astype(np.uint8))


def _face(rng: Rng) -> Picture:
    """Skin with hair, eyes, brows, a nose and a mouth, in the places where a face has them."""
    image, size = np.ascontiguousarray(_skin(rng)), TEXTURE_PX
    hair = rng.uniform(10, 110, 3).tolist()

    def at(x: float, y: float) -> tuple[int, int]:
        return int((x + 1) * size / 2), int((y + 1) * size / 2)

    wide, eye_y, open_ = rng.uniform(0.3, 0.42), rng.uniform(-0.2, 0.0), int(rng.uniform(4, 10))
    line = rng.uniform(-0.75, -0.4)
    cv2.ellipse(image, at(0, -1), (size, int((line + 1) * size / 2)), 0, 0, 360, hair, -1, cv2.LINE_AA)
    if rng.random() < 0.4:
        for side in (-1, 1):
            cv2.ellipse(image, at(side * 1.0, 0), (int(size * 0.13), size), 0, 0, 360, hair, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.ellipse(image, at(side * wide, eye_y), (22, open_), 0, 0, 360, (225, 225, 225), -1, cv2.LINE_AA)
        cv2.circle(image, at(side * wide, eye_y), open_, (40, 30, 25), -1, cv2.LINE_AA)
        cv2.ellipse(image, at(side * wide, eye_y - 0.14), (28, 5), 0, 180, 360, hair, 5, cv2.LINE_AA)
    skin = image[size // 2, size // 5].astype(float)
    cv2.line(image, at(0.02, eye_y + 0.1), at(0.06, 0.3), (skin * 0.75).tolist(), 6, cv2.LINE_AA)
    cv2.ellipse(image, at(0, 0.33), (16, 6), 0, 0, 180, (skin * 0.6).tolist(), 4, cv2.LINE_AA)
    red = (skin * [0.85, 0.55, 0.55]).tolist()
    mouth = (int(rng.uniform(22, 42)), int(rng.uniform(4, 14)))
    cv2.ellipse(image, at(0, rng.uniform(0.5, 0.62)), mouth, 0, 0, 360, red, -1, cv2.LINE_AA)
    if rng.random() < 0.2:
        cv2.ellipse(image, at(0, 0.8), (int(size * 0.4), int(size * 0.22)), 0, 0, 360, hair, -1, cv2.LINE_AA)
    return image


def shapes(rng: Rng, *, count: int = 96) -> Picture:
    """uint8 [S,8,96,96]: how much of each pixel a shape covers, in 8 phases of its gait; most have but one.

    They fill their square but for a margin of 4 pixels.
    """
    return np.stack([SHAPES[i % len(SHAPES)](rng) for i in range(count)])


def softened(shapes: Picture) -> Picture:
    """The same shapes, uint8 [S,8,96,96], with edges as soft as a shade's; smaller, to have room for them."""
    inner, margin = SHAPE_PX - 36, 18
    small = [[cv2.resize(s, (inner, inner), interpolation=cv2.INTER_AREA) for s in phases] for phases in shapes]
    padded = np.pad(np.asarray(small), ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    return np.asarray([[cv2.GaussianBlur(s, (0, 0), 6) for s in phases] for phases in padded], np.uint8)


def _still(draw: Callable[[Picture], object]) -> Picture:
    canvas = np.zeros((SHAPE_PX * 4,) * 2, np.uint8)
    draw(canvas)
    return np.repeat(_fit([canvas]), PHASES, axis=0)


def _fit(canvases: list[Picture]) -> Picture:
    """Scale what is drawn on canvases to their square."""
    x, y, w, h = cv2.boundingRect(np.max(canvases, axis=0))
    inner = SHAPE_PX - 2 * MARGIN
    small = [cv2.resize(c[y : y + h, x : x + w], (inner, inner), interpolation=cv2.INTER_AREA) for c in canvases]
    return np.stack([np.pad(s, MARGIN) for s in small])


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


def _capsule(rng: Rng) -> Picture:
    """An upper arm or a leg, round at both ends, a little thinner at one."""
    thin = int(rng.uniform(75, 120))
    points = np.asarray([(8, 40), (248, 40), (128 + thin, 224), (128 - thin, 224)])

    def paint(c: Picture) -> None:
        cv2.fillPoly(c, [points.astype(np.int32)], 255, cv2.LINE_AA)
        cv2.ellipse(c, (128, 40), (120, 32), 0, 0, 360, 255, -1, cv2.LINE_AA)
        cv2.ellipse(c, (128, 224), (thin, 24), 0, 0, 360, 255, -1, cv2.LINE_AA)

    return _still(paint)


def _forearm(rng: Rng) -> Picture:
    """A forearm, and at its lower end a hand: a fist, or open with fingers."""
    wrist, palm = int(rng.uniform(32, 50)), int(rng.uniform(62, 80))
    spread = rng.uniform(0.2, 0.5) if rng.random() < 0.6 else 0.0
    arm = np.asarray([(128 - 52, 8), (128 + 52, 8), (128 + wrist, 160), (128 - wrist, 160)])

    def paint(c: Picture) -> None:
        cv2.fillPoly(c, [arm.astype(np.int32)], 255, cv2.LINE_AA)
        cv2.ellipse(c, (128, 182), (palm, 32), 0, 0, 360, 255, -1, cv2.LINE_AA)
        for k in range(-2, 3) if spread else ():
            x = 128 + int(palm * 0.42 * k)
            length = 40 - 8 * abs(k)
            cv2.line(c, (x, 196), (int(x + 2.2 * length * spread * k), 202 + length), 255, 22, cv2.LINE_AA)

    return _still(paint)


def _torso(rng: Rng) -> Picture:
    """A trunk with shoulders."""
    waist = int(rng.uniform(70, 115))
    points = np.asarray([(60, 8), (196, 8), (246, 46), (128 + waist, 160), (236, 248), (20, 248), (128 - waist, 160),
                         (10, 46)])  # fmt: skip
    return _still(lambda c: cv2.fillPoly(c, [points.astype(np.int32)], 255, cv2.LINE_AA))


PARTS: dict[str, Callable[[Rng], Picture]] = {
    "head": _ellipse,
    "capsule": _capsule,
    "forearm": _forearm,
    "torso": _torso,
}
"""Shapes of the parts of people."""
