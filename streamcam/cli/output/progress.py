"""Progress bars, and lines that are redrawn in place."""

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from streamcam.errors import one_line

T = TypeVar("T")

PLAIN_EVERY_S = 5.0
"""Where standard error is no terminal, a new line is printed so often."""


class Progress:
    """A progress bar with the remaining time; where there is no terminal, a new line every few seconds."""

    def __init__(self, title: str, *, unit: str) -> None:
        self._title, self._unit = title, unit
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[of]}"))
        self._bar = RichProgress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
        self._task = self._bar.add_task(title, total=None, of="")
        self._begin_s = time.monotonic()
        self._total: float | None = None
        self._next_plain_s = self._begin_s + PLAIN_EVERY_S

    def show(self, done: float, total: float | None) -> None:
        """Show that `done` of `total` units are done; None: the total is not known."""
        if total != self._total:  # another part of the work begins
            self._begin_s, self._total = time.monotonic(), total
        of = f"{done:.0f} of {total:.0f} {self._unit}" if total else f"{done:.0f} {self._unit}"
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, of=of)
        elif time.monotonic() >= self._next_plain_s:
            now_s = time.monotonic()
            self._next_plain_s = now_s + PLAIN_EVERY_S
            remaining_s = (now_s - self._begin_s) * (total / done - 1) if total and done else 0.0
            remaining = f", {remaining_s:.0f} s left" if remaining_s else ""
            print(f"{self._title}: {of}{remaining}", file=sys.stderr, flush=True)

    def each(self, items: Iterable[T], count: int) -> Iterator[T]:
        """Yield `count` items, and show how many of them are done."""
        for done, item in enumerate(items):
            self.show(done, count)
            yield item

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._console.is_terminal:
            self._console.print(one_line(line), highlight=False, markup=False, soft_wrap=True)
        else:
            print(one_line(line), file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bar.stop()


class TerminalLine:
    """A line that is redrawn in place where there is a terminal, and disappears in the end."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        """What is printed to it goes above the line."""
        self._display = LiveDisplay(console=self.console, auto_refresh=False, transient=True)

    def draw(self, line: str) -> bool:
        """Draw the line, cut to the terminal's width. Return false where there is no terminal."""
        if self.console.is_terminal:
            self._display.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        return self.console.is_terminal

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._display.stop()
