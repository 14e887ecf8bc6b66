"""A sink that writes a file, which appears under its name when it is complete."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import av.error

from streamcam.errors import StreamcamError
from streamcam.sinks.base import Sink

WRITE_FAILURES = (av.error.FFmpegError, OSError)


class FileSink(Sink):
    """Writes beside the target, under another name; closing renames.

    What was recorded before another part failed is kept. What could not be written itself is removed, unless it can be
    used as far as it goes.
    """

    def __init__(self, path: Path, partial: Path, *, left: Path | None = None) -> None:
        self.path, self.partial, self.left = path, partial, left
        """`left`: what a run that was killed had written under this name, and what it is called now."""
        self._broken = self._closed = False
        try:
            self.partial.touch()
        except OSError as e:
            raise StreamcamError(f"cannot write {path}: {e.strerror}") from e

    def finish(self) -> bool:
        """Complete the temporary file; whether there is anything in it."""
        raise NotImplementedError

    def completed(self) -> None:
        """It has its name now."""

    def is_of_use(self) -> bool:
        """Whether the temporary file can be used as far as it goes."""
        return False

    def close(self, *, keep: bool = True) -> None:
        """Complete the file, or leave nothing. Closing twice is fine.

        Raises:
            StreamcamError: it could not be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self.finish() and keep:
                self.partial.replace(self.path)
                self.completed()
        except WRITE_FAILURES as e:
            raise self.failed(e) from e
        finally:
            if not (self._broken and self.is_of_use()):
                self.partial.unlink(missing_ok=True)

    def failed(self, error: Exception) -> StreamcamError:
        """What to raise when the file cannot be written; it will not be complete."""
        self._broken = True
        why = getattr(error, "strerror", None) or error
        until_then = f"; what was recorded until then is in {self.partial}" if self.is_of_use() else ""
        return StreamcamError(f"cannot write {self.path}: {why}{until_then}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close(keep=not self._broken)


def path_for(path: Path, source: str, *, several: bool) -> Path:
    """A file for each source: out.mp4, or out-cam1.mp4 where there are several."""
    return path.with_name(f"{path.stem}-{source}{path.suffix}") if several else path


def require_folder(path: Path) -> None:
    """Find out before a long run that its results could not be written.

    Raises:
        StreamcamError: the folder does not exist, or nothing can be written there.
    """
    if not path.parent.is_dir():
        raise StreamcamError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise StreamcamError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'permission denied'}")
