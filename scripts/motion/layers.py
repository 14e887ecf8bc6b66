"""What a scene consists of: layers, and what makes a moving thing visible. Plain numpy."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scripts.motion.appearance import PHASES
from scripts.motion.paths import Array, ClipExtent, Path2D, Rng, log_uniform, rest, truth
from streamcam.models.motion import LABELS

WHOLE = (112, 144)
"""(height, width) of the picture in use. Things are as large in a smaller one, which is a part of it."""


@dataclass(frozen=True)
class Format:
    """What a clip is."""

    size: tuple[int, int] = (112, 144)
    """(height, width) in pixels."""
    frames: int = 32
    slices: int = 16
    """Heat slices of a clip, centred on its middle frames."""

    @property
    def middle(self) -> slice:
        """The frames that slices are centred on."""
        first = (self.frames - self.slices) // 2
        return slice(first, first + self.slices)


@dataclass
class Layer:
    """One thing in a scene, at the frames that were taken."""

    pose: Array
    """[T,5]: x, y of the pivot; angle; width, height halves; as drawn (after the camera's own motion)."""
    pivot: tuple[float, float]
    alpha: Array
    """[T]."""
    shape: int
    phase: npt.NDArray[np.int64]
    """[T], of the shape's gait."""
    texture: int
    crop: tuple[float, float, float, float]
    """Offset x, y, scale and angle of the texture on it."""
    colour: Array
    """[3], mean of the texture, 0–255."""
    contrast: float
    strength: float
    """How much of its colour is seen where it covers what is behind: 1, or less for a shade."""
    target: Array
    """[L,C], what is true of it at each slice."""
    sure: Array
    """[L,C], 0 where that is not to be asked."""


@dataclass
class Scene:
    """One clip."""

    fmt: Format
    frames: Array
    """[T], when the camera took the frame that was sampled for each."""
    layers: list[Layer]
    """From the back to the front; the first is the background."""
    gain: Array
    """[T], of the light on each frame."""
    lamp: tuple[float, float, float] | None
    """Centre x, y and radius in pixels of a region that the light acts on, or None for all of the picture."""
    noise: float
    blur: float
    quality: float
    """Step of the quantisation, as by JPEG; 0 for none."""
    stale: float
    """Grey levels that a block must change by to be sent anew, as by a video codec; 0 where all always are."""
    refresh: int
    """Frames between two that are sent whole."""
    seed: int
    wanted: str = ""
    """What the scene was composed to show."""
    label: Array = field(default_factory=lambda: np.zeros(len(LABELS)))
    """[C], 0 or 1, of the whole clip."""
    sure: Array = field(default_factory=lambda: np.ones(len(LABELS)))
    """[C], 0 where it is neither clearly so nor clearly not."""


def colour_by_chance(rng: Rng) -> Array:
    """[3], 0–255, more grey than not."""
    return rng.uniform(0, 255, 3) * 0.4 + rng.uniform(0, 255) * 0.6


@dataclass(frozen=True)
class AppearanceSampler:
    """A sampler of appearances: the shape, texture and colour of what moves, as the camera sees it on each frame."""

    fmt: Format
    frames: Array
    camera: Array
    """[3, points], as `_camera` gives it."""
    shapes: int
    """How many hard shapes there are. As many soft ones follow, in the same order."""
    textures: int
    back: Array
    """[3], the background's colour."""
    shades: float
    """Share of moving things that are only a shade or a gleam on what is behind them."""
    shade_rng: Rng
    """A generator for shades alone: their share changes nothing else of a scene."""

    def background(self, extent: ClipExtent, rng: Rng) -> Layer:
        """Draw the background: a texture beyond the edges of the picture, often of little contrast, like a wall."""
        path = rest(extent, rng, area=1)
        h, w = self.fmt.size
        still = np.zeros_like(path.t)
        path.x, path.y, path.angle, path.half = still + w / 2, still + h / 2, still, (max(h, w), max(h, w))
        return self._layer(path, rng, colour=self.back, contrast=float(rng.choice([0.15, 0.4, 0.8, 1.0])))

    def layers_of(self, path: Path2D, rng: Rng, *, moving: bool) -> list[Layer]:
        """Draw the layers of something that follows a path: itself, and behind it, at times, its shadow."""
        layers = []
        if moving and rng.random() < 0.3:
            layers.append(self._shadow(path, rng))
        gait = log_uniform(rng, 5, 14) if moving and self._strolls(path) else 0.0
        thing = self._layer(path, rng, colour=self._contrasting(rng), contrast=rng.uniform(0.05, 1), gait=gait)
        if moving and self.shade_rng.random() < self.shades:
            self._fade(thing)
        return [*layers, thing]

    def _fade(self, thing: Layer) -> None:
        """Turn a layer into a shade with soft edges or a gleam, as somebody outside the picture casts on a wall."""
        thing.shape += self.shapes
        thing.colour, thing.contrast = np.full(3, 0.0 if self.back.mean() > 90 else 255.0), 0.0
        thing.strength = log_uniform(self.shade_rng, 0.07, 0.4)
        thing.pose[:, 3:] *= 1.6  # soft shapes are that much smaller

    @staticmethod
    def _strolls(path: Path2D) -> bool:
        return float(np.hypot(np.diff(path.x), np.diff(path.y)).max()) > 0.02

    def _contrasting(self, rng: Rng) -> Array:
        """A colour that can be told from the background's."""
        colour = colour_by_chance(rng)
        if abs(float((colour - self.back).mean())) < 30:
            colour = colour + (40 if self.back.mean() < 128 else -40)
        return np.clip(colour, 5, 250)

    def _layer(self, path: Path2D, rng: Rng, *, colour: Array, contrast: float, gait: float = 0.0) -> Layer:
        alpha = np.interp(self.frames, path.t, path.alpha)
        target, sure = truth(path, np.arange(self.fmt.frames)[self.fmt.middle].astype(float))
        phase = (self.frames / gait * PHASES if gait else 0 * self.frames).astype(int) % PHASES
        shape, texture = int(rng.integers(self.shapes)), int(rng.integers(self.textures))
        crop = (rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), log_uniform(rng, 0.25, 1), rng.uniform(0, 6.3))
        pose = self._pose(path)
        return Layer(pose, path.pivot, alpha, shape, phase, texture, crop, colour, contrast, 1.0, target, sure)

    def _pose(self, path: Path2D) -> Array:
        """[T,5], as the camera sees it on each frame."""
        x, y, angle, scale = (np.interp(self.frames, path.t, z) for z in (path.x, path.y, path.angle, path.log_scale))
        pan_x, pan_y, zoom = (np.interp(self.frames, path.t, z) for z in self.camera)
        (h, w), (a, b) = self.fmt.size, path.half
        x, y = x + path.pivot[0] * a * np.exp(scale), y + path.pivot[1] * b * np.exp(scale)
        x, y = (x - w / 2) * np.exp(zoom) + w / 2 + pan_x, (y - h / 2) * np.exp(zoom) + h / 2 + pan_y
        return np.stack([x, y, angle, np.exp(scale + zoom) * a, np.exp(scale + zoom) * b], 1)

    def _shadow(self, path: Path2D, rng: Rng) -> Layer:
        """What a thing darkens beside itself; nobody asks what it does."""
        layer = self._layer(path, rng, colour=np.zeros(3), contrast=0.0)
        layer.pose[:, :2] += rng.uniform(-0.5, 0.5, 2) * layer.pose[:, 3:] + [0, 0.3 * path.half[1]]
        layer.pose[:, 3:] *= rng.uniform(0.7, 1.2, 2)
        layer.alpha *= rng.uniform(0.1, 0.4)
        layer.sure *= 0
        return layer
