"""The folders of saved events, `FOLDER/YYYY/MM/DD/ID/`: where they are, what is in them, and which are kept.

ID.part      is being written, or was when its writer was killed
ID           is complete
ID.keep      an empty file beside it: the event is never removed to make room
ID.removed   was complete, and is being removed, or was when its remover was killed
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.event_json import FILE_NAME, MAX_EVENT_BYTES, MAX_FILES, decode_event

EVENT_JSON = "event.json"
PART, KEEP, REMOVED = ".part", ".keep", ".removed"
DAMAGED = "(damaged)"
"""The rule of an event whose event.json cannot be read. It can be listed and removed as any other."""

_BLOCK = 4096
"""Bytes that even the smallest file takes on most disks."""

_TRIES = 20
_ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event whose files are complete."""

    event: Event
    """Its `state` is saved; `folder` and `files` are what is there."""
    kept: bool
    """Whether it stays when others are removed to make room."""
    size_bytes: int
    """What its files take on the disk, at least: each counts in blocks of 4 KiB."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the names in a folder of events say. All are relative, as `2026/11/30/ID`."""

    complete: frozenset[str]
    kept: frozenset[str]
    removed: frozenset[str]


def folder_of(event: Event) -> str:
    """Return where an event's files are, relative to the folder of events: `YYYY/MM/DD/ID`, by its start in UTC."""
    return event.folder or f"{datetime.fromtimestamp(event.start_ns // 1_000_000_000, UTC):%Y/%m/%d}/{event.id}"


def list_folders(root: Path) -> Listing:
    """List a folder of events by names alone, without opening anything.

    Raises:
        OSError: it cannot be read.
    """
    complete, kept, removed = set(), set(), set()
    for day in _days(root):
        for entry in _entries(root / day):
            name = f"{day}/{entry.name}"
            if entry.name.endswith(KEEP):
                kept.add(name.removesuffix(KEEP))
            elif entry.is_dir(follow_symlinks=False):
                if entry.name.endswith(REMOVED):
                    removed.add(name)
                elif not entry.name.endswith(PART):
                    complete.add(name)
    return Listing(frozenset(complete), frozenset(kept), frozenset(removed))


def read_folder(root: Path, name: str) -> StoredEvent | None:
    """Read one event's folder; None if it is not there any more, or nothing that streamcam has made.

    Raises:
        OSError: it cannot be read.
    """
    folder = root / name
    try:
        files = [entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        size_bytes = sum(-(-entry.stat().st_size // _BLOCK) * _BLOCK for entry in files) + _BLOCK
        event = _read_event(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if event is None:
        return None
    there = {entry.name for entry in files if FILE_NAME.fullmatch(entry.name)}
    names = [*(name for name in event.files if name in there), *sorted(there - set(event.files))]
    saved = replace(event, state="saved", folder=name, files=tuple(names[:MAX_FILES]))
    return StoredEvent(saved, is_kept(root, name), size_bytes)


def is_kept(root: Path, name: str) -> bool:
    """Return whether a folder's event is kept: the mark beside it is the truth, and not the index."""
    return _mark(root, name).exists()


def mark_kept(root: Path, name: str, *, kept: bool) -> None:
    """Put the mark there, or take it away.

    Raises:
        OSError: the system refuses it.
    """
    if kept:
        _mark(root, name).touch()
    else:
        _mark(root, name).unlink(missing_ok=True)


def set_aside(root: Path, name: str) -> str:
    """Rename a complete folder in one step, so that no half of it is ever taken for an event. Return its new name.

    Raises:
        OSError: the system refuses it.
    """
    with suppress(FileNotFoundError):  # it has been removed by hand, or by another process
        (root / name).rename(root / f"{name}{REMOVED}")
    return f"{name}{REMOVED}"


def delete(root: Path, removed: str) -> None:
    """Delete a folder that was set aside, with its mark. It may be gone already.

    Raises:
        OSError: the system refuses it.
    """
    mark_kept(root, removed.removesuffix(REMOVED), kept=False)
    path = root / removed
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # another process deletes it, too, and may end with the same error
            shutil.rmtree(path)
        if not path.exists():
            return


def _mark(root: Path, name: str) -> Path:
    return root / f"{name}{KEEP}"


def _days(root: Path) -> Iterator[str]:
    """Yield the names of all days, as `2026/11/30`."""
    for year in _numbers(root, 4):
        for month in _numbers(root / year, 2):
            for day in _numbers(root / year / month, 2):
                yield f"{year}/{month}/{day}"


def _numbers(folder: Path, digits: int) -> list[str]:
    names = (entry.name for entry in _entries(folder) if entry.is_dir(follow_symlinks=False))
    return sorted(name for name in names if len(name) == digits and name.isascii() and name.isdigit())


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:  # an empty day may be removed meanwhile
        return []


def _read_event(folder: Path) -> Event | None:
    """Read an event's JSON. Where that is damaged, what the folder's name says has to do."""
    try:
        with (folder / EVENT_JSON).open("rb") as file:
            event = decode_event(file.read(MAX_EVENT_BYTES + 1))
        if event.id == folder.name:
            return event
    except (OSError, StreamcamError):
        pass
    return _damaged(folder.name)


def _damaged(event_id: str) -> Event | None:
    """Make an event of its id alone, so that retention can remove its files; None if that is no id."""
    if not _ID.fullmatch(event_id):
        return None
    try:
        started = datetime.strptime(event_id[:19], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    start_ns = int(started.timestamp()) * 1_000_000_000 + started.microsecond * 1000
    nothing = {"session": 0, "zone": None, "label": "", "score": 0.0, "peak": 0.0}
    times = {"start_pts_s": 0.0, "pts_s": 0.0, "peak_pts_s": 0.0, "start_ns": start_ns}
    return Event(id=event_id, state="saved", rule=DAMAGED, source="?", **nothing, **times)  # type: ignore[arg-type]
