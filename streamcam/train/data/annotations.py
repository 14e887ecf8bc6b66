"""Annotations, as a CSV file or folders list them, before any video is opened; and the checks on their names."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamcam.errors import StreamcamError

MAX_NAMES = 3
"""A note lists this many names, and counts the others."""

# The three groups are the three splits, in the order that `split_of` returns them.
_SPLIT_NAME = re.compile(
    "(tr|trn|train(?:ing)?)|(val|valid|validate|validation|dev|eval|evaluation|holdout)|(te|tst|test|testing|unseen)"
)
# What surrounds the name of a split: `2_test`, `videos_train`, `trainlist01`, `val_256`.
_SPLIT_AFFIX = re.compile(r"^(?:\d+|videos|clips|data)+|(?:set|data|split|clips|videos|list|\d+)+$")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A segment of a video file and its label, as they were listed."""

    path: Path
    label: str
    start_s: float | None = None
    """Seconds; None for the beginning of the file."""
    end_s: float | None = None
    """Seconds; None for the end of the file."""
    split: str | None = None
    """train, val or test; None where the data do not say."""
    listed_path: Path | None = None
    """The path as it was listed, once `path` is that of another file with the same bytes."""
    group: str | None = None
    """What it has in common with other clips: the person in it, or its origin. None where the data do not say."""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A segment of a video file, and the classes that it shows."""

    path: Path
    start_s: float
    end_s: float
    labels: tuple[int, ...]
    """Indices into the classes; exactly one, unless training is multi-label: then it may be none as well."""
    group: str | None = None
    """The person in it, or its origin, spelt alike in all of the group's clips. None where the data do not say."""
    recipe: str | None = None
    """How its frames are made of the file's: one of `recipes.RECIPES`. None: they are as in the file."""

    @property
    def name(self) -> str:
        """The file, and the segment unless that begins with the file: for messages."""
        whole = self.start_s == 0
        return str(self.path) if whole else f"{self.path} ({self.start_s:g}–{self.end_s:g} s)"


@dataclass(frozen=True, slots=True)
class Listing:
    """All annotations of a data set, and notes for people on how they were read."""

    annotations: list[Annotation]
    notes: list[str]


def split_of(name: str) -> str | None:
    """Return the split that a folder or a cell names: train, val or test; None where it names none.

    >>> [split_of(name) for name in ("Training_Set", "eval", "2_test", "train_256", "wave")]
    ['train', 'val', 'test', 'train', None]
    """
    match = _SPLIT_NAME.fullmatch(_SPLIT_AFFIX.sub("", re.sub(r"\W", "", normalise_name(name))))
    return None if match is None else ("train", "val", "test")[(match.lastindex or 1) - 1]


def normalise_name(name: str) -> str:
    """Return a name without what people do not notice in it.

    That is case, spaces, underscores, hyphens, how accents are stored (NFKC), and characters without width. One of
    those, U+200B, is copied along with text from a web page.
    """
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return re.sub(r"[\s_-]+", "", visible).casefold()


def file_exists(path: Path) -> bool:
    """Return whether a file exists; it does not where the system refuses its path, as one that is too long."""
    try:
        return path.exists()
    except OSError:
        return False


def first_few(names: Iterable[object]) -> str:
    """Join the first names with commas, and say how many more there are."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - MAX_NAMES} more" if len(texts) > MAX_NAMES else ""
    return ", ".join(texts[:MAX_NAMES]) + more


def count_of(count: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless the number is 1.

    >>> count_of(1, "clip"), count_of(2, "segment")
    ('1 clip', '2 segments')
    """
    return f"{count} {noun if count == 1 else noun + 's'}"


def resolve_splits(listing: Listing, data: Path) -> Listing:
    """Reduce the splits train, val and test to train and val; leave data without any split as they are.

    With train and val, test is left out: it is for a measurement later. With train and test alone, test becomes val.
    With train alone, no annotation has a split any more, so that `split.split_clips` chooses.

    Raises:
        StreamcamError: some annotations have a split and others have none, or there is no train.
    """
    annotations, notes = listing.annotations, list(listing.notes)
    counts = Counter(annotation.split for annotation in annotations)
    if set(counts) == {None}:
        return listing
    _require_train(listing, counts, data)
    if counts["val"] and counts["test"]:
        annotations = [a for a in annotations if a.split != "test"]
        notes.append(f"test is used neither for training nor for validation: {count_of(counts['test'], 'clip')}")
    elif counts["test"]:
        annotations = [replace(a, split="val") if a.split == "test" else a for a in annotations]
        notes.append("there is no val: test is used for validation, and the best epoch is chosen by it")
    elif not counts["val"]:
        annotations = [replace(a, split=None) for a in annotations]
        notes.append("there is no val and no test: some of train is used for validation")
    return Listing(annotations, notes)


def _require_train(listing: Listing, counts: Counter[str | None], data: Path) -> None:
    if None in counts:
        odd = next(a for a in listing.annotations if a.split is None)
        raise StreamcamError(
            f"{data}: {odd.path} has no split, and others are in train, val or test: give each clip a split"
        )
    if not counts["train"]:
        raise StreamcamError(
            f"{data}: nothing to train on: there is no train, but {' and '.join(sorted(map(str, counts)))}"
        )


def require_classes(annotations: Sequence[Annotation], data: Path, hint: str, *, known: bool) -> None:
    """Check that there are at least two classes, and that their names are proper and distinct.

    Args:
        annotations: all of the data set.
        data: where they were read from, for messages.
        hint: what to do if there is only one class.
        known: whether the classes are those of a checkpoint; their names may then be nearly the same.

    Raises:
        StreamcamError: there is only one class, two names are nearly the same, or a name is not text of one line.
    """
    counts = Counter(annotation.label for annotation in annotations)
    for label in counts:
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in label):  # control characters and lone surrogates
            raise StreamcamError(f"{data}: {label!r} cannot be the name of a class: it is not text of one line")
    if not known:
        _require_distinct_names(counts, data)
    if len(counts) == 1:
        raise StreamcamError(
            f"{data} holds one class, {next(iter(counts))!r}, and a network learns to tell classes apart: {hint}"
        )


def _require_distinct_names(counts: Counter[str], data: Path) -> None:
    similar: dict[str, list[str]] = {}
    for label in sorted(counts):
        similar.setdefault(normalise_name(label), []).append(label)
    for names in similar.values():
        if len(names) > 1:
            listed = " and ".join(f"{name!r} ({count_of(counts[name], 'clip')})" for name in names)
            raise StreamcamError(f"{data}: {listed} differ by case, spaces, _ or - alone: give them one name")
