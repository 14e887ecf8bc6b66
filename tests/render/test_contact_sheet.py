import numpy as np
import pytest

from streamcam.records import Image
from streamcam.render.contact_sheet import (
    GAP,
    LINE,
    PALETTE,
    Cell,
    Curve,
    chart,
    clock,
    cut,
    fit,
    grid,
    stack,
    text_width,
)


def plain(colour: tuple[int, int, int], height: int = 30, width: int = 40) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_cells_stand_in_reading_order() -> None:
    sheet = grid([Cell(plain(RED)), Cell(plain(BLUE)), Cell(plain(BLUE))], columns=2, width=40)
    assert sheet.shape == (2 * (30 + GAP) + GAP, 2 * (40 + GAP) + GAP, 3)
    assert sheet[GAP + 15, GAP + 20].tolist() == list(RED)
    assert sheet[GAP + 15, 2 * GAP + 60].tolist() == list(BLUE)
    assert sheet[2 * GAP + 45, GAP + 20].tolist() == list(BLUE)
    assert sheet[2 * GAP + 45, 2 * GAP + 60].tolist() == [255, 255, 255]


def test_lines_stand_below_their_picture_and_no_cell_writes_into_the_next() -> None:
    long = "a name that is much too long for a cell of forty pixels"
    sheet = grid([Cell(plain(RED), (long, long)), Cell(plain(RED))], columns=2, width=40)
    below = sheet[GAP + 30 : GAP + 30 + 2 * LINE]
    assert (below[:, GAP : GAP + 40] < 200).any()
    assert (below[:, GAP + 42 :] == 255).all()


def test_a_title_moves_everything_down() -> None:
    without, titled = (grid([Cell(plain(RED))], columns=1, width=300, title=t) for t in ("", "Title"))
    assert titled.shape[0] > without.shape[0]
    assert (titled[: titled.shape[0] - without.shape[0]] < 100).any()


@pytest.mark.parametrize(("height", "width"), [(10, 100), (100, 10), (1, 1), (3000, 2000)])
def test_a_picture_is_fitted_whole(height: int, width: int) -> None:
    fitted = fit(plain(RED, height, width), 60, 40)
    assert fitted.shape == (40, 60, 3)
    red = (fitted == RED).all(-1)
    ys, xs = np.nonzero(red)
    assert (xs.max() + 1 - xs.min()) / (ys.max() + 1 - ys.min()) == pytest.approx(width / height, rel=0.35)
    assert red.any(0).all() or red.any(1).all()


def test_no_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one cell"):
        grid([], columns=3)


def test_a_text_is_cut_to_its_width() -> None:
    assert cut("cat", 200) == "cat"
    shown = cut("Egyptian cat of unusual size", 80)
    assert shown.startswith("Egy")
    assert shown.endswith("..")
    assert text_width(shown) <= 80


def test_what_must_be_read_stays_when_a_text_is_cut() -> None:
    shown = cut("Egyptian cat of unusual size", 100, end=" 45 %")
    assert shown.startswith("Egy")
    assert shown.endswith(".. 45 %")
    assert text_width(shown) <= 100
    picture = np.zeros((40, 100, 3), np.uint8)
    sheets = [grid([Cell(picture, (("Egyptian cat " * 20, end),))], columns=1, width=100) for end in (" 45 %", " 46 %")]
    assert (sheets[0] != sheets[1]).any()


def test_parts_are_stacked() -> None:
    assert stack([plain(RED, 5, 10), plain(BLUE, 7, 20)]).shape == (12, 20, 3)


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [(0, "0:00"), (7, "0:07"), (0.5, "0:00.50"), (59.999, "1:00"), (61.25, "1:01.25"), (3723, "1:02:03")],
)
def test_times_are_shown_as_players_do(time_s: float, shown: str) -> None:
    assert clock(time_s) == shown


def test_a_curve_goes_through_its_values() -> None:
    values = np.where(np.arange(100) < 50, 0.0, 1.0).astype(np.float32)
    sheet = chart(np.linspace(0, 9.9, 100), [Curve("cat", values)], width=700, height=200)
    blue = np.all(np.abs(sheet.astype(int) - PALETTE[0]) < 8, axis=-1)[:, :450]
    ys, xs = np.nonzero(blue)
    assert ys[xs < 200].min() > ys[xs > 300].max() + 100  # low at first, high then


@pytest.mark.parametrize("count", [1, 2])
def test_a_chart_of_a_moment_can_be_drawn(count: int) -> None:
    times = np.zeros(count)
    assert chart(times, [Curve("cat", np.ones(count, np.float32))], width=600).shape == (230, 600, 3)


def test_weak_classes_fill_the_chart_too() -> None:
    weak, strong = (chart(np.arange(9.0), [Curve("cat", np.full(9, top, np.float32))], width=600) for top in (0.1, 1.0))
    blue = [
        np.all(np.abs(sheet.astype(int) - PALETTE[0]) < 8, axis=-1)[:, :350].nonzero()[0].max()
        for sheet in (weak, strong)
    ]
    assert blue[0] == blue[1]
