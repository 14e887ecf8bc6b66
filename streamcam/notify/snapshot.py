"""Finds the picture of an event among its files, and reads it."""

from pathlib import Path

from streamcam.event import Event

PICTURES = (".jpg", ".jpeg")
MAX_PICTURE_BYTES = 8 << 20


def find_snapshot(event: Event, folder: Path | None) -> Path | None:
    """Return the path of an event's JPEG picture, or None if there is none that this process can read.

    Args:
        event: names its files. It comes from outside, so what it names must be in `folder`.
        folder: where the files of all events are.
    """
    if folder is None or event.folder is None:
        return None
    names = sorted(name for name in event.files if name.lower().endswith(PICTURES))
    names.sort(key=lambda name: not name.startswith("snapshot"))
    try:
        root = folder.resolve()
        paths = [(root / event.folder / name).resolve() for name in names]
        return next((path for path in paths if path.is_relative_to(root) and _is_picture(path)), None)
    except (OSError, ValueError):
        return None


def read_snapshot(event: Event, folder: Path | None) -> bytes | None:
    """Return the JPEG picture that `find_snapshot` finds; None if there is none, or if it has just been removed."""
    path = find_snapshot(event, folder)
    try:
        return None if path is None else path.read_bytes()
    except OSError:
        return None


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MAX_PICTURE_BYTES
