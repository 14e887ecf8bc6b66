from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import cv2
import numpy as np
import pytest

from streamcam.heat.localise import Box, centred_at
from streamcam.heat.none_of_these import NONE_OF_THESE, UNPAINTED
from streamcam.records import Floats, Frame, Heat, Image, Result, Transform, on_host
from streamcam.render.canvas import Caption, to_colours, words
from streamcam.render.layout import FONT, Letters, arrange
from streamcam.render.overlay import Painter, RunningScale, cells_alone, overlay, paint, panel
from tests.support.heats import one_class_heat, with_classes

GREY = 128


def one_hot_cell(row: int, column: int, *, height: int = 4, width: int = 5, peak: float = 6.0) -> Floats:
    contrast = np.zeros((1, height, width), np.float32)
    contrast[0, row, column] = peak
    return contrast


def a_picture(height: int = 120, width: int = 200) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def change(painted: Image) -> Floats:
    """How much each pixel differs from grey, [H,W]."""
    return np.asarray(np.abs(painted.astype(np.float32) - GREY).sum(axis=-1), np.float32)


def brightness(heat: Heat, *, scale: float) -> Floats:
    """What is painted on black, [H,W]: it grows with the heat."""
    black = np.zeros((120, 200, 3), np.uint8)
    return np.asarray(paint(black, heat, k=0, pts_s=0.0, scale=scale).astype(np.float32).sum(axis=-1), np.float32)


def middle(bright: Floats) -> tuple[float, float]:
    """The middle (y, x) of the brightest pixels."""
    ys, xs = np.nonzero(bright > 0.9 * bright.max())
    return float(ys.mean()) + 0.5, float(xs.mean()) + 0.5


def a_result(heat: Heat | None, image: Image | None = None, *, index: int = 0) -> Result:
    return Result(Frame(a_picture() if image is None else image, index, 0.0, 0, "cam"), heat)


@pytest.mark.parametrize(
    ("pts_s", "expected"), [(0.0, 10.0), (0.25, 12.5), (1.0, 20.0), (1.5, 10.0), (2.0, 0.0), (-9.0, 10.0), (99.0, 0.0)]
)
def test_centred_heat_is_interpolated_in_time_and_held_at_the_ends(pts_s: float, expected: float) -> None:
    values = np.array([10.0, 20.0, 0.0], np.float32)
    contrast = centred_at(one_class_heat(np.ones((3, 2, 2), np.float32) * values[:, None, None]), 0, pts_s)
    np.testing.assert_allclose(contrast, np.full((2, 2), expected), atol=1e-5)
    assert contrast.dtype == np.float32


def test_a_single_slice_holds_for_all_times() -> None:
    heat = one_class_heat(one_hot_cell(1, 2))
    for pts_s in (-5.0, 0.0, 5.0):
        np.testing.assert_allclose(centred_at(heat, 0, pts_s), one_hot_cell(1, 2)[0], atol=1e-5)


def test_centred_heat_is_that_of_the_class_asked_for() -> None:
    heat = with_classes(one_class_heat(one_hot_cell(0, 0)), 3)
    heat.cube[2] += 5
    np.testing.assert_allclose(centred_at(heat, 2, 0.0), one_hot_cell(0, 0)[0] + 5, atol=1e-5)


@pytest.mark.parametrize(("row", "column"), [(1, 1), (1, 3), (2, 2)])
def test_a_hot_cell_is_painted_centred_on_that_cell(row: int, column: int) -> None:
    """As with align_corners=False: the cells of 4×5 are 30×40 pixels large, the first one's centre is at (15, 20)."""
    bright = brightness(one_class_heat(one_hot_cell(row, column)), scale=6.0)
    assert middle(bright) == pytest.approx((30 * row + 15, 40 * column + 20), abs=1)


def test_a_hot_cell_in_the_corner_is_hot_from_its_centre_to_the_corner() -> None:
    bright = brightness(one_class_heat(one_hot_cell(0, 0)), scale=6.0)
    assert bright[0, 0] == bright[:15, :20].min() == bright.max()
    assert bright[16:, 21:].max() < bright.max()


def test_nothing_changes_where_the_network_saw_nothing() -> None:
    heat = one_class_heat(np.full((1, 4, 5), 9.0, np.float32), transform=Transform(0.25, 0.1, 0.75, 0.6))
    changed = change(paint(a_picture(), heat, k=0, pts_s=0.0, scale=9.0))
    inside = np.zeros_like(changed, bool)
    inside[12:72, 50:150] = True
    assert (changed[inside] > 30).all()
    assert (changed[~inside] == 0).all()


def test_a_hot_cell_lies_within_the_rectangle_that_the_network_saw() -> None:
    heat = one_class_heat(one_hot_cell(1, 1, height=3, width=3), transform=Transform(0.5, 0.0, 1.0, 0.5))
    assert middle(brightness(heat, scale=6.0)) == pytest.approx((30, 150), abs=1)


def test_heat_below_the_mean_of_all_classes_paints_nothing() -> None:
    heat = one_class_heat(np.full((1, 4, 5), -5.0, np.float32))
    assert change(paint(a_picture(), heat, k=0, pts_s=0.0, scale=1.0)).max() == 0


def test_a_class_that_is_improbable_is_hardly_painted() -> None:
    contrast = np.full((1, 4, 5), 6.0, np.float32)
    faint, clear = (
        change(paint(a_picture(), one_class_heat(contrast, score=score), k=0, pts_s=0.0, scale=6.0)).mean()
        for score in (0.005, 0.9)
    )
    assert faint < 5
    assert clear > 100


def test_heat_is_painted_by_an_absolute_scale_whatever_else_is_in_the_window() -> None:
    """Scaled by its own minimum and maximum, the first cell would be at full strength when it is alone."""
    alone = one_hot_cell(1, 1, peak=4.0)
    beside_hotter = alone + one_hot_cell(3, 4, peak=16.0)
    first, second = (
        paint(a_picture(), one_class_heat(contrast), k=0, pts_s=0.0, scale=16.0) for contrast in (alone, beside_hotter)
    )
    np.testing.assert_array_equal(first[:80, :100], second[:80, :100])


def test_more_heat_is_painted_more_strongly_up_to_full_strength() -> None:
    strengths = [
        change(
            paint(
                a_picture(),
                one_class_heat(np.full((1, 2, 2), heat, np.float32)),
                k=0,
                pts_s=0.0,
                scale=8.0,
                opacity=1.0,
            )
        )
        for heat in (0.0, 8.0, 800.0)
    ]
    assert strengths[0].max() == 0
    assert strengths[1].min() > 0
    np.testing.assert_array_equal(strengths[1], strengths[2])


def test_without_opacity_the_picture_stays_as_it_is() -> None:
    heat = one_class_heat(np.full((1, 4, 5), 6.0, np.float32))
    assert change(paint(a_picture(), heat, k=0, pts_s=0.0, scale=6.0, opacity=0.0)).max() == 0


def test_painting_leaves_the_frames_own_pixels_alone() -> None:
    image = a_picture()
    image.setflags(write=False)
    overlay(a_result(one_class_heat(one_hot_cell(1, 1)), image), scale=1.0)
    overlay(a_result(None, image), scale=1.0)
    panel(image, ["a", "b"])
    assert (image == GREY).all()


def test_the_running_scale_rises_at_once_and_falls_slowly() -> None:
    running = RunningScale(half_life=10)
    weak, strong = (one_class_heat(np.full((1, 4, 5), value, np.float32)) for value in (2.0, 8.0))
    assert running.update("cam", weak) == pytest.approx(2, rel=1e-3)
    assert running.update("cam", strong) == pytest.approx(8, rel=1e-3)
    falling = [running.update("cam", weak) for _ in range(10)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 7
    assert falling[-1] == pytest.approx(4, rel=1e-3)
    assert [running.update("cam", weak) for _ in range(50)][-1] == pytest.approx(2, rel=1e-3)


def test_the_running_scale_of_one_source_knows_nothing_of_anothers() -> None:
    running = RunningScale()
    running.update("a", one_class_heat(np.full((1, 4, 5), 50.0, np.float32)))
    assert running.update("b", one_class_heat(np.full((1, 4, 5), 2.0, np.float32))) == pytest.approx(2, rel=1e-3)


def test_the_running_scale_is_never_zero() -> None:
    assert RunningScale().update("cam", one_class_heat(np.zeros((1, 4, 5), np.float32))) > 0


def test_the_painter_takes_a_models_scale_before_the_running_one() -> None:
    contrast = np.full((1, 4, 5), 5.0, np.float32)
    assert Painter().scale("cam", one_class_heat(contrast, scale=20.0)) == 20
    assert Painter().scale("cam", one_class_heat(contrast)) == pytest.approx(5, rel=1e-3)


def test_the_painter_counts_a_window_once_however_often_it_is_painted() -> None:
    painter = Painter()
    painter.scale("cam", one_class_heat(np.full((1, 4, 5), 100.0, np.float32)))
    weak = one_class_heat(np.full((1, 4, 5), 1.0, np.float32))
    assert len({painter.scale("cam", weak) for _ in range(20)}) == 1


def test_the_painter_paints_a_result_only_once() -> None:
    painter, result = Painter(), a_result(one_class_heat(one_hot_cell(1, 1)))
    painted = painter.overlay(result)
    assert painter.overlay(result) is painted
    assert painter.overlay(replace(result)) is not painted


@pytest.mark.parametrize("heat", [None, one_class_heat(one_hot_cell(1, 1))])
def test_the_painter_gives_another_array_than_the_frames_own(heat: Heat | None) -> None:
    result = a_result(heat)
    assert not np.shares_memory(Painter().overlay(result), result.frame.pixels)
    assert (result.frame.pixels == GREY).all()


def test_the_painters_caption_is_that_of_the_result() -> None:
    asked: list[Result] = []

    def caption(result: Result) -> Caption:
        asked.append(result)
        return Caption("a title")

    painter = Painter(caption)
    result = a_result(None)
    painter.overlay(result)
    assert asked == [result]


SIZES = [(24, 32), (1, 1), (20, 600), (640, 360), (360, 640), (1080, 1920)]
LONG = "a class with a name that is far too long for any picture " * 4


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("count", "label"), [(1, "cat"), (8, "kitchen stove"), (8, LONG), (8, "Häuschen 猫")])
def test_an_overlay_can_be_made_of_any_size_and_any_classes(height: int, width: int, count: int, label: str) -> None:
    heat = with_classes(one_class_heat(one_hot_cell(1, 1)), count, label=label)
    image = a_picture(height, width)
    for k in {0, count - 1}:
        painted = overlay(
            a_result(heat, image), scale=6.0, k=k, caption=Caption(LONG, ["what you see is 0.35 s old", LONG])
        )
        assert isinstance(painted, np.ndarray)
        assert (painted.shape, painted.dtype) == (image.shape, np.dtype(np.uint8))
    assert panel(image, [LONG, "", "q   quit"]).shape == image.shape


def test_the_middle_of_a_picture_is_left_to_the_heat() -> None:
    """Caption, names and key stay in their corners."""
    heat = with_classes(one_class_heat(np.zeros((1, 4, 5), np.float32)), 8, label="kitchen stove")
    painted = overlay(a_result(heat, a_picture(480, 640)), scale=6.0, caption=Caption("cam", ["live"]))
    changed = change(on_host(painted))
    assert changed[150:330].max() == 0
    for corner in (changed[:100, :200], changed[380:, :200], changed[380:, 440:]):
        assert corner.max() > 100


def test_the_key_speaks_of_the_class_that_is_painted() -> None:
    heat = with_classes(one_class_heat(np.zeros((1, 4, 5), np.float32)), 8)
    result = a_result(heat, a_picture(480, 640))
    first, last, next_to_last = (on_host(overlay(result, scale=6.0, k=k)) for k in (0, 7, 6))
    assert np.any(first != last)
    assert np.any(last != next_to_last)


def test_a_box_is_drawn_around_its_pixels_and_nowhere_else() -> None:
    picture = a_picture(120, 200)
    result = a_result(None, picture)
    without, boxed = (on_host(overlay(result, scale=1.0, box=box)) for box in (None, Box(60, 40, 150, 100)))
    changed = np.any(boxed != without, axis=-1)
    assert (boxed[40, 60:150] == 255).all()
    assert (boxed[99, 60:150] == 255).all()
    assert changed[38:102, 58:152].sum() == changed.sum()
    assert not changed[43:97, 63:147].any()


def test_cells_alone_are_rectangles_of_their_own() -> None:
    cells = np.array([[0.0, 5.0], [10.0, 20.0]], np.float32)
    painted = cells_alone(cells, scale=10.0, width=40, height=20)
    assert painted.shape == (20, 40, 3)
    quarters = [painted[:10, :20], painted[:10, 20:], painted[10:, :20], painted[10:, 20:]]
    assert all((quarter == quarter[0, 0]).all() for quarter in quarters)
    assert (quarters[2] == quarters[3]).all()  # full strength, and beyond
    assert int(quarters[0].max()) < int(quarters[1].max()) < int(quarters[2].max())


GROUNDS = {
    "black": np.zeros((240, 320, 3), np.uint8),
    "white": np.full((240, 320, 3), 255, np.uint8),
    "grey": np.full((240, 320, 3), GREY, np.uint8),
    "busy": np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1),
}


def lightness(image: Image) -> Floats:
    """L* of CIELAB, 0–100, [H,W]."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0], np.float32)


@pytest.mark.parametrize("ground", GROUNDS)
def test_strong_heat_stands_out_from_any_ground(ground: str) -> None:
    """In CIELAB, a distance of 2.3 can just be seen; here it is far more, in the hottest place and around it."""
    image = GROUNDS[ground]
    painted = paint(image, one_class_heat(np.full((1, 4, 5), 6.0, np.float32)), k=0, pts_s=0.0, scale=6.0)
    before, after = (cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for p in (image, painted))
    assert np.median(np.linalg.norm(after - before, axis=-1)) > 25


@pytest.mark.parametrize("ground", ["black", "white"])
def test_heat_has_a_rim_that_is_darker_than_its_middle(ground: str) -> None:
    """From half of the strength on, more heat is brighter, on white as on black."""
    strengths = np.linspace(0.5, 1.0, 6)
    shown = [
        float(
            lightness(
                paint(GROUNDS[ground], one_class_heat(np.full((1, 2, 2), s, np.float32)), k=0, pts_s=0.0, scale=1)
            ).mean()
        )
        for s in strengths
    ]
    assert all(b > a + 1 for a, b in pairwise(shown))
    if ground == "white":
        assert shown[0] < 80


def test_heat_below_a_tenth_of_full_strength_is_not_painted() -> None:
    faint, visible = (
        change(paint(a_picture(), one_class_heat(np.full((1, 4, 5), heat, np.float32)), k=0, pts_s=0.0, scale=10.0))
        for heat in (0.99, 2.0)
    )
    assert faint.max() == 0
    assert visible.min() > 5


def test_the_colours_are_ordered_from_dark_to_bright() -> None:
    shown = lightness(to_colours(np.linspace(0, 1, 64, dtype=np.float32)[None]))[0]
    assert (np.diff(shown) > 0).all()


def scored(scores: Sequence[float], labels: Sequence[str]) -> Heat:
    heat = with_classes(one_class_heat(one_hot_cell(1, 2)), len(scores))
    return replace(heat, scores=np.array(scores, np.float32), labels=tuple(labels))


def test_only_classes_that_are_sure_are_named() -> None:
    named = words(scored([0.92, 0.5, 0.49, 0.0], ["dog", "cat", "cow", "car"]), 0, Caption("cam", ["a note"]))
    assert named.names == [("dog", " 92 %"), ("cat", " 50 %")]
    assert named.key == "where it sees dog"
    assert named.header == ("cam", "a note")


def test_at_most_three_are_named() -> None:
    assert len(words(scored([0.9] * 8, list("abcdefgh")), 0, Caption("")).names) == 3


def test_where_nothing_is_sure_it_says_so() -> None:
    unsure = words(scored([0.3, 0.2], ["dog", "cat"]), 0, Caption(""))
    assert unsure.names == [("nothing sure", "")]
    assert unsure.key == "where it suspects dog"
    hopeless = words(scored([0.01, 0.01], ["dog", "cat"]), 0, Caption(""))
    assert (hopeless.names, hopeless.key) == ([("nothing sure", "")], None)
    assert words(None, 0, Caption("")).names == [("no heat yet", "")]


def test_none_of_these_is_neither_named_nor_explained() -> None:
    background = words(scored([0.95, 0.03], [NONE_OF_THESE, "wave"]), 0, Caption(""))
    assert (background.names, background.key) == ([("nothing sure", "")], None)
    undecided = words(scored([0.45, 0.4], [NONE_OF_THESE, "wave"]), 0, Caption(""))
    assert (undecided.names, undecided.key) == ([("nothing sure", "")], None)
    found = words(scored([0.6, 0.3], ["wave", NONE_OF_THESE]), 0, Caption(""))
    assert (found.names, found.key) == ([("wave", " 60 %")], "where it sees wave")


def test_heat_of_none_of_these_is_not_painted() -> None:
    image = a_picture()
    heat = replace(scored([0.95, 0.03], [NONE_OF_THESE, "wave"]), scale=np.array([UNPAINTED, 1.0], np.float32))
    scale = Painter().scale("cam", heat)
    np.testing.assert_array_equal(paint(image, heat, k=0, pts_s=0.5, scale=scale), image)
    assert (paint(image, heat, k=0, pts_s=0.5, scale=1.0) != image).any()


def test_a_class_that_somebody_chose_is_explained_beside_the_one_that_is_sure() -> None:
    chosen = words(scored([0.7, 0.2], ["dog", "cat"]), 1, Caption(""))
    assert chosen.names == [("dog", " 70 %")]
    assert chosen.key == "where it suspects cat"


LENGTHS = {
    "short": "dog",
    "long": ("a-long-name of a class" * 13)[:100],
    "wide": "W" * 100,
    "Japanese": "長い名前" * 25,
    "emoji": "🙂" * 100,
}


@pytest.mark.parametrize("name", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize(
    ("height", "width"),
    [(120, 160), (160, 120), (180, 320), (240, 320), (480, 270), (720, 1280), (1080, 1920), (1920, 1080), (2160, 3840)],
)
def test_all_words_lie_inside_the_picture_and_apart(height: int, width: int, count: int, name: str) -> None:
    """Each line is drawn, too: its letters must lie in its own box."""
    caption = Caption(name, ["what you see is 0.35 s old", "its heat is 0.8 s older", name])
    layout = arrange(height, width, words(scored([0.9] * count, [name] * count), 0, caption))
    boxes = [line.box for line in layout.lines] + ([layout.colours] if layout.colours else [])
    assert all(0 <= b.x0 < b.x1 <= width and 0 <= b.y0 < b.y1 <= height for b in [*boxes, *layout.shades])
    assert not any(a.intersection(b) for a, b in combinations(boxes, 2))
    assert not any(a.intersection(b) for a, b in combinations(layout.shades, 2))
    assert all(any(contains(shade, box) for shade in layout.shades) for box in boxes)
    assert any(line.text.endswith("90 %") for line in layout.lines)
    assert layout.colours is not None
    assert "what you see is 0.35 s old" in [line.text for line in layout.lines]
    letters = Letters.fitting(height, width)
    for line in layout.lines:
        reach = ink(line.text, letters)
        room = Box(0, 0, line.box.x1 - line.box.x0, line.box.y1 - line.box.y0)
        slack = 1 + letters.weight
        assert contains(Box(-slack, -slack, room.x1 + slack, room.y1 + slack), reach)


def ink(text: str, letters: Letters) -> Box:
    """The pixels that a text covers, from the top left of its line on."""
    rim, width = letters.line, letters.width(text)
    black = np.zeros((3 * rim, width + 2 * rim), np.uint8)
    at = rim, rim + letters.ascent
    cv2.putText(black, text, at, FONT, letters.font, 255, letters.weight, lineType=cv2.LINE_AA)
    ys, xs = np.nonzero(black > 40)
    return Box(xs.min() - rim, ys.min() - rim, xs.max() + 1 - rim, ys.max() + 1 - rim)


def contains(outer: Box, inner: Box) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (24, 32), (64, 96), (20, 600), (600, 20), (100, 80)])
def test_what_a_thumbnail_has_no_room_for_is_left_out(height: int, width: int) -> None:
    caption = Caption("camera", ["what you see is 0.35 s old"])
    layout = arrange(height, width, words(scored([0.9], ["dog"]), 0, caption))
    boxes = [*[line.box for line in layout.lines], *layout.shades]
    assert all(0 <= b.x0 < b.x1 <= width and 0 <= b.y0 < b.y1 <= height for b in boxes)
    assert sum(shade.y1 - shade.y0 for shade in layout.shades) <= height


def test_letters_grow_with_the_picture_but_less_than_it_does() -> None:
    lines = [Letters.fitting(height, height * 16 // 9).line for height in (120, 240, 480, 1080, 2160)]
    assert lines == sorted(set(lines))
    assert [line / height for line, height in zip(lines, (120, 240, 480, 1080, 2160), strict=True)] == sorted(
        [line / height for line, height in zip(lines, (120, 240, 480, 1080, 2160), strict=True)], reverse=True
    )


def test_a_panel_is_cut_to_the_picture() -> None:
    for height, width in SIZES:
        painted = panel(a_picture(height, width), [LONG, "help"])
        assert painted.shape == (height, width, 3)
