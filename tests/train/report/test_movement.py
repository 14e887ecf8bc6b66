"""How much heat lies where something moves, on pictures in which that is known."""

import numpy as np
import pytest

from streamcam.records import Heat, Image
from streamcam.train.report.movement import MOVING, heat_on_movement
from tests.support.heats import one_class_heat

SIZE, CELLS, FRAMES = 80, 20, 6


def clip(*, moves: bool) -> list[Image]:
    """A square in the upper left that flickers, on a still picture with a little noise."""
    rng = np.random.default_rng(0)
    still = rng.integers(0, 250, (SIZE, SIZE, 3), dtype=np.uint8)
    frames = [still + rng.integers(0, 3, still.shape, dtype=np.uint8) for _ in range(FRAMES)]
    for i in range(FRAMES if moves else 0):
        frames[i][10:30, 10:30] = 80 * (i % 4)
    return frames


def heat_in(rows: slice, columns: slice) -> Heat:
    """Heat in some cells, and none in the others."""
    heat = np.zeros((FRAMES, CELLS, CELLS), np.float32)
    heat[:, rows, columns] = 1.0
    return one_class_heat(heat)


@pytest.mark.parametrize(
    ("rows", "columns", "low", "high"),
    [
        (slice(3, 7), slice(3, 7), 0.95, 1.0),
        (slice(12, 18), slice(12, 18), 0.0, 0.1),
        (slice(0, CELLS), slice(0, CELLS), MOVING - 0.05, MOVING + 0.05),
    ],
)
def test_heat_counts_where_the_picture_changes(rows: slice, columns: slice, low: float, high: float) -> None:
    share = heat_on_movement(clip(moves=True), heat_in(rows, columns), 0)
    assert share is not None
    assert low <= share <= high


def test_without_movement_or_heat_there_is_no_share() -> None:
    assert heat_on_movement(clip(moves=False), heat_in(slice(3, 7), slice(3, 7)), 0) is None
    assert heat_on_movement(clip(moves=True), heat_in(slice(0, 0), slice(0, 0)), 0) is None
