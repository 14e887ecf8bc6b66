"""Labelled clips: a folder per class, or a CSV → what there is to learn from. Nothing is decoded but first pictures."""

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Event

from streamcam.errors import StreamcamError
from streamcam.sources import open_source

SUFFIXES = frozenset(
    (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv", ".gif")
)
COLUMNS = ("path", "start", "end", "label")
SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A stretch of a file, and what is to be seen in it."""

    path: Path
    start_s: float
    end_s: float
    labels: tuple[int, ...]
    """Indices into the classes; one, but for multi-label training."""

    @property
    def name(self) -> str:
        """For people."""
        whole = self.start_s == 0
        return str(self.path) if whole else f"{self.path} ({self.start_s:g}–{self.end_s:g} s)"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Clips to learn from, and others to see whether it was learnt."""

    classes: tuple[str, ...]
    train: tuple[LabelledClip, ...]
    val: tuple[LabelledClip, ...]
    skipped: tuple[str, ...]
    """What could not be read, and why, for people."""

    @property
    def digest(self) -> str:
        """SHA-256 over what the clips are: their labels, times, and files' bytes."""
        digest = hashlib.sha256()
        hashes = {path: _file_digest(path) for path in sorted({clip.path for clip in (*self.train, *self.val)})}
        for part, clips in zip(SPLITS, (self.train, self.val), strict=True):
            for clip in clips:
                names = ",".join(self.classes[label] for label in clip.labels)
                digest.update(f"{part} {hashes[clip.path]} {clip.start_s} {clip.end_s} {names}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Row:
    """As it was found: not opened yet."""

    path: Path
    label: str
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None


def read_dataset(
    data: Path,
    *,
    need_s: float,
    val_share: float,
    multi_label: bool = False,
    known: Sequence[str] | None = None,
    progress: Callable[[Iterable[Path], int], Iterable[Path]] = lambda paths, _: paths,
) -> Dataset:
    """Find the clips, and look into each file.

    Args:
        data: a folder with a folder of clips for each class (below `train` and `val`, where there are these two), or a
            CSV file with the columns path, start, end and label, and `split` (train or val) where wanted. Paths are
            relative to the CSV file; without start and end, a row is the whole file.
        need_s: how long a clip has to be, in seconds.
        val_share: 0–1, how many of the files to keep for validation, where the data do not say which.
        multi_label: whether several rows for the same stretch of a file are one clip with several labels.
        known: the classes of the checkpoint that training starts from; others are an error.
        progress: goes through the files, to show how far it is.

    Raises:
        StreamcamError: no clips, a class with none, clips that are too short, or labels that are not known.
    """
    rows = _csv_rows(data) if data.is_file() else _folder_rows(data)
    classes = tuple(known) if known is not None else tuple(sorted({row.label for row in rows}))
    _require_known(rows, classes, data)
    lengths_s, skipped = _look_into({row.path for row in rows}, progress)
    rows = [row for row in rows if row.path in lengths_s]
    clips = _clips(rows, classes, lengths_s, multi_label=multi_label)
    _require_long_enough([clip for clip, _ in clips], need_s)
    train, val = _divide(clips, val_share, root=data if data.is_dir() else data.parent)
    if known is None:
        _require_every_class(train, classes, data)
    if not train or not val:
        raise StreamcamError(f"{data}: {len(train) + len(val)} clips are too few to learn from and to check with")
    return Dataset(classes, tuple(train), tuple(val), tuple(skipped))


def _folder_rows(data: Path) -> list[_Row]:
    if not data.is_dir():
        raise StreamcamError(f"no such folder or CSV file: {data}")
    split = all((data / part).is_dir() for part in SPLITS)
    roots = [(data / part, part) for part in SPLITS] if split else [(data, None)]
    rows = []
    for root, part in roots:
        for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
            # A clip that was never completed ends in .part.mp4.
            files = sorted(
                p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.stem.endswith(".part")
            )
            if not files and part != "val":
                raise StreamcamError(f"no clip of class {folder.name!r}: {folder} holds no video files")
            rows += [_Row(path, folder.name, split=part) for path in files]
    if not rows:
        raise StreamcamError(f"{data} holds no clips: expected a folder for each class, or a CSV file")
    return rows


def _csv_rows(data: Path) -> list[_Row]:
    try:
        with data.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise StreamcamError(f"{data}: no column {sorted(missing)[0]!r} (expected {', '.join(COLUMNS)})")
            rows = [_csv_row(data, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise StreamcamError(f"cannot read {data}: not a CSV file") from e
    if not rows:
        raise StreamcamError(f"{data} lists no clips")
    return rows


def _csv_row(data: Path, line: int, row: dict[str, str | None]) -> _Row:
    where = f"{data}, line {line}"
    path, label, split = (str(row.get(key) or "").strip() for key in ("path", "label", "split"))
    if not path or not label:
        raise StreamcamError(f"{where}: path or label is missing")
    try:
        start_s, end_s = (float(text) if (text := (row.get(key) or "").strip()) else None for key in ("start", "end"))
    except ValueError:
        raise StreamcamError(f"{where}: start and end are seconds, such as 12.5") from None
    if not all(math.isfinite(time_s) for time_s in (start_s or 0.0, end_s or 0.0)):
        raise StreamcamError(f"{where}: start and end are seconds, such as 12.5, got {start_s} and {end_s}")
    if (start_s or 0.0) < 0 or (end_s is not None and end_s <= (start_s or 0.0)):
        raise StreamcamError(f"{where}: expected 0 ≤ start < end, got {start_s} and {end_s}")
    if split and split not in SPLITS:
        raise StreamcamError(f"{where}: split is train or val, got {split!r}")
    return _Row(data.parent / path, label, start_s, end_s, split or None)


def _require_known(rows: Sequence[_Row], classes: Sequence[str], data: Path) -> None:
    for row in rows:
        if row.label not in classes:
            close = get_close_matches(row.label, classes, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it knows {', '.join(classes[:8])}"
            raise StreamcamError(f"{data}: the checkpoint has no class {row.label!r} ({hint})")


def _look_into(
    paths: set[Path], progress: Callable[[Iterable[Path], int], Iterable[Path]]
) -> tuple[dict[Path, float], list[str]]:
    """How long each file is, in seconds; and what cannot be read."""
    lengths_s, skipped = {}, []
    for path in progress(sorted(paths), len(paths)):
        try:
            lengths_s[path] = _length_s(path)
        except StreamcamError as e:
            skipped.append(str(e))
    return lengths_s, skipped


def _length_s(path: Path) -> float:
    """From the beginning to the end of its pictures, of which the first has to be one."""
    with closing(open_source(f"file://{path}", paced=False)) as source:
        next(source.frames(Event()))
        return source.duration_s or 0.0


def _clips(
    rows: Sequence[_Row], classes: Sequence[str], lengths_s: dict[Path, float], *, multi_label: bool
) -> list[tuple[LabelledClip, str | None]]:
    """Rows → clips, and the split that each was given."""
    stretches: dict[tuple[Path, float, float], tuple[list[int], str | None]] = {}
    clips = []
    for row in rows:
        length_s = lengths_s[row.path]
        start_s, end_s = row.start_s or 0.0, min(row.end_s or length_s, length_s)
        if start_s >= length_s:
            raise StreamcamError(f"{row.path}: {start_s:g} s: starts after the end of the file ({length_s:g} s)")
        label = classes.index(row.label)
        if multi_label:
            stretches.setdefault((row.path, start_s, end_s), ([], row.split))[0].append(label)
        else:
            clips.append((LabelledClip(row.path, start_s, end_s, (label,)), row.split))
    for (path, start_s, end_s), (labels, split) in stretches.items():
        clips.append((LabelledClip(path, start_s, end_s, tuple(sorted(set(labels)))), split))
    return clips


def _divide(
    clips: Sequence[tuple[LabelledClip, str | None]], val_share: float, *, root: Path
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """As the data say; else by a hash of each file's path, which does not ask what other files there are.

    Where that leaves a class on one side, its own files are divided, or the stretches of its only file.
    """
    if any(split for _, split in clips):
        train = [clip for clip, split in clips if split != "val"]
        return train, [clip for clip, split in clips if split == "val"]
    val = {clip for clip, _ in clips if _place(clip, root) < val_share}
    by_class: dict[int, list[LabelledClip]] = {}
    for clip, _ in clips:
        for label in clip.labels:
            by_class.setdefault(label, []).append(clip)
    for alike in by_class.values():
        if len(val.intersection(alike)) in (0, len(set(alike))):
            val = val.difference(alike) | _share_of(alike, val_share, root)
    for alike in by_class.values():
        if val.issuperset(alike):  # with several labels, after the others' turn: learning goes before checking
            val.difference_update(alike)
    return [clip for clip, _ in clips if clip not in val], [clip for clip, _ in clips if clip in val]


def _place(clip: LabelledClip, root: Path, *, stretch: bool = False) -> float:
    """0–1, by chance and always the same: of a file, or of a stretch of it."""
    path = clip.path.relative_to(root) if clip.path.is_relative_to(root) else clip.path
    text = f"{path.as_posix()} {clip.start_s}" if stretch else path.as_posix()
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogateescape")).digest()[:8]) / 2**64


def _share_of(alike: Sequence[LabelledClip], val_share: float, root: Path) -> set[LabelledClip]:
    """The clips to check one class with: at least one file's and not all; a single file's stretches are divided."""
    stretch = len({clip.path for clip in alike}) == 1
    places = sorted({_place(clip, root, stretch=stretch) for clip in alike})
    count = min(len(places) - 1, max(1, round(val_share * len(places))))
    return {clip for clip in alike if _place(clip, root, stretch=stretch) in places[:count]}


def _require_long_enough(clips: Sequence[LabelledClip], need_s: float) -> None:
    short = [clip for clip in clips if clip.end_s - clip.start_s < need_s]
    if short:
        others = f" and {len(short) - 1} more" if len(short) > 1 else ""
        clip = short[0]
        raise StreamcamError(
            f"{clip.name}{others}: {clip.end_s - clip.start_s:.2f} s, shorter than the window of {need_s:.2f} s "
            f"(leave out what is shorter, or take a shorter --window)"
        )


def _require_every_class(train: Sequence[LabelledClip], classes: Sequence[str], data: Path) -> None:
    counts = Counter(label for clip in train for label in clip.labels)
    for i, name in enumerate(classes):
        if not counts[i]:
            raise StreamcamError(f"{data}: no clip of class {name!r} to learn from can be read")


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
