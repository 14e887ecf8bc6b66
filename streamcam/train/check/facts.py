"""Count what the clips of each class are like, and find what one class has alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from streamcam.train.check.sampling import ClipSample
from streamcam.train.data.dataset import Dataset

MOST, FEW = 0.8, 0.2
"""What most clips of one class have, and few of the others, gives the class away."""

MIN_CLIPS = 5
"""In fewer clips of a class, what they share may be chance."""

LENGTH_RATIO = 2.0
"""A class whose clips are so many times as long, or as short, as the others' is named."""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """What the clips of a class are like."""

    name: str
    train: int
    """Clips for training."""
    val: int
    """Clips for validation."""
    files: int
    seconds: float
    """Of all clips together."""
    lengths_s: tuple[float, float, float]
    """Of the shortest clip, the median, and of the longest."""
    fps: Mapping[str, int]
    """Frame rate, such as 30 fps → the clips that have it, as far as they were decoded."""
    sizes: Mapping[str, int]
    """Picture size, such as 640×480 → the clips that have it, as far as they were decoded."""


@dataclass(frozen=True, slots=True)
class GiveAway:
    """A value that most clips of one class have, and few of the others."""

    name: str
    value: str
    clips: int
    """Clips of the class that have it."""
    of: int
    """All clips of the class."""
    others: int
    """Clips of other classes that have it."""
    of_others: int


def class_facts(dataset: Dataset, samples: Sequence[ClipSample]) -> tuple[ClassFacts, ...]:
    """Count the clips of each class of a data set, in the order of its classes. Classes without clips are left out."""
    return tuple(facts for label in range(len(dataset.classes)) for facts in _facts_of(dataset, label, samples))


def _facts_of(dataset: Dataset, label: int, samples: Sequence[ClipSample]) -> Iterator[ClassFacts]:
    train, val = ([clip for clip in clips if label in clip.labels] for clips in (dataset.train, dataset.val))
    clips, decoded = [*train, *val], [sample for sample in samples if label in sample.clip.labels]
    if not clips:
        return
    lengths_s = [clip.end_s - clip.start_s for clip in clips]
    yield ClassFacts(
        dataset.classes[label],
        len(train),
        len(val),
        files=len({clip.path for clip in clips}),
        seconds=round(sum(lengths_s), 3),
        lengths_s=(min(lengths_s), median(lengths_s), max(lengths_s)),
        fps=_counted(f"{sample.fps:.0f} fps" for sample in decoded),  # 29.97 counts as 30
        sizes=_counted(f"{sample.width}×{sample.height}" for sample in decoded),
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Count each value, the most frequent first."""
    return dict(Counter(values).most_common())


def give_aways(counts: Mapping[str, Mapping[str, int]]) -> list[GiveAway]:
    """Find values that most clips of one class have, and few clips of the others; classes of few clips have none.

    Args:
        counts: the name of each class → value → its clips that have the value.
    """
    found = []
    total = sum(sum(values.values()) for values in counts.values())
    for name, values in counts.items():
        of = sum(values.values())
        for value, clips in values.items():
            others = sum(other.get(value, 0) for other in counts.values()) - clips
            if min(of, total - of) >= MIN_CLIPS and clips >= MOST * of and others <= FEW * (total - of):
                found.append(GiveAway(name, value, clips, of, others, total - of))
    return found


def odd_lengths(medians_s: Mapping[str, float]) -> list[str]:
    """Return the classes whose clips are far longer, or shorter, than those of all others.

    Args:
        medians_s: the name of each class → the median length of its clips, in seconds.
    """
    odd = []
    for name, length_s in medians_s.items():
        others = [other for key, other in medians_s.items() if key != name]
        if others and (length_s > LENGTH_RATIO * max(others) or LENGTH_RATIO * length_s < min(others)):
            odd.append(name)
    return odd
