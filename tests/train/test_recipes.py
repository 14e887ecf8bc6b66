"""What recipes make of the frames of a clip."""

import numpy as np
import pytest

from streamcam.train.recipes import RECIPES, Frames, pass_by, slow_down, stand_still

COUNT, HEIGHT, WIDTH = 12, 48, 64


def a_clip() -> Frames:
    """Smooth texture in which a bright square moves: uint8 [12,3,48,64]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    scene = 90 + 30 * np.sin(rows / 5) + 30 * np.cos(columns / 7)
    frames = np.repeat(scene[None, None], COUNT, 0).repeat(3, 1).astype(np.uint8)
    for i in range(COUNT):
        frames[i, :, 10:20, 4 * i : 4 * i + 10] = 240
    return frames


def changing(frames: Frames, *, by: float = 30.0) -> float:
    """Return the share of pixels that change by more than noise does, from the first frame to the last."""
    return float((np.abs(frames[-1].astype(float) - frames[0]).mean(0) > by).mean())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_shape_and_type_and_is_the_same_for_the_same_draw(name: str) -> None:
    clip = a_clip()
    before = clip.copy()
    once, again = (RECIPES[name](clip, np.random.default_rng(5)) for _ in range(2))
    assert (once.shape, once.dtype) == (clip.shape, clip.dtype)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(clip, before)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_a_single_frame_and_a_tiny_picture(name: str) -> None:
    tiny = np.full((1, 3, 16, 16), 100, np.uint8)
    assert RECIPES[name](tiny, np.random.default_rng(0)).shape == tiny.shape


def test_nothing_moves_where_it_stands_still() -> None:
    clip = a_clip()
    assert changing(clip) > 0.05
    # A shake of a few pixels changes what lies at the edges of the square, no more.
    assert max(changing(stand_still(clip, np.random.default_rng(seed))) for seed in range(20)) < 0.05
    still = stand_still(clip, np.random.default_rng(0)).astype(float).mean((0, 1))
    nearest = min(np.abs(still - frame.astype(float).mean(0)).mean() for frame in clip)
    assert nearest < 20  # it is one of the clip's frames


def test_what_is_slowed_down_moves_a_third_of_the_way_at_most() -> None:
    clip = a_clip()
    whole = _square_at(clip[-1]) - _square_at(clip[0])
    for seed in range(8):
        slow = slow_down(clip, np.random.default_rng(seed))
        way = _square_at(slow[-1]) - _square_at(slow[0])
        assert 0.05 * whole < way < 0.4 * whole


def _square_at(frame: np.ndarray) -> float:
    """Return the x of the middle of what is bright."""
    bright = np.clip(frame.astype(float).mean(0) - 180, 0, None)
    return float((bright.sum(0) * np.arange(WIDTH)).sum() / bright.sum())


def test_a_thing_passes_by_over_a_scene_that_stands() -> None:
    dark = np.zeros((COUNT, 3, HEIGHT, WIDTH), np.uint8)
    shown = []
    for seed in range(12):
        frames = pass_by(dark, np.random.default_rng(seed)).astype(float).mean(1)
        things = frames > 30  # noise does not reach that
        shown.append(things.any() and bool((things[0] != things[-1]).any()))
        assert not things.all((1, 2)).any()  # the scene is never hidden as a whole
    assert np.mean(shown) > 0.7
