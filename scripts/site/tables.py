"""Tables in Markdown."""

from collections.abc import Sequence


def row(*cells: str) -> str:
    r"""Return a row; a bar or a line break inside a cell would end it.

    >>> row("a|b", "c")
    '| a\\|b | c |'
    """
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def table(*head: str, rows: Sequence[str]) -> str:
    """Return a table with these column heads over rows made by `row`."""
    return "\n".join([row(*head), "|" + "---|" * len(head), *rows])
