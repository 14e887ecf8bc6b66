"""Scenes of things that move: what there is to see in one clip, where and when, and what is true of it. Plain numpy.

A scene is sampled as `streamcam.clips` would: 15 times a second from a camera of 8 to 30 frames, so frames repeat.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.motion.layers import WHOLE, AppearanceSampler, Format, Layer, Scene, colour_by_chance
from scripts.motion.paths import (
    CLASS,
    DIRECTIONS,
    DT,
    PROGRAMS,
    TOWARDS,
    Array,
    ClipExtent,
    Path2D,
    Rng,
    integral,
    log_uniform,
    moves,
    rest,
)
from streamcam.models.motion import LABELS

CAMERA_FPS = (8, 10, 12.5, 15, 25, 29.97, 30)
FPS = 15


def sample_times(rng: Rng, frames: int) -> tuple[Array, float]:
    """When the frames that are taken at 15 a second were filmed, in units of 1/15 s; and the camera's interval."""
    interval = FPS / CAMERA_FPS[rng.choice(len(CAMERA_FPS), p=[0.08, 0.17, 0.1, 0.15, 0.15, 0.1, 0.25])]
    filmed = np.arange(-3, frames / interval + 4) * interval + rng.uniform(0, interval)
    if rng.random() < 0.3:
        filmed = np.sort(filmed + rng.normal(0, 0.12 * interval, len(filmed)))
    if rng.random() < 0.2:
        filmed = filmed[rng.random(len(filmed)) > 0.06]
    due = np.arange(frames)
    return filmed[np.abs(filmed[None] - due[:, None]).argmin(1)], interval


def compose(
    seed: int,
    *,
    fmt: Format,
    shapes: int,
    textures: int,
    shades: float = 0.0,
    wanted: list[str] | None = None,
    props: int | None = None,
) -> Scene:
    """Decide on a scene.

    Args:
        seed: what all of it depends on.
        fmt: size and length.
        shapes: how many shapes there are to choose from.
        textures: and textures.
        shades: the share of the things that move which are shades.
        wanted: labels to show, one for each actor; or "still", "flickering light", "camera moving". By chance if None.
        props: how many things that do nothing; by chance if None.
    """
    rng = np.random.default_rng(seed)
    frames, interval = sample_times(rng, fmt.frames)
    extent = ClipExtent(fmt.size, fmt.frames, 3.2 * interval)
    wanted = _choose(rng) if wanted is None else wanted
    pans, flickers = "camera moving" in wanted, "flickering light" in wanted
    camera = _camera(extent, rng, moving=pans)
    shade_rng = np.random.default_rng([seed, 1])
    appearance = AppearanceSampler(fmt, frames, camera, shapes, textures, colour_by_chance(rng), shades, shade_rng)
    paths = [
        _prop(extent, rng) for _ in range(int(rng.choice(4, p=[0.25, 0.35, 0.25, 0.15])) if props is None else props)
    ]
    actors = [_actor(extent, rng, label, alone=len(wanted) == 1) for label in wanted if label in PROGRAMS]
    for path in actors:
        paths.insert(rng.integers(len(paths) + 1), path)
    for path in paths:
        _fidget(path, extent, rng)
    layers = [appearance.background(extent, rng)]
    for path in paths:
        layers += appearance.layers_of(path, rng, moving=path in actors)
    scene = Scene(fmt, frames, layers, *_light(extent, rng, frames, flickering=flickers), **_sensor(rng), seed=seed)
    scene.wanted = " + ".join(wanted)
    _label(scene, _stirs(actors, fmt), flickers=flickers, pans=pans)
    return scene


def _choose(rng: Rng) -> list[str]:
    kind = rng.choice(["still", "one", "some", "flicker", "camera"], p=[0.1, 0.44, 0.24, 0.06, 0.16])
    # What comes and goes is hardest to tell apart, and there for the shortest time.
    names = [*PROGRAMS, *("appearing", "disappearing") * 2]
    some = list(rng.choice(names, rng.integers(2, 4)))
    match kind:
        case "still":
            return ["still"]
        case "one":
            return [str(rng.choice(names))]
        case "some":
            return [str(n) for n in some]
        case "flicker":
            return ["flickering light", *([str(some[0])] if rng.random() < 0.35 else [])]
        case _:
            return ["camera moving", *([str(some[0])] if rng.random() < 0.35 else [])]


def _prop(extent: ClipExtent, rng: Rng) -> Path2D:
    return rest(extent, rng, area=min(0.5, _part(extent) * log_uniform(rng, 0.01, 0.35)))


def _actor(extent: ClipExtent, rng: Rng, label: str, *, alone: bool) -> Path2D:
    path = rest(extent, rng, area=min(0.5, _part(extent) * log_uniform(rng, 0.01, 0.4 if alone else 0.15)))
    PROGRAMS[label](path, extent, rng)
    return path


def _fidget(path: Path2D, extent: ClipExtent, rng: Rng) -> None:
    """What stands may sway a little, as people do: too slowly to be said to move."""
    if rng.random() < 0.4:
        amount = rng.uniform(0.1, 0.5)
        path.x += _wander(extent.t, rng, 8) * amount
        path.y += _wander(extent.t, rng, 8) * amount * rng.uniform(0, 1)
        path.angle += _wander(extent.t, rng, 8) * amount / np.mean(path.half) * rng.uniform(0, 1)


def _part(extent: ClipExtent) -> float:
    """How much larger a thing's share is of this picture than of the whole one."""
    return WHOLE[0] * WHOLE[1] / (extent.size[0] * extent.size[1])


def _stirs(actors: list[Path2D], fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether anything moves within the picture at each slice, bool [L]."""
    at = np.arange(fmt.frames)[fmt.middle].astype(float)
    stirring = [moves(path, at) & _in_picture(path, at, fmt) for path in actors]
    return np.asarray(np.any([np.zeros(fmt.slices, bool), *stirring], axis=0), np.bool_)


def _in_picture(path: Path2D, at: Array, fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether a good part of a thing is inside the picture at each slice, bool [L]."""
    x, y, scale = (np.interp(at, path.t, z) for z in (path.x, path.y, np.exp(path.log_scale)))
    (h, w), (a, b) = fmt.size, path.half
    return (np.abs(x - w / 2) < w / 2 + 0.2 * a * scale) & (np.abs(y - h / 2) < h / 2 + 0.2 * b * scale)


def _sensor(rng: Rng) -> dict[str, Any]:
    """How noisy, blurred and compressed the clip is."""
    return {
        "noise": float(rng.choice([0.0, rng.exponential(2.5), rng.uniform(0, 10)], p=[0.2, 0.6, 0.2])),
        "blur": float(rng.choice([0.0, rng.uniform(0.3, 1.2)], p=[0.7, 0.3])),
        "quality": float(rng.choice([0.0, rng.uniform(4, 30)], p=[0.6, 0.4])),
        "stale": float(rng.choice([0.0, rng.uniform(1, 6)], p=[0.6, 0.4])),
        "refresh": int(rng.integers(6, 60)),
    }


def _camera(extent: ClipExtent, rng: Rng, *, moving: bool) -> Array:
    """Its path [3, points]: x, y in pixels and the logarithm of its zoom. A little unrest even where it stands."""
    t = extent.t
    if not moving:
        amount = rng.choice([0.0, rng.uniform(0, 0.12)], p=[0.6, 0.4])
        return np.stack([_wander(t, rng, 6) * amount, _wander(t, rng, 6) * amount, t * 0])
    kind, zoom = rng.integers(4), t * 0
    if kind == 3:
        zoom = integral(t * 0 + rng.choice([-1, 1]) * log_uniform(rng, 0.006, 0.03), extent)
    if kind in (0, 1):
        speed, angle = log_uniform(rng, 0.4, 5), rng.uniform(0, 6.3)
        x, y = (integral(t * 0 + speed * f(angle), extent) for f in (np.cos, np.sin))
    else:
        x = y = t * 0
    if kind != 0:
        amount = log_uniform(rng, 0.5, 3)
        x, y = x + _wander(t, rng, 3) * amount, y + _wander(t, rng, 3) * amount
    return np.stack([x, y, zoom])


def _wander(t: Array, rng: Rng, smooth: float) -> Array:
    """A smooth random path of unit deviation."""
    n = int(smooth / DT)
    z = np.convolve(rng.normal(size=len(t) + 2 * n), np.hanning(n), mode="same")[n:-n]
    return np.asarray((z - z.mean()) / (z.std() + 1e-6), np.float64)


def _light(
    extent: ClipExtent, rng: Rng, frames: Array, *, flickering: bool
) -> tuple[Array, tuple[float, float, float] | None]:
    """Gain [T] of the light, and the region it acts on."""
    h, w = extent.size
    gain = 1 + rng.choice([0.0, rng.normal(0, 0.06)]) * _wander(extent.t, rng, 24)
    if not flickering:
        return np.interp(frames, extent.t, gain), None
    turns = 2 * np.pi * extent.t / log_uniform(rng, 2.2, 9) + rng.uniform(0, 6.3)
    by_chance = np.repeat(rng.uniform(-1, 1, len(turns) // 4 + 1), 4)[: len(turns)]
    wave = (np.sin(turns), np.sign(np.sin(turns)), by_chance)[rng.integers(3)]
    gain = gain * (1 + rng.uniform(0.08, 0.42) * (wave - rng.uniform(0, 1)))
    lamp = (rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.3, 0.7) * w) if rng.random() < 0.3 else None
    return np.clip(np.interp(frames, extent.t, gain), 0.1, 2), lamp


def _label(scene: Scene, stirs: npt.NDArray[np.bool_], *, flickers: bool, pans: bool) -> None:
    """What is true of the whole clip: of more than a third of its slices."""
    share, doubt = np.zeros(len(LABELS)), np.zeros(len(LABELS))
    for layer in scene.layers[1:]:
        seen = _shows(layer, scene.fmt)
        share = np.maximum(share, (layer.target * layer.sure * seen[:, None]).mean(0))
        maybe = ((layer.target > 0) | (layer.sure == 0)).mean(0)
        doubt = np.maximum(doubt, maybe * bool(seen.any() and layer.sure.any()))
    scene.label = (share >= 0.35).astype(float)
    scene.sure = ((share >= 0.35) | (np.maximum(doubt, share) <= 0.12)).astype(float)
    if pans:  # what is still in the world moves in the picture: nobody asks which way
        scene.sure[[CLASS[name] for name in (*DIRECTIONS, *TOWARDS)]] = 0
    busy = 1.0 if flickers or pans else float(stirs.mean())
    for name, true, sure in (
        ("flickering light", flickers, True),
        ("camera moving", pans, True),
        ("still", busy <= 0.07, busy <= 0.07 or busy >= 0.35),
    ):
        scene.label[CLASS[name]], scene.sure[CLASS[name]] = float(true), float(sure)


def _shows(layer: Layer, fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether a good part of a thing is inside the picture at each slice, after the camera's motion; bool [L]."""
    x, y, _, a, b = layer.pose[fmt.middle].T
    h, w = fmt.size
    inside = (np.abs(x - w / 2) < w / 2 + 0.2 * a) & (np.abs(y - h / 2) < h / 2 + 0.2 * b)
    return np.asarray(inside, np.bool_)
