"""What a scene consists of: layers, and what makes a moving thing visible. Plain numpy."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scripts.motion.appearance import PHASES, Stock
from scripts.motion.camera import Camera
from scripts.motion.paths import Array, ClipExtent, Path2D, Rng, log_uniform, rest, truth
from scripts.motion.people import Part
from streamcam.models.motion import CONFIG, LABELS

WHOLE = (112, 144)
"""(height, width) of the picture in use. Things are as large in a smaller one, which is a part of it."""


@dataclass(frozen=True)
class Format:
    """What a clip is."""

    size: tuple[int, int] = (112, 144)
    """(height, width) in pixels."""
    frames: int = 32
    slices: int = 16
    """Heat slices of a clip, one for each of its frames from `first` on."""
    first: int = CONFIG.own_frame
    """The frame on which the first slice is centred."""

    @property
    def centres(self) -> slice:
        """The frames that slices are centred on."""
        return slice(self.first, self.first + self.slices)

    @property
    def times(self) -> Array:
        """[L], the same as numbers."""
        return np.arange(self.first, self.first + self.slices, dtype=float)


@dataclass
class Layer:
    """One thing in a scene, or a part of one, at the frames that were taken."""

    poses: Array
    """[T,S,5]: x, y of the pivot; angle; width, height halves; as drawn, after the camera's own motion. S drawings at
    moments of the exposure make one frame."""
    pivot: tuple[float, float]
    alpha: Array
    """[T]."""
    shape: int
    phase: npt.NDArray[np.int64]
    """[T], of the shape's gait."""
    texture: int
    crop: tuple[float, float, float, float]
    """Offset x, y, scale and angle of the texture on it."""
    slide: Array
    """[T,2], how far the texture has moved on it, x and y."""
    colour: Array
    """[3], mean of the texture, 0–255."""
    contrast: float
    strength: float
    """How much of its colour is seen where it covers what is behind: 1, or less for a shade."""
    target: Array
    """[L,C], what is true of it at each slice, 0 to 1."""
    sure: Array
    """[L,C], 0 where that is not to be asked."""

    @property
    def pose(self) -> Array:
        """[T,5], in the middle of each exposure."""
        return np.asarray(self.poses.mean(1), np.float64)


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
    slope: Array
    """[T,2], how much brighter the picture is at its right and lower edge than in the middle, as a share."""
    lamp: tuple[float, float, float] | None
    """Centre x, y and radius in pixels of a region that the light acts on, or None for all of the picture."""
    noise: float
    colour_noise: float
    """Of each channel on its own."""
    blur: float
    quality: float
    """Step of the quantisation, as by JPEG; 0 for none."""
    stale: float
    """Grey levels that a block must change by to be sent anew, as by a video codec; 0 where all always are."""
    refresh: int
    """Frames between two that are sent whole."""
    codec: str
    """A real encoder that the clip passes through, or none if empty; then `quality` and `stale` are 0."""
    coarse: float
    """How low its quality is, 0 to 1."""
    seed: int
    wanted: str = ""
    """What the scene was composed to show."""
    label: Array = field(default_factory=lambda: np.zeros(len(LABELS)))
    """[C], 0 to 1, of the whole clip."""
    sure: Array = field(default_factory=lambda: np.ones(len(LABELS)))
    """[C], 0 where it is neither clearly so nor clearly not."""


@dataclass
class Thing:
    """What stands or acts in a scene, as one part or several, from back to front."""

    parts: list[Part]
    acts: bool
    depth: float = 1.0
    """How many times as far as the background it moves in the picture where the camera changes place."""


def colour_by_chance(rng: Rng) -> Array:
    """[3], 0–255, more grey than not."""
    return rng.uniform(0, 255, 3) * 0.4 + rng.uniform(0, 255) * 0.6


def skin_by_chance(rng: Rng) -> Array:
    """[3], 0–255, of some person in some light."""
    tone = np.asarray([234, 192, 164]) * (1 - rng.uniform(0, 1) * np.asarray([0.62, 0.7, 0.75]))
    return np.clip(tone * rng.uniform(0.55, 1.1) + rng.normal(0, 8, 3), 5, 250)


@dataclass(frozen=True)
class AppearanceSampler:
    """A sampler of appearances: the shape, texture and colour of what moves, as the camera sees it on each frame."""

    fmt: Format
    frames: Array
    exposure: float
    """For how long the camera is open, in units of 1/15 s."""
    camera: Camera
    stock: Stock
    back: Array
    """[3], the background's colour."""
    shades: float
    """Share of moving things that are only a shade or a gleam on what is behind them."""
    shade_rng: Rng
    """A generator for shades alone: their share changes nothing else of a scene."""

    def background(self, extent: ClipExtent, rng: Rng, *, rich: bool) -> Layer:
        """Draw the background: a texture beyond the edges of the picture, often of little contrast, like a wall.

        A rich one has a texture on which a camera's motion shows.
        """
        path = rest(extent, rng, area=1)
        h, w = self.fmt.size
        still = np.zeros_like(path.t)
        path.x, path.y, path.angle, path.half = still + w / 2, still + h / 2, still, (max(h, w), max(h, w))
        contrast = rng.uniform(0.4, 1.1) if rich else float(rng.choice([0.15, 0.4, 0.8, 1.0]))
        layer = self._layer(Part(path), rng, colour=self.back, contrast=contrast)
        layer.texture = self.stock.texture(rng, "photo" if rng.random() < 0.75 else "rich" if rich else "any")
        layer.crop = (*layer.crop[:2], log_uniform(rng, 0.35, 2.2), rng.choice([0.0, layer.crop[3]], p=[0.7, 0.3]))
        return layer

    def layers_of(self, thing: Thing, rng: Rng) -> list[Layer]:
        """Draw the layers of a thing: itself, and behind it, at times, its shadow."""
        if len(thing.parts) > 1:
            return self._body(thing, rng)
        layers, part = [], thing.parts[0]
        if thing.acts and rng.random() < 0.3:
            layers.append(self._shadow(thing, rng))
        gait = log_uniform(rng, 5, 14) if thing.acts and self._strolls(part.path) else 0.0
        if part.look == "skin":
            colour, contrast = skin_by_chance(rng), rng.uniform(0.3, 1)
        else:
            colour, contrast = self._contrasting(rng), rng.choice([rng.uniform(0.05, 1), rng.uniform(0.6, 1.1)])
        layer = self._layer(part, rng, colour=colour, contrast=contrast, gait=gait, depth=thing.depth)
        if thing.acts and self.shade_rng.random() < self.shades:
            self._fade(layer)
        return [*layers, layer]

    def _body(self, thing: Thing, rng: Rng) -> list[Layer]:
        """Draw somebody: what each part is made of is drawn once for all parts that are made of it."""
        colours = {"skin": skin_by_chance(rng), "cloth": self._contrasting(rng), "trousers": colour_by_chance(rng)}
        colours["face"] = colours["skin"]
        contrasts = {"skin": rng.uniform(0.4, 1), "face": rng.uniform(0.6, 1.2), "cloth": rng.uniform(0.1, 0.9),
                     "trousers": rng.uniform(0.1, 0.9)}  # fmt: skip
        textures = {look: self.stock.texture(rng, look) for look in colours}
        bare = rng.random() < 0.3
        layers = []
        for part in thing.parts:
            look = "cloth" if part.look == "skin" and part.shape == "capsule" and not bare else part.look
            shaded = 1 if look in ("skin", "face") else rng.uniform(0.85, 1.15)
            layer = self._layer(part, rng, colour=colours[look] * shaded, contrast=contrasts[look], depth=thing.depth)
            layer.texture = textures[look]
            if look == "face":
                layer.crop = (0.0, 0.0, 1.0, 0.0)
            layers.append(layer)
        return layers

    def _fade(self, thing: Layer) -> None:
        """Turn a layer into a shade with soft edges or a gleam, as somebody outside the picture casts on a wall."""
        if thing.shape < self.stock.hard:  # a hand has no soft twin
            thing.shape += self.stock.hard
            thing.poses[..., 3:] *= 1.6  # soft shapes are that much smaller
        thing.colour, thing.contrast = np.full(3, 0.0 if self.back.mean() > 90 else 255.0), 0.0
        thing.strength = log_uniform(self.shade_rng, 0.07, 0.4)

    @staticmethod
    def _strolls(path: Path2D) -> bool:
        return float(np.hypot(np.diff(path.x), np.diff(path.y)).max()) > 0.02

    def _contrasting(self, rng: Rng) -> Array:
        """A colour that can be told from the background's."""
        colour = colour_by_chance(rng)
        if abs(float((colour - self.back).mean())) < 30:
            colour = colour + (40 if self.back.mean() < 128 else -40)
        return np.clip(colour, 5, 250)

    def _layer(
        self, part: Part, rng: Rng, *, colour: Array, contrast: float, gait: float = 0.0, depth: float = 1.0
    ) -> Layer:
        path, at = part.path, self.fmt.times
        alpha = np.interp(self.frames, path.t, path.alpha)
        target, sure = truth(path, at, past=self.camera.speed(at, *path.centre(at), depth=depth))
        phase = (self.frames / gait * PHASES if gait else 0 * self.frames).astype(int) % PHASES
        shape = self.stock.shape(rng, part.shape)
        texture = self.stock.texture(rng, part.look or ("photo" if rng.random() < 0.6 else "any"))
        crop = (rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), log_uniform(rng, 0.25, 1.2), rng.uniform(0, 6.3))
        slide = np.zeros((len(self.frames), 2))
        if part.slide is not None:
            slide = np.stack([np.interp(self.frames, path.t, z) for z in part.slide], 1)
        poses = self._poses(path, depth)
        return Layer(poses, path.pivot, alpha, shape, phase, texture, crop, slide, colour, contrast, 1.0, target, sure)

    def _poses(self, path: Path2D, depth: float) -> Array:
        """[T,S,5], as the camera sees it during the exposure of each frame; more drawings where it goes faster."""
        ends = [self._pose(path, self.frames + k * self.exposure, depth) for k in (-0.5, 0.5)]
        r = np.minimum(ends[0][:, 3:].max(1), 100)
        gone = np.abs(ends[1] - ends[0])
        most = float((np.hypot(gone[:, 0], gone[:, 1]) + gone[:, 2] * r + gone[:, 3:].max(1)).max())
        count = int(np.clip(np.ceil(most / 1.2), 1, 4)) if most > 0.8 else 1
        moments = (np.arange(count) + 0.5) / count - 0.5
        return np.stack([self._pose(path, self.frames + k * self.exposure, depth) for k in moments], 1)

    def _pose(self, path: Path2D, at: Array, depth: float) -> Array:
        """[T,5], as the camera sees it at some times."""
        x, y, angle, scale = (np.interp(at, path.t, z) for z in (path.x, path.y, path.angle, path.log_scale))
        a, b = path.half
        x, y = x + path.pivot[0] * a * np.exp(scale), y + path.pivot[1] * b * np.exp(scale)
        x, y, roll, zoom = self.camera.pose(at, x, y, depth=depth)
        return np.stack([x, y, angle + roll, np.exp(scale + zoom) * a, np.exp(scale + zoom) * b], 1)

    def _shadow(self, thing: Thing, rng: Rng) -> Layer:
        """What a thing darkens beside itself; nobody asks what it does."""
        path = thing.parts[0].path
        layer = self._layer(Part(path), rng, colour=np.zeros(3), contrast=0.0, depth=thing.depth)
        layer.poses[..., :2] += rng.uniform(-0.5, 0.5, 2) * layer.poses[..., 3:] + [0, 0.3 * path.half[1]]
        layer.poses[..., 3:] *= rng.uniform(0.7, 1.2, 2)
        layer.alpha *= rng.uniform(0.1, 0.4)
        layer.sure *= 0
        return layer
