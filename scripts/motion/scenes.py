"""Scenes of things that move: what there is to see in one clip, where and when, and what is true of it. Plain numpy.

A scene is sampled as `streamcam.clips` would: 15 times a second from a camera of 8 to 30 frames, so frames repeat.
"""

import numpy as np
import numpy.typing as npt

from scripts.motion import camera as cameras
from scripts.motion.appearance import Stock
from scripts.motion.layers import WHOLE, AppearanceSampler, Format, Layer, Scene, Thing, colour_by_chance
from scripts.motion.light import light, sensor
from scripts.motion.paths import (
    CLASS,
    DIRECTIONS,
    PROGRAMS,
    TOWARDS,
    TURNS,
    Array,
    ClipExtent,
    Path2D,
    Rng,
    log_uniform,
    moves,
    rest,
)
from scripts.motion.people import Part, hand, person
from streamcam.models.motion import LABELS

CAMERA_FPS = (8, 10, 12.5, 15, 25, 29.97, 30)
FPS = 15
LEAST_SHARE, LARGEST_SHARE = 0.005, 0.6
"""Share of the picture that a thing covers."""
PEOPLE = {
    **dict.fromkeys(("waving", "bouncing"), 0.45),
    **dict.fromkeys(DIRECTIONS, 0.25),
    **dict.fromkeys(TOWARDS, 0.2),
    **dict.fromkeys(TURNS, 0.0),
    **dict.fromkeys(("appearing", "disappearing"), 0.1),
}
"""Share of the things that do something which are people, with parts; half as many are a hand at a camera."""


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
    stock: Stock,
    shades: float = 0.0,
    wanted: list[str] | None = None,
    props: int | None = None,
) -> Scene:
    """Decide on a scene.

    Args:
        seed: what all of it depends on.
        fmt: size and length.
        stock: shapes and textures to choose from.
        shades: the share of the things that move which are shades.
        wanted: labels to show, one for each actor; or "still", "flickering light", "camera moving". By chance if None.
        props: how many things that do nothing; by chance if None.
    """
    rng = np.random.default_rng(seed)
    frames, interval = sample_times(rng, fmt.frames)
    extent = ClipExtent(fmt.size, fmt.frames, fmt.first + fmt.slices / 2, 3.2 * interval)
    wanted = _choose(rng) if wanted is None else wanted
    pans, flickers = "camera moving" in wanted, "flickering light" in wanted
    labels = [label for label in wanted if label in PROGRAMS]
    actors = [_actor(extent, rng, label, alone=len(wanted) == 1, pans=pans) for label in labels]
    camera = _camera(extent, rng, actors) if pans else cameras.standing(extent, rng)
    things = _ordered(actors, [_prop(extent, rng) for _ in range(_props(rng) if props is None else props)], rng)
    exposure = interval * rng.choice([0.0, rng.uniform(0.1, 0.9)], p=[0.25, 0.75])
    shade_rng = np.random.default_rng([seed, 1])
    appearance = AppearanceSampler(fmt, frames, exposure, camera, stock, colour_by_chance(rng), shades, shade_rng)
    layers = [appearance.background(extent, rng, rich=pans)]
    for thing in things:
        layers += appearance.layers_of(thing, rng)
    scene = Scene(fmt, frames, layers, **light(extent, rng, frames, flickering=flickers), **sensor(rng), seed=seed)
    scene.wanted = " + ".join(wanted)
    _label(scene, _stirs(actors, fmt), camera, flickers=flickers)
    return scene


def _choose(rng: Rng) -> list[str]:
    kind = rng.choice(["still", "one", "some", "flicker", "camera"], p=[0.09, 0.34, 0.17, 0.06, 0.34])
    # What comes and goes is hardest to tell apart, and there for the shortest time.
    names = [*PROGRAMS, *("appearing", "disappearing") * 2]
    some = [str(name) for name in rng.choice(names, rng.integers(2, 4))]
    match kind:
        case "still":
            return ["still"]
        case "one":
            return some[:1]
        case "some":
            return some
        case "flicker":
            return ["flickering light", *(some[:1] if rng.random() < 0.35 else [])]
        case _:
            return ["camera moving", *some[: rng.choice([0, 1, 2], p=[0.45, 0.38, 0.17])]]


def _camera(extent: ClipExtent, rng: Rng, actors: list[Thing]) -> cameras.Camera:
    """A camera that moves, and now and then follows somebody."""
    paths = [actor.parts[0].path.root or actor.parts[0].path for actor in actors]
    follows = paths[0] if paths and rng.random() < 0.2 and np.ptp(paths[0].x) + np.ptp(paths[0].y) > 15 else None
    return cameras.moving(extent, rng, follows)


def _props(rng: Rng) -> int:
    return int(rng.choice(4, p=[0.25, 0.35, 0.25, 0.15]))


def _prop(extent: ClipExtent, rng: Rng) -> Thing:
    if rng.random() < 0.15:
        thing = Thing(person(extent, rng, "still", _part(extent)), acts=False)
    else:
        path = rest(extent, rng, area=min(LARGEST_SHARE, _part(extent) * log_uniform(rng, 0.01, 0.35)))
        _fidget(path, extent, rng)
        thing = Thing([Part(path)], acts=False)
    thing.depth = rng.choice([1.0, rng.uniform(0.8, 1.6)], p=[0.3, 0.7])
    return thing


def _actor(extent: ClipExtent, rng: Rng, label: str, *, alone: bool, pans: bool) -> Thing:
    """Something that does what a label says: somebody, a hand, or anything at all, as often large as small."""
    kind, often = rng.random(), PEOPLE[label]
    if kind < often:
        parts = person(extent, rng, label, _part(extent))
    elif kind < 1.5 * often:
        parts = hand(extent, rng, label, _part(extent))
    else:
        most = LARGEST_SHARE if alone or pans else 0.3
        path = rest(extent, rng, area=min(0.7, _part(extent) * log_uniform(rng, LEAST_SHARE, most)))
        PROGRAMS[label](path, extent, rng)
        parts = [Part(path, look="skin" if rng.random() < 0.15 else "")]
        _fidget(path, extent, rng)
    return Thing(parts, acts=True, depth=rng.choice([1.0, rng.uniform(0.9, 1.2)]))


def _ordered(actors: list[Thing], props: list[Thing], rng: Rng) -> list[Thing]:
    """Things from back to front: what is nearer moves more as the camera changes place. Actors are put in by chance."""
    things = sorted(props, key=lambda thing: thing.depth)
    for actor in actors:
        things.insert(int(rng.integers(len(things) + 1)), actor)
    return things


def _fidget(path: Path2D, extent: ClipExtent, rng: Rng) -> None:
    """What stands may sway a little, as people do: too slowly to be said to move."""
    if rng.random() < 0.4:
        amount = rng.uniform(0.05, 0.3)
        path.x += cameras.wander(extent.t, rng, 8) * amount
        path.y += cameras.wander(extent.t, rng, 8) * amount * rng.uniform(0, 1)
        path.angle += cameras.wander(extent.t, rng, 8) * amount / np.mean(path.half) * rng.uniform(0, 1)


def _part(extent: ClipExtent) -> float:
    """How much larger a thing's share is of this picture than of the whole one."""
    return WHOLE[0] * WHOLE[1] / (extent.size[0] * extent.size[1])


def _stirs(actors: list[Thing], fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether anything moves within the picture at each slice, bool [L]."""
    at = fmt.times
    paths = [part.path for actor in actors for part in actor.parts]
    stirring = [moves(path, at) & _in_picture(path, at, fmt) for path in paths]
    return np.asarray(np.any([np.zeros(fmt.slices, bool), *stirring], axis=0), np.bool_)


def _in_picture(path: Path2D, at: Array, fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether a good part of a thing is inside the picture at each slice, bool [L]."""
    (x, y), scale = path.centre(at), np.exp(np.interp(at, path.t, path.log_scale))
    (h, w), (a, b) = fmt.size, path.half
    return (np.abs(x - w / 2) < w / 2 + 0.2 * a * scale) & (np.abs(y - h / 2) < h / 2 + 0.2 * b * scale)


def _label(scene: Scene, stirs: npt.NDArray[np.bool_], camera: cameras.Camera, *, flickers: bool) -> None:
    """What is true of the whole clip: of more than a third of its slices, and half true where it is less."""
    label, most = np.zeros(len(LABELS)), np.zeros(len(LABELS))
    for layer in scene.layers[1:]:
        seen = _shows(layer, scene.fmt)[:, None]
        if layer.sure.any():
            label = np.maximum(label, _of_clip(layer.target * layer.sure * seen))
            most = np.maximum(most, _of_clip(np.where(layer.sure > 0, layer.target, 1) * seen))
    scene.label, scene.sure = label, (most - label < 0.25).astype(float)
    pans, clear = camera.moving(scene.fmt.times)
    least, most_of_all = (_of_clip(z[:, None])[0] for z in (pans * clear, np.where(clear > 0, pans, 1)))
    busy, maybe = max(float(flickers), least, _of_clip(stirs[:, None].astype(float))[0]), most_of_all
    for name, true, sure in (
        ("flickering light", float(flickers), 1.0),
        ("camera moving", least, float(most_of_all - least < 0.25)),
        ("still", 1 - busy, float(busy in (0, 1) and max(busy, maybe) - busy < 0.25)),
    ):
        scene.label[CLASS[name]], scene.sure[CLASS[name]] = true, sure


def _of_clip(target: Array) -> Array:
    """What slices [L,C] say of the whole, [C]: from an eighth of them on it counts, and fully from a third."""
    there = target > 0.1
    strength = target.sum(0) / np.maximum(there.sum(0), 1)
    return np.asarray(strength * np.clip((there.mean(0) - 0.12) / 0.22, 0, 1), np.float64)


def _shows(layer: Layer, fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether a good part of a thing is inside the picture at each slice, after the camera's motion; bool [L]."""
    x, y, angle, a, b = layer.pose[fmt.centres].T
    (h, w), (u, v) = fmt.size, layer.pivot
    x, y = x - a * u * np.cos(angle) + b * v * np.sin(angle), y - a * u * np.sin(angle) - b * v * np.cos(angle)
    inside = (np.abs(x - w / 2) < w / 2 + 0.2 * a) & (np.abs(y - h / 2) < h / 2 + 0.2 * b)
    return np.asarray(inside, np.bool_)
