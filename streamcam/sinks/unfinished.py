"""The temporary file of a recording: it plays in any player, even if the program is killed before completing it."""

import fcntl
import os
import struct
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread

from streamcam.errors import StreamcamError
from streamcam.files import unfinished_name

SYNC_S = 1.0
"""How often what was written is brought to the disk."""


class UnfinishedFile:
    """The file NAME.part.mp4 that a recording is written to; a lock keeps other processes out until it is closed.

    A thread brings it to the disk about once a second, so that a power cut takes no more than that. The writer cannot
    do so itself: a slow disk would hold it up.
    """

    path: Path
    rescued: Path | None
    """What a killed run had left here, under its new name; None if there was nothing that plays."""

    def __init__(self, path: Path) -> None:
        """Make it, empty. What a killed run has left there gets another name first.

        Args:
            path: the recording's name.

        Raises:
            StreamcamError: it cannot be written, or another process is recording there.
        """
        self.path = unfinished_name(path)
        try:
            self._descriptor = self._open_locked(path)
            # With the lock held, no process writes to what is there: its writer is dead.
            self.rescued = put_aside(self.path) if has_pictures(self.path) else None
            if self.rescued is not None:
                os.close(self._descriptor)  # it belongs to the renamed file
                self._descriptor = self._open_locked(path)
            sync_folder(path)
        except OSError as e:
            raise StreamcamError(f"cannot write {path}: {e.strerror}") from e
        self._closed = Event()
        self._thread = Thread(target=self._sync, daemon=True, name=f"sync {path.name}")
        self._thread.start()

    def _open_locked(self, path: Path) -> int:
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
            with suppress(OSError):  # the writer gets the same error, and reports it
                os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Bring all of it to the disk, and release the lock. Closing twice is fine."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        with suppress(OSError):
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)


def put_aside(path: Path) -> Path:
    """Rename what a killed run has left to the next free name, NAME.part-1.mp4, and return that."""
    names = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(1))
    free = next(name for name in names if not name.exists())
    path.rename(free)
    return free


def has_pictures(path: Path) -> bool:
    """Return whether an mp4 holds at least one whole fragment of data; then it plays.

    It walks over the file's boxes (ISO/IEC 14496-12, section 4.2): four bytes of size, then four of type. Size 1 means
    that eight bytes of size follow. Size 0 means that the box has no size yet.
    """
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
    """Bring the name of a file to the disk: `fsync` of the file alone does not cover its folder's entry."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that cannot sync folders
        pass
    finally:
        os.close(descriptor)
