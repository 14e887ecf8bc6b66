"""Rows → clips: copies of a file are that file, and a stretch of it has one label, or all of its labels."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.train.division import SHARED_S, overlap_s
from streamcam.train.rows import LabelledClip, Row, counted, few

BEYOND_S = 0.5
"""A stretch may end so long after its file, by rounding, without a word."""


def merged(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Rows in which copies of a file, by their bytes, are the first of them; and what is said of it."""
    first = _first_copies({row.path for row in rows})
    copies = [f"{path} is {first[path]}" for path in sorted(first) if first[path] != path]
    notes = (
        [f"copies of other files, which count as one: {counted(len(copies), 'file')}: {few(copies)}"] if copies else []
    )
    return [replace(row, path=first[row.path], listed=row.path) for row in rows], notes


def _first_copies(paths: Iterable[Path]) -> dict[Path, Path]:
    """Each file → the first with the same bytes. Only files of the same size are read."""
    by_size: dict[int, list[Path]] = {}
    for path in sorted(paths):
        by_size.setdefault(path.stat().st_size, []).append(path)
    first: dict[Path, Path] = {}
    for alike in by_size.values():
        seen: dict[str, Path] = {}
        for path in alike:
            first[path] = seen.setdefault(digest_of(path) if len(alike) > 1 else "", path)
    return first


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clips_of(
    rows: Sequence[Row], classes: Sequence[str], lengths_s: Mapping[Path, float], *, multi_label: bool
) -> tuple[list[tuple[LabelledClip, str | None]], list[str]]:
    """Clips, and the split that each was given; and what is said of them.

    Raises:
        StreamcamError: a stretch begins after the end of its file or, unless `multi_label`, has two labels.
    """
    numbers = {name: i for i, name in enumerate(classes)}
    stretches: dict[tuple[Path, float, float, str | None], set[int]] = {}
    for row in rows:
        start_s, end_s = _times(row, lengths_s[row.path])
        stretches.setdefault((row.path, start_s, end_s, row.split), set()).add(numbers[row.label])
    clips = [
        (LabelledClip(p, start_s, end_s, tuple(sorted(labels))), split)
        for (p, start_s, end_s, split), labels in stretches.items()
    ]
    notes = _doubled(len(rows) - sum(len(labels) for labels in stretches.values())) + _beyond(rows, lengths_s)
    if not multi_label:
        _require_one_label(rows, lengths_s)
        notes += _overlapping([clip for clip, _ in clips], classes)
    return clips, notes


def _times(row: Row, length_s: float) -> tuple[float, float]:
    start_s = row.start_s or 0.0
    if start_s >= length_s:
        raise StreamcamError(f"{row.path}: {start_s:g} s: starts after the end of the file ({length_s:g} s)")
    return start_s, min(row.end_s or length_s, length_s)


def _doubled(count: int) -> list[str]:
    return [f"said more than once, and counted once: {counted(count, 'clip')}"] if count else []


def _beyond(rows: Sequence[Row], lengths_s: Mapping[Path, float]) -> list[str]:
    beyond = [row for row in rows if row.end_s is not None and row.end_s > lengths_s[row.path] + BEYOND_S]
    names = few(f"{row.path} (to {row.end_s:g} s of {lengths_s[row.path]:g} s)" for row in beyond)
    return (
        [f"longer than the file, and cut off at its end: {counted(len(beyond), 'stretch', 'stretches')}: {names}"]
        if beyond
        else []
    )


def _require_one_label(rows: Sequence[Row], lengths_s: Mapping[Path, float]) -> None:
    first: dict[tuple[Path, float, float], Row] = {}
    for row in rows:
        start_s, end_s = _times(row, lengths_s[row.path])
        other = first.setdefault((row.path, start_s, end_s), row)
        if other.label != row.label:
            copy = f", and {row.listed}, a copy of it," if row.listed != other.listed else " and"
            name = LabelledClip(other.listed or other.path, start_s, end_s, ()).name
            raise StreamcamError(
                f"{name} is labelled {other.label!r}{copy} {row.label!r}: leave one out, or --multi-label to learn both"
            )


def _overlapping(clips: Sequence[LabelledClip], classes: Sequence[str]) -> list[str]:
    """What is said of pictures that are in clips of two classes."""
    by_file: dict[Path, list[LabelledClip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.start_s):
        by_file.setdefault(clip.path, []).append(clip)
    pairs = [pair for alike in by_file.values() for pair in _pairs(alike)]
    if not pairs:
        return []
    a, b = pairs[0]
    told = f"{a.name} ({classes[a.labels[0]]}) and {b.start_s:g}–{b.end_s:g} s ({classes[b.labels[0]]})"
    return [f"overlapping with different labels, and teaching both: {counted(len(pairs), 'pair')} of stretches: {told}"]


def _pairs(clips: Sequence[LabelledClip]) -> list[tuple[LabelledClip, LabelledClip]]:
    """Stretches of one file, sorted by their start, that overlap and are labelled in different ways."""
    pairs = []
    for i, clip in enumerate(clips):
        for other in clips[i + 1 :]:
            if other.start_s >= clip.end_s:
                break
            if other.labels != clip.labels and overlap_s(clip, other) > SHARED_S:
                pairs.append((clip, other))
    return pairs
