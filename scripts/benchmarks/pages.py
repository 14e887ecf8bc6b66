"""What is measured, by name, and pages with places that tables are filled into. It needs nothing but Python."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial


def some_of(points: Sequence[str]) -> Callable[[str], list[str]]:
    """What reads names of these, with commas between them, from a command line."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(points):
            known = ", ".join(points)
            raise argparse.ArgumentTypeError(f"no such point: {', '.join(sorted(unknown))} (there are {known})")
        return names

    return read


def filled(page: str, parts: Mapping[str, str]) -> str:
    """A page with these texts: what is between `<!-- NAME -->` and `<!-- /NAME -->` is replaced."""
    for name, text in parts.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        # The text goes in as it is: in a replacement string, its backslashes would be references to groups.
        page = marks.sub(partial(_between, text), page)
    return page


def _between(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}\n{text}\n\n{marks[2]}"
