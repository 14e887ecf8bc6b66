"""Each metric against a value computed by hand; insertion and deletion, figures, accuracy, methods."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.evaluate import metrics
from streamcam.evaluate.assess import Prediction, grid_size
from streamcam.evaluate.erasure import Erasure, blur, erase, frame_ranks
from streamcam.evaluate.methods import METHODS, EvalWindow, choose_methods
from streamcam.evaluate.report import accuracy
from streamcam.evaluate.scores import FIGURES, best_threshold, figures, score
from streamcam.heat.localise import Box, Tube
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.head import Head
from tests.support.frames import TINY_FORMAT


def block(x0: int, y0: int, x1: int, y1: int, *, size: int = 10) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def heat(*blocks: tuple[tuple[int, int, int, int], float]) -> np.ndarray:
    pixels = np.zeros((10, 10), np.float32)
    for corners, value in blocks:
        pixels[block(*corners)] = value
    return pixels


def test_the_peak_is_inside_or_so_many_pixels_beside() -> None:
    pixels = heat(((7, 2, 8, 3), 5.0))
    assert metrics.points(pixels, block(5, 0, 9, 4))
    assert not metrics.points(pixels, block(0, 0, 5, 5))
    assert not metrics.points(pixels, block(0, 0, 5, 5), tolerance=2)
    assert metrics.points(pixels, block(0, 0, 5, 5), tolerance=3)


def test_energy_is_a_share_of_positive_heat() -> None:
    pixels = heat(((0, 0, 2, 2), 3.0), ((5, 5, 7, 7), 1.0), ((8, 8, 10, 10), -9.0))
    assert metrics.energy_inside(pixels, block(0, 0, 2, 2)) == pytest.approx(12 / 16)
    assert metrics.energy_inside(pixels, block(0, 0, 10, 10)) == pytest.approx(1.0)
    assert metrics.energy_inside(-np.abs(pixels), block(0, 0, 2, 2)) == 0.0
    pixels[:, 9] = -np.inf
    assert metrics.energy_inside(pixels, block(0, 0, 2, 2)) == pytest.approx(12 / 16)


def test_maps_are_scaled_by_what_the_network_saw() -> None:
    values = np.array([[-np.inf, -2.0], [2.0, 0.0]], np.float32)
    assert metrics.scaled(values).tolist() == [[0.0, 0.0], [1.0, 0.5]]
    assert metrics.scaled(np.full((2, 2), 3.0, np.float32)).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_the_largest_region_and_the_best_one_at_each_threshold() -> None:
    """A large region of 0.5 beside the true one of 1: from 0.5 on, only the true one is above."""
    pixels = heat(((0, 0, 6, 6), 0.5), ((7, 7, 10, 9), 1.0))
    largest, best = metrics.box_ious(pixels, [Box(7, 7, 10, 10)])
    below, above = metrics.THRESHOLDS < 0.5, metrics.THRESHOLDS >= 0.5
    assert np.all(largest[below] == 0)
    assert np.allclose(best[below], 6 / 9)
    assert np.allclose(largest[above], 6 / 9)
    assert np.allclose(best[above], 6 / 9)


def test_pixel_average_precision_is_the_area_under_precision_over_recall() -> None:
    """Two of three pixels at 1 are inside, and the third inside one is at 0.5 with nothing else, the rest at 0.

    Recall goes to 2/3 at precision 2/3, then to 1 at precision 3/4.
    """
    pixels = heat(((0, 0, 3, 1), 1.0), ((5, 5, 6, 6), 0.5))
    mask = block(0, 0, 2, 1) | block(5, 5, 6, 6)
    inside, everywhere = metrics.pixel_counts(pixels, mask)
    assert (inside[0], everywhere[0]) == (3, 100)
    assert (inside[-1], everywhere[-1]) == (2, 3)
    assert metrics.pixel_average_precision(inside, everywhere) == pytest.approx(2 / 3 * 2 / 3 + 1 / 3 * 3 / 4)


@pytest.mark.parametrize("seed", range(5))
def test_pixel_average_precision_is_scikit_learns_of_the_levels(seed: int) -> None:
    """PxAP cuts a map at 50 levels: it is the average precision of the levels that pixels reach."""
    rng = np.random.default_rng(seed)
    pixels, mask = rng.normal(size=(40, 30)).astype(np.float32), rng.random((40, 30)) < 0.2
    pixels[mask] += 0.5
    pixels[:, :4] = -np.inf  # the network did not look there
    levels = np.digitize(metrics.scaled(pixels), metrics.THRESHOLDS)
    expected = average_precision_score(mask.ravel(), levels.ravel())
    assert metrics.pixel_average_precision(*metrics.pixel_counts(pixels, mask)) == pytest.approx(expected, rel=1e-9)


def test_a_class_curve_points_at_a_time_and_covers_an_interval() -> None:
    curve, present = np.array([0.0, 4.0, 10.0, 6.0]), np.array([False, False, True, True])
    assert metrics.points_in_time(curve, present)
    assert not metrics.points_in_time(-curve, present)
    ious = dict(zip(metrics.THRESHOLDS.round(2).tolist(), metrics.time_ious(curve, present).tolist(), strict=True))
    assert (ious[0.0], ious[0.3], ious[0.5], ious[0.8]) == (0.5, 2 / 3, 1.0, 0.5)


def test_a_flat_curve_says_always() -> None:
    assert metrics.time_ious(np.ones(4), np.array([True, False, False, False])).max() == 0.25


def test_tubes_are_compared_over_all_slices() -> None:
    """Slice 0: only the truth (4); 1: an overlap of 2 of 4 and 4; 2: only the tube (4)."""
    tube = Tube((1, 2), (Box(1, 0, 3, 2), Box(0, 0, 2, 2)), 1.0)
    assert metrics.tube_iou(tube, [Box(0, 0, 2, 2), Box(0, 0, 2, 2), None]) == pytest.approx(2 / (4 + 6 + 4))


def test_average_precision_counts_the_ranks_of_the_true_ones() -> None:
    truth = np.array([True, False, True, False])
    assert metrics.average_precision(np.array([0.9, 0.8, 0.7, 0.1]), truth) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.average_precision(np.full(4, 0.5), truth) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns_with_ties_and_without(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < 0.3
    for scores in (rng.random(60), rng.integers(0, 5, 60).astype(float), np.zeros(60)):
        expected = average_precision_score(truth, scores)
        assert metrics.average_precision(scores, truth) == pytest.approx(expected, rel=1e-9)


def test_the_area_under_a_curve() -> None:
    assert metrics.area_under([0.0, 0.5, 1.0]) == pytest.approx(0.5)
    assert metrics.area_under([1.0, 1.0, 0.0]) == pytest.approx(0.75)


def test_perfect_heat_has_perfect_scores_and_figures() -> None:
    """A square that is there in two of four slices, and heat that is the square itself."""
    masks = np.stack([block(2, 2, 6, 6), block(3, 2, 7, 6), np.zeros((10, 10), bool), np.zeros((10, 10), bool)])
    maps = [mask.astype(np.float32) for mask in masks]
    perfect = score(maps, masks.mean((1, 2)), [masks])
    assert figures([perfect]) == {name: None if name in ("insertion", "deletion") else 1.0 for name in FIGURES}
    wrong = score([m[::-1, ::-1] for m in maps], -masks.mean((1, 2)), [masks], erasure=Erasure(0.2, 0.8))
    both = figures([perfect, wrong])
    assert (both["points"], both["time_points"], both["insertion"], both["deletion"]) == (0.5, 0.5, 0.2, 0.8)
    assert best_threshold([perfect]) == 0.0
    assert figures([])["points"] is None


def test_a_thing_that_is_always_there_says_nothing_about_time_and_a_picture_nothing_about_tubes() -> None:
    mask = block(2, 2, 6, 6)[None]
    found = figures([score([mask[0].astype(np.float32)], np.ones(1), [mask])])
    assert (found["time_points"], found["time_iou"], found["tube_iou"]) == (None, None, None)


def test_accuracy_over_windows_in_which_something_is_there() -> None:
    def prediction(rank: int | None, cat: float, *present: str) -> Prediction:
        return Prediction(rank, {"cat": cat, "cup": 0.5}, frozenset(present))

    predictions = [
        prediction(0, 0.9, "cat"),
        prediction(3, 0.3, "cat"),
        prediction(7, 0.4, "cup"),
        prediction(None, 0.1),
    ]
    found = accuracy(predictions)
    assert (found["windows"], found["top5"]) == (3, 0.6667)
    assert found["top1"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["mean_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 0.25) / 2, abs=1e-4)
    assert accuracy([])["top1"] is None


def test_the_grids_shorter_side_has_112_pixels() -> None:
    assert grid_size((240, 320)) == (112, 149)
    assert grid_size((640, 320)) == (224, 112)


def window(model: CamModel) -> EvalWindow:
    generator = np.random.default_rng(0)
    clip = model._clip(generator.integers(0, 255, (4, 18, 24, 3), dtype=np.uint8), None)
    engine = WindowEngine(TorchRunner(model, torch.device("cpu"), "fp32"), classes=[0, 2])
    return EvalWindow(clip, engine.infer([clip])[0], model, "clip 0")


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("which", ["tiny", "tiny_framewise"])
def test_every_method_gives_a_map_for_each_slice(name: str, which: str, request: pytest.FixtureRequest) -> None:
    view = window(request.getfixturevalue(which))
    cells = METHODS[name](view, 1)
    assert cells.dtype == np.float32
    assert cells.shape == view.heat.common.shape
    assert np.isfinite(cells).all()
    assert np.array_equal(cells, METHODS[name](view, 1))


@pytest.mark.parametrize("which", ["tiny", "tiny_framewise"])
def test_grad_cam_is_the_positive_raw_heat_up_to_its_scale(which: str, request: pytest.FixtureRequest) -> None:
    view = window(request.getfixturevalue(which))
    theirs, ours = METHODS["grad-cam"](view, 1), np.maximum(METHODS["raw"](view, 1), 0)
    assert (theirs * ours).sum() / np.linalg.norm(theirs) / np.linalg.norm(ours) > 0.9999


def test_a_report_always_has_raw_centred_and_the_baselines() -> None:
    assert list(choose_methods([])) == ["centred", "raw", "random", "centre"]
    assert list(choose_methods(["grad-cam"])) == ["centred", "raw", "grad-cam", "random", "centre"]
    with pytest.raises(StreamcamError, match="no such method: x"):
        choose_methods(["x"])


def test_without_the_package_grad_cam_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pytorch_grad_cam", None)
    with pytest.raises(StreamcamError, match="scripts/install test brings it"):
        choose_methods(["grad-cam"])


def test_pixels_of_a_clip_are_ranked_together_each_frame_by_its_nearest_slice() -> None:
    cells = np.array([[[1.0, 3.0]], [[4.0, 2.0]]], np.float32)
    ranks = frame_ranks(cells, np.array([0.0, 1.0]), np.array([0.0, 0.4, 1.0]), (1, 2))
    assert (ranks * 6).round().tolist() == [[[4, 1]], [[5, 2]], [[0, 3]]]


class LeftHalf(nn.Module):
    """A network that sees nothing but how bright the left half is."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x[:, :1, :, :, :8].mean((3, 4), keepdim=True)


def test_what_is_hot_comes_first_and_goes_first() -> None:
    """The first half of the pixels brings the class, or takes it away, where heat lies on what the network sees."""
    linear = nn.Linear(1, 2)
    linear.weight.data, linear.bias.data = torch.tensor([[4.0], [-4.0]]), torch.zeros(2)
    spec = ModelSpec("left", "a test", ("bright", "dark"), TINY_FORMAT, framewise=False)
    model = CamModel(spec, LeftHalf(), Head([linear]))
    frames = np.zeros((4, 18, 24, 3), np.uint8)
    frames[:, :, :12] = 255
    clip = model._clip(frames, None)
    engine = WindowEngine(TorchRunner(model, torch.device("cpu"), "fp32"), classes=[0])
    view = EvalWindow(clip, engine.infer([clip])[0], model, "clip 0")
    left = np.zeros((4, 1, 4), np.float32)
    left[:, 0, :2] = 1
    good = erase(view, 0, left, engine=engine, steps=4)
    bad = erase(view, 0, left[..., ::-1].copy(), engine=engine, steps=4)
    assert good.deletion < 0.45 < 0.55 < bad.deletion
    assert good.insertion > bad.insertion
    assert float(blur(clip.frames)[0].mean()) == pytest.approx(float(clip.frames[0].mean()), rel=0.05)
