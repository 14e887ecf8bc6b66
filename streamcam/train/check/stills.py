"""Measure whether still pictures tell the classes apart: by the nearest other picture, without any learning."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamcam.records import Floats, Image
from streamcam.train.intervals import Ints, wilson

MIN_VAL_CLIPS = 30
"""With fewer clips for validation, every clip is judged by those of other files."""

FAR_ABOVE_CHANCE = 0.2
"""The share of the way from chance to 1 that counts as far, 0–1."""

BLOCK = 512
"""So many pictures are compared with all others at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class StillsResult:
    """How often the nearest picture is of the right class."""

    counts: Ints
    """int64 [C,C]: how many clips of a class (row) lie nearest to a clip of a class (column)."""
    by_files: bool
    """Whether each clip was compared with those of all other files; else validation clips with training clips."""

    @property
    def right(self) -> int:
        """How many clips lie nearest to one of their own class."""
        return int(np.trace(self.counts))

    @property
    def total(self) -> int:
        """How many clips were judged."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """0–1."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson(self.right, self.total)

    @property
    def chance(self) -> float:
        """0–1: how often it is right to say always the most frequent class."""
        return float(self.counts.sum(1).max()) / self.total

    @property
    def suffices(self) -> bool:
        """Whether still pictures tell the classes apart far better than chance, beyond doubt."""
        return self.interval[0] > self.chance + FAR_ABOVE_CHANCE * (1 - self.chance)

    @property
    def most_alike(self) -> list[tuple[int, int, int, int]]:
        """The pairs of classes that are mistaken for each other, the most frequent first.

        Each is (class, class, the clips of both that lie nearest to the other class, all clips of both).
        """
        of = self.counts.sum(1)
        mistaken = self.counts + self.counts.T
        pairs = [
            (i, j, int(mistaken[i, j]), int(of[i] + of[j]))
            for i in range(len(of))
            for j in range(i + 1, len(of))
            if mistaken[i, j]
        ]
        return sorted(pairs, key=lambda pair: -pair[2] / pair[3])


def judge_stills(
    pictures: npt.NDArray[np.uint8], classes: Ints, files: Ints, is_val: npt.NDArray[np.bool_]
) -> StillsResult | None:
    """Take each picture for the class of the one that it correlates with most.

    Validation clips are compared with training clips. Where they are few, all clips are, each with those of other
    files. Clips of a class that has no other file are then left out, since nothing could be right for them.

    Args:
        pictures: uint8 [N,h,w,3], the middle frames, small.
        classes: int64 [N], from 0.
        files: int64 [N], which file each clip is of.
        is_val: bool [N], whether it is for validation.

    Returns:
        None if there is nothing to compare.
    """
    judged = _in_several_files(classes, files) if is_val.sum() < MIN_VAL_CLIPS else np.empty(0, np.int64)
    by_files = len(judged) > 0
    if not by_files:
        judged = np.flatnonzero(is_val)
    if not len(judged) or (not by_files and is_val.all()):
        return None
    features = _normalised(pictures)
    counts = np.zeros((int(classes.max()) + 1,) * 2, np.int64)
    for block in _blocks(judged):
        similarity = features[block] @ features.T
        forbidden = files[block, None] == files if by_files else np.broadcast_to(is_val, similarity.shape)
        similarity[forbidden] = -np.inf
        np.add.at(counts, (classes[block], classes[similarity.argmax(1)]), 1)
    return StillsResult(counts, by_files)


def _in_several_files(classes: Ints, files: Ints) -> Ints:
    """Return the indices of the clips whose class has clips of other files; none if there is one such class."""
    several = [c for c in np.unique(classes) if len(np.unique(files[classes == c])) > 1]
    return np.flatnonzero(np.isin(classes, several if len(several) > 1 else []))


def _blocks(indices: Ints) -> Iterator[Ints]:
    for begin in range(0, len(indices), BLOCK):
        yield indices[begin : begin + BLOCK]


def _normalised(pictures: Image) -> Floats:
    """Return vectors float32 [N,D] of mean 0 and length 1: their product is the correlation. Colours count."""
    values = pictures.reshape(len(pictures), -1).astype(np.float32)
    values -= values.mean(1, keepdims=True)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), np.float32)
