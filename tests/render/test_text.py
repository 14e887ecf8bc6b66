import pytest

from streamcam.render.text import cut, short


def test_what_fits_is_left_as_it_is() -> None:
    assert cut("cat", 3, len) == "cat"
    assert cut("cat", 8, len, end=" 45 %") == "cat 45 %"
    assert short("cat", 3) == "cat"


@pytest.mark.parametrize("width", range(7, 40))
def test_what_does_not_is_cut_as_little_as_can_be(width: int) -> None:
    shown = cut("abcdefghij" * 30, width, len, end=" 45 %")
    assert len(shown) == width
    assert shown.endswith(".. 45 %")
    assert len(short("x" * 300, width)) == width


def test_the_end_stays_where_there_is_no_room_at_all() -> None:
    assert cut("cat", 0, len, end=" 45 %") == ".. 45 %"


def test_few_widths_are_measured() -> None:
    """It is done for every frame."""
    measured: list[str] = []

    def width_of(text: str) -> int:
        measured.append(text)
        return len(text)

    cut("x" * 300, 20, width_of)
    assert len(measured) <= 11
