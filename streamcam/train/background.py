"""Add clips of `none of these` that nobody recorded, so that a network need not choose among its classes.

They are made of what is there: of the clips themselves (`recipes` says how), and of the sample that comes with the
package. Those for training are made of training clips, and those for validation of validation clips.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from streamcam.heat.none_of_these import NONE_OF_THESE
from streamcam.models.spec import ModelSpec
from streamcam.train.data.annotations import LabelledClip, normalise_name
from streamcam.train.data.dataset import Dataset
from streamcam.train.recipes import AS_IT_IS, RECIPES, SLOW

SAMPLE = Path(__file__).parents[1] / "data" / "sample.mp4"
SAMPLE_PARTS_S = ((0.0, 5.3), (5.3, 8.0))
"""The sample's stretches for training and for validation. The second begins with its last scene."""

LEAST = 24
"""So many clips are made for training at least, and half as many for validation."""

OWN_NAMES = frozenset(
    map(
        normalise_name,
        (
            *(NONE_OF_THESE, "none", "none of them", "none of the above", "neither", "nothing", "no class", "null"),
            *("background", "other", "others", "other things", "doing other things", "something else", "anything else"),
            *("everything else", "rest", "the rest", "unknown", "negative", "negatives", "no gesture", "no action"),
            *("no activity", "no event", "misc", "miscellaneous"),
        ),
    )
)
"""Names of classes that are for whatever is none of the others; as `normalise_name` has them."""

STILL_NAMES = frozenset(
    map(
        normalise_name,
        (
            *("still", "stillness", "standing still", "sitting still", "holding still", "idle", "resting", "at rest"),
            *("motionless", "no motion", "no movement", "not moving", "static", "nobody", "no one", "empty"),
            *("empty room", "empty scene", "standing", "sitting", "waiting"),
        ),
    )
)
"""Names of classes in which little moves. What stands still is then no clip of `none of these`."""


def with_background(dataset: Dataset, spec: ModelSpec, *, known: bool, multi_label: bool, seed: int) -> Dataset:
    """Return the data set with clips of `none of these`, and a note on them; or as it is, with a note why.

    Args:
        dataset: what `read_dataset` has read.
        spec: the model that is trained.
        known: whether the classes are those of a checkpoint, which gets no further class.
        multi_label: whether clips may show several classes. Then the new clips show none, and there is no new class.
        seed: chooses the clips that they are made of.
    """
    own = _own_background(dataset)
    if own is not None:
        return _noted(dataset, f"{own!r} is taken for whatever is none of the other classes: no clips are made for it")
    if known and not multi_label and NONE_OF_THESE not in dataset.classes:
        return _noted(dataset, f"the checkpoint has no class {NONE_OF_THESE!r}: none is added")
    classes = tuple(dict.fromkeys((*dataset.classes, *(() if multi_label else (NONE_OF_THESE,)))))
    labels = () if multi_label else (classes.index(NONE_OF_THESE),)
    recipes = _recipes(dataset.classes, spec)
    train, val = (
        _make(clips, recipes, labels, count=max(least, round(len(clips) / len(dataset.classes))), part=part, seed=seed)
        for part, (clips, least) in enumerate(((dataset.train, LEAST), (dataset.val, LEAST // 2)))
    )
    what = "that show no class" if multi_label else f"of {NONE_OF_THESE!r}"
    note = f"made of your clips and the sample: {len(train)} + {len(val)} clips {what} (--no-background makes none)"
    added = replace(dataset, classes=classes, train=(*dataset.train, *train), val=(*dataset.val, *val))
    return _noted(added, note)


def _own_background(dataset: Dataset) -> str | None:
    """Return the class that people have recorded for what is none of the others."""
    recorded = {label for clip in dataset.train for label in clip.labels}
    names = [name for i, name in enumerate(dataset.classes) if i in recorded or name != NONE_OF_THESE]
    return next((name for name in names if normalise_name(name) in OWN_NAMES), None)


def _noted(dataset: Dataset, note: str) -> Dataset:
    return replace(dataset, notes=(*dataset.notes, note))


def _recipes(classes: Sequence[str], spec: ModelSpec) -> tuple[str, ...]:
    """Choose the recipes that make no clip of one of the classes.

    To a network that looks at each frame alone, one frame of a clip shows its class.
    """
    if spec.framewise:
        return (AS_IT_IS,)
    has_still = any(normalise_name(name) in STILL_NAMES for name in classes)
    return tuple(name for name in RECIPES if not (has_still and name in SLOW))


def _make(
    clips: Sequence[LabelledClip], recipes: Sequence[str], labels: tuple[int, ...], *, count: int, part: int, seed: int
) -> list[LabelledClip]:
    """Return `count` clips, as many by each recipe, each made of another clip while there are some."""
    order = np.random.default_rng((seed, part)).permutation(len(clips))
    start_s, end_s = SAMPLE_PARTS_S[part]
    sample = LabelledClip(SAMPLE, start_s, end_s, labels, recipe=AS_IT_IS)
    pairs = islice(zip(cycle(recipes), cycle(order), strict=True), count)
    return [sample if name == AS_IT_IS else replace(clips[i], labels=labels, recipe=name) for name, i in pairs]
