"""A folder with a folder of clips for each class → rows."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.render.image_files import SUFFIXES as PICTURES
from streamcam.train.rows import Listed, Row, counted, few, folded, require_classes, settled, side_of

JUNK = frozenset({"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"})
"""What systems leave in folders, beside what is hidden."""

JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder, as far as it is of interest here."""

    path: Path
    folders: list["Tree"] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    """Files that are no videos."""

    @property
    def name(self) -> str:
        """Its own name, however the system stores accents."""
        return normalize("NFC", self.path.name).strip()

    def walk(self) -> Iterator["Tree"]:
        """Itself, and all that is below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def all_videos(self) -> list[Path]:
        """Its videos, and those below it."""
        return sorted(path for tree in self.walk() for path in tree.videos)

    def classes(self) -> list["Tree"]:
        """The folders in it that hold videos somewhere."""
        return [folder for folder in self.folders if any(tree.videos for tree in folder.walk())]

    @property
    def divided(self) -> bool:
        """Whether its folders are the sides of a data set, and not classes."""
        sides = {side_of(folder.name) for folder in self.classes() if folder.classes()}
        return {"train", "val"} <= sides or {"train", "test"} <= sides or (bool(sides) and None not in self.names)

    @property
    def names(self) -> set[str | None]:
        """The sides that its folders name, None for any other name."""
        return {side_of(folder.name) for folder in self.classes()}


def folder_rows(data: Path, *, known: bool) -> Listed:
    """Find the clips below a folder.

    Args:
        data: DATA/CLASS/clip.mp4, DATA/train/CLASS/clip.mp4 or DATA/CLASS/train/clip.mp4, with val or test.
        known: whether the classes are those of a checkpoint, which may be told apart by less than others.

    Raises:
        StreamcamError: it is no folder, or its folders do not look like classes.
    """
    if not data.is_dir():
        raise StreamcamError(f"no such folder or CSV file: {data}")
    tree = read_tree(data)
    if not tree.classes():
        raise StreamcamError(f"{data} holds no clips in folders, one for each class: {_hint(tree)}")
    _require_no_mixture(tree)
    _require_one_reading(tree)
    listed = settled(Listed(_rows(tree), _beside(data)), data)
    if _deeper(tree) is None:
        _require_clips(tree)
    require_classes(listed.rows, data, _hint(tree), known=known)
    return Listed(listed.rows, [*listed.notes, *_named_like_sides(tree), *_left_out(tree)])


def read_tree(path: Path) -> Tree:
    """All that is below a folder and is neither hidden nor a system's own; links are followed.

    Raises:
        StreamcamError: a folder cannot be read.
    """
    return _read(path, frozenset())


def _read(path: Path, above: frozenset[str]) -> Tree:
    tree, real = Tree(path), os.path.realpath(path)
    try:
        entries = sorted(path.iterdir())
    except OSError as e:
        raise StreamcamError(f"cannot read the folder {path}: {e.strerror}") from e
    for entry in entries:
        name = entry.name.casefold()
        if name.startswith(".") or name in JUNK | JUNK_FILES:
            continue
        if entry.is_dir():
            if os.path.realpath(entry) not in above | {real}:  # a link to what it is in has no end
                tree.folders.append(_read(entry, above | {real}))
        else:
            (tree.videos if _is_video(entry) else tree.others).append(entry)
    return tree


def _is_video(path: Path) -> bool:
    """Whether it is a whole one: a recording that was never completed ends in .part.mp4."""
    return path.suffix.lower() in VIDEOS and not path.stem.endswith(".part")


def _sides(tree: Tree) -> dict[str, Tree]:
    """The folders of a divided data set."""
    found: dict[str, Tree] = {}
    for folder in tree.classes():
        side = side_of(folder.name)
        if side in found:
            raise StreamcamError(
                f"{found[side].path} and {folder.path} are both {side}: put their clips into one of them"
            )
        if side is not None:
            found[side] = folder
    return found


def _rows(tree: Tree) -> list[Row]:
    if not tree.divided:
        return [row for folder in tree.folders for row in _class_rows(folder, None)]
    return [row for side, tree in _sides(tree).items() for folder in tree.folders for row in _class_rows(folder, side)]


def _class_rows(folder: Tree, split: str | None) -> list[Row]:
    """The clips of a class; its own folders may be sides."""
    inner = {part.path: side_of(part.name) for part in folder.classes()}
    if split is None and "train" in inner.values() and {"val", "test"} & {*inner.values()}:
        rows = [Row(path, folder.name) for path in folder.videos]
        return rows + [Row(p, folder.name, split=inner[f.path]) for f in folder.classes() for p in f.all_videos()]
    return [Row(path, folder.name, split=split) for path in folder.all_videos()]


def _require_no_mixture(tree: Tree) -> None:
    """Sides without classes, or beside classes, are a mistake that would train something else."""
    found = tree.classes()
    sides = [folder for folder in found if side_of(folder.name)]
    if tree.divided or not sides:
        return
    if len(found) > 1 and len(sides) == len(found):
        names = " and ".join(folder.name for folder in sides)
        raise StreamcamError(
            f"{tree.path}: {names} hold no folder for each class: expected {sides[0].path}/CLASS/clip.mp4"
        )
    classes = {folded(folder.name) for folder in found}
    for side in sides:
        if classes & {folded(folder.name) for folder in side.classes()}:
            raise StreamcamError(
                f"{side.path} holds folders of the classes that lie beside it: put those into {tree.path}/train"
            )


def _require_one_reading(tree: Tree) -> None:
    """Where every folder holds the same folders, as of people or of days, either may be the classes."""
    inner = [{folded(part.name): part.name for part in folder.classes()} for folder in tree.classes()]
    common = set.intersection(*map(set, inner)) if len(inner) > 1 else set()
    if tree.divided or len(common) < 2 or all({"train"} < set(map(side_of, part)) for part in inner):
        return
    first, names = tree.classes()[0], few(sorted(inner[0][name] for name in common))
    raise StreamcamError(
        f"{tree.path}: each of its folders holds {names}: if those are the classes, put their clips together, as in "
        f"{tree.path / inner[0][min(common)]}/{first.name}-1.mp4, or list them in a CSV file: path,label; if not, "
        f"put the clips of {first.name} into {first.path} itself"
    )


def _require_clips(tree: Tree) -> None:
    folders = _sides(tree)["train"].folders if tree.divided else tree.folders
    empty = next((folder for folder in folders if not folder.all_videos()), None)
    if empty is not None:
        raise StreamcamError(f"no clip of class {empty.name!r}: {empty.path} holds no video files{_pictures_in(empty)}")


def _pictures_in(tree: Tree) -> str:
    count = sum(_is_picture(path) for part in tree.walk() for path in part.others)
    advice = "frames in files of their own are not read, make a video of each clip"
    return f" (but {counted(count, 'picture')}: {advice})" if count else ""


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _hint(tree: Tree) -> str:
    """What the user may have meant."""
    deeper = _deeper(tree)
    if deeper is not None:
        return f"did you mean {deeper.path}?"
    lists = [path for path in tree.others if path.suffix.lower() in (".csv", ".tsv")]
    if lists:
        return f"did you mean {lists[0]}?"
    parent = tree.path.resolve().parent
    if tree.videos and sum(_holds_videos(folder) for folder in _folders_in(parent)) > 1:
        return f"did you mean {parent}?"
    return f"make a folder of clips for each class, one for what is none of them, too{_pictures_in(tree)}"


def _deeper(tree: Tree) -> Tree | None:
    """Where the only folder leads to several: one level too high was given."""
    node = tree
    while len(node.classes()) == 1 and not node.videos and not node.divided:
        node = node.classes()[0]
    return node if node is not tree and (node.divided or (len(node.classes()) > 1 and None in node.names)) else None


def _folders_in(path: Path) -> list[Path]:
    with suppress(OSError):
        return [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return []


def _holds_videos(folder: Path) -> bool:
    with suppress(OSError):
        return any(path.suffix.lower() in VIDEOS for path in folder.iterdir())
    return False


def _beside(data: Path) -> list[str]:
    """Where one side alone was given: the others."""
    here = data.resolve()
    if side_of(here.name) != "train":
        return []
    others = [folder for folder in sorted(_folders_in(here.parent)) if side_of(folder.name) in ("val", "test")]
    return [f"not used: {few(others)}, beside {data}: give {here.parent} for both"] if others else []


def _left_out(tree: Tree) -> list[str]:
    """What lies there and is not learnt from."""
    used = [*_sides(tree).values()] if tree.divided else [tree]
    astray = [path for part in {id(t): t for t in (tree, *used)}.values() for path in part.videos]
    astray += [p for f in tree.folders if f not in used and tree.divided for p in f.all_videos()]
    others = [p for t in used for folder in t.folders for part in folder.walk() for p in part.others]
    pictures, rest = [p for p in others if _is_picture(p)], [p for p in others if not _is_picture(p)]
    found = [
        (astray, "in no folder of a class", "video"),
        (pictures, "frames in files of their own, which are not read", "picture"),
        (rest, "no videos", "file"),
    ]
    return [
        f"left out, {what}: {counted(len(paths), noun)}: {few(p.relative_to(tree.path) for p in paths)}"
        for paths, what, noun in found
        if paths
    ]


def _named_like_sides(tree: Tree) -> list[str]:
    names = [folder.name for folder in tree.classes() if side_of(folder.name)]
    return [] if tree.divided or not names else [f"taken for a class, as it lies beside others: {few(names)}"]
