"""The names of the clips that `streamcam record` writes: who is in them, and when they were recorded."""

import re
import time
from itertools import count
from pathlib import Path
from unicodedata import normalize

from streamcam.files import unfinished_name
from streamcam.train.data.annotations import file_exists

# A hyphen between date and time, and the person before an underscore: cameras and phones name their files otherwise.
_PERSON = re.compile(r"(.+)_\d{8}-\d{6}(?:-\d+)?", re.ASCII)
_TIME = re.compile(r"(?<!\d)(\d{8})[-_](\d{6})", re.ASCII)


def new_recording(folder: Path, person: str | None, time_ns: int) -> Path:
    """Return a path that is free, such as anna_20261130-101500.mp4; without a person, 20261130-101500.mp4.

    Args:
        folder: the folder for the clip.
        person: who is in it.
        time_ns: when it begins, Unix time in nanoseconds; the name has the local time.
    """
    begin = time.strftime("%Y%m%d-%H%M%S", time.localtime(time_ns / 1e9))
    stem = begin if person is None else f"{person}_{begin}"
    paths = (folder / f"{stem}{'' if number == 1 else f'-{number}'}.mp4" for number in count(1))
    return next(path for path in paths if not file_exists(path) and not file_exists(unfinished_name(path)))


def person_of(path: Path) -> str | None:
    """Return the person that the name of a recorded clip begins with.

    >>> person_of(Path("anna_20261130-101500.mp4")), person_of(Path("VID_20261130_101500.mp4"))
    ('anna', None)
    """
    match = _PERSON.fullmatch(path.stem)
    return None if match is None else normalize("NFC", match[1]).strip() or None


def recorded_at(path: Path) -> str:
    """Return when a clip was recorded, as 14 digits that sort by time; an empty text where its name does not say.

    >>> recorded_at(Path("VID_20261130_101500.mp4")), recorded_at(Path("wave-2.mp4"))
    ('20261130101500', '')
    """
    match = _TIME.search(path.stem)
    return "" if match is None else match[1] + match[2]
