"""Labelled clips: a folder per class, or a CSV → what there is to learn from. Nothing is decoded but first pictures."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Event

from streamcam.errors import StreamcamError, printable
from streamcam.sources.base import open_source
from streamcam.train.division import apart, divide
from streamcam.train.folders import folder_rows
from streamcam.train.labels import clips_of, digest_of, merged
from streamcam.train.rows import LabelledClip, Row, counted, few, is_there
from streamcam.train.table import require_files, table_rows

MOST_CLASSES = 20
"""The summary lists so many; beyond that nobody would read them."""

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Clips to learn from, and others to see whether it was learnt."""

    classes: tuple[str, ...]
    train: tuple[LabelledClip, ...]
    val: tuple[LabelledClip, ...]
    notes: tuple[str, ...]
    """What was left out, and what else people should know of how the data were read; a line each."""

    @property
    def summary(self) -> str:
        """What there is, in a line for people."""
        learnt, checked = (
            Counter(label for clip in clips for label in clip.labels) for clips in (self.train, self.val)
        )
        classes = [f"{name} {learnt[i]} + {checked[i]}" for i, name in enumerate(self.classes)]
        more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
        return (
            f"{len(classes)} classes, {counted(len(self.train), 'clip')} to learn from + {len(self.val)} to check "
            f"with: {', '.join(classes[:MOST_CLASSES])}{more}"
        )

    @property
    def digest(self) -> str:
        """SHA-256 over what the clips are: their labels, times, and files' bytes."""
        digest = hashlib.sha256()
        hashes = {path: digest_of(path) for path in sorted({clip.path for clip in (*self.train, *self.val)})}
        for part, clips in zip(SPLITS, (self.train, self.val), strict=True):
            for clip in clips:
                names = ",".join(self.classes[label] for label in clip.labels)
                digest.update(f"{part} {hashes[clip.path]} {clip.start_s} {clip.end_s} {names}\n".encode())
        return digest.hexdigest()


def read_dataset(
    data: Path,
    *,
    need_s: float,
    val_share: float,
    multi_label: bool = False,
    known: Sequence[str] | None = None,
    progress: Callable[[Iterable[Path], int], Iterable[Path]] = lambda paths, _: paths,
) -> Dataset:
    """Find the clips, and look into each file. A copy of a file is that file.

    Args:
        data: a folder with a folder of clips for each class (below or above `train`, `val` and `test`, where there are
            these), or a CSV file with the columns path, start, end and label, and `split` where wanted. Paths are
            relative to the CSV file; without start and end, a row is the whole file.
        need_s: how long a clip has to be, in seconds.
        val_share: 0–1, how many of the files to keep for validation, where the data do not say which.
        multi_label: whether several rows for the same stretch of a file are one clip with several labels.
        known: the classes of the checkpoint that training starts from; others are an error.
        progress: goes through the files, to show how far it is.

    Raises:
        StreamcamError: no clips, a class with none or alone, clips that are too short or labelled in two ways, or
            labels that are not known.
    """
    listed = (table_rows if data.is_file() else folder_rows)(data, known=known is not None)
    classes = tuple(known) if known is not None else tuple(sorted({row.label for row in listed.rows}))
    _require_known(listed.rows, classes, data)
    if data.is_file():
        require_files(list(dict.fromkeys(row.path for row in listed.rows)), data)
    lengths_s, unread = _look_into({row.path for row in listed.rows}, progress)
    rows, copies = merged([row for row in listed.rows if row.path in lengths_s])
    clips, remarks = clips_of(rows, classes, lengths_s, multi_label=multi_label)
    _require_long_enough([clip for clip, _ in clips], need_s)
    train, val = divide(clips, val_share, root=data if data.is_dir() else data.parent)
    train, shared = apart(train, val)
    notes = [*listed.notes, *_skipped(unread), *copies, *remarks, *_shared(shared)]
    if known is None:
        _require_every_class(train, classes, data, [*_skipped(unread), *_shared(shared)])
    if not train or not val:
        raise StreamcamError(f"{data}: {len(train) + len(val)} clips are too few to learn from and to check with")
    return Dataset(classes, tuple(train), tuple(val), tuple(map(printable, (*notes, *_unchecked(train, val, classes)))))


def _skipped(unread: Mapping[Path, str]) -> list[str]:
    """What is said of files that cannot be read, those with the same reason together."""
    reasons: dict[str, list[Path]] = {}
    for path, reason in unread.items():
        reasons.setdefault(reason, []).append(path)
    return [
        f"skipped {few(paths)}: {reason}" if len(paths) == 1 else f"skipped {len(paths)} files: {reason}: {few(paths)}"
        for reason, paths in reasons.items()
    ]


def _shared(clips: Sequence[LabelledClip]) -> list[str]:
    names = few(clip.name for clip in clips)
    return (
        [f"not learnt from, being what is checked with as well: {counted(len(clips), 'clip')}: {names}"]
        if clips
        else []
    )


def _unchecked(train: Sequence[LabelledClip], val: Sequence[LabelledClip], classes: Sequence[str]) -> list[str]:
    """Classes that are learnt, and of which nobody will know how well."""
    learnt, checked = ({label for clip in clips for label in clip.labels} for clips in (train, val))
    names = [classes[label] for label in sorted(learnt - checked)]
    return [f"no clip to check with, so that the score says nothing of them: {few(names)}"] if names else []


def _require_known(rows: Sequence[Row], classes: Sequence[str], data: Path) -> None:
    for row in rows:
        if row.label not in classes:
            close = get_close_matches(row.label, classes, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it knows {', '.join(classes[:8])}"
            raise StreamcamError(f"{data}: the checkpoint has no class {row.label!r} ({hint})")


def _look_into(
    paths: set[Path], progress: Callable[[Iterable[Path], int], Iterable[Path]]
) -> tuple[dict[Path, float], dict[Path, str]]:
    """How long each file is, in seconds; and which cannot be read, and why."""
    lengths_s, unread = {}, {}
    for path in progress(sorted(paths), len(paths)):
        try:
            lengths_s[path] = _length_s(path)
        except StreamcamError as e:
            # Without the name, as several may have the same reason.
            unread[path] = str(e).replace(str(path), "it") if is_there(path) else "no such file"
    return lengths_s, unread


def _length_s(path: Path) -> float:
    """From the beginning to the end of its pictures, of which the first has to be one."""
    with closing(open_source(f"file://{path}", paced=False)) as source:
        next(source.frames(Event()))
        return source.duration_s or 0.0


def _require_long_enough(clips: Sequence[LabelledClip], need_s: float) -> None:
    short = [clip for clip in clips if clip.end_s - clip.start_s < need_s]
    if short:
        others = f" and {len(short) - 1} more" if len(short) > 1 else ""
        clip = short[0]
        raise StreamcamError(
            f"{clip.name}{others}: {clip.end_s - clip.start_s:.2f} s, shorter than the window of {need_s:.2f} s "
            f"(leave out what is shorter, or take a shorter --window)"
        )


def _require_every_class(
    train: Sequence[LabelledClip], classes: Sequence[str], data: Path, reasons: Sequence[str]
) -> None:
    counts = Counter(label for clip in train for label in clip.labels)
    for i, name in enumerate(classes):
        if not counts[i]:
            why = f" ({'; '.join(reasons)})" if reasons else ""
            raise StreamcamError(f"{data}: no clip of class {name!r} to learn from can be read{why}")
