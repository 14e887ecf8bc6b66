"""How far long work is, and lines that are drawn again and again."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from streamcam.errors import one_line

PLAIN_EVERY_S = 5.0


class Progress:
    """A bar with the time that is left; where there is no terminal, a new line every few seconds."""

    def __init__(self, what: str, *, unit: str) -> None:
        self._what, self._unit = what, unit
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[of]}"))
        self._bar = RichProgress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
        self._task = self._bar.add_task(what, total=None, of="")
        self._begin_s = time.monotonic()
        self._due_s = self._begin_s + PLAIN_EVERY_S

    def show(self, done: float, total: float | None) -> None:
        """Say that so much of the whole is done; `total` is None where it is not known."""
        of = f"{done:.0f} of {total:.0f} {self._unit}" if total else f"{done:.0f} {self._unit}"
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, of=of)
        elif time.monotonic() >= self._due_s:
            now_s = time.monotonic()
            self._due_s = now_s + PLAIN_EVERY_S
            left_s = (now_s - self._begin_s) * (total / done - 1) if total and done else None
            print(f"{self._what}: {of}{f', {left_s:.0f} s left' if left_s else ''}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A line for people, above the bar."""
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
    """One line that is drawn again and again where there is a terminal, and is gone in the end."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._display = LiveDisplay(console=self._console, auto_refresh=False, transient=True)

    def draw(self, line: str) -> bool:
        """Draw it, as much of it as there is room for; false where there is no terminal."""
        if self._console.is_terminal:
            self._display.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        return self._console.is_terminal

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._display.stop()
