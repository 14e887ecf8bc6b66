"""Standard output and standard error: the disk behind them may be full, or nobody may read them any more."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO, TypeVar, cast

from streamcam.errors import StreamcamError

T = TypeVar("T")


class UnreadError(Exception):
    """Nobody reads standard output any more (`| head`): whoever writes there ends, and complains of nothing."""


class _Output:
    """Standard output, where what cannot be written is one clear error instead of any OSError."""

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
            self._give_up()
            if isinstance(e, BrokenPipeError):
                raise UnreadError from e
            raise StreamcamError(f"cannot write to standard output: {e.strerror}") from e

    def _give_up(self) -> None:
        """What still waits to be written goes nowhere, or Python would try again when it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Complaints(_Output):
    """Standard error, which a run does not need: where it cannot be written, nobody is told, and all goes on."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def guard_standard_streams() -> None:
    """Let standard output fail in one line, and standard error in none; what is closed goes nowhere.

    What a terminal has no letters for is spelt out: after the work is done, that is no reason to fail.
    """
    for name, guarded in (("stdout", _Output), ("stderr", _Complaints)):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        if isinstance(stream, TextIOWrapper):
            with suppress(OSError):  # of a descriptor that became another one since
                stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, cast(TextIO, guarded(stream)))


def flush_standard_streams() -> None:
    """Write what waits; where that fails, it has been told, or nobody can be told."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(StreamcamError, UnreadError):
            stream.flush()
