"""Choose the clips that the report shows, and say what each of them tells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamcam.models.base import CamModel
from streamcam.records import Floats
from streamcam.render.text import percent
from streamcam.train.check.findings import name_below
from streamcam.train.explained import explain_readable
from streamcam.train.metrics import probabilities_of
from streamcam.train.report.judged import MOST_SHOWN, JudgedClips, contrast, taken_for
from streamcam.train.report.movement import heat_on_movement
from streamcam.train.report.page import ClipCard
from streamcam.train.report.pictures import Strip, strip
from streamcam.train.report.study import Study

CANDIDATES = 30
"""So many clips that seem to do most harm are left out in fact, one at a time."""


@dataclass(frozen=True, slots=True)
class Painter:
    """Makes cards of clips: computes and paints their heat."""

    model: CamModel
    data: Path
    """The folder or CSV file that the clips were read from: their names are below it."""
    tell: Callable[[], None]
    """Called for each card that is done."""
    on_movement: list[float] = field(default_factory=list)
    """Of the typical clips: how much of the heat of their class lies where something moves, 0–1."""

    def typical(self, judged: JudgedClips) -> list[ClipCard]:
        """Show a clip of each class with the heat of its class."""
        return [self._card(judged, row, self._seen(judged, row), typical=True) for row in judged.typical()]

    def worst(self, judged: JudgedClips) -> list[ClipCard]:
        """Show the clips with the highest loss."""
        return [self._card(judged, row, self._seen(judged, row)) for row in judged.worst()]

    def harmful(self, judged: JudgedClips, study: Study, harm: Sequence["Harm"]) -> list[ClipCard]:
        """Show the training clips that do most harm."""
        return [self._card(judged, one.row, self._harm(judged, study, one)) for one in harm]

    def _card(self, judged: JudgedClips, row: int, text: str, *, typical: bool = False) -> ClipCard:
        own, other = contrast(judged.probabilities[row], judged.targets[row])
        strips: list[Strip] = []
        for frames, heat in explain_readable(self.model, [judged.clips[row]], say=lambda _: None):
            share = heat_on_movement(frames, heat, own) if typical else None
            self.on_movement.extend([] if share is None else [share])
            strips = [strip(frames, heat, k) for k in ([own] if typical or other is None else [other, own])]
        self.tell()
        return ClipCard(name_below(judged.clips[row], self.data), text, strips)

    def _seen(self, judged: JudgedClips, row: int) -> str:
        """Say what a clip is, and what it is taken for."""
        own, probabilities = judged.targets[row], judged.probabilities[row]
        right = set(taken_for(probabilities, multi_label=judged.multi_label)) == set(np.flatnonzero(own))
        return f"It is {self._names(own)}, {'and' if right else 'but'} taken for {self._taken(probabilities)}."

    def _harm(self, judged: JudgedClips, study: Study, harm: "Harm") -> str:
        label = self._names(judged.targets[harm.row])
        verdict = "so its label may be wrong" if harm.suspect else "so it is unusual rather than wrongly labelled"
        return (
            f"Its label is {label}. The network takes it for {self._taken(judged.probabilities[harm.row])}. If it were "
            f"left out, the validation loss would fall from {study.val_loss:.3f} to {harm.loss:.3f}. A classifier that "
            f"has not learnt from it takes it for {self._taken(harm.probabilities)}, {verdict}."
        )

    def _names(self, targets: Floats) -> str:
        return " + ".join(f"“{self.model.classes[c]}”" for c in np.flatnonzero(targets))

    def _taken(self, probabilities: Floats) -> str:
        taken = taken_for(probabilities, multi_label=self.model.spec.multi_label)
        return " + ".join(f"“{self.model.classes[c]}” ({percent(float(probabilities[c]))})" for c in taken) or "nothing"


@dataclass(frozen=True, slots=True, eq=False)
class Harm:
    """What happens without a training clip."""

    row: int
    """Of the clip."""
    loss: float
    """Of the validation clips, by a classifier that has not learnt from it."""
    probabilities: Floats
    """float32 [C]: what that classifier takes the clip for."""
    suspect: bool
    """Whether that is not what its label says."""


def most_harmful(study: Study, classes: int) -> list[Harm]:
    """Find the clips that do most harm: a few by approximation, then by training without each.

    Those come first that would be taken for something else than their label says; else the worst is first.

    Args:
        study: has the clips.
        classes: how many classes the network has.
    """
    approximate = study.harm()
    found = []
    for row in np.argsort(-approximate, kind="stable")[:CANDIDATES]:
        loss, logits = study.without(int(row))
        if approximate[row] > 0 and loss < study.val_loss:
            probabilities = np.zeros(classes, np.float32)
            probabilities[study.known] = probabilities_of(logits[None], multi_label=study.multi_label)[0]
            taken = taken_for(probabilities[study.known], multi_label=study.multi_label)
            suspect = set(taken) != set(np.flatnonzero(study.targets[row]))
            found.append(Harm(int(row), loss, probabilities, suspect))
    return sorted(found, key=lambda harm: (not harm.suspect, harm.loss))[:MOST_SHOWN]
