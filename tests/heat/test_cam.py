from dataclasses import replace

import numpy as np
import pytest
import torch

from streamcam.clips import transform_of
from streamcam.errors import StreamcamError
from streamcam.heat.cam import choose_classes, heat_cube, pool
from streamcam.heat.results import HeatContext, heat_times, to_heats
from streamcam.records import Clip, Heat
from tests.support.frames import TINY_FORMAT, make_frame


def test_a_heat_cube_computed_by_hand() -> None:
    # Two channels over one slice of 1×2 cells; class 0 likes the first, class 1 dislikes it and likes the second.
    features = torch.tensor([[[[[1.0, 3.0]]], [[[0.0, 2.0]]]]])
    weight = torch.tensor([[2.0, 0.0], [-1.0, 4.0]])
    cube = heat_cube(features, weight)
    assert cube.tolist() == [[[[[2.0, 6.0]]], [[[-1.0, 5.0]]]]]
    assert pool(cube).tolist() == [[4.0, 2.0]]


def test_the_cube_pools_to_what_the_classifier_says_of_pooled_features() -> None:
    torch.manual_seed(0)
    features, head = torch.randn(2, 7, 3, 4, 5), torch.nn.Linear(7, 6)
    expected = head(features.mean((2, 3, 4)))
    torch.testing.assert_close(pool(heat_cube(features, head.weight)) + head.bias, expected, atol=1e-5, rtol=0)


def test_half_precision_features_give_heat_in_float32() -> None:
    assert heat_cube(torch.ones(1, 2, 1, 1, 1, dtype=torch.bfloat16), torch.ones(3, 2)).dtype == torch.float32


def test_choose_classes_takes_the_strongest_of_all_or_of_those_given() -> None:
    logits = torch.tensor([0.1, 3.0, -1.0, 2.0])
    assert choose_classes(logits, top_k=2).tolist() == [1, 3]
    assert choose_classes(logits, top_k=9).tolist() == [1, 3, 0, 2]
    assert choose_classes(logits, top_k=2, classes=torch.tensor([2, 0, 3])).tolist() == [3, 0, 2]


def clip() -> Clip:
    times = np.array([0.0, 0.1, 0.3, 0.6])
    return Clip(np.zeros((4, 3, 16, 16), np.uint8), times, 3, make_frame(3), transform_of(TINY_FORMAT))


def context() -> HeatContext:
    return HeatContext("m", "h", ("a", "b", "c"), np.array([1.0, 2.0, 3.0], np.float32))


def heat_of(logits: list[float], context: HeatContext) -> Heat:
    """Two slices of a clip, of classes 1 and 2."""
    cubes, common = np.ones((1, 2, 2, 1, 1), np.float32), np.full((1, 2, 1, 1), 0.5, np.float32)
    given = np.array([logits], np.float32), np.array([[1, 2]])
    times = [heat_times(clip(), np.array([0.5, 2.5]))]
    (heat,) = to_heats(*given, cubes, common, clips=[clip()], times=times, context=context)
    return heat


def test_a_slice_speaks_of_the_centre_of_its_frames_in_seconds() -> None:
    heat = heat_of([0.0, 2.0, 1.0], context())
    assert heat.pts_s == pytest.approx([0.05, 0.45])
    assert heat.clip_pts_s == (0.0, 0.6)
    assert heat.lookahead_s == pytest.approx(0.15)
    assert heat.labels == ("b", "c")
    assert heat.scale is not None
    assert heat.scale.tolist() == [2.0, 3.0]
    assert heat.scores == pytest.approx(torch.tensor([0.0, 2.0, 1.0]).softmax(0)[1:].tolist())
    np.testing.assert_array_equal(heat.centred, 0.5)


def test_logits_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(StreamcamError, match="not finite"):
        heat_of([float("nan"), 0.0, 0.0], context())


def test_each_class_of_a_multi_label_model_is_a_question_of_its_own() -> None:
    heat = heat_of([0.0, 2.0, 1.0], replace(context(), multi_label=True))
    assert heat.scores == pytest.approx(torch.tensor([2.0, 1.0]).sigmoid().tolist())
    np.testing.assert_array_equal(heat.centred, heat.cube)  # nothing of it is undetermined


def test_heat_of_many_clips_is_that_of_each_alone() -> None:
    rng = np.random.default_rng(0)
    logits, cubes = rng.standard_normal((7, 3)).astype(np.float32), rng.random((7, 2, 2, 3, 4), np.float32)
    classes, common = np.stack([rng.permutation(3)[:2] for _ in range(7)]), rng.random((7, 2, 3, 4), np.float32)
    times = [heat_times(clip(), rng.uniform(0, 3, 2)) for _ in range(7)]
    for multi_label in (False, True):
        told = replace(context(), multi_label=multi_label)
        heats = to_heats(logits, classes, cubes, common, clips=[clip()] * 7, times=times, context=told)
        for i, heat in enumerate(heats):
            one = slice(i, i + 1)
            given = logits[one], classes[one], cubes[one], common[one]
            (alone,) = to_heats(*given, clips=[clip()], times=times[one], context=told)
            for name in ("cube", "common", "classes", "logits", "scale", "pts_s"):
                np.testing.assert_array_equal(getattr(heat, name), getattr(alone, name))
            np.testing.assert_allclose(heat.scores, alone.scores, rtol=1e-6)
            assert (heat.labels, heat.clip_pts_s) == (alone.labels, alone.clip_pts_s)
            assert heat.labels == tuple("abc"[c] for c in classes[i])


def test_no_clips_have_no_heat() -> None:
    for multi_label in (False, True):
        told = replace(context(), multi_label=multi_label)
        assert (
            to_heats(np.zeros((0, 3), np.float32), np.zeros((0, 2), np.int64), [], [], clips=[], times=[], context=told)
            == []
        )
