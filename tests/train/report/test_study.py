"""Which training clips do harm, on features that are drawn at random."""

import numpy as np
import pytest

from streamcam.records import Floats
from streamcam.train.report.study import MOST_CLIPS, Study, fair_sample, rarest_class

CLASSES, FEATURES = 4, 8


def clips(count: int, seed: int, *, classes: int, spread: float) -> tuple[Floats, Floats]:
    """Draw features around a centre for each class, and the targets."""
    centres = np.random.default_rng(7).normal(size=(classes, FEATURES)).astype(np.float32)
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = centres[labels] + rng.normal(scale=spread, size=(count, FEATURES)).astype(np.float32)
    return features.astype(np.float32), np.eye(classes, dtype=np.float32)[labels]


def two_labels(targets: Floats) -> Floats:
    """Give each clip another class, too: whether its class is one of the first two."""
    return np.column_stack([targets, targets[:, :2].max(1)]).astype(np.float32)


def study_of(*, flipped: int, spread: float, multi_label: bool = False, classes: int = CLASSES) -> Study:
    """Return a study whose first training clips have the label of the next class."""
    features, targets = clips(120, 0, classes=classes, spread=spread)
    val_features, val_targets = clips(80, 1, classes=classes, spread=spread)
    targets[:flipped] = np.roll(targets[:flipped], 1, axis=1)
    if multi_label:
        targets, val_targets = two_labels(targets), two_labels(val_targets)
    return Study(
        features,
        targets,
        val_features,
        val_targets,
        np.arange(targets.shape[1]),
        list(map(str, range(120))),
        multi_label,
    )


def ranks(values: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.int64]:
    return np.argsort(np.argsort(values))


@pytest.mark.parametrize("multi_label", [False, True])
def test_clips_with_a_wrong_label_come_first(multi_label: bool) -> None:
    study = study_of(flipped=5, spread=0.3, multi_label=multi_label)
    assert set(np.argsort(-study.harm())[:5].tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(("multi_label", "classes"), [(False, CLASSES), (True, CLASSES), (False, 2)])
def test_harm_is_about_what_training_without_the_clip_shows(multi_label: bool, classes: int) -> None:
    study = study_of(flipped=3, spread=1.2, multi_label=multi_label, classes=classes)
    clips = np.r_[:3, 3:120:3]
    falls = np.array([study.val_loss - study.without(int(clip))[0] for clip in clips])
    approximate = study.harm()[clips]
    assert np.corrcoef(falls, approximate)[0, 1] > 0.9
    assert np.corrcoef(ranks(falls), ranks(approximate))[0, 1] > 0.9
    assert 1 <= np.polyfit(approximate, falls, 1)[0] < 2  # what weighs much has also bent the classifier its way


def test_a_clip_is_of_its_rarest_class() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], np.float32)
    assert rarest_class(targets).tolist() == [1, 0, 2, 2]


def test_of_many_clips_each_class_gives_its_share() -> None:
    strata = np.repeat([0, 1, 2], [1400, 598, 2])
    chosen = strata[fair_sample(strata)]
    assert len(chosen) == pytest.approx(MOST_CLIPS, abs=2)
    assert np.bincount(chosen).tolist() == [350, 150, 1]
    assert fair_sample(np.zeros(30, np.int64)).tolist() == list(range(30))
