"""Divide clips into training and validation, so that the two share no frame."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from streamcam.train.data.annotations import LabelledClip

TOLERANCE_S = 0.1
"""Segments that overlap by no more than this only meet: their times are rounded."""


def split_clips(
    clips: Sequence[tuple[LabelledClip, str | None]], val_share: float, *, root: Path
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Divide clips as the data say, or else by a hash of each file's path.

    The hash does not depend on the other files, so a file stays on its side when more are added. A class that the
    hash puts on one side alone is divided by itself: by its files, or by the segments of its only file.

    Args:
        clips: each with its split, train or val, or None where the data do not say.
        val_share: 0–1, the share of the files for validation.
        root: the folder that hashed paths are relative to.

    Returns:
        The clips for training, and those for validation.
    """
    if any(split for _, split in clips):
        train = [clip for clip, split in clips if split != "val"]
        return train, [clip for clip, split in clips if split == "val"]
    val = {clip for clip, _ in clips if _hash_fraction(clip, root) < val_share}
    by_class: dict[int, list[LabelledClip]] = {}
    for clip, _ in clips:
        for label in clip.labels:
            by_class.setdefault(label, []).append(clip)
    for members in by_class.values():
        # None of the class's clips is for validation, or all of them are.
        if len(val.intersection(members)) in (0, len(set(members))):
            val = val.difference(members) | _choose_val(members, val_share, root)
    # With several labels, dividing one class may have taken the last training clip of another. Training comes first.
    for members in by_class.values():
        if val.issuperset(members):
            val.difference_update(members)
    return [clip for clip, _ in clips if clip not in val], [clip for clip, _ in clips if clip in val]


def _hash_fraction(clip: LabelledClip, root: Path, *, by_segment: bool = False) -> float:
    """Hash the path of a clip's file, or path and start of its segment, to a number in 0–1 that never changes."""
    path = clip.path.relative_to(root) if clip.path.is_relative_to(root) else clip.path
    text = f"{path.as_posix()} {clip.start_s}" if by_segment else path.as_posix()
    return int.from_bytes(hashlib.sha256(os.fsencode(text)).digest()[:8]) / 2**64


def _choose_val(members: Sequence[LabelledClip], val_share: float, root: Path) -> set[LabelledClip]:
    """Choose a class's clips for validation: those of at least one file, and not of all; segments of a single file."""
    by_segment = len({clip.path for clip in members}) == 1
    representatives = _first_of_overlapping(members) if by_segment else {clip: clip for clip in members}
    fraction = {clip: _hash_fraction(first, root, by_segment=by_segment) for clip, first in representatives.items()}
    fractions = sorted({*fraction.values()})  # one for each file, or each group of overlapping segments
    # At least one for validation, and at least one for training.
    count = min(len(fractions) - 1, max(1, round(val_share * len(fractions))))
    return {clip for clip in members if fraction[clip] in fractions[:count]}


def _first_of_overlapping(clips: Sequence[LabelledClip]) -> dict[LabelledClip, LabelledClip]:
    """Map each segment of one file to the first of its group, in which each segment overlaps one before it."""
    first_of: dict[LabelledClip, LabelledClip] = {}
    first, end_s = None, 0.0
    for clip in sorted(clips, key=lambda clip: clip.start_s):
        first = clip if first is None or clip.start_s > end_s - TOLERANCE_S else first
        first_of[clip] = first
        end_s = max(end_s, clip.end_s)
    return first_of


def remove_shared(
    train: Sequence[LabelledClip], val: Sequence[LabelledClip]
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Return the training clips that share no frame with a validation clip, and those that do."""
    val_by_file: dict[Path, list[LabelledClip]] = {}
    for clip in val:
        val_by_file.setdefault(clip.path, []).append(clip)
    shared = {
        clip for clip in train if any(overlap_s(clip, other) > TOLERANCE_S for other in val_by_file.get(clip.path, ()))
    }
    return [clip for clip in train if clip not in shared], [clip for clip in train if clip in shared]


def overlap_s(a: LabelledClip, b: LabelledClip) -> float:
    """Return how long two segments of the same file overlap, in seconds; negative where there is a gap."""
    return min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
