"""Read a data set: from its files to clips for training and validation. `layouts.registry` has the known layouts.

Each file is opened once for its length and first frame; nothing else is decoded.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Event

from streamcam.config.train import SplitBy
from streamcam.errors import StreamcamError, printable
from streamcam.sources.base import open_source
from streamcam.train.data.annotations import Annotation, LabelledClip, count_of, file_exists, first_few
from streamcam.train.data.csv_file import require_files
from streamcam.train.data.layouts.registry import read_listing
from streamcam.train.data.pictures import clip_digest, clip_uri
from streamcam.train.data.segments import make_clips, merge_copies
from streamcam.train.data.split import remove_shared, split_clips

MAX_CLASSES = 20
"""The summary lists this many classes, and counts the others."""

PathProgress = Callable[[Iterable[Path], int], Iterable[Path]]
"""Takes some paths and their number, and yields the paths, so that it can show how far the reading is."""

SplitClip = tuple[LabelledClip, str | None]
"""A clip and its split, train or val; None where the data do not say."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Clips for training and clips for validation."""

    classes: tuple[str, ...]
    train: tuple[LabelledClip, ...]
    val: tuple[LabelledClip, ...]
    notes: tuple[str, ...]
    """What was left out, and what else people should know of how the data were read; a line each."""
    validation: str
    """How the clips for validation were chosen, and what both sides may share; a line."""

    @property
    def summary(self) -> str:
        """The number of clips of each class, in a line for people: `NAME TRAINING + VALIDATION`."""
        train, val = (Counter(label for clip in clips for label in clip.labels) for clips in (self.train, self.val))
        classes = [f"{name} {train[i]} + {val[i]}" for i, name in enumerate(self.classes)]
        more = f" and {len(classes) - MAX_CLASSES} more" if len(classes) > MAX_CLASSES else ""
        return (
            f"{len(classes)} classes, {count_of(len(self.train), 'clip')} for training + {len(self.val)} for "
            f"validation: {', '.join(classes[:MAX_CLASSES])}{more}"
        )

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the clips' labels, times and files' bytes. Where the files lie does not matter.

        A run can be resumed only with data of the same digest.
        """
        digest = hashlib.sha256()
        file_digests = {path: clip_digest(path) for path in sorted({clip.path for clip in (*self.train, *self.val)})}
        for split, clips in (("train", self.train), ("val", self.val)):
            for clip in clips:
                names = ",".join(self.classes[label] for label in clip.labels)
                recipe = f" {clip.recipe}" if clip.recipe else ""
                line = f"{split} {file_digests[clip.path]} {clip.start_s} {clip.end_s} {names}{recipe}\n"
                digest.update(line.encode())
        return digest.hexdigest()


def read_dataset(
    data: Path,
    *,
    need_s: float,
    val_share: float,
    split_by: SplitBy = "auto",
    multi_label: bool = False,
    known: Sequence[str] | None = None,
    progress: PathProgress = lambda paths, _: paths,
) -> Dataset:
    """Find the clips, read the length of each file, and divide them into training and validation.

    Args:
        data: a folder or an annotation file of one of `layouts.registry.LAYOUTS`.
        need_s: the least length of a clip, in seconds.
        val_share: 0–1, the share of the clips for validation, where the data do not say which.
        split_by: what is not on both sides, where the data do not say: see `split_clips`.
        multi_label: whether several lines for the same segment of a file are one clip with several labels.
        known: the classes of the checkpoint that training starts from; other classes are an error.
        progress: wraps the paths while the files are read.

    Raises:
        StreamcamError: there are no clips, or only one class; a class has no clip for training; a clip is too short; a
            segment has two labels; `known` lacks a label; or the clips cannot be divided by `split_by`.
    """
    listing, layout = read_listing(data, known=known is not None)
    annotations = listing.annotations
    classes = tuple(known) if known is not None else tuple(sorted({a.label for a in annotations}))
    _require_known(annotations, classes, data)
    if data.is_file():
        require_files(list(dict.fromkeys(a.path for a in annotations)), data)
    lengths_s, unreadable = _read_lengths({a.path for a in annotations}, progress)
    annotations, copy_notes = merge_copies([a for a in annotations if a.path in lengths_s])
    clips, clip_notes = make_clips(annotations, classes, lengths_s, multi_label=multi_label)
    clips, short_notes = _long_enough(clips, need_s, skip=layout.is_published)
    # The order matters: only once copies are merged do training and validation share a path where they share frames.
    root = data if data.is_dir() else data.parent
    split = split_clips(clips, val_share, by=split_by, root=root, window_s=need_s)
    val = split.val
    train, shared = remove_shared(split.train, val)
    unreadable_notes, late_notes = _notes_on_unreadable(unreadable), [*short_notes, *_note_on_shared(shared)]
    notes = [*listing.notes, *unreadable_notes, *copy_notes, *clip_notes, *late_notes]
    if known is None:  # data for a checkpoint need not have clips of all its classes
        _require_every_class(train, classes, data, [*unreadable_notes, *late_notes])
    if not train or not val:
        raise StreamcamError(f"{data}: {len(train) + len(val)} clips are too few for training and validation")
    notes += _note_on_unscored(train, val, classes)
    return Dataset(classes, tuple(train), tuple(val), tuple(map(printable, notes)), printable(split.line))


def _notes_on_unreadable(unreadable: Mapping[Path, str]) -> list[str]:
    """Return a note for each reason, with the files that cannot be read for it."""
    by_reason: dict[str, list[Path]] = {}
    for path, reason in unreadable.items():
        by_reason.setdefault(reason, []).append(path)
    return [
        f"skipped {paths[0]}: {reason}"
        if len(paths) == 1
        else f"skipped {len(paths)} files: {reason}: {first_few(paths)}"
        for reason, paths in by_reason.items()
    ]


def _note_on_shared(clips: Sequence[LabelledClip]) -> list[str]:
    if not clips:
        return []
    names = first_few(clip.name for clip in clips)
    return [f"left out of training, as validation has the same frames: {count_of(len(clips), 'clip')}: {names}"]


def _note_on_unscored(train: Sequence[LabelledClip], val: Sequence[LabelledClip], classes: Sequence[str]) -> list[str]:
    """Name the classes that are trained, and that no validation clip shows."""
    in_train, in_val = ({label for clip in clips for label in clip.labels} for clips in (train, val))
    names = [classes[label] for label in sorted(in_train - in_val)]
    return [f"no clip for validation, so that the score says nothing of them: {first_few(names)}"] if names else []


def _require_known(annotations: Sequence[Annotation], classes: Sequence[str], data: Path) -> None:
    for annotation in annotations:
        if annotation.label not in classes:
            close = get_close_matches(annotation.label, classes, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it knows {', '.join(classes[:8])}"
            raise StreamcamError(f"{data}: the checkpoint has no class {annotation.label!r} ({hint})")


def _read_lengths(paths: set[Path], progress: PathProgress) -> tuple[dict[Path, float], dict[Path, str]]:
    """Return how long each file is, in seconds, and the reason for each that cannot be read."""
    lengths_s, unreadable = {}, {}
    for path in progress(sorted(paths), len(paths)):
        try:
            lengths_s[path] = _length_s(path)
        except StreamcamError as e:
            # The reason goes without the file's name, so that files with the same reason share a note.
            unreadable[path] = str(e).replace(str(path), "it") if file_exists(path) else "no such file"
    return lengths_s, unreadable


def _length_s(path: Path) -> float:
    """Return how long a file's video track is, in seconds.

    Raises:
        StreamcamError: its first frame cannot be decoded.
    """
    with closing(open_source(clip_uri(path), paced=False)) as source:
        next(source.frames(Event()))  # a file with a good header may still hold no frame
        return source.duration_s or 0.0


def _long_enough(clips: Sequence[SplitClip], need_s: float, *, skip: bool) -> tuple[list[SplitClip], list[str]]:
    """Return the clips that last as long as a window; with `skip`, leave the others out, and name them in a note.

    Raises:
        StreamcamError: a clip is shorter, or with `skip` all are.
    """
    short = [clip for clip, _ in clips if clip.end_s - clip.start_s < need_s]
    if not short:
        return list(clips), []
    if skip and len(short) < len(clips):
        note = f"left out, shorter than the window of {need_s:.2f} s: {count_of(len(short), 'clip')}"
        names = first_few(clip.name for clip in short)
        return [clip for clip in clips if clip[0].end_s - clip[0].start_s >= need_s], [f"{note}: {names}"]
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
            raise StreamcamError(f"{data}: no clip of class {name!r} for training can be read{why}")
