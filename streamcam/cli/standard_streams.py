"""Guards standard output and error against full disks and closed pipes."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO, TypeVar, cast

from streamcam.errors import StreamcamError

T = TypeVar("T")


class UnreadError(Exception):
    """The reader of standard output has gone, as after `| head`. The process ends without a message."""


class _Output:
    """A standard output whose errors are `StreamcamError`, or `UnreadError` for a closed pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except OSError as e:
            self._redirect_to_null()
            if isinstance(e, BrokenPipeError):
                raise UnreadError from e
            raise StreamcamError(f"cannot write to standard output: {e.strerror}") from e

    def _redirect_to_null(self) -> None:
        """Redirect to /dev/null. Otherwise Python would try to write its buffer again when it exits."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _ErrorOutput(_Output):
    """A standard error that ignores errors of its own: a run goes on without it."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def guard_standard_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr` by guarded ones; a stream that is closed by /dev/null.

    Characters that the terminal's encoding does not have are written as escapes, instead of raising an error after the
    work is done.
    """
    for name, guarded in (("stdout", _Output), ("stderr", _ErrorOutput)):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        if isinstance(stream, TextIOWrapper):
            with suppress(OSError):  # its file descriptor may have been closed, or be another file now
                stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, cast(TextIO, guarded(stream)))


def flush_standard_streams() -> None:
    """Write what is buffered. Errors are ignored: they have been reported, or nobody reads them."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(StreamcamError, UnreadError):
            stream.flush()
