import numpy as np
import pytest

from streamcam.heat.localise import Box, boxes_above, largest_box, on_picture, peak, tubes
from streamcam.records import Transform


def pixels(*patches: tuple[int, int, int, int, float]) -> np.ndarray:
    """A map of [20,30] that is 0 but for patches (x0, y0, x1, y1, value)."""
    whole = np.zeros((20, 30), np.float32)
    for x0, y0, x1, y1, value in patches:
        whole[y0:y1, x0:x1] = value
    return whole


def test_two_boxes_overlap_by_hand() -> None:
    a, b = Box(0, 0, 4, 4), Box(2, 1, 6, 5)
    assert (a.area, b.area, a.intersection(b)) == (16, 16, 6)
    assert a.iou(b) == pytest.approx(6 / 26)
    assert a.iou(Box(4, 0, 8, 4)) == 0  # they touch


def test_the_peak_is_in_the_middle_of_what_is_equally_hot() -> None:
    assert peak(pixels((5, 3, 8, 4, 2.0))) == (6, 3)


def test_the_box_is_that_of_the_largest_region_above_a_fifth_of_the_maximum() -> None:
    hottest, largest, faint = (2, 2, 4, 4, 10.0), (10, 5, 20, 15, 2.1), (22, 0, 30, 20, 1.9)
    assert largest_box(pixels(hottest, largest, faint)) == Box(10, 5, 20, 15)
    assert largest_box(pixels(hottest, largest, faint), threshold=0.5) == Box(2, 2, 4, 4)


def test_regions_come_in_order_of_size_and_touch_at_corners() -> None:
    joined = pixels((0, 0, 3, 3, 1.0), (3, 3, 5, 5, 1.0), (10, 10, 20, 20, 1.0))
    assert boxes_above(joined, 0.5) == [Box(10, 10, 20, 20), Box(0, 0, 5, 5)]


def test_nothing_above_zero_has_no_box_and_no_tube() -> None:
    cold = np.full((20, 30), -1.0, np.float32)
    assert largest_box(cold) is None
    assert tubes([cold, cold]) == []


def test_heat_lies_where_the_network_looked_and_nowhere_else() -> None:
    cells = np.array([[0.0, 4.0]], np.float32)
    whole = on_picture(cells, Transform(0.25, 0.0, 0.75, 1.0), width=16, height=3)
    assert np.all(np.isneginf(whole[:, :4]))
    assert np.all(np.isneginf(whole[:, 12:]))
    np.testing.assert_allclose(whole[1, 4:12], [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])  # a cell's value is at its centre
    assert largest_box(whole) == Box(7, 0, 12, 3)


def test_a_tube_follows_a_thing_and_knows_its_share_of_the_heat() -> None:
    moving = [(2, 2, 6, 6), (3, 2, 7, 6), (4, 2, 8, 6)]
    frames = [pixels((*box, 3.0), (20, 10, 22, 12, 1.0)) for box in moving]
    first, second = tubes(frames)
    assert first.slices == second.slices == (0, 1, 2)
    assert first.boxes == tuple(Box(*box) for box in moving)
    assert first.score == pytest.approx(48 / 52)
    assert second.score == pytest.approx(4 / 52)


def test_a_tube_ends_where_its_thing_is_gone() -> None:
    thing, nothing = pixels((2, 2, 6, 6, 3.0)), pixels()
    assert [tube.slices for tube in tubes([thing, nothing, thing])] == [(0,), (2,)]


def test_each_of_two_things_that_meet_keeps_its_tube() -> None:
    apart = pixels((0, 0, 8, 8, 1.0), (12, 0, 20, 8, 1.0))
    nearer = pixels((2, 0, 10, 8, 1.0), (11, 0, 19, 8, 1.0))
    left, right = sorted(tubes([apart, nearer]), key=lambda tube: tube.boxes[0])
    assert left.boxes == (Box(0, 0, 8, 8), Box(2, 0, 10, 8))
    assert right.boxes == (Box(12, 0, 20, 8), Box(11, 0, 19, 8))
