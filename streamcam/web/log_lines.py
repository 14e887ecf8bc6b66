"""What the server has to say of trouble: one line each on standard error, without secrets."""

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from streamcam.errors import first_line, one_line, redact

LOGGERS = ("uvicorn.error", "uvicorn.asgi", "asyncio", "websockets.server")
REPEAT_S = 60.0
"""The same line is printed once in so many seconds."""
MAX_LINES = 200
"""So many different lines are known; above that, the oldest is forgotten."""


class LineHandler(logging.Handler):
    """Prints each record as one line."""

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        secrets: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Print nothing yet.

        Args:
            write: gets each line, without its end.
            secrets: what is never printed.
            clock: gives seconds.
        """
        super().__init__(logging.WARNING)
        self._write, self._secrets, self._clock = write, [s for s in secrets if s], clock
        self._printed_s: dict[str, float] = {}
        self.is_silent = False
        """Whether nothing is printed any more: the server closes, and what it cuts off complains."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, unless the same has been printed a moment ago."""
        line = line_of(record, secrets=self._secrets)
        now_s = self._clock()
        if self.is_silent or now_s - self._printed_s.get(line, -REPEAT_S) < REPEAT_S:
            return
        self._printed_s.pop(line, None)
        if len(self._printed_s) >= MAX_LINES:
            del self._printed_s[next(iter(self._printed_s))]
        self._printed_s[line] = now_s
        self._write(f"streamcam: {line}")


def line_of(record: logging.LogRecord, *, secrets: Sequence[str] = ()) -> str:
    """Return a record as one line: what went wrong, and in which place of the code."""
    message = record.getMessage().strip()
    text = message.splitlines()[-1] if message.startswith("Traceback") else (message.splitlines() or [""])[0]
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        places = traceback.extract_tb(error.__traceback__)
        place = f" ({places[-1].filename.rpartition('/')[2]}:{places[-1].lineno})" if places else ""
        text = f"{text}: {type(error).__name__}: {first_line(error)}{place}"
    for secret in secrets:
        text = text.replace(secret, "***")
    return one_line(redact(text))


@contextmanager
def log_lines(handler: logging.Handler) -> Iterator[None]:
    """Let the server's packages log to a handler, and to nothing else, for the duration of a block."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(log.handlers, log.propagate) for log in loggers]
    for log in loggers:
        log.handlers, log.propagate = [handler], False
    try:
        yield
    finally:
        for log, (handlers, propagate) in zip(loggers, before, strict=True):
            log.handlers, log.propagate = handlers, propagate
