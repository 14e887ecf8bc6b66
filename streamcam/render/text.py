"""Texts that have to fit: what is too long is cut, and what must be read in any case stays."""

from bisect import bisect_right
from collections.abc import Callable

MOST = 40
"""Letters of a name in a line on a terminal."""


def short(name: str, most: int = MOST) -> str:
    """A name for a line of text, of at most so many letters.

    >>> short("a very long name", 8)
    'a very …'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def cut(text: str, width: float, width_of: Callable[[str], float], *, end: str = "") -> str:
    """As much of a text as fits before `end`, which stays.

    >>> cut("a very long name", 12, len, end=" 45 %")
    'a ver.. 45 %'

    Args:
        text: what may be cut; where it is, two dots say so.
        width: how wide all may be, as `width_of` measures it.
        width_of: the width of a text.
        end: what is kept whole, even where there is no room for it.
    """
    whole = text + end
    if width_of(whole) <= width:
        return whole
    fitting = bisect_right(range(len(text)), width, key=lambda count: width_of(f"{text[:count]}..{end}")) - 1
    return f"{text[: max(0, fitting)]}..{end}"
