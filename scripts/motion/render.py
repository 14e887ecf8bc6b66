"""Scenes → clips with their masks: each layer is drawn where it is, and filmed as a camera would."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scripts.motion.appearance import MARGIN, SHAPE_PX, TEXTURE_PX, Picture, Stock, stock
from scripts.motion.film import film
from scripts.motion.layers import Format, Layer, Scene
from scripts.motion.paths import Array
from scripts.motion.scenes import compose
from streamcam.models.motion import LABELS

CELL = 4
Floats = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Left, top, right and lower edge in pixels, each a multiple of CELL."""


class SceneRenderer:
    """A renderer of scenes, with its shapes and textures."""

    def __init__(
        self,
        part: str,
        *,
        fmt: Format,
        shades: float = 0.0,
        seed: int = 0,
        device: str = "cpu",
        photographs: Path | None = None,
    ) -> None:
        """Draw the shapes and textures of a part of the data, "train" or "held-out".

        Of what moves, a share `shades` is but a shade on what is behind it. Scenes are drawn on the CPU, and clips are
        put on a device. More textures come from a folder that `scripts.motion.photographs` filled.
        """
        rng = np.random.default_rng([seed, part == "train"])
        self.fmt, self.shades, self.device = fmt, shades, device
        self.stock = stock(part, rng, photographs=photographs)

    def compose(self, seed: int, **wishes: Any) -> Scene:
        """Compose a scene from a seed, with shapes and textures of this renderer; `wishes` are options of `compose`."""
        return compose(seed, fmt=self.fmt, stock=self.stock, shades=self.shades, **wishes)

    def render(self, scenes: list[Scene], *, masks: bool = False) -> "Rendered":
        """Draw a batch of scenes."""
        return render(scenes, self, masks=masks)


@dataclass
class Rendered:
    """A batch of clips."""

    frames: Tensor
    """uint8 [N,3,T,H,W]."""
    cells: Tensor
    """float16 [N,A,L,h,w]: how much of each cell a thing covers that nothing stands before; the background left out."""
    target: Tensor
    """float32 [N,A,L,C]: what is true of each thing at each slice, 0 to 1."""
    sure: Tensor
    """float32 [N,A,L,C]: 0 where that is not to be asked."""
    drift: Tensor
    """float16 [N,4,L,h,w]: how what each cell shows moves: x, y in pixels a frame, turn in radians, growth as the
    change of a logarithm."""
    label: Tensor
    """float32 [N,C], 0 to 1."""
    label_sure: Tensor
    """float32 [N,C]."""
    masks: Tensor | None = None
    """bool [N,A,L,H,W], where asked for."""


def render(scenes: list[Scene], renderer: SceneRenderer, *, masks: bool = False) -> Rendered:
    """Draw a batch of scenes; random only by their seeds."""
    fmt, device = renderer.fmt, renderer.device
    drawn = [Drawing(scene, renderer.stock, masks=masks) for scene in scenes]
    most = max(1, *(len(s.layers) - 1 for s in scenes))
    padded = [(s.layers[1:] + [None] * most)[:most] for s in scenes]
    empty = np.zeros((fmt.slices, len(LABELS)))

    def on_device(values: list[Any], dtype: Any = np.float32) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype)).to(device)

    def filled(covers: Floats) -> Floats:
        return np.pad(covers, [(0, most - len(covers)), *[(0, 0)] * 3])

    return Rendered(
        frames=torch.from_numpy(np.stack([d.frames for d in drawn]).transpose(0, 4, 1, 2, 3)).contiguous().to(device),
        cells=on_device([filled(d.cells) for d in drawn], np.float16),
        target=on_device([[empty if a is None else a.target for a in row] for row in padded]),
        sure=on_device([[empty if a is None else a.sure for a in row] for row in padded]),
        drift=on_device([d.drift for d in drawn], np.float16),
        label=on_device([s.label for s in scenes]),
        label_sure=on_device([s.sure for s in scenes]),
        masks=on_device([filled(d.covers) > 0.5 for d in drawn], np.bool_) if masks else None,
    )


class Drawing:
    """One scene while its layers are drawn, from the back to the front."""

    def __init__(self, scene: Scene, stock: Stock, *, masks: bool) -> None:
        fmt = scene.fmt
        h, w = fmt.size
        self.scene, self.stock = scene, stock
        _, self.once, self.again = np.unique(scene.frames, return_index=True, return_inverse=True)
        self.picture = np.zeros((len(self.once), h, w, 3), np.float32)
        things = len(scene.layers) - 1
        self.cells = np.zeros((things, fmt.slices, h // CELL, w // CELL), np.float32)
        self.covers = np.zeros((things, fmt.slices, h, w) if masks else (0, 0, 0, 0), np.float32)
        self.drift = drift_of(scene.layers[0], fmt)
        self._background(scene.layers[0])
        for depth, layer in enumerate(scene.layers[1:]):
            self._put(layer, depth)
        self.frames = film(self.picture, scene, self.once)[self.again]

    def _background(self, layer: Layer) -> None:
        brush = Brush(layer, self.stock, self.once, self.scene.fmt.size)
        h, w = self.scene.fmt.size
        for i in range(len(self.once)):
            self.picture[i] = self.picture[i - 1] if i and brush.same[i] else brush.colour(i, (0, 0, w, h))

    def _put(self, layer: Layer, depth: int) -> None:
        """Put a layer in front of those that are there already."""
        fmt = self.scene.fmt
        brush = Brush(layer, self.stock, self.once, fmt.size)
        drawn: tuple[Floats, Floats] | None = None
        motion = drift_of(layer, fmt)
        for i in range(len(self.once)):
            left, top, right, bottom = box = brush.box(i)
            if right <= left or bottom <= top or layer.alpha[self.once[i]] <= 0:
                drawn = None
                continue
            if drawn is None or not brush.same[i]:
                drawn = brush.draw(i, box)
            colour, alpha = drawn
            there = self.picture[i, top:bottom, left:right]
            there *= (1 - alpha * np.float32(layer.strength))[..., None]
            there += colour
            for k in np.flatnonzero(self.again[fmt.centres] == i):
                self._cover(depth, int(k), box, alpha, motion[:, k])

    def _cover(self, depth: int, k: int, box: Box, alpha: Floats, motion: Floats) -> None:
        """Note down what a layer covers at a slice, and how that moves."""
        left, top, right, bottom = box
        if len(self.covers):
            where = (slice(top, bottom), slice(left, right))
            self.covers[(slice(depth), k, *where)] *= 1 - alpha
            self.covers[(depth, k, *where)] = alpha
        share = cv2.resize(alpha, ((right - left) // CELL, (bottom - top) // CELL), interpolation=cv2.INTER_AREA)
        where = (slice(top // CELL, bottom // CELL), slice(left // CELL, right // CELL))
        self.cells[(slice(depth), k, *where)] *= 1 - share
        self.cells[(depth, k, *where)] = share
        drift = self.drift[(slice(None), k, *where)]
        drift += share * (motion[(slice(None), *where)] - drift)


class Brush:
    """What draws a layer: its texture in its colours and its shape, at about the size at which they are seen."""

    def __init__(self, layer: Layer, stock: Stock, once: npt.NDArray[np.intp], size: tuple[int, int]) -> None:
        self.layer, self.once = layer, once
        poses = layer.poses[once]
        a, b = np.median(poses[..., 3:].reshape(-1, 2), axis=0)
        texture = _smaller(stock.textures[layer.texture], TEXTURE_PX / 2 * layer.crop[2] / min(a, b)).astype(np.float32)
        texture -= texture.mean((0, 1))
        texture *= np.float32(layer.contrast)
        texture += layer.colour.astype(np.float32)
        self.texture = np.clip(texture, 0, 255, out=texture)
        shapes, phases = stock.shapes[layer.shape], layer.phase[once]
        few = SHAPE_PX / 2 / min(a, b)
        self.shapes = {int(p): np.asarray(_smaller(shapes[p], few) / 255, np.float32) for p in np.unique(phases)}
        self.boxes = _boxes(poses, layer.pivot, size)
        place = _local(poses, layer.pivot)
        side = len(next(iter(self.shapes.values())))
        self.on_shape = _pixels((SHAPE_PX - 2 * MARGIN) / SHAPE_PX * place, side)
        x, y, scale, angle = layer.crop
        turn = scale * np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        place[..., 2] += layer.slide[once][:, None]
        place = turn @ place
        place[..., 2] += (x, y)
        self.on_texture = _pixels(place, len(texture))
        looks = np.hstack([poses.reshape(len(once), -1), phases[:, None], layer.alpha[once, None], layer.slide[once]])
        self.same = np.hstack([False, (looks[1:] == looks[:-1]).all(1)])
        """Whether it looks as it did on the frame before."""

    def box(self, i: int) -> Box:
        """Where it may be on a frame."""
        left, top, right, bottom = self.boxes[i].tolist()
        return left, top, right, bottom

    def colour(self, i: int, box: Box) -> Floats:
        """[H,W,3] of a box of the picture, the mean of an exposure."""
        seen = [_warp(self.texture, place, box, cv2.BORDER_REFLECT) for place in self.on_texture[i]]
        return seen[0] if len(seen) == 1 else np.asarray(sum(seen[1:], seen[0]) / len(seen), np.float32)

    def draw(self, i: int, box: Box) -> tuple[Floats, Floats]:
        """Return its colours [H,W,3] times what they count there, and what it covers [H,W], 0 to 1."""
        shape = self.shapes[int(self.layer.phase[self.once[i]])]
        alphas = [_warp(shape, place, box, cv2.BORDER_CONSTANT) for place in self.on_shape[i]]
        alpha = sum(alphas[1:], alphas[0]) * np.float32(self.layer.alpha[self.once[i]] / len(alphas))
        return self.colour(i, box) * (alpha * np.float32(self.layer.strength))[..., None], alpha


def _smaller(image: Picture, texels: float) -> Picture:
    """An image as fine as it is seen, where `texels` of its pixels lie on one of the picture; at least 8×8."""
    side = max(8, round(len(image) / texels))
    if side > 0.75 * len(image):
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _local(poses: Array, pivot: tuple[float, float]) -> Array:
    """Picture → coordinates on a thing, −1 to 1 across it, as matrices [...,2,3]."""
    x, y, angle, a, b = np.moveaxis(poses, -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    place = np.stack([cos / a, sin / a, 0 * x, -sin / b, cos / b, 0 * x], -1).reshape(*x.shape, 2, 3)
    place[..., 2] = pivot - (place[..., :2] @ np.stack([x - 0.5, y - 0.5], -1)[..., None])[..., 0]
    return place


def _pixels(place: Array, side: int) -> Array:
    """The same matrices with pixels of a square image, so many a side, in place of −1 to 1."""
    pixels = place * (side / 2)
    pixels[..., 2] += side / 2 - 0.5
    return np.asarray(pixels, np.float64)


def _warp(image: Floats, place: Array, box: Box, border: int) -> Floats:
    """What of an image is seen in a box of the picture, where `place` leads from there to its pixels."""
    left, top, right, bottom = box
    matrix = place.copy()
    matrix[:, 2] += place[:, 0] * left + place[:, 1] * top
    return cv2.warpAffine(  # type: ignore[return-value]
        image, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border
    )


def _boxes(poses: Array, pivot: tuple[float, float], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the box that a thing may touch during each exposure, [T,4]; one without an area is outside the picture."""
    x, y, angle, a, b = np.moveaxis(poses, -1, 0)
    u, v = (np.asarray([(-1.1 - p), (1.1 - p)]) for p in pivot)
    du, dv = u[:, None, None, None] * a, v[None, :, None, None] * b
    cos, sin = np.cos(angle), np.sin(angle)
    xs, ys = x + du * cos - dv * sin, y + du * sin + dv * cos
    h, w = size
    low = (np.floor(z.min((0, 1, 3)) / CELL) * CELL for z in (xs, ys))
    high = (np.ceil(z.max((0, 1, 3)) / CELL) * CELL for z in (xs, ys))
    left, top = (np.maximum(z, 0) for z in low)
    right, bottom = (np.minimum(z, n) for z, n in zip(high, (w, h), strict=True))
    return np.stack([left, top, right, bottom], 1).astype(np.int64)


def drift_of(layer: Layer, fmt: Format) -> Floats:
    """How each cell of a layer moves, over two frames on either side of each slice; [4,L,h,w]."""
    pose = layer.pose[..., None, None].astype(np.float32)
    at = np.arange(fmt.frames)[fmt.centres]
    now, before, after = (pose[at + k].transpose(1, 0, 2, 3) for k in (0, -2, 2))
    y, x = (CELL * (np.arange(n // CELL, dtype=np.float32) + 0.5) for n in fmt.size)
    dx, dy = x[None] - now[0], y[:, None] - now[1]
    cos, sin = np.cos(now[2]), np.sin(now[2])
    u, v = (dx * cos + dy * sin) / now[3], (dy * cos - dx * sin) / now[4]
    ends = []
    for px, py, angle, a, b in (before, after):
        cos, sin = np.cos(angle), np.sin(angle)
        ends.append((px + a * cos * u - b * sin * v, py + a * sin * u + b * cos * v))
    (x0, y0), (x1, y1) = ends
    spin, growth = after[2] - before[2], np.log(after[3] / before[3])
    moved = np.stack([x1 - x0, y1 - y0, np.broadcast_to(spin, x0.shape), np.broadcast_to(growth, x0.shape)])
    return np.asarray(moved / 4, np.float32)
