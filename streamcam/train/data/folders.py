"""Read annotations from folders: each class has a folder of clips."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.render.image_files import SUFFIXES as PICTURES
from streamcam.train.data.annotations import (
    Annotation,
    Listing,
    count_of,
    first_few,
    normalise_name,
    require_classes,
    resolve_splits,
    split_of,
)
from streamcam.train.data.recordings import person_of

SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"}
)
"""Folders that operating systems and file servers leave behind; hidden ones are ignored as well."""

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class FolderTree:
    """A folder with its folders and files, without those of the system."""

    path: Path
    folders: list["FolderTree"] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    """Files that are not videos."""

    @property
    def name(self) -> str:
        """The folder's name in NFC: some systems store accents as characters of their own."""
        return normalize("NFC", self.path.name).strip()

    def walk(self) -> Iterator["FolderTree"]:
        """Yield this folder and all folders below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def all_videos(self) -> list[Path]:
        """Return the videos in this folder and below it, sorted."""
        return sorted(path for tree in self.walk() for path in tree.videos)

    def classes(self) -> list["FolderTree"]:
        """Return the direct subfolders that hold videos at any depth."""
        return [folder for folder in self.folders if any(tree.videos for tree in folder.walk())]

    @property
    def has_splits(self) -> bool:
        """Whether its subfolders are splits of a data set, and not classes.

        They are if train and val (or test) both hold classes, or if every subfolder has the name of a split and at
        least one holds classes. One called `train` beside other names is a class: a vehicle, say.
        """
        splits = {split_of(folder.name) for folder in self.classes() if folder.classes()}
        all_are_splits = bool(splits) and None not in self.split_names
        return {"train", "val"} <= splits or {"train", "test"} <= splits or all_are_splits

    @property
    def split_names(self) -> set[str | None]:
        """The splits that its subfolders name; None stands for any other name."""
        return {split_of(folder.name) for folder in self.classes()}


def read_folders(data: Path, *, known: bool) -> Listing:
    """Find the clips below a folder.

    Args:
        data: DATA/CLASS/clip.mp4, DATA/train/CLASS/clip.mp4 or DATA/CLASS/train/clip.mp4, with val or test. A clip that
            `streamcam record --person` wrote says by its name who is in it.
        known: whether the classes are those of a checkpoint; their names may then be nearly the same.

    Raises:
        StreamcamError: it is not a folder, or its subfolders do not look like classes.
    """
    if not data.is_dir():
        raise StreamcamError(f"no such folder or CSV file: {data}")
    tree = read_tree(data)
    if not tree.classes():
        raise StreamcamError(f"{data} holds no clips in folders, one for each class: {_hint(tree)}")
    _require_splits_or_classes(tree)
    _require_one_reading(tree)
    listing = resolve_splits(Listing(_annotations(tree), _note_on_other_splits(data)), data)
    # If a deeper folder was meant, `require_classes` has the better message.
    if _deeper_tree(tree) is None:
        _require_clips(tree)
    require_classes(listing.annotations, data, _hint(tree), known=known)
    return Listing(listing.annotations, [*listing.notes, *_note_on_split_names(tree), *_notes_on_unused(tree)])


def read_tree(path: Path) -> FolderTree:
    """Read all that is below a folder, except hidden and system files; links are followed.

    Raises:
        StreamcamError: a folder cannot be read.
    """
    return _read_tree(path, frozenset())


def _read_tree(path: Path, ancestors: frozenset[str]) -> FolderTree:
    tree, real = FolderTree(path), os.path.realpath(path)
    try:
        entries = sorted(path.iterdir())
    except OSError as e:
        raise StreamcamError(f"cannot read the folder {path}: {e.strerror}") from e
    for entry in entries:
        name = entry.name.casefold()
        if name.startswith(".") or name in SYSTEM_FOLDERS | SYSTEM_FILES:
            continue
        if entry.is_dir():
            # A link to a folder that contains it would be followed without an end.
            if os.path.realpath(entry) not in ancestors | {real}:
                tree.folders.append(_read_tree(entry, ancestors | {real}))
        else:
            (tree.videos if _is_video(entry) else tree.others).append(entry)
    return tree


def _is_video(path: Path) -> bool:
    """Return whether a file is a complete video: an interrupted recording ends in .part.mp4."""
    return path.suffix.lower() in VIDEOS and not path.stem.endswith(".part")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _split_folders(tree: FolderTree) -> dict[str, FolderTree]:
    """Return the folder of each split.

    Raises:
        StreamcamError: two folders name the same split.
    """
    folders: dict[str, FolderTree] = {}
    for folder in tree.classes():
        split = split_of(folder.name)
        if split in folders:
            raise StreamcamError(
                f"{folders[split].path} and {folder.path} are both {split}: put their clips into one of them"
            )
        if split is not None:
            folders[split] = folder
    return folders


def _annotations(tree: FolderTree) -> list[Annotation]:
    if not tree.has_splits:
        return [annotation for folder in tree.folders for annotation in _class_annotations(folder, None)]
    return [
        annotation
        for split, split_tree in _split_folders(tree).items()
        for folder in split_tree.folders
        for annotation in _class_annotations(folder, split)
    ]


def _class_annotations(folder: FolderTree, split: str | None) -> list[Annotation]:
    """Return the clips of a class. Its own subfolders may be splits, unless it lies in one already."""
    splits = {part.path: split_of(part.name) for part in folder.classes()}
    if split is None and "train" in splits.values() and {"val", "test"} & {*splits.values()}:
        annotations = [_annotation(path, folder, None) for path in folder.videos]
        for part in folder.classes():
            annotations += [_annotation(path, folder, splits[part.path]) for path in part.all_videos()]
        return annotations
    return [_annotation(path, folder, split) for path in folder.all_videos()]


def _annotation(path: Path, folder: FolderTree, split: str | None) -> Annotation:
    return Annotation(path, folder.name, split=split, group=person_of(path))


def _require_splits_or_classes(tree: FolderTree) -> None:
    """Refuse splits without classes, and splits beside classes: both are mistakes that would train something else."""
    folders = tree.classes()
    splits = [folder for folder in folders if split_of(folder.name)]
    if tree.has_splits or not splits:
        return
    if len(folders) > 1 and len(splits) == len(folders):
        names = " and ".join(folder.name for folder in splits)
        raise StreamcamError(
            f"{tree.path}: {names} hold no folder for each class: expected {splits[0].path}/CLASS/clip.mp4"
        )
    names_beside = {normalise_name(folder.name) for folder in folders}
    for split in splits:
        if names_beside & {normalise_name(folder.name) for folder in split.classes()}:
            raise StreamcamError(
                f"{split.path} holds folders of the classes that lie beside it: put those into {tree.path}/train"
            )


def _require_one_reading(tree: FolderTree) -> None:
    """Refuse folders that all hold the same folders, as PERSON/CLASS does: either level may be the classes."""
    parts = [{normalise_name(part.name): part.name for part in folder.classes()} for folder in tree.classes()]
    common = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    # One folder in common may be anything, such as `raw`. And CLASS/train/clip.mp4 is a known layout.
    if tree.has_splits or len(common) < 2 or all({"train"} < set(map(split_of, names)) for names in parts):
        return
    first, names = tree.classes()[0], first_few(sorted(parts[0][name] for name in common))
    raise StreamcamError(
        f"{tree.path}: each of its folders holds {names}: if those are the classes, put their clips together, as in "
        f"{tree.path / parts[0][min(common)]}/{first.name}-1.mp4, or list them in a CSV file: path,label,person; "
        f"if not, put the clips of {first.name} into {first.path} itself"
    )


def _require_clips(tree: FolderTree) -> None:
    folders = _split_folders(tree)["train"].folders if tree.has_splits else tree.folders
    empty = next((folder for folder in folders if not folder.all_videos()), None)
    if empty is not None:
        raise StreamcamError(
            f"no clip of class {empty.name!r}: {empty.path} holds no video files{_hint_on_pictures(empty)}"
        )


def _hint_on_pictures(tree: FolderTree) -> str:
    count = sum(_is_picture(path) for part in tree.walk() for path in part.others)
    advice = "frames in files of their own are not read, make a video of each clip"
    return f" (but {count_of(count, 'picture')}: {advice})" if count else ""


def _hint(tree: FolderTree) -> str:
    """Say what the user may have meant: a folder below, a CSV file in it, or the folder above."""
    deeper = _deeper_tree(tree)
    if deeper is not None:
        return f"did you mean {deeper.path}?"
    csv_files = [path for path in tree.others if path.suffix.lower() in (".csv", ".tsv")]
    if csv_files:
        return f"did you mean {csv_files[0]}?"
    parent = tree.path.resolve().parent
    # Videos lie directly in the folder, and its neighbours hold videos, too: it is a class, and they are the others.
    if tree.videos and sum(_holds_videos(folder) for folder in _folders_in(parent)) > 1:
        return f"did you mean {parent}?"
    return f"make a folder of clips for each class, one for what is none of them, too{_hint_on_pictures(tree)}"


def _deeper_tree(tree: FolderTree) -> FolderTree | None:
    """Follow single subfolders down to one with splits or classes; None unless the given one is a level too high."""
    node = tree
    while len(node.classes()) == 1 and not node.videos and not node.has_splits:
        node = node.classes()[0]
    has_classes = len(node.classes()) > 1 and None in node.split_names
    return node if node is not tree and (node.has_splits or has_classes) else None


def _folders_in(path: Path) -> list[Path]:
    with suppress(OSError):
        return [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return []


def _holds_videos(folder: Path) -> bool:
    with suppress(OSError):
        return any(path.suffix.lower() in VIDEOS for path in folder.iterdir())
    return False


def _note_on_other_splits(data: Path) -> list[str]:
    """Name the val and test folders beside a train folder that was given alone."""
    resolved = data.resolve()
    if split_of(resolved.name) != "train":
        return []
    others = [folder for folder in sorted(_folders_in(resolved.parent)) if split_of(folder.name) in ("val", "test")]
    return [f"not used: {first_few(others)}, beside {data}: give {resolved.parent} for both"] if others else []


def _note_on_split_names(tree: FolderTree) -> list[str]:
    names = [folder.name for folder in tree.classes() if split_of(folder.name)]
    return [] if tree.has_splits or not names else [f"taken for a class, as it lies beside others: {first_few(names)}"]


def _notes_on_unused(tree: FolderTree) -> list[str]:
    """Name the videos outside any class, the pictures and the other files, a note for each."""
    roots = [*_split_folders(tree).values()] if tree.has_splits else [tree]  # folders whose subfolders are classes
    stray = [path for part in {id(root): root for root in (tree, *roots)}.values() for path in part.videos]
    stray += [p for folder in tree.folders if folder not in roots and tree.has_splits for p in folder.all_videos()]
    others = [p for root in roots for folder in root.folders for part in folder.walk() for p in part.others]
    pictures, rest = [p for p in others if _is_picture(p)], [p for p in others if not _is_picture(p)]
    unused = [
        (stray, "not in the folder of a class", "video"),
        (pictures, "frames in files of their own, which are not read", "picture"),
        (rest, "not videos", "file"),
    ]
    return [
        f"left out, {reason}: {count_of(len(paths), noun)}: {first_few(p.relative_to(tree.path) for p in paths)}"
        for paths, reason, noun in unused
        if paths
    ]
