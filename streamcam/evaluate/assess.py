"""Hold heat against the truth: a class of a clip is a case, and every contender is scored on every case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from streamcam.engines.window_engine import WindowEngine
from streamcam.evaluate.erasure import Erasure, erase
from streamcam.evaluate.methods import EvalWindow, Method
from streamcam.evaluate.scores import Scores, score
from streamcam.evaluate.truth import Item, Mask, Truth, box_of
from streamcam.evaluate.windows import timed, windows
from streamcam.heat.localise import Box, on_picture
from streamcam.models.base import CamModel
from streamcam.records import Floats, Image, Transform

GRID = 112
"""Maps, masks and boxes are compared on a picture whose shorter side has so many pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A slice as a picture may show it: what the network saw, the truth, and each contender's map."""

    image: Image
    """uint8 [h,w,3], twice the grid; black where the network did not look."""
    mask: Mask
    boxes: Sequence[Box]
    maps: Mapping[str, Floats]
    pts_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A class of a clip."""

    clip: str
    label: str
    slices: int
    """In which the class is there."""
    chance: float
    """The share of the picture that is inside the mask: how often a random place would be."""
    scores: Mapping[str, Scores]
    examples: Sequence[Example] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the network said of one window."""

    rank: int | None
    """Of the first class, from 0 on, that is there; None where nothing is."""
    probabilities: Mapping[str, float]
    """Of each class of the truth: of the strongest of the model's that count as it."""
    present: frozenset[str]
    """The classes that are there in at least half of it."""


@dataclass(slots=True)
class _Take:
    """What is kept of a clip's windows."""

    times: list[float] = field(default_factory=list)
    cells: dict[tuple[str, str], list[Floats]] = field(default_factory=dict)
    """(class, contender) → float32 [h,w] of each slice."""
    shown: list[tuple[int, Image]] = field(default_factory=list)
    """One slice of each window, and what the network saw then."""
    erasures: dict[tuple[str, str], Erasure] = field(default_factory=dict)
    transform: Transform = field(default_factory=Transform)


def assess(
    item: Item,
    *,
    model: CamModel,
    engine: WindowEngine,
    methods: Mapping[str, Method],
    indices: Mapping[str, Sequence[int]],
    erase_steps: int = 0,
) -> tuple[list[Case], list[Verdict]]:
    """Score all contenders on all classes of a clip whose place is known.

    Args:
        item: the clip.
        model: the network in float32, for contenders that need gradients.
        engine: the same network; its heat is of every class that the truth speaks of.
        methods: name → whose heat.
        indices: a class of the truth → the model's classes that count as it.
        erase_steps: in how many steps pixels are put in and taken out; 0 not to.
    """
    truth = timed(item.truth())
    take, verdicts = _Take(), []
    for window in windows(item, engine, model):
        take.transform = window.heat.transform
        verdicts.append(_verdict(window, truth, indices))
        _add(take, window, truth, methods, indices)
        if erase_steps:
            _erase(take, window, truth, indices, engine, steps=erase_steps)
    return [case for label in truth.placed for case in _case(label, truth, take, methods)], verdicts


def strongest(window: EvalWindow, candidates: Sequence[int]) -> int:
    """Which of the heat's K classes: the surest of those that count as one class of the truth."""
    best = max(candidates, key=lambda c: (window.heat.logits[c], -c))
    return int(np.flatnonzero(window.heat.classes == best)[0])


def _verdict(window: EvalWindow, truth: Truth, indices: Mapping[str, Sequence[int]]) -> Verdict:
    logits = window.heat.logits
    probabilities = window.model.heat_context.scores(torch.from_numpy(logits)).numpy()
    present = [label for label in truth.labels if truth.present(label, window.heat.pts_s).mean() >= 0.5]
    right = {i for label in present for i in indices[label]}
    ranked = np.argsort(-logits, kind="stable").tolist()
    return Verdict(
        rank=next((rank for rank, i in enumerate(ranked) if i in right), None),
        probabilities={label: float(probabilities[list(known)].max()) for label, known in indices.items()},
        present=frozenset(present),
    )


def _add(
    take: _Take,
    window: EvalWindow,
    truth: Truth,
    methods: Mapping[str, Method],
    indices: Mapping[str, Sequence[int]],
) -> None:
    heat, clip = window.heat, window.clip
    middle = len(heat.pts_s) // 2
    nearest = int(np.abs(clip.pts_s - heat.pts_s[middle]).argmin())
    take.shown.append((len(take.times) + middle, clip.frames[nearest].transpose(1, 2, 0)))
    take.times += heat.pts_s.tolist()
    for label in truth.placed:
        k = strongest(window, indices[label])
        for name, method in methods.items():
            take.cells.setdefault((label, name), []).extend(method(window, k))


def _erase(
    take: _Take,
    window: EvalWindow,
    truth: Truth,
    indices: Mapping[str, Sequence[int]],
    engine: WindowEngine,
    *,
    steps: int,
) -> None:
    """Insertion and deletion, on the first window in which a class is there all the time."""
    for label in truth.placed:
        if any(known == label for known, _ in take.erasures) or not truth.present(label, window.heat.pts_s).all():
            continue
        k = strongest(window, indices[label])
        for (known, name), cells in take.cells.items():
            if known == label:
                recent = np.stack(cells[-len(window.heat.pts_s) :])
                take.erasures[label, name] = erase(window, k, recent, engine=engine, steps=steps)


def _case(label: str, truth: Truth, take: _Take, methods: Mapping[str, Method]) -> list[Case]:
    """The case of one class; none where it is never there at the time of a slice."""
    times, size = np.array(take.times), grid_size(truth.picture)
    things = truth.masks(label, times, size)
    there = np.flatnonzero(np.any([thing.any((1, 2)) for thing in things], axis=0))
    if not len(there):
        return []
    union = np.any(things, axis=0)
    scores = {}
    for name in methods:
        cells = take.cells[label, name]
        maps = [on_picture(c, take.transform, width=size[1], height=size[0]) for c in cells]
        curve = np.array([float(c.mean()) for c in cells])
        scores[name] = score(maps, curve, things, erasure=take.erasures.get((label, name)))
    examples = [
        _example(label, truth, take, methods, shown, [thing[shown[0]] for thing in things])
        for shown in take.shown
        if union[shown[0]].any()
    ]
    chance = float(union[there].mean())
    return [Case(truth.item.name, label, len(there), chance, scores, examples)]


def _example(
    label: str,
    truth: Truth,
    take: _Take,
    methods: Mapping[str, Method],
    shown: tuple[int, Image],
    masks: Sequence[Mask],
) -> Example:
    (at, image), (height, width) = shown, grid_size(truth.picture)
    return Example(
        image=_unsqueezed(image, take.transform, 2 * height, 2 * width),
        mask=np.any(masks, axis=0),
        boxes=[box for mask in masks if (box := box_of(mask)) is not None],
        maps={
            name: on_picture(take.cells[label, name][at], take.transform, width=width, height=height)
            for name in methods
        },
        pts_s=take.times[at],
    )


def _unsqueezed(image: Image, transform: Transform, height: int, width: int) -> Image:
    """What a network saw, at its place in a picture that is black elsewhere."""
    x0, y0, x1, y1 = transform.to_pixels(height, width)
    whole = np.zeros((height, width, 3), np.uint8)
    whole[y0:y1, x0:x1] = cv2.resize(image, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return whole


def grid_size(picture: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the grid on which a picture of (H, W) pixels is compared."""
    scale = GRID / min(picture)
    return max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
