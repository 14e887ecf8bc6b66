import pytest

from streamcam.render.text import cut, heat_lag, picture_age, short


def test_what_fits_is_left_as_it_is() -> None:
    assert cut("cat", 3, len) == "cat"
    assert cut("cat", 8, len, end=" 45 %") == "cat 45 %"
    assert short("cat", 3) == "cat"


@pytest.mark.parametrize("width", range(8, 40))
def test_what_does_not_is_cut_as_little_as_can_be(width: int) -> None:
    shown = cut("abcdefghij" * 30, width, len, end=" 45 %")
    assert len(shown) == width
    assert shown.endswith("... 45 %")
    assert len(short("x" * 300, width)) == width


def test_the_end_stays_where_there_is_no_room_at_all() -> None:
    assert cut("cat", 0, len, end=" 45 %") == "... 45 %"


def test_few_widths_are_measured() -> None:
    """It is done for every frame."""
    measured: list[str] = []

    def width_of(text: str) -> int:
        measured.append(text)
        return len(text)

    cut("x" * 300, 20, width_of)
    assert len(measured) <= 11


@pytest.mark.parametrize(
    ("age_s", "said"), [(0.346, "0.35 s"), (0.0, "0.00 s"), (-0.2, "0.00 s"), (9.99, "9.99 s"), (12.3, "12 s")]
)
def test_an_age_is_said_in_seconds(age_s: float, said: str) -> None:
    assert picture_age(age_s) == f"what you see is {said} old"


def test_heat_that_lags_is_spoken_of_only_where_that_shows() -> None:
    assert heat_lag(0.8) == ("its heat is 0.8 s older",)
    assert heat_lag(0.2) == heat_lag(-0.1) == heat_lag(None) == ()
