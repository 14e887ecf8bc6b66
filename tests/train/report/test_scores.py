"""Scores with their intervals, and what they say in words."""

import numpy as np
import pytest

from streamcam.train.intervals import wilson
from streamcam.train.report.answers import Step, on_others, where_it_looks, would_more_help
from streamcam.train.report.learning_curve import CurvePoint
from streamcam.train.report.scores import Score, class_scores, gain, person_scores, whole_score

TARGETS = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
LOGITS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
"""Of three clips of the first class two are right, and the one of the second is."""


def test_the_score_is_the_mean_recall_and_lies_in_its_interval() -> None:
    score = whole_score(LOGITS, TARGETS, multi_label=False)
    assert score.value == pytest.approx((2 / 3 + 1) / 2)
    assert score.low < score.value < score.high
    assert (score.right, score.clips) == (3, 4)


def test_each_class_and_each_person_has_a_share() -> None:
    first, second = class_scores(LOGITS, TARGETS, ("a", "b"), multi_label=False)
    assert (first.name, first.right, first.clips) == ("a", 2, 3)
    assert (first.low, first.high) == wilson(2, 3)
    assert second.value == 1.0
    anna, ben = person_scores(LOGITS, TARGETS, ["ben", "anna", "anna", None])
    assert (anna.name, anna.right, anna.clips, ben.clips) == ("anna", 1, 2, 1)


def test_average_precision_has_an_interval_too() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((200, 2)) < 0.4).astype(np.float32)
    logits = (targets + rng.normal(size=targets.shape)).astype(np.float32)
    scores = [whole_score(logits, targets, multi_label=True), *class_scores(logits, targets, "ab", multi_label=True)]
    for score in scores:
        assert 0.4 < score.low < score.value < score.high < 1
        assert score.right is None
    assert scores[0].value == pytest.approx((scores[1].value + scores[2].value) / 2)


def point_of(*answers: list[int]) -> CurvePoint:
    return CurvePoint(1.0, 4, None, np.eye(2, dtype=np.float32)[list(answers)])


def test_a_gain_is_measured_on_the_same_clips() -> None:
    targets = np.eye(2, dtype=np.float32)[[0, 1] * 20]
    right, half = [0, 1] * 20, [0, 0] * 20
    assert gain(point_of(half), point_of(right), targets, multi_label=False).value == pytest.approx(0.5)
    none = gain(point_of(right), point_of(right), targets, multi_label=False)
    assert (none.low, none.value, none.high) == (0, 0, 0)
    both = gain(point_of(half, right), point_of(right), targets, multi_label=False)
    assert both.value == pytest.approx(0.25)


def step(before: float, after: float, low: float, high: float, clips: int = 100) -> Step:
    return Step("20 clips", "all 40 clips", before, after, Score("", after - before, low, high, clips))


@pytest.mark.parametrize(
    ("found", "short"),
    [
        (step(0.7, 0.8, 0.04, 0.15), "Yes."),
        (step(0.8, 0.805, -0.01, 0.015), "Hardly."),
        (step(0.8, 0.85, -0.05, 0.15), "Perhaps."),
        (step(0.8, 0.8, 0.0, 0.0, clips=8), "Perhaps."),
        (step(0.9, 1.0, 0.05, 0.15), "Not to be seen here."),
        (None, "Not known."),
    ],
)
def test_more_clips_are_advised_where_the_last_ones_have_helped(found: Step | None, short: str) -> None:
    assert would_more_help(found, "clips").short == short


def test_a_score_speaks_of_others_only_where_they_are_others() -> None:
    score = Score("", 0.9, 0.85, 0.95, 60, 54)
    assert on_others(score, ["anna"], [None]).short == "Not known."
    assert on_others(score, ["anna", "ben"], ["ben", "carl"]).short == "Not known."
    few = on_others(score, ["anna", "ben"], ["carl", "carl"])
    assert few.short == "Perhaps."
    assert "somebody whom it has not learnt from: carl" in few.text
    many = on_others(score, ["anna"], ["ben", "carl", "dora"])
    assert many.short == "Mostly."
    assert "on 3 people whom" in many.text
    left_out = on_others(score, ["anna"], [None], folds=[0.9, 0.7, 0.8])
    assert left_out.short == "Often."
    assert "Each of 3 people was left out of training once. The score for them is 0.80 on the average" in left_out.text


def test_heat_is_said_to_lie_where_it_lies() -> None:
    assert where_it_looks([0.9, 0.7]).short == "Mostly where something moves."
    assert where_it_looks([0.2]).short == "Hardly where something moves."
    assert "cannot be measured" in where_it_looks([]).text
