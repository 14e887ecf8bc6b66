"""Short texts for terminals and pictures, cut to the room that they have."""

from bisect import bisect_right
from collections.abc import Callable

MAX_NAME = 40
"""Characters of a name in a line on a terminal."""

SHOWS_S = 0.5
"""Heat that is so much older than its picture lies visibly beside what moves."""


def short(name: str, most: int = MAX_NAME) -> str:
    """Cut a name for a line of text to at most `most` characters.

    >>> short("a very long name", 8)
    'a very …'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def cut(text: str, width: float, width_of: Callable[[str], float], *, end: str = "") -> str:
    """Return as much of a text as fits before `end`, and `end`.

    >>> cut("a very long name", 12, len, end=" 45 %")
    'a ve... 45 %'

    Args:
        text: the part that may be cut; three dots then show that it was.
        width: the room for both, in the unit of `width_of`.
        width_of: gives the width of a text.
        end: the part that is kept whole, even where there is no room for it.
    """
    whole = text + end
    if width_of(whole) <= width:
        return whole
    fitting = bisect_right(range(len(text)), width, key=lambda count: width_of(f"{text[:count]}...{end}")) - 1
    return f"{text[: max(0, fitting)]}...{end}"


def percent(score: float) -> str:
    """Write a probability, 0–1.

    >>> percent(0.873)
    '87 %'
    """
    return f"{score * 100:.0f} %"


def picture_age(age_s: float) -> str:
    """Say how long ago what a picture shows took place.

    >>> picture_age(0.346)
    'what you see is 0.35 s old'
    """
    return f"what you see is {max(0.0, age_s):.2f} s old" if age_s < 9.995 else f"what you see is {age_s:.0f} s old"


def heat_lag(lag_s: float | None) -> tuple[str, ...]:
    """Say how much older than its picture the heat is, where that shows; None stands for no heat.

    >>> heat_lag(0.8)
    ('its heat is 0.8 s older',)
    """
    return () if lag_s is None or lag_s < SHOWS_S else (f"its heat is {lag_s:.1f} s older",)
