"""Train once for each person, who is kept for validation: how good is it for people whom it has not seen?"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import isnan
from pathlib import Path
from statistics import mean, stdev

import torch

from streamcam.files import complete_or_absent
from streamcam.train.data.annotations import LabelledClip, count_of
from streamcam.train.data.dataset import Dataset
from streamcam.train.data.split import folds_by_group
from streamcam.train.loop import Trainer
from streamcam.train.progress import TrainingDisplay

MakeTrainer = Callable[[Dataset], Trainer]


@dataclass(frozen=True, slots=True)
class Fold:
    """How good a network is for a person whom it has not seen: a line of folds.csv."""

    person: str
    clips: int
    """How many there are of that person."""
    frozen: float
    """0–1, the score of a new classifier behind features as they are; NaN where none is fitted."""
    trained: float
    """0–1, the score after the last epoch. Not of the best one, which these clips would have chosen."""


def cross_validate(dataset: Dataset, make_trainer: MakeTrainer, folder: Path, *, show: TrainingDisplay) -> list[Fold]:
    """Train once for each person, and return the scores on that person's clips.

    Args:
        dataset: all clips; how they are divided does not matter.
        make_trainer: makes a trainer that has not begun.
        folder: for the state of each training. One that was interrupted goes on.
        show: shows each step and epoch.

    Raises:
        StreamcamError: a clip has no person, or there is only one.
    """
    clips = (*dataset.train, *dataset.val)
    recorded, made = (tuple(clip for clip in clips if (clip.recipe is None) == yes) for yes in (True, False))
    everyone = folds_by_group(recorded)
    folder.mkdir(parents=True, exist_ok=True)
    states = [folder / f"{i + 1}.pt" for i in range(len(everyone))]
    # What the classifier reads of a clip is the same in all folds as long as the features stay as they are.
    whole = make_trainer(replace(dataset, train=clips))
    begun = all(state.exists() for state in states)  # then each has its classifier already
    pooled = whole.pool_training_clips(show) if whole.fits_classifier and not begun else None
    del whole
    folds = []
    for state, (person, train, val) in zip(states, everyone, strict=True):
        # What was made of a person's clips is on their side.
        train += [clip for clip in made if clip.group != person]
        val += [clip for clip in made if clip.group == person]
        trainer = make_trainer(replace(dataset, train=tuple(train), val=tuple(val)))
        if pooled is not None:
            trainer.pooled = pooled.of(_numbers(train, clips))
        folds.append(_train(trainer, person, state, show))
    return folds


def _numbers(some: Sequence[LabelledClip], clips: Sequence[LabelledClip]) -> torch.Tensor:
    """Return the index of each of some clips among all, int64 [M]."""
    index = {clip: i for i, clip in enumerate(clips)}
    return torch.tensor([index[clip] for clip in some])


def _train(trainer: Trainer, person: str, state: Path, show: TrainingDisplay) -> Fold:
    if state.exists():
        trainer.resume(state)
    for _ in trainer.epochs(state, show):
        pass
    history = trainer.progress.history
    frozen = history[0].score if history[0].epoch == 0 else float("nan")
    recorded = sum(clip.recipe is None for clip in trainer.dataset.val)
    return Fold(person, recorded, frozen, history[-1].score)


def write_folds(path: Path, folds: Sequence[Fold]) -> None:
    """Write a CSV file with a line for each person; its columns are the fields of `Fold`."""
    with complete_or_absent(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Fold)])
        writer.writeheader()
        writer.writerows(asdict(fold) for fold in folds)


def describe(folds: Sequence[Fold]) -> list[str]:
    """Return lines for people: the score for each person, and at last the mean with its standard deviation."""
    lines = [f"without {fold.person}, on {count_of(fold.clips, 'clip')} of theirs: {_scores([fold])}" for fold in folds]
    return [*lines, f"people whom it has not seen, each of {len(folds)} left out once: {_scores(folds)}"]


def _scores(folds: Sequence[Fold]) -> str:
    text = f"score {_spread([fold.trained for fold in folds])}"
    frozen = [fold.frozen for fold in folds]
    return text if isnan(frozen[0]) else f"{text}, with features as they are {_spread(frozen)}"


def _spread(scores: Sequence[float]) -> str:
    return f"{mean(scores):.3f}" + (f" ± {stdev(scores):.3f}" if len(scores) > 1 else "")
