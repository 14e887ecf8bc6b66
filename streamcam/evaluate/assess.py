"""Score the heat of every method against the truth of one clip. A class of a clip is a case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.engines.window_engine import WindowEngine
from streamcam.evaluate.erasure import Erasure, erase
from streamcam.evaluate.methods import EvalWindow, Method
from streamcam.evaluate.objects import Mask, box_of
from streamcam.evaluate.scores import Scores, score
from streamcam.evaluate.truth import Item, Truth
from streamcam.evaluate.windows import windows, with_frame_times
from streamcam.heat.localise import Box, on_picture
from streamcam.models.base import CamModel
from streamcam.records import Floats, Image, Transform

GRID = 112
"""Maps, masks and boxes are compared on a grid whose shorter side has this many pixels."""

PRESENT_SHARE = 0.5
"""A class counts as present in a window from this share of its heat slices on."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A heat slice to be drawn: the picture, the truth, and the map of each method."""

    image: Image
    """uint8 [h,w,3], twice as large as the grid; black where the network did not look."""
    mask: Mask
    """bool [h,w] on the grid: all objects of the class."""
    boxes: Sequence[Box]
    """The box of each object, on the grid."""
    maps: Mapping[str, Floats]
    """Method → float32 [h,w] on the grid."""
    pts_s: float
    """The time of the slice, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A class of a clip, scored."""

    clip: str
    label: str
    slices: int
    """The number of heat slices in which the class is present."""
    chance: float
    """The share of the picture inside the mask: how often a random place would be right."""
    scores: Mapping[str, Scores]
    """Method → its scores."""
    examples: Sequence[Example] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the network predicts for one window, and the classes that are really present."""

    rank: int | None
    """The rank, from 0, of the first class that is present; None if no class is."""
    probabilities: Mapping[str, float]
    """Class of the truth → the highest probability of the model's classes that count as it."""
    present: frozenset[str]
    """The classes that are present in at least half of the window's slices."""


def assess(
    item: Item,
    *,
    model: CamModel,
    engine: WindowEngine,
    methods: Mapping[str, Method],
    indices: Mapping[str, Sequence[int]],
    erase_steps: int = 0,
) -> tuple[list[Case], list[Prediction]]:
    """Score every method on every class of a clip whose place is known.

    Args:
        item: the clip.
        model: the network in float32, for methods that need gradients.
        engine: the same network. Its heat holds every class that the truth names.
        methods: name → method.
        indices: class of the truth → the model's classes that count as it.
        erase_steps: the number of steps of insertion and deletion; 0 leaves both out.

    Returns:
        A case for each class that is present in at least one slice, and a prediction for each window.
    """
    truth = with_frame_times(item.truth())
    clip = _ClipHeat(truth, methods, indices)
    predictions = []
    for window in windows(item, engine, model):
        predictions.append(_predict(window, truth, indices))
        clip.add(window)
        if erase_steps:
            clip.add_erasures(window, engine, steps=erase_steps)
    cases = [clip.case(label) for label in truth.placed]
    return [case for case in cases if case is not None], predictions


def strongest(window: EvalWindow, candidates: Sequence[int]) -> int:
    """Return the index k, of the heat's K classes, of the candidate with the highest logit."""
    best = max(candidates, key=lambda c: (window.heat.logits[c], -c))
    return int(np.flatnonzero(window.heat.classes == best)[0])


def _predict(window: EvalWindow, truth: Truth, indices: Mapping[str, Sequence[int]]) -> Prediction:
    logits, times = window.heat.logits, window.heat.pts_s
    probabilities = window.model.heat_context.link.scores(logits)
    present = [label for label in truth.labels if truth.present(label, times).mean() >= PRESENT_SHARE]
    right = {i for label in present for i in indices[label]}
    ranked = np.argsort(-logits, kind="stable").tolist()
    return Prediction(
        rank=next((rank for rank, i in enumerate(ranked) if i in right), None),
        probabilities={label: float(probabilities[list(classes)].max()) for label, classes in indices.items()},
        present=frozenset(present),
    )


class _ClipHeat:
    """The heat of every method on one clip, collected window by window."""

    def __init__(self, truth: Truth, methods: Mapping[str, Method], indices: Mapping[str, Sequence[int]]) -> None:
        self._truth, self._methods, self._indices = truth, methods, indices
        self._size = grid_size(truth.picture)
        self._times: list[float] = []
        """The time of each slice, in seconds."""
        self._cells: dict[tuple[str, str], list[Floats]] = {}
        """(class, method) → float32 [h,w] of each slice, in heat cells."""
        self._shown: list[tuple[int, Image]] = []
        """The middle slice of each window, and the frame nearest to it."""
        self._erasures: dict[tuple[str, str], Erasure] = {}
        self._transform = Transform()

    def add(self, window: EvalWindow) -> None:
        """Compute the heat of every method for every class that has a place."""
        heat, clip = window.heat, window.clip
        middle = len(heat.pts_s) // 2
        nearest = int(np.abs(clip.pts_s - heat.pts_s[middle]).argmin())
        self._shown.append((len(self._times) + middle, clip.frames[nearest].transpose(1, 2, 0)))
        self._times += heat.pts_s.tolist()
        self._transform = heat.transform
        for label in self._truth.placed:
            k = strongest(window, self._indices[label])
            for name, method in self._methods.items():
                self._cells.setdefault((label, name), []).extend(method(window, k))

    def add_erasures(self, window: EvalWindow, engine: WindowEngine, *, steps: int) -> None:
        """Compute insertion and deletion for each class, once: in the first window where it is always present.

        The window is the one that was added last.
        """
        done = {label for label, _ in self._erasures}
        for label in self._truth.placed:
            if label in done or not self._truth.present(label, window.heat.pts_s).all():
                continue
            k = strongest(window, self._indices[label])
            for name in self._methods:
                cells = np.stack(self._cells[label, name][-len(window.heat.pts_s) :])
                self._erasures[label, name] = erase(window, k, cells, engine=engine, steps=steps)

    def case(self, label: str) -> Case | None:
        """Score a class; None if it is not present in any slice."""
        objects = self._truth.masks(label, np.array(self._times), self._size)
        union = np.any(objects, axis=0)
        present = union.any((1, 2))
        if not present.any():
            return None
        return Case(
            clip=self._truth.item.name,
            label=label,
            slices=int(present.sum()),
            chance=float(union[present].mean()),
            scores={name: self._score(label, name, objects) for name in self._methods},
            examples=[
                self._example(label, i, image, [masks[i] for masks in objects])
                for i, image in self._shown
                if present[i]
            ],
        )

    def _score(self, label: str, name: str, objects: Sequence[Mask]) -> Scores:
        curve = np.array([float(cells.mean()) for cells in self._cells[label, name]])
        maps = [self._on_grid(cells) for cells in self._cells[label, name]]
        return score(maps, curve, objects, erasure=self._erasures.get((label, name)))

    def _on_grid(self, cells: Floats) -> Floats:
        height, width = self._size
        return on_picture(cells, self._transform, width=width, height=height)

    def _example(self, label: str, i: int, image: Image, masks: Sequence[Mask]) -> Example:
        """Describe slice `i`, with the frame nearest to it and the mask of each object."""
        height, width = self._size
        return Example(
            image=_uncropped(image, self._transform, 2 * height, 2 * width),
            mask=np.any(masks, axis=0),
            boxes=[box for mask in masks if (box := box_of(mask)) is not None],
            maps={name: self._on_grid(self._cells[label, name][i]) for name in self._methods},
            pts_s=self._times[i],
        )


def _uncropped(image: Image, transform: Transform, height: int, width: int) -> Image:
    """Put what the network saw back to its place in the picture, and leave the rest black."""
    x0, y0, x1, y1 = transform.to_pixels(height, width)
    whole = np.zeros((height, width, 3), np.uint8)
    whole[y0:y1, x0:x1] = cv2.resize(image, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return whole


def grid_size(picture: tuple[int, int]) -> tuple[int, int]:
    """Return the grid's (h, w) for a picture of (H, W) pixels: the shorter side becomes `GRID`."""
    scale = GRID / min(picture)
    return max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
