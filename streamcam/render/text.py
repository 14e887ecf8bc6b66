"""Short texts for terminals and pictures, cut to the room that they have."""

from bisect import bisect_right
from collections.abc import Callable

MAX_NAME = 40
"""Characters of a name in a line on a terminal."""


def short(name: str, most: int = MAX_NAME) -> str:
    """Cut a name for a line of text to at most `most` characters.

    >>> short("a very long name", 8)
    'a very …'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def cut(text: str, width: float, width_of: Callable[[str], float], *, end: str = "") -> str:
    """Return as much of a text as fits before `end`, and `end`.

    >>> cut("a very long name", 12, len, end=" 45 %")
    'a ver.. 45 %'

    Args:
        text: the part that may be cut; two dots then show that it was.
        width: the room for both, in the unit of `width_of`.
        width_of: gives the width of a text.
        end: the part that is kept whole, even where there is no room for it.
    """
    whole = text + end
    if width_of(whole) <= width:
        return whole
    fitting = bisect_right(range(len(text)), width, key=lambda count: width_of(f"{text[:count]}..{end}")) - 1
    return f"{text[: max(0, fitting)]}..{end}"


def heat_age(age_s: float | None) -> str:
    """Say how much older than its picture the heat is, for a caption; None stands for no heat.

    >>> heat_age(0.033)
    'heat 33 ms old'
    """
    return "no heat yet" if age_s is None else f"heat {max(0.0, age_s) * 1e3:.0f} ms old"
