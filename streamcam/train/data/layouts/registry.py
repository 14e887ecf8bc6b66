"""All layouts of data sets, by name. To add one, write a file beside this, and list it in `LAYOUTS`."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from msgspec import Raw

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.train.data.annotations import Listing, first_few, require_classes, resolve_splits
from streamcam.train.data.csv_file import read_csv
from streamcam.train.data.folders import read_folders, read_tree
from streamcam.train.data.layouts import (
    activitynet,
    ava,
    cvat,
    fiftyone,
    hmdb51,
    jester,
    kinetics,
    something,
    ucf101,
    via,
)
from streamcam.train.data.layouts.reading import read_json
from streamcam.train.data.layouts.videos import without_missing

SUFFIXES = frozenset({".csv", ".json", ".txt", ".xml"})
"""Suffixes of annotation files."""

NOT_CSV = frozenset({".json", ".xml"})
"""Suffixes of files that are not CSV files for sure."""

MAX_SUFFIXES = 4
"""The description of an unknown folder counts the files of this many suffixes."""

Read = Callable[[Path, Sequence[Path], bool], Listing]


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout: how it is recognised, and how it is read."""

    description: str
    """The files that it consists of, for people."""
    recognises: Callable[[Path], bool]
    """Whether a file is one of its annotation files; for folders of classes, whether it is a folder."""
    read: Read
    """Takes the path that was given, what was recognised in it, and whether the classes are those of a checkpoint."""
    is_published: bool = False
    """Whether others made the list, so that it may name videos that are not there, and segments that are too short."""


def _published(
    description: str, recognises: Callable[[Path], bool], read: Callable[[Sequence[Path], Path], Listing]
) -> Layout:
    """Make a layout of a list that others made.

    Args:
        description: as in `Layout`.
        recognises: as in `Layout`.
        read: takes the annotation files, and the folder that the videos lie in or below.
    """

    def read_present(data: Path, files: Sequence[Path], known: bool) -> Listing:
        root = data if data.is_dir() else data.parent
        listing = read(files, root)
        if not listing.annotations:
            raise StreamcamError(f"{first_few(files)}: no clip with a label is listed")
        listing = resolve_splits(without_missing(listing, files, root), data)
        annotations = [replace(a, label=normalize("NFC", a.label).strip()) for a in listing.annotations]
        unnamed = next((a for a in annotations if not a.label), None)
        if unnamed is not None:
            raise StreamcamError(f"{first_few(files)}: a clip of {unnamed.path} has an empty label")
        require_classes(annotations, data, "take clips of another, too", known=known)
        return Listing(annotations, listing.notes)

    return Layout(description, recognises, read_present, is_published=True)


def _may_be_csv(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() not in NOT_CSV


LAYOUTS: dict[str, Layout] = {
    "Kinetics": _published("CSV: label,youtube_id,time_start,time_end,split", kinetics.recognises, kinetics.read),
    "UCF101": _published("TXT: classInd, trainlist01, testlist01", ucf101.recognises, ucf101.read),
    "HMDB51": _published("TXT: CLASS_test_split1", hmdb51.recognises, hmdb51.read),
    "Something-Something": _published("JSON: a list with id and template", something.recognises, something.read),
    "ActivityNet or THUMOS": _published("JSON: database", activitynet.recognises, activitynet.read),
    "VIA": _published("CSV: # Exported using VGG Image Annotator", via.recognises, via.read),
    "CVAT": _published("XML: CVAT for video 1.1", cvat.recognises, cvat.read),
    "FiftyOne": _published("JSON: samples or labels, with support", fiftyone.recognises, fiftyone.read),
    "AVA": _published("CSV: video,second,x1,y1,x2,y2,action,person", ava.recognises, ava.read),
    "Jester": _published("CSV: id;label, and folders of pictures", jester.recognises, jester.read),
    "folders": Layout("CLASS/clip.mp4", Path.is_dir, lambda data, _, known: read_folders(data, known=known)),
    "CSV": Layout("CSV: path,start,end,label", _may_be_csv, lambda data, _, known: read_csv(data, known=known)),
}
"""Name → layout. The first that recognises anything is taken; the last two are for whatever is left."""


def read_listing(data: Path, *, known: bool) -> tuple[Listing, Layout]:
    """Find the layout of a data set, and read its annotations.

    Args:
        data: a folder, with annotation files in it or in one of its folders; or an annotation file.
        known: whether the classes are those of a checkpoint; their names may then be nearly the same.

    Raises:
        StreamcamError: no layout fits, or an annotation file is wrong.
    """
    candidates = [data, *_annotation_files(data)]
    name, files = _find_layout(data, candidates)
    layout = LAYOUTS[name]
    try:
        listing = layout.read(data, files, known)
    except StreamcamError as e:
        if layout.is_published or len(candidates) == 1 or read_tree(data).classes():
            raise
        raise StreamcamError(f"{e} ({_description(data, candidates[1:])})") from e
    notes = [f"read as {name}", *listing.notes] if layout.is_published else listing.notes
    return Listing(listing.annotations, notes), layout


def _find_layout(data: Path, candidates: Sequence[Path]) -> tuple[str, list[Path]]:
    """Return the name of the first layout that recognises any of the files, and those files.

    Raises:
        StreamcamError: `data` does not exist, or is a file that cannot be a CSV file.
    """
    for name, layout in LAYOUTS.items():
        files = [path for path in (candidates if layout.is_published else [data]) if layout.recognises(path)]
        if files:
            return name, files
    if not data.exists():
        raise StreamcamError(f"no such folder or CSV file: {data}")
    if data.suffix.lower() == ".json":
        read_json(data, Raw)  # what is no JSON has a better message
    raise StreamcamError(f"{data} is of no known layout: did you mean {_layouts_of([data])}?")


def _annotation_files(data: Path) -> list[Path]:
    """Return the files that may be annotations, in a folder and in those of its folders that hold no videos."""
    files = [path for path in _entries(data) if path.suffix.lower() in SUFFIXES]
    for folder in filter(Path.is_dir, _entries(data)):
        entries = _entries(folder)
        if not any(path.suffix.lower() in VIDEOS for path in entries):
            files += [path for path in entries if path.suffix.lower() in SUFFIXES]
    return files


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder and not hidden, sorted; nothing where it cannot be read."""
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    return []


def _description(data: Path, files: Sequence[Path]) -> str:
    """Say what is in a folder, and which layouts have such annotation files."""
    tree = read_tree(data)
    paths = [path for part in tree.walk() for path in (*part.videos, *part.others)]
    counts = Counter(path.suffix.lower() for path in paths).most_common(MAX_SUFFIXES)
    folders = f"the folders {first_few(folder.name for folder in tree.folders)} with " if tree.folders else ""
    seen = " and ".join(f"{count} {suffix or 'other'}" for suffix, count in counts)
    return f"I see {folders}{seen} files; did you mean {_layouts_of(files)}?"


def _layouts_of(files: Sequence[Path]) -> str:
    """Name the layouts whose annotation files have the same suffixes."""
    kinds = {path.suffix.lower()[1:] for path in files}
    return " or ".join(
        f"{name} ({layout.description})"
        for name, layout in LAYOUTS.items()
        if layout.is_published and any(kind in layout.description.lower() for kind in kinds)
    )
