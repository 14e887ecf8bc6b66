"""The folder of one event's files: made under a temporary name, which changes when all of them are complete.

    FOLDER/2026/11/30/ID.part/  →  FOLDER/2026/11/30/ID/   with clip.mp4, snapshot.jpg, heat.npz and event.json

heat.npz has the arrays of `HeatRecorder`, for the windows of the event, and `clip_begin_pts_s`: the `pts_s` of the
clip's first picture. A clip's own times begin at 0.

The date is that of the event's beginning, in UTC. A run that was killed leaves the temporary folder. A lock on it tells
whether its writer still lives.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.event_json import decode_event, encode_event
from streamcam.events.store.folders import EVENT_JSON, folder_of
from streamcam.sinks.faststart import index_first
from streamcam.sinks.unfinished import has_pictures, sync_folder

CLIP, SNAPSHOT, HEAT = "clip.mp4", "snapshot.jpg", "heat.npz"

UNFINISHED = ".part"
"""The end of a temporary folder's name."""

CONSTANTS = frozenset({"transform", "labels"})
"""Arrays of heat without a row for each window."""


class UnfinishedFolder:
    """A temporary folder that this process has locked."""

    def __init__(self, root: Path, partial: Path) -> None:
        """Lock a temporary folder that is there.

        Raises:
            BlockingIOError: another process writes there.
            OSError: it cannot be opened.
        """
        self.root, self.partial = root, partial
        self._descriptor: int | None = os.open(partial, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise
        except OSError:  # a file system without locks
            pass

    @classmethod
    def make(cls, root: Path, event: Event) -> Self:
        """Make the temporary folder of an event, and lock it.

        Raises:
            OSError: it cannot be made.
        """
        partial = root / f"{folder_of(event)}{UNFINISHED}"
        partial.mkdir(parents=True)
        return cls(root, partial)

    def write_record(self, event: Event) -> None:
        """Write the event's record, in one step.

        Raises:
            OSError: it cannot be written.
        """
        hidden = self.partial / f".{EVENT_JSON}"
        with hidden.open("wb") as file:
            file.write(encode_event(event))
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(self.partial / EVENT_JSON)

    def complete(self, event: Event) -> Event:
        """Give the folder its name; return the event as `saved`, with folder and files.

        Raises:
            OSError: it cannot be written.
        """
        final = self.partial.with_name(self.partial.name.removesuffix(UNFINISHED))
        folder = final.relative_to(self.root).as_posix()
        media = [name for name in (CLIP, SNAPSHOT, HEAT) if self._bring_to_disk(name)]
        saved = replace(event, state="saved", folder=folder, files=(*media, EVENT_JSON))
        self.write_record(saved)
        sync_folder(self.partial / EVENT_JSON)
        self.partial.rename(final)
        sync_folder(final)
        self.close()
        return saved

    def _bring_to_disk(self, name: str) -> bool:
        """Bring a file to the disk; return whether there is one."""
        with suppress(FileNotFoundError), (self.partial / name).open("rb") as file:
            os.fsync(file.fileno())
            return True
        return False

    def discard(self) -> None:
        """Remove it with all that is in it, as far as possible."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Release the lock. Closing twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def complete_clip(clip: Path) -> None:
    """Put a clip's index first; remove a clip without a whole fragment."""
    if not clip.exists():
        return
    if has_pictures(clip):
        index_first(clip)
    else:
        clip.unlink()


def rescue(root: Path) -> Iterator[Event]:
    """Complete the folders that a killed run has left, as far as that is possible; remove the others.

    A clip plays up to its last fragment. What another process writes to is left alone.

    Yields:
        The events that are complete now, as `saved`.

    Raises:
        OSError: the folder cannot be read or written.
    """
    for partial in sorted(root.glob(f"[0-9]*/[0-9]*/[0-9]*/*{UNFINISHED}")):
        try:
            folder = UnfinishedFolder(root, partial)
        except (BlockingIOError, FileNotFoundError, NotADirectoryError):
            continue
        try:
            event = decode_event((partial / EVENT_JSON).read_bytes())
            complete_clip(partial / CLIP)
            _complete_heat(partial)
        except (StreamcamError, FileNotFoundError):
            folder.discard()
            continue
        for hidden in partial.glob(".*"):
            hidden.unlink()
        yield folder.complete(replace(event, reason=event.reason or "stopped"))


def _complete_heat(partial: Path) -> None:
    """Pack the arrays that a killed `HeatRecorder` has left."""
    columns = partial / Path(HEAT).with_suffix(UNFINISHED)
    if columns.is_dir() and not (partial / HEAT).exists():
        with suppress(ValueError):  # a column that was cut off
            arrays = {column.stem: np.load(column) for column in sorted(columns.glob("*.npy"))}
            rows = min((len(array) for name, array in arrays.items() if name not in CONSTANTS), default=0)
            np.savez(partial / HEAT, **{n: a if n in CONSTANTS else a[:rows] for n, a in arrays.items()})
    shutil.rmtree(columns, ignore_errors=True)
