"""What a zone has of a score is arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcam.errors import StreamcamError
from streamcam.event import Rectangle
from streamcam.events.zones import hottest_box, zone_logits, zone_mask, zone_scores
from streamcam.heat.results import Link
from streamcam.records import Heat, Transform

WHOLE = Transform()
LEFT = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
RIGHT = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]


def heat_of(cube: np.ndarray, bias: np.ndarray) -> Heat:
    """All classes' heat of a head with this bias, exactly as a head gives it."""
    classes, slices = cube.shape[:2]
    return Heat(
        cube=cube.astype(np.float32),
        common=cube.mean(0).astype(np.float32),
        classes=np.arange(classes),
        labels=tuple(f"c{i}" for i in range(classes)),
        scores=np.full(classes, 0.5, np.float32),
        logits=(bias + cube.mean((1, 2, 3))).astype(np.float32),
        scale=None,
        pts_s=np.arange(slices) / 10,
        clip_pts_s=(0.0, 1.0),
        transform=WHOLE,
        model="tiny",
        model_hash="0" * 12,
    )


def random_heat(seed: int, *, classes: int = 4, slices: int = 3, height: int = 5, width: int = 7) -> Heat:
    rng = np.random.default_rng(seed)
    return heat_of(rng.normal(0, 20, (classes, slices, height, width)), rng.normal(0, 3, classes))


@given(
    inner=st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_zones_that_divide_the_picture_add_up_to_the_logit(inner: list[tuple[float, float]], seed: int) -> None:
    # A broken line from the top to the bottom, in order of y, divides the picture in two.
    line = [(0.4, 0.0), *sorted(set(inner), key=lambda p: p[1]), (0.7, 1.0)]
    left = [(0.0, 0.0), *line, (0.0, 1.0)]
    right = [(1.0, 0.0), (1.0, 1.0), *reversed(line)]
    heat = random_heat(seed)
    masks = [zone_mask(polygon, WHOLE, 5, 7) for polygon in (left, right)]
    assert np.allclose(sum(masks), 1)
    bias = heat.logits - heat.cube.mean((1, 2, 3))
    parts = sum(zone_logits(heat, mask).mean(1) - bias for mask in masks)
    assert parts + bias == pytest.approx(heat.logits, abs=1e-4)


def test_the_whole_picture_is_the_logit_slice_by_slice() -> None:
    heat = random_heat(1)
    assert zone_logits(heat, None).mean(1) == pytest.approx(heat.logits, abs=1e-4)
    assert zone_logits(heat, np.ones((5, 7), np.float32)) == pytest.approx(zone_logits(heat, None))


def test_slices_from_one_on_are_those_of_all() -> None:
    heat, mask = random_heat(3), zone_mask(LEFT, WHOLE, 5, 7)
    assert zone_logits(heat, mask, first=1) == pytest.approx(zone_logits(heat, mask)[:, 1:])


def test_heat_outside_of_a_zone_does_not_count() -> None:
    cube = np.zeros((2, 1, 4, 4))
    cube[0, 0, :, :2] = 8.0
    heat = heat_of(cube, np.array([-2.0, 0.0]))
    assert zone_logits(heat, zone_mask(LEFT, WHOLE, 4, 4))[0, 0] == pytest.approx(-2 + 4)
    assert zone_logits(heat, zone_mask(RIGHT, WHOLE, 4, 4))[0, 0] == pytest.approx(-2)


def test_a_cell_on_the_edge_of_a_zone_counts_by_its_share() -> None:
    mask = zone_mask([(0.0, 0.0), (0.375, 0.0), (0.375, 1.0), (0.0, 1.0)], WHOLE, 1, 4)
    assert mask[0] == pytest.approx([1, 0.5, 0, 0])


def test_a_zone_is_in_the_picture_whatever_part_of_it_the_network_sees() -> None:
    seen = Transform(0.25, 0.0, 0.75, 1.0)
    assert zone_mask(LEFT, seen, 1, 4)[0] == pytest.approx([1, 1, 0, 0])
    assert not zone_mask([(0.8, 0), (1, 0), (1, 1), (0.8, 1)], seen, 4, 4).any()


def test_the_order_of_corners_does_not_matter() -> None:
    assert np.array_equal(zone_mask(LEFT, WHOLE, 6, 6), zone_mask(LEFT[::-1], WHOLE, 6, 6))


@pytest.mark.parametrize("logits", [[3.0, 1.0, -2.0], [800.0, -800.0, 0.0]])
def test_scores_are_those_of_the_model(logits: list[float]) -> None:
    import torch

    values = np.array(logits, np.float32)[:, None]
    soft = torch.tensor(values[:, 0] / 0.7).softmax(0).numpy()
    assert Link(multi_label=False, temperature=0.7).scores(values, axis=0)[:, 0] == pytest.approx(soft, abs=1e-6)
    alone = torch.tensor(values[:, 0]).sigmoid().numpy()
    assert Link(multi_label=True).scores(values)[:, 0] == pytest.approx(alone, abs=1e-6)


def test_softmax_needs_all_classes() -> None:
    heat = random_heat(2)
    some = Heat(
        **{name: getattr(heat, name) for name in ("common", "logits", "pts_s", "clip_pts_s", "transform")},
        cube=heat.cube[:2],
        classes=heat.classes[:2],
        labels=heat.labels[:2],
        scores=heat.scores[:2],
        scale=None,
        model="tiny",
        model_hash="0" * 12,
    )
    with pytest.raises(StreamcamError, match="needs the heat of all classes, and tiny gave 2 of 4"):
        zone_scores(some, None, Link(multi_label=False))
    assert zone_scores(some, None, Link(multi_label=True)).shape == (2, 3)


def test_a_box_is_around_the_heat_in_the_zone() -> None:
    cells = np.zeros((8, 8), np.float32)
    cells[2:4, 1:3], cells[5:7, 6:8] = 1.0, 9.0
    box = hottest_box(cells, zone_mask(LEFT, WHOLE, 8, 8), WHOLE)
    assert box is not None
    assert box == pytest.approx(Rectangle(1 / 8, 2 / 8, 3 / 8, 4 / 8), abs=0.08)
    assert hottest_box(-np.ones((8, 8), np.float32), None, WHOLE) is None
