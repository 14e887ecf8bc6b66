"""The learning curve, from subsets of clips and of people."""

import numpy as np

from streamcam.train.intervals import Ints
from streamcam.train.report.learning_curve import DRAWS, curve_of_clips, curve_of_people

STRATA = np.arange(80) % 4


def nothing(_clips: Ints) -> np.typing.NDArray[np.float32]:
    return np.zeros((3, 4), np.float32)


def test_subsets_grow_to_all_clips_and_have_every_class() -> None:
    subsets: list[Ints] = []

    def fit(clips: Ints) -> np.typing.NDArray[np.float32]:
        subsets.append(clips)
        return nothing(clips)

    points = curve_of_clips(STRATA, fit)
    assert [point.clips for point in points] == [8, 20, 40, 80]
    assert [len(point.logits) for point in points] == [DRAWS] * 3 + [1]
    for subset in subsets:
        assert set(STRATA[subset]) == {0, 1, 2, 3}
        assert len(set(subset.tolist())) == len(subset)
    assert subsets[0].tolist() != subsets[1].tolist()


def test_few_clips_give_few_sizes() -> None:
    assert [point.clips for point in curve_of_clips(np.array([0, 0, 1, 1]), nothing)] == [2, 4]


def test_people_come_with_all_of_their_clips() -> None:
    people = np.repeat(np.arange(10), 8)

    def fit(clips: Ints) -> np.typing.NDArray[np.float32]:
        counts = np.bincount(people[clips], minlength=10)
        assert set(counts.tolist()) <= {0, 8}
        return nothing(clips)

    points = curve_of_people(people, STRATA, fit)
    assert [point.people for point in points] == [1, 2, 5, 10]
    assert [point.share for point in points] == [0.1, 0.2, 0.5, 1.0]


def test_people_without_a_clip_of_each_class_are_no_subset() -> None:
    # The first person alone shows class 3.
    people = np.where(STRATA == 3, 0, np.arange(80) // 16 + 1)
    points = curve_of_people(people, STRATA, nothing)
    assert points[-1].people == 6
    assert all(point.people != 1 for point in points)
