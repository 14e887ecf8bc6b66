"""What a data set lists, before any file is opened: rows, and on which side of it each is."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamcam.errors import StreamcamError

FEW = 3
"""So many names are told of a longer list."""

_SIDE = re.compile(
    "(tr|trn|train(?:ing)?)|(val|valid|validation|dev|eval|evaluation|holdout)|(te|tst|test|testing|unseen)"
)
_PLAIN = re.compile(r"^(?:\d+|videos|clips|data)+|(?:set|data|split|clips|videos|list|\d+)+$")


@dataclass(frozen=True, slots=True)
class Row:
    """A stretch of a file, and its label, as they were found."""

    path: Path
    label: str
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    """train, val or test; None where nothing says so."""
    listed: Path | None = None
    """The path as it was found, where `path` is that of the same file elsewhere."""


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
class Listed:
    """All rows, and what people should know of how they were read."""

    rows: list[Row]
    notes: list[str]


def side_of(name: str) -> str | None:
    """The side of a data set that a folder or a cell names, train, val or test; None where it names none.

    >>> [side_of(name) for name in ("Training_Set", "eval", "2_test", "train_256", "wave")]
    ['train', 'val', 'test', 'train', None]
    """
    match = _SIDE.fullmatch(_PLAIN.sub("", re.sub(r"\W", "", folded(name))))
    return None if match is None else ("train", "val", "test")[(match.lastindex or 1) - 1]


def folded(name: str) -> str:
    """A name without what people take no notice of: case, spaces, underscores, hyphens, how accents are stored, and
    what has no width (U+200B, which comes along when a text is copied from a page).
    """
    seen = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return re.sub(r"[\s_-]+", "", seen).casefold()


def is_there(path: Path) -> bool:
    """Whether there is such a file; what the system takes for no name at all is none."""
    try:
        return path.exists()
    except OSError:
        return False


def few(names: Iterable[object]) -> str:
    """The first of some names, and how many more there are."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - FEW} more" if len(texts) > FEW else ""
    return ", ".join(texts[:FEW]) + more


def counted(count: int, noun: str, plural: str = "") -> str:
    """How many of something.

    >>> counted(1, "clip"), counted(2, "stretch", "stretches")
    ('1 clip', '2 stretches')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def settled(listed: Listed, data: Path) -> Listed:
    """Rows to learn from and to check with, and none that a person has kept apart for later.

    `test` is what is checked with where nothing else is, and is left alone otherwise.

    Raises:
        StreamcamError: some rows are on a side and others on none, or there is nothing to learn from.
    """
    counts = Counter(row.split for row in listed.rows)
    if set(counts) == {None}:
        return listed
    if None in counts:
        odd = next(row for row in listed.rows if row.split is None)
        raise StreamcamError(f"{data}: {odd.path} is on no side, and others are in train, val or test: say so of each")
    if not counts["train"]:
        raise StreamcamError(
            f"{data}: nothing to learn from: there is no train, but {' and '.join(sorted(map(str, counts)))}"
        )
    rows, notes = listed.rows, list(listed.notes)
    if counts["val"] and counts["test"]:
        rows = [row for row in rows if row.split != "test"]
        notes.append(f"test is kept apart, neither learnt from nor checked with: {counted(counts['test'], 'clip')}")
    elif counts["test"]:
        rows = [replace(row, split="val") if row.split == "test" else row for row in rows]
        notes.append("there is no val: test is what is checked with, and the best epoch is chosen by it")
    elif not counts["val"]:
        rows = [replace(row, split=None) for row in rows]
        notes.append("there is no val and no test: some of train is kept to check with")
    return Listed(rows, notes)


def require_classes(rows: Sequence[Row], data: Path, hint: str, *, known: bool) -> None:
    """Find out whether there is something to tell apart.

    Args:
        rows: all of them.
        data: where they are from.
        hint: what to do about a single class.
        known: whether the classes are those of a checkpoint, whose names may be nearly the same.

    Raises:
        StreamcamError: there is one class alone, two whose names are nearly the same, or one that has no proper name.
    """
    labels = Counter(row.label for row in rows)
    for label in labels:
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in label):
            raise StreamcamError(f"{data}: {label!r} cannot be the name of a class: it is not text of one line")
    alike: dict[str, list[str]] = {}
    for label in sorted(labels):
        alike.setdefault(folded(label), []).append(label)
    for names in alike.values():
        if len(names) > 1 and not known:
            told = " and ".join(f"{name!r} ({counted(labels[name], 'clip')})" for name in names)
            raise StreamcamError(f"{data}: {told} differ by case, spaces, _ or - alone: give them one name")
    if len(labels) == 1:
        raise StreamcamError(
            f"{data} holds one class, {next(iter(labels))!r}, and a network learns to tell classes apart: {hint}"
        )
