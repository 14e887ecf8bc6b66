"""A recording on its way: a file that any player opens, also when nobody comes to complete it."""

import fcntl
import os
import struct
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread

from streamcam.errors import StreamcamError

SYNC_S = 1.0
"""How often what was written is brought to the disk."""


def unfinished_name(path: Path) -> Path:
    """Where a recording lies until it is complete: NAME.part.mp4, beside NAME.mp4."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


class Unfinished:
    """The file in which a recording is written; it is this process's alone until it is closed.

    About once a second it is brought to the disk, so that a power cut takes no more. That is done on a thread of its
    own: a disk may take its time.
    """

    def __init__(self, path: Path) -> None:
        """Make it, empty. What a run that was killed has left there gets another name first.

        Args:
            path: the recording's name.

        Raises:
            StreamcamError: it cannot be written, or another process is recording there.
        """
        self.path = unfinished_name(path)
        try:
            self._descriptor = self._taken(path)
            self.left = put_aside(self.path) if has_pictures(self.path) else None
            """What was there, under its new name."""
            if self.left is not None:
                os.close(self._descriptor)
                self._descriptor = self._taken(path)
            sync_folder(path)
        except OSError as e:
            raise StreamcamError(f"cannot write {path}: {e.strerror}") from e
        self._closed = Event()
        self._thread = Thread(target=self._sync, daemon=True, name=f"sync {path.name}")
        self._thread.start()

    def _taken(self, path: Path) -> int:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            os.close(descriptor)
            raise StreamcamError(f"cannot write {path}: another process is recording there") from e
        except OSError:  # a file system without locks
            pass
        return descriptor

    def _sync(self) -> None:
        while not self._closed.wait(SYNC_S):
            with suppress(OSError):  # whoever writes is told the same
                os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let others have it, all of it on the disk. Closing twice is fine."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        with suppress(OSError):
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)


def put_aside(path: Path) -> Path:
    """Give what a run that was killed has left the next free name: NAME.part-1.mp4."""
    names = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(1))
    free = next(name for name in names if not name.exists())
    path.rename(free)
    return free


def has_pictures(path: Path) -> bool:
    """Whether an mp4 has a whole fragment in it: then it plays."""
    end = path.stat().st_size
    with path.open("rb") as file:
        begin = 0
        while len(head := file.read(16)) == 16:
            size, kind, long_size = struct.unpack(">I4sQ", head)
            begin += long_size if size == 1 else size
            if size == 0 or begin > end:
                return False
            if kind == b"mdat":
                return True
            file.seek(begin)
    return False


def sync_folder(path: Path) -> None:
    """Bring the name of a file to the disk."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that has no such thing
        pass
    finally:
        os.close(descriptor)
