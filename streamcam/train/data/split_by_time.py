"""Divide clips by time: of each class, the last are for validation, and in a file a window lies between the sides."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.recordings import recorded_at


def split_by_time(
    clips: Sequence[LabelledClip], val_share: float, *, window_s: float
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Divide each class where it has `1 - val_share` of its time behind it; a long clip is cut there.

    Recordings follow each other by the time in their names, or else by their names, with numbers as numbers.

        recording 1      recording 2
        ├──── train ────┤├──── train ──┤·window·├─ val ─┤

    Args:
        clips: of all classes; those with the same labels are divided together.
        val_share: 0–1, the share of a class's time for validation.
        window_s: the least length of a clip, and of the gap between the sides in a file, in seconds.

    Returns:
        The clips for training, and those for validation. Training clips that lie too near are shortened, or left out.
    """
    by_labels: dict[tuple[int, ...], list[LabelledClip]] = {}
    for clip in sorted(clips, key=_order):
        by_labels.setdefault(clip.labels, []).append(clip)
    train: list[LabelledClip] = []
    val: list[LabelledClip] = []
    for members in by_labels.values():
        early, late = _cut(members, val_share, window_s)
        train += early
        val += late
    return _keep_away(train, val, window_s), val


def _order(clip: LabelledClip) -> tuple[str, list[tuple[int, str]], float]:
    """Return what clips are sorted by. With numbers as numbers, clip-2.mp4 comes before clip-10.mp4."""
    parts = enumerate(re.split(r"([0-9]+)", str(clip.path)))
    name = [(int(part), "") if i % 2 else (0, part) for i, part in parts]  # the numbers are at odd places
    return recorded_at(clip.path), name, clip.start_s


def _cut(
    clips: Sequence[LabelledClip], val_share: float, window_s: float
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Cut a class's clips, in their order, in two. Both sides get something if that is possible."""
    # Seconds until the cut, counted from the clip that is looked at.
    left_s = (1 - val_share) * sum(clip.end_s - clip.start_s for clip in clips)
    train: list[LabelledClip] = []
    val: list[LabelledClip] = []
    for clip in clips:
        length_s = clip.end_s - clip.start_s
        if 0 < left_s < length_s and left_s >= 2 * window_s and length_s - left_s >= window_s:
            train.append(replace(clip, end_s=clip.start_s + left_s - window_s))
            val.append(replace(clip, start_s=clip.start_s + left_s))
        else:
            (train if left_s >= length_s / 2 else val).append(clip)
        left_s -= length_s
    if not val and len(train) > 1:
        val.append(train.pop())
    if not train and len(val) > 1:
        train.append(val.pop(0))
    return train or val, val if train else []


def _keep_away(train: Iterable[LabelledClip], val: Iterable[LabelledClip], window_s: float) -> list[LabelledClip]:
    """Shorten training clips that lie within a window of a validation clip of the same file; leave out the rest."""
    val_by_file: dict[Path, list[LabelledClip]] = {}
    for clip in val:
        val_by_file.setdefault(clip.path, []).append(clip)
    kept: list[LabelledClip] = []
    for clip in train:
        pieces = [clip]
        for other in val_by_file.get(clip.path, ()):
            pieces = [part for piece in pieces for part in _before_and_after(piece, other, window_s)]
        kept += pieces
    return kept


def _before_and_after(clip: LabelledClip, other: LabelledClip, gap_s: float) -> list[LabelledClip]:
    """Return what of a clip lies at least `gap_s` before or after another, without pieces shorter than that."""
    before = replace(clip, end_s=min(clip.end_s, other.start_s - gap_s))
    after = replace(clip, start_s=max(clip.start_s, other.end_s + gap_s))
    return [piece for piece in (before, after) if piece.end_s - piece.start_s >= gap_s and piece.end_s > piece.start_s]
