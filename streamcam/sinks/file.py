"""The base of sinks that write a file, which gets its name when it is complete."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import av.error

from streamcam.errors import StreamcamError
from streamcam.sinks.base import Sink

WRITE_FAILURES = (av.error.FFmpegError, OSError)


class FileSink(Sink):
    """A sink that writes to a temporary file beside the target; closing renames it.

    If another part of the program fails, what was recorded until then is kept. If this file cannot be written, the
    temporary file is removed, unless its beginning is usable (`is_usable`).
    """

    path: Path
    """The file to make."""
    partial: Path
    """The temporary file."""
    rescued: Path | None
    """A temporary file of the same name that a killed run had left, under its new name; None if there was none."""

    def __init__(self, path: Path, partial: Path, *, rescued: Path | None = None) -> None:
        """Make the temporary file.

        Raises:
            StreamcamError: it cannot be written.
        """
        self.path, self.partial, self.rescued = path, partial, rescued
        self._broken = self._closed = False
        self._is_complete: bool | None = None
        try:
            self.partial.touch()
        except OSError as e:
            raise StreamcamError(f"cannot write {path}: {e.strerror}") from e

    def finish(self) -> bool:
        """Complete the temporary file; return whether it holds anything."""
        raise NotImplementedError

    def completed(self) -> None:
        """Do what has to follow once the file has its name."""

    def is_usable(self) -> bool:
        """Return whether the temporary file can be used as far as it goes."""
        return False

    def complete(self) -> bool:
        """Complete the temporary file, which can be read then; return whether it holds anything. Twice is fine.

        Raises:
            StreamcamError: it could not be written.
        """
        if self._is_complete is None:
            self._is_complete = False  # a second attempt would fail in another way
            try:
                self._is_complete = self.finish()
            except WRITE_FAILURES as e:
                raise self.failed(e) from e
        return self._is_complete

    def close(self, *, keep: bool = True) -> None:
        """Complete the file, or leave none. Closing twice is fine.

        Raises:
            StreamcamError: it could not be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self.complete() and keep:
                self.partial.replace(self.path)
                self.completed()
        except WRITE_FAILURES as e:
            raise self.failed(e) from e
        finally:
            if not (self._broken and self.is_usable()):
                self.partial.unlink(missing_ok=True)  # does nothing after the rename above

    def failed(self, error: Exception) -> StreamcamError:
        """Mark the file as broken, and return the error to raise."""
        self._broken = True
        reason = getattr(error, "strerror", None) or error
        until_then = f"; what was recorded until then is in {self.partial}" if self.is_usable() else ""
        return StreamcamError(f"cannot write {self.path}: {reason}{until_then}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close(keep=not self._broken)


def path_for(path: Path, source: str, *, several: bool) -> Path:
    """Return a file's path for one source: out.mp4, or out-cam1.mp4 where there are several sources."""
    return path.with_name(f"{path.stem}-{source}{path.suffix}") if several else path


def require_folder(path: Path) -> None:
    """Check before a long run that a file can be written.

    Raises:
        StreamcamError: its folder does not exist or is not writable, or the path is itself a folder.
    """
    if not path.parent.is_dir():
        raise StreamcamError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise StreamcamError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'permission denied'}")
