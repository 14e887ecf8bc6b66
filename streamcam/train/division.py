"""Clips to learn from, and others to check with that share nothing with them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from streamcam.train.rows import LabelledClip

SHARED_S = 0.1
"""Stretches that run together for no longer than this just meet: times are rounded."""


def divide(
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
    return int.from_bytes(hashlib.sha256(os.fsencode(text)).digest()[:8]) / 2**64


def _share_of(alike: Sequence[LabelledClip], val_share: float, root: Path) -> set[LabelledClip]:
    """The clips to check one class with: at least one file's and not all; a single file's stretches are divided."""
    stretch = len({clip.path for clip in alike}) == 1
    firsts = _firsts(alike) if stretch else {clip: clip for clip in alike}
    place = {clip: _place(first, root, stretch=stretch) for clip, first in firsts.items()}
    places = sorted({*place.values()})
    count = min(len(places) - 1, max(1, round(val_share * len(places))))
    return {clip for clip in alike if place[clip] in places[:count]}


def _firsts(clips: Sequence[LabelledClip]) -> dict[LabelledClip, LabelledClip]:
    """For each stretch of a file, the first of those that it hangs together with, one overlapping the next."""
    firsts: dict[LabelledClip, LabelledClip] = {}
    first, end_s = None, 0.0
    for clip in sorted(clips, key=lambda clip: clip.start_s):
        first = clip if first is None or clip.start_s > end_s - SHARED_S else first
        firsts[clip] = first
        end_s = max(end_s, clip.end_s)
    return firsts


def apart(train: Sequence[LabelledClip], val: Sequence[LabelledClip]) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Clips to learn from that share no picture with one to check with, and those that do."""
    checked: dict[Path, list[LabelledClip]] = {}
    for clip in val:
        checked.setdefault(clip.path, []).append(clip)
    shared = {clip for clip in train if any(overlap_s(clip, other) > SHARED_S for other in checked.get(clip.path, ()))}
    return [clip for clip in train if clip not in shared], [clip for clip in train if clip in shared]


def overlap_s(a: LabelledClip, b: LabelledClip) -> float:
    """How long two stretches of the same file run together, in seconds."""
    return min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
