"""Divide clips into training and validation, so that the two share no frame and, where that is known, no person."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcam.config.train import SplitBy
from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import LabelledClip, first_few
from streamcam.train.data.split_by_time import split_by_time

TOLERANCE_S = 0.1
"""Segments that overlap by no more than this only meet: their times are rounded."""

NO_PERSONS = "no clip says who is in it"


@dataclass(frozen=True, slots=True)
class Split:
    """Clips for training, clips for validation, and what sets them apart."""

    train: list[LabelledClip]
    val: list[LabelledClip]
    line: str
    """How the clips were divided, and what may be on both sides; for people."""


def split_clips(
    clips: Sequence[tuple[LabelledClip, str | None]],
    val_share: float,
    *,
    by: SplitBy = "auto",
    root: Path,
    window_s: float,
) -> Split:
    """Divide clips as the data say, or else by person, file or time.

    Args:
        clips: each with its split, train or val, or None where the data do not say.
        val_share: 0–1, the share of the clips, files or time for validation.
        by: what sets the sides apart. `auto` is `person` where every clip has one and one can be spared, else `file`.
        root: the folder that hashed paths are relative to.
        window_s: the least length of a clip, in seconds.

    Raises:
        StreamcamError: by person, but some clip has none or none can be spared; or `by` is given, and the data say.
    """
    plain = [clip for clip, _ in clips]
    if any(split for _, split in clips):
        if by != "auto":
            raise StreamcamError(f"the data say what is for validation: leave out their split, or --split-by {by}")
        return _split_as_listed(clips)
    if by == "time":
        train, val = split_by_time(plain, val_share, window_s=window_s)
        apart = f"In a file, the sides are {window_s:.2g} s apart; the same person may be on both."
        return Split(train, val, f"Validation is by time: the last {val_share:.0%} of each class. {apart}")
    obstacle = None if by == "file" else _obstacle_to_persons(plain)
    if by == "person" and obstacle:
        raise _refusal(obstacle)
    if by == "file" or obstacle:
        return _split_by_file(plain, val_share, root, why="" if obstacle in (None, NO_PERSONS) else f", as {obstacle}")
    return _split_by_person(plain, val_share)


def _split_as_listed(clips: Sequence[tuple[LabelledClip, str | None]]) -> Split:
    train = [clip for clip, split in clips if split != "val"]
    val = [clip for clip, split in clips if split == "val"]
    both = sorted({clip.group for clip in train if clip.group} & {clip.group for clip in val if clip.group})
    warning = f" On both sides, so that the score says little of other people: {first_few(both)}." if both else ""
    return Split(train, val, f"Validation is by what the data say.{warning}")


def _obstacle_to_persons(clips: Sequence[LabelledClip]) -> str | None:
    """Return why no person can be kept for validation alone; None if one can."""
    groups = _by_group(clips)
    without = [clip.name for clip in clips if clip.group is None]
    if not groups:
        return NO_PERSONS
    if without:
        return f"nothing says who is in {len(without)} of {len(clips)} clips ({first_few(without)})"
    if len(groups) == 1:
        return f"all clips are of one person, {next(iter(groups))}"
    if not _choose_groups(groups, val_share=0.0):
        return "each person is the only one in the clips of some class"
    return None


def _refusal(obstacle: str) -> StreamcamError:
    advice = "name the persons (record --person NAME, or a column person in a CSV), or validate by file"
    return StreamcamError(f"cannot validate by person: {obstacle}: {advice}")


def _by_group(clips: Sequence[LabelledClip]) -> dict[str, list[LabelledClip]]:
    """Return the clips of each group, by its name in order; those without a group are left out."""
    groups: dict[str, list[LabelledClip]] = {name: [] for name in sorted({clip.group for clip in clips if clip.group})}
    for clip in clips:
        if clip.group:
            groups[clip.group].append(clip)
    return groups


def _split_by_person(clips: Sequence[LabelledClip], val_share: float) -> Split:
    groups = _by_group(clips)
    chosen = _choose_groups(groups, val_share)
    train = [clip for clip in clips if clip.group not in chosen]
    val = [clip for clip in clips if clip.group in chosen]
    names = f"{first_few(sorted(chosen))} ({len(chosen)} of {len(groups)})"
    return Split(train, val, f"Validation is by person: {names}. No person is on both sides.")


def _choose_groups(groups: Mapping[str, Sequence[LabelledClip]], val_share: float) -> set[str]:
    """Choose groups for validation with about `val_share` of the clips, and a clip of each class if that is possible.

    Every class keeps a clip for training. So none is chosen where each group is the only one with some class.
    """
    labels = {name: {label for clip in clips for label in clip.labels} for name, clips in groups.items()}
    # Of each class: how many groups that show it are left for training.
    left = Counter(label for shown in labels.values() for label in shown)
    missing = set(left)  # the classes without a clip for validation
    over = -val_share * sum(map(len, groups.values()))  # clips beyond the share; negative while it is not reached
    chosen: set[str] = set()
    while spare := [name for name in groups if name not in chosen and all(left[label] > 1 for label in labels[name])]:
        # The one with the most of the missing classes; of several, the one that comes nearest to the share.
        rank = {name: (-len(missing & labels[name]), abs(over + len(groups[name])), _hash(name)) for name in spare}
        best = min(spare, key=rank.__getitem__)
        nearer = abs(over + len(groups[best])) < abs(over)
        if chosen and not nearer and not missing & labels[best]:
            break
        chosen.add(best)
        left.subtract(labels[best])
        missing -= labels[best]
        over += len(groups[best])
    return chosen


def folds_by_group(
    clips: Sequence[LabelledClip],
) -> list[tuple[str, list[LabelledClip], list[LabelledClip]]]:
    """Divide clips once for each group: it is for validation, and all others are for training.

    Returns:
        For each group, in the order of their names: the group, the clips for training, and those for validation. No
        frame is on both sides. A class that one group alone shows has no clip for training in that group's fold.

    Raises:
        StreamcamError: a clip has no group, or there is only one.
    """
    groups = _by_group(clips)
    if len(groups) < 2 or any(clip.group is None for clip in clips):
        raise _refusal(_obstacle_to_persons(clips) or NO_PERSONS)
    folds = []
    for group, val in groups.items():
        train, _ = remove_shared([clip for clip in clips if clip.group != group], val)
        folds.append((group, train, val))
    return folds


def _split_by_file(clips: Sequence[LabelledClip], val_share: float, root: Path, *, why: str) -> Split:
    """Divide clips by a hash of each file's path.

    The hash does not depend on the other files, so a file stays on its side when more are added. A class that the
    hash puts on one side alone is divided by itself: by its files, or by the segments of its only file.
    """
    val = {clip for clip in clips if _hash_fraction(clip, root) < val_share}
    by_class: dict[int, list[LabelledClip]] = {}
    for clip in clips:
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
    train = [clip for clip in clips if clip not in val]
    divided = sorted({clip.path for clip in train} & {clip.path for clip in val})
    apart = "Clips of one file are never on both sides; the same person may be."
    if divided:
        apart = f"On both sides, as a class has no other file: {first_few(divided)}. The same person may be, too."
    return Split(train, [clip for clip in clips if clip in val], f"Validation is by file{why}. {apart}")


def _hash(text: str) -> float:
    """Hash a text to a number in 0–1 that never changes."""
    return int.from_bytes(hashlib.sha256(os.fsencode(text)).digest()[:8]) / 2**64


def _hash_fraction(clip: LabelledClip, root: Path, *, by_segment: bool = False) -> float:
    """Hash the path of a clip's file, or path and start of its segment, to a number in 0–1 that never changes."""
    path = clip.path.relative_to(root) if clip.path.is_relative_to(root) else clip.path
    text = f"{path.as_posix()} {clip.start_s}" if by_segment else path.as_posix()
    return _hash(text)


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
