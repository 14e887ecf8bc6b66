"""Say in words what was found in a data set: warnings, the most important first, and notes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcam.train.check.facts import ClassFacts, GiveAway, give_aways, odd_lengths
from streamcam.train.check.stills import StillsResult
from streamcam.train.data.annotations import LabelledClip, count_of, first_few
from streamcam.train.data.dataset import Dataset

MAX_PAIRS = 3
"""So many pairs of classes are named as the most alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What was found in a data set."""

    data: Path
    """The folder or CSV file that was read."""
    dataset: Dataset
    examined: int
    """How many of its clips were decoded."""
    unreadable: Sequence[LabelledClip]
    """The clips that could not be."""
    facts: Sequence[ClassFacts]
    alike: Sequence[Sequence[LabelledClip]]
    """Groups of clips that look the same."""
    stills: StillsResult | None
    """How well still pictures tell the classes apart; None where too few clips were decoded."""
    stills_classes: Sequence[str]
    """The names of its classes. With several labels a clip, these are combinations of classes."""
    window_s: float
    """Training needs clips of this length at least, in seconds; 0 where that is known to be so."""

    @property
    def warnings(self) -> list[str]:
        """What makes a network learn the wrong thing, or its score too good; the most important first."""
        return [
            *self._too_short(),
            *self._contradictions(),
            *self._leaks(),
            *self._telling_stills(),
            *self._give_aways(),
        ]

    @property
    def notes(self) -> list[str]:
        """What else people should know; a line each."""
        notes = [*self.dataset.notes, *self._unreadable(), *self._repetitions(), *self._odd_lengths()]
        if self.stills is not None and not self.stills.suffices:
            notes.append(f"a still picture of the middle of a clip tells the classes apart in {_share(self.stills)}")
        return notes + list(self._most_alike())

    def name(self, clip: LabelledClip) -> str:
        """Return the name of a clip's file below the data, and the segment unless that is the whole file."""
        return name_below(clip, self.data)

    def label(self, clip: LabelledClip) -> str:
        """Return the names of a clip's classes."""
        return " + ".join(self.dataset.classes[label] for label in clip.labels)

    def _too_short(self) -> Iterator[str]:
        clips = (*self.dataset.train, *self.dataset.val)
        short = [self.name(clip) for clip in clips if clip.end_s - clip.start_s < self.window_s]
        if short:
            yield (
                f"too short for the {self.window_s:.2f} s that a network sees at once by default, so that `streamcam "
                f"train` needs a shorter --window: {count_of(len(short), 'clip')}: {first_few(short)}"
            )

    def _contradictions(self) -> Iterator[str]:
        pairs = []
        for group in self.alike:
            other = next((clip for clip in group if clip.labels != group[0].labels), None)
            if other is not None:
                pairs.append(" and ".join(f"{self.name(clip)} ({self.label(clip)})" for clip in (group[0], other)))
        if pairs:
            yield (
                f"clips look the same and have different labels, in {count_of(len(pairs), 'group')}: "
                f"{first_few(pairs)}. Keep the right one of each"
            )

    def _leaks(self) -> Iterator[str]:
        val, pairs, count = set(self.dataset.val), [], 0
        for group in self.alike:
            learnt, kept = ([clip for clip in group if (clip in val) == side] for side in (False, True))
            if learnt and kept:
                pairs.append(f"{self.name(kept[0])} and {self.name(learnt[0])}")
                count += len(kept)
        if pairs:
            yield (
                f"training clips look the same as {count} of {len(val)} validation clips, so the score will be too "
                f"good: {first_few(pairs)}. Keep one of each, or put all on one side"
            )

    def _telling_stills(self) -> Iterator[str]:
        if self.stills is not None and self.stills.suffices:
            yield (
                f"a still picture of the middle of a clip already tells the classes apart in {_share(self.stills)}: "
                "the network may learn the background, and not what moves. Record all classes in the same places"
            )

    def _give_aways(self) -> Iterator[str]:
        by_property: dict[str, Mapping[str, Mapping[str, int]]] = {
            "frame rate": {facts.name: facts.fps for facts in self.facts},
            "picture size": {facts.name: facts.sizes for facts in self.facts},
        }
        for what, counts in by_property.items():
            if found := give_aways(counts):
                names = first_few(_give_away(one) for one in found)
                yield f"the {what} alone tells classes apart: {names}. Record all classes with the same camera"

    def _unreadable(self) -> Iterator[str]:
        if self.unreadable:
            names = first_few(self.name(clip) for clip in self.unreadable)
            count = count_of(len(self.unreadable), "clip")
            yield f"skipped {count}, whose first or middle picture cannot be decoded: {names}"

    def _repetitions(self) -> Iterator[str]:
        val = set(self.dataset.val)
        same = [g for g in self.alike if len({clip.labels for clip in g}) == len({clip in val for clip in g}) == 1]
        if same:
            pairs = first_few(f"{self.name(group[0])} and {self.name(group[1])}" for group in same)
            count = count_of(sum(map(len, same)), "clip")
            yield f"{count} of the same class look the same, in {count_of(len(same), 'group')}: {pairs}"

    def _odd_lengths(self) -> Iterator[str]:
        medians_s = {facts.name: facts.lengths_s[1] for facts in self.facts}
        for name in odd_lengths(medians_s):
            others = [length_s for other, length_s in medians_s.items() if other != name]
            span = f"{min(others):.2f}" + (f" to {max(others):.2f}" if len(others) > 1 else "")
            yield f"the clips of {name!r} last {medians_s[name]:.2f} s (median), those of the others {span} s"

    def _most_alike(self) -> Iterator[str]:
        pairs = [] if self.stills is None else self.stills.most_alike[:MAX_PAIRS]
        names = self.stills_classes
        told = [f"{names[a]!r} and {names[b]!r} ({count} of {of})" for a, b, count, of in pairs]
        if told:
            yield f"classes that look most alike, and clips whose nearest picture is of the other: {', '.join(told)}"


def name_below(clip: LabelledClip, data: Path) -> str:
    """Return the name of a clip's file below a folder or beside a CSV file, and the segment unless it is the whole."""
    folder = data if data.is_dir() else data.parent
    return clip.name.removeprefix(f"{folder}/")


def _share(stills: StillsResult) -> str:
    low, high = stills.interval
    how = "each compared with other files" if stills.by_files else "validation compared with training"
    return (
        f"{stills.accuracy:.2f} of {count_of(stills.total, 'case')} (95 % interval {low:.2f} to {high:.2f}, chance "
        f"{stills.chance:.2f}; {how})"
    )


def _give_away(one: GiveAway) -> str:
    return f"{one.value} in {one.clips} of {one.of} clips of {one.name!r}, and {one.others} of {one.of_others} others"
