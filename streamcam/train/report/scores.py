"""How good a network is on its validation clips: the score and its 95 % interval, also by class and by person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamcam.records import Floats
from streamcam.train.intervals import Ints, bootstrap, mean_of_shares, wilson
from streamcam.train.metrics import average_precision, score_of
from streamcam.train.report.learning_curve import CurvePoint


@dataclass(frozen=True, slots=True)
class Score:
    """A score of some clips."""

    name: str
    """Of the class or the person; empty for all."""
    value: float
    """0–1."""
    low: float
    """0–1: the lower end of the 95 % interval."""
    high: float
    clips: int
    right: int | None = None
    """How many clips are taken for their class; None where a clip may have several."""


def whole_score(logits: Floats, targets: Floats, *, multi_label: bool) -> Score:
    """Return `metrics.score_of` the validation clips, from logits and targets float32 [M,C]."""
    value = score_of(logits, targets, multi_label=multi_label)
    if multi_label:
        low, high = bootstrap(
            lambda clips: score_of(logits[clips], targets[clips], multi_label=True),
            np.zeros(len(logits), np.int64),
            columns=targets.shape[1],
        )
        return Score("", value, low, high, len(logits))
    correct, of = logits.argmax(1) == targets.argmax(1), targets.argmax(1)
    counts = [(int(correct[of == c].sum()), int((of == c).sum())) for c in np.unique(of)]
    low, high = mean_of_shares(counts)
    return Score("", value, low, high, len(logits), sum(right for right, _ in counts))


def class_scores(logits: Floats, targets: Floats, classes: Sequence[str], *, multi_label: bool) -> list[Score]:
    """Return the recall of each class, or multi-label its average precision; classes without a clip are left out."""
    scores = []
    for c in np.flatnonzero(targets.any(0)).tolist():
        positive = targets[:, c] > 0
        if multi_label:
            scores.append(_precision_score(classes[c], logits[:, c], positive))
        else:
            right, total = int((logits[positive].argmax(1) == c).sum()), int(positive.sum())
            scores.append(Score(classes[c], right / total, *wilson(right, total), total, right))
    return scores


def _precision_score(name: str, logits: Floats, positive: np.typing.NDArray[np.bool_]) -> Score:
    low, high = bootstrap(lambda clips: average_precision(logits[clips], positive[clips]), positive.astype(np.int64))
    return Score(name, average_precision(logits, positive), low, high, int(positive.sum()))


def person_scores(logits: Floats, targets: Floats, people: Sequence[str | None]) -> list[Score]:
    """Return the share of each person's clips that are taken for their class; clips without a person are left out."""
    correct = logits.argmax(1) == targets.argmax(1)
    scores = []
    for name in sorted({person for person in people if person is not None}):
        own = correct[np.array([person == name for person in people])]
        right, total = int(own.sum()), len(own)
        scores.append(Score(name, right / total, *wilson(right, total), total, right))
    return scores


def mean_score(point: CurvePoint, targets: Floats, *, multi_label: bool) -> float:
    """Return the score at a point of the learning curve, the mean over its draws."""
    return float(np.mean(draw_scores(point, targets, multi_label=multi_label)))


def draw_scores(point: CurvePoint, targets: Floats, *, multi_label: bool) -> list[float]:
    """Return the score of each draw at a point of the learning curve."""
    return [score_of(logits, targets, multi_label=multi_label) for logits in point.logits]


def gain(less: CurvePoint, more: CurvePoint, targets: Floats, *, multi_label: bool) -> Score:
    """Return how much higher the score is at the second point, −1 to 1; the clips are resampled for both alike."""
    if multi_label:
        strata = np.zeros(len(targets), np.int64)

        def difference(clips: Ints) -> float:
            after, before = (
                np.mean([score_of(logits[clips], targets[clips], multi_label=True) for logits in point.logits])
                for point in (more, less)
            )
            return float(after - before)

        columns = targets.shape[1] * (len(less.logits) + len(more.logits))
    else:
        # Clips of one class take each other's place, so that no class is missing in a sample.
        strata = targets.argmax(1)
        change = _right(more, strata) - _right(less, strata)
        weights = 1 / np.bincount(strata)[strata] / len(np.unique(strata))

        def difference(clips: Ints) -> float:
            return float((change * weights)[clips].sum())

        columns = 1
    low, high = bootstrap(difference, strata, columns=columns)
    return Score("", difference(np.arange(len(targets))), low, high, len(targets))


def _right(point: CurvePoint, classes: Ints) -> np.typing.NDArray[np.float64]:
    """Return how often each clip is taken for its class, over the draws: float64 [M], 0–1."""
    return np.asarray((point.logits.argmax(2) == classes).mean(0))
