"""Prints what the package logs during a run, above the status line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from streamcam.errors import one_line
from streamcam.events.sink import log as event_log
from streamcam.sources.status import SourceStatus
from streamcam.sources.status import log as status_log

PACKAGE = logging.getLogger("streamcam")


@contextmanager
def print_events(console: Console) -> Iterator[None]:
    """Print log records of the package for the duration of a block.

    rich moves a status line on the same console below what is printed. Without any handler, Python would write warnings
    over it.
    """
    handler, levels = _EventHandler(console), {log: log.level for log in (status_log, event_log)}
    PACKAGE.addHandler(handler)
    for log in levels:
        log.setLevel(logging.INFO)  # at this level, sources that are live again and events are logged
    try:
        yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)
        PACKAGE.removeHandler(handler)


class _EventHandler(logging.Handler):
    """Prints warnings, events, and that a source which was lost is live again."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._lost: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, if people have to know of it."""
        match record.args:
            case (str(name), SourceStatus(kind=kind)):
                text = self._source_event(name, kind, record.getMessage())
            case _:
                text = (
                    record.getMessage() if record.levelno >= logging.WARNING or record.name == event_log.name else None
                )
        if text is not None:
            self._console.print(one_line(text), soft_wrap=True, markup=False, highlight=False)

    def _source_event(self, name: str, kind: str, message: str) -> str | None:
        """Give the text for a change of a source's status.

        A source that has stalled is in the status line already. A slow one does so after each of its pictures.
        """
        if kind == "lost":
            self._lost.add(name)
            return message
        if kind == "live" and name in self._lost:
            self._lost.remove(name)
            return f"{name} is there"
        return None
