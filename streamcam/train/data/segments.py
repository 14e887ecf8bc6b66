"""Turn annotations into clips. A copy of a file counts as that file; a segment has one label, or all of its labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, LabelledClip, count_of, first_few, normalise_name
from streamcam.train.data.pictures import clip_digest, clip_size
from streamcam.train.data.split import TOLERANCE_S, overlap_s

END_TOLERANCE_S = 0.5
"""A segment may end this long after its file without a note: times are rounded."""


def merge_copies(annotations: Sequence[Annotation]) -> tuple[list[Annotation], list[str]]:
    """Replace the path of each copy of a file, by its bytes, with that of the first one; and return a note on them."""
    first = _first_copies({annotation.path for annotation in annotations})
    copies = [f"{path} is {first[path]}" for path in sorted(first) if first[path] != path]
    notes = []
    if copies:
        notes = [f"copies of other files, which count as one: {count_of(len(copies), 'file')}: {first_few(copies)}"]
    return [replace(a, path=first[a.path], listed_path=a.path) for a in annotations], notes


def _first_copies(paths: Iterable[Path]) -> dict[Path, Path]:
    """Map each file to the first with the same bytes. Only files of the same size are read."""
    by_size: dict[int, list[Path]] = {}
    for path in sorted(paths):
        by_size.setdefault(clip_size(path), []).append(path)
    first: dict[Path, Path] = {}
    for same_size in by_size.values():
        by_digest: dict[str, Path] = {}
        for path in same_size:
            # A file whose size is unique is no copy: it need not be read.
            digest = clip_digest(path) if len(same_size) > 1 else ""
            first[path] = by_digest.setdefault(digest, path)
    return first


def make_clips(
    annotations: Sequence[Annotation], classes: Sequence[str], lengths_s: Mapping[Path, float], *, multi_label: bool
) -> tuple[list[tuple[LabelledClip, str | None]], list[str]]:
    """Make a clip of each segment, with its split; and return notes on what looks wrong.

    Args:
        annotations: each of a class in `classes`, and of a file in `lengths_s`.
        classes: the names that labels are indices into.
        lengths_s: how long each file is, in seconds.
        multi_label: whether annotations of the same segment are one clip with several labels.

    Raises:
        StreamcamError: a segment starts after the end of its file, is of two groups or, unless `multi_label`, has two
            labels.
    """
    index = {name: i for i, name in enumerate(classes)}
    annotations = _with_one_spelling(annotations)
    advice = "leave one out, or give both one name"
    _require_one(lambda a: a.group, annotations, lengths_s, verb="is of", advice=advice)
    # Several labels of a segment are collected first: whether they are allowed is checked below.
    segments: dict[tuple[Path, float, float, str | None], set[int]] = {}
    groups: dict[tuple[Path, float, float], str] = {}
    for a in annotations:
        start_s, end_s = _times(a, lengths_s[a.path])
        segments.setdefault((a.path, start_s, end_s, a.split), set()).add(index[a.label])
        if a.group is not None:
            groups[a.path, start_s, end_s] = a.group
    clips = [
        (LabelledClip(path, start_s, end_s, tuple(sorted(labels)), groups.get((path, start_s, end_s))), split)
        for (path, start_s, end_s, split), labels in segments.items()
    ]
    repeated = len(annotations) - sum(len(labels) for labels in segments.values())
    notes = [f"listed more than once, and counted once: {count_of(repeated, 'clip')}"] if repeated else []
    notes += _note_on_late_ends(annotations, lengths_s)
    if not multi_label:
        advice = "leave one out, or --multi-label to learn both"
        _require_one(lambda a: a.label, annotations, lengths_s, verb="is labelled", advice=advice)
        notes += _note_on_overlaps([clip for clip, _ in clips], classes)
    return clips, notes


def _times(annotation: Annotation, length_s: float) -> tuple[float, float]:
    """Return start and end of a segment within its file, in seconds."""
    start_s = annotation.start_s or 0.0
    if start_s >= length_s:
        raise StreamcamError(f"{annotation.path}: {start_s:g} s: starts after the end of the file ({length_s:g} s)")
    return start_s, min(annotation.end_s or length_s, length_s)


def _with_one_spelling(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Give groups whose names are nearly the same, as `Anna` and `anna`, the name of the first.

    They would be on both sides otherwise. To take two persons for one costs little.
    """
    spelling: dict[str, str] = {}
    return [
        a if a.group is None else replace(a, group=spelling.setdefault(normalise_name(a.group), a.group))
        for a in annotations
    ]


def _note_on_late_ends(annotations: Sequence[Annotation], lengths_s: Mapping[Path, float]) -> list[str]:
    late = [a for a in annotations if a.end_s is not None and a.end_s > lengths_s[a.path] + END_TOLERANCE_S]
    if not late:
        return []
    names = first_few(f"{a.path} (to {a.end_s:g} s of {lengths_s[a.path]:g} s)" for a in late)
    return [f"longer than the file, and cut off at its end: {count_of(len(late), 'segment')}: {names}"]


def _require_one(
    what: Callable[[Annotation], str | None],
    annotations: Sequence[Annotation],
    lengths_s: Mapping[Path, float],
    *,
    verb: str,
    advice: str,
) -> None:
    """Refuse a segment of which two annotations say different things, such as two labels; None says nothing."""
    first: dict[tuple[Path, float, float], Annotation] = {}
    for a in (a for a in annotations if what(a) is not None):
        start_s, end_s = _times(a, lengths_s[a.path])
        earlier = first.setdefault((a.path, start_s, end_s), a)
        if what(earlier) != what(a):
            # The paths as they were listed: a person has to find both.
            copy = f", and {a.listed_path}, a copy of it," if a.listed_path != earlier.listed_path else " and"
            name = LabelledClip(earlier.listed_path or earlier.path, start_s, end_s, ()).name
            raise StreamcamError(f"{name} {verb} {what(earlier)!r}{copy} {what(a)!r}: {advice}")


def _note_on_overlaps(clips: Sequence[LabelledClip], classes: Sequence[str]) -> list[str]:
    """Return a note on frames that are in clips of two classes."""
    by_file: dict[Path, list[LabelledClip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.start_s):
        by_file.setdefault(clip.path, []).append(clip)
    pairs = [pair for in_file in by_file.values() for pair in _overlapping_pairs(in_file)]
    if not pairs:
        return []
    a, b = pairs[0]
    example = f"{a.name} ({classes[a.labels[0]]}) and {b.start_s:g}–{b.end_s:g} s ({classes[b.labels[0]]})"
    return [f"overlapping with different labels, and used with both: {count_of(len(pairs), 'pair')}: {example}"]


def _overlapping_pairs(clips: Sequence[LabelledClip]) -> list[tuple[LabelledClip, LabelledClip]]:
    """Return the pairs of segments of one file, sorted by start, that overlap and have different labels."""
    pairs = []
    for i, clip in enumerate(clips):
        for other in clips[i + 1 :]:
            if other.start_s >= clip.end_s:
                break  # and all that follow start later still
            if other.labels != clip.labels and overlap_s(clip, other) > TOLERANCE_S:
                pairs.append((clip, other))
    return pairs
