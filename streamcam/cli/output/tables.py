"""Prints tables."""

from rich.console import Console

PLAIN_WIDTH = 130
"""Characters in a line of a table, where there is no terminal to ask for its width."""


def table_console() -> Console:
    """Give a console of the terminal's width, or of a fixed width where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)
