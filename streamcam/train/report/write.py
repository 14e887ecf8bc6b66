"""Write report.html: what a network has learnt, and what its clips are like."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from streamcam.config.train import TrainConfig
from streamcam.files import complete_or_absent
from streamcam.models.base import CamModel
from streamcam.records import Floats
from streamcam.train.check.run import brief_findings
from streamcam.train.clips import ClipDataset, ValidationSampler, centre_crop
from streamcam.train.cross_validate import Fold, describe
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import Dataset
from streamcam.train.frozen import pool_views
from streamcam.train.metrics import EpochMetrics
from streamcam.train.report.answers import on_others, where_it_looks, which_are_wrong
from streamcam.train.report.cards import Harm, Painter, most_harmful
from streamcam.train.report.charts import confusion_chart, training_charts
from streamcam.train.report.growth import Growth
from streamcam.train.report.judged import MOST_SHOWN, TYPICAL_CLASSES, JudgedClips
from streamcam.train.report.page import Chart, Page, Question, render
from streamcam.train.report.pictures import colour_key
from streamcam.train.report.scores import Score, class_scores, person_scores, whole_score
from streamcam.train.report.study import Study, fair_sample, make_study, rarest_class
from streamcam.train.workers import BatchLoader

NO_STUDY = "Not asked: this needs two classes with training clips, and says nothing where there are more than 100."

Show = Callable[[int, int], None]
"""Called with the number of clips that are done, and of all."""


class _Steps:
    """Counts the clips that are done: those that go through the network, and those that are painted."""

    def __init__(self, clips: int, classes: int, show: Show) -> None:
        self._done, self._total, self._show = 0, clips + min(classes, TYPICAL_CLASSES) + 2 * MOST_SHOWN, show

    def tell(self, count: int = 1) -> None:
        """Show that more clips are done."""
        self._done += count
        self._show(min(self._done, self._total), self._total)

    def finish(self) -> None:
        """Show that all is done: fewer clips may do harm than are shown at most."""
        self._show(self._total, self._total)


def write_report(
    path: Path,
    model: CamModel,
    dataset: Dataset,
    config: TrainConfig,
    history: Sequence[EpochMetrics],
    *,
    folds: Sequence[Fold] = (),
    show: Show,
) -> None:
    """Write the report on a network as one HTML file.

    Args:
        path: the file.
        model: the network of the best epoch, on the device that it is to run on.
        dataset: what it was trained on.
        config: how it was trained.
        history: the figures of all epochs.
        folds: the scores of networks that were trained without one person each.
        show: called with the number of clips that are done, and of all.

    Raises:
        StreamcamError: the file cannot be written.
    """
    page = _Report(model, dataset, config, history, folds).page(show)
    with complete_or_absent(path) as partial:
        partial.write_text(render(page), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Report:
    """A network, and what it was trained on."""

    model: CamModel
    dataset: Dataset
    config: TrainConfig
    history: Sequence[EpochMetrics]
    folds: Sequence[Fold]

    def page(self, show: Show) -> Page:
        """Run the network on the clips, study them, and return all that there is to say."""
        findings = brief_findings(self.dataset, self.config.data, show=show)
        seen, steps = self._look(show)
        val, growth, multi_label = seen.val, seen.growth, self.config.multi_label
        painter = Painter(self.model, self.config.data, steps.tell)
        typical, score = painter.typical(val), whole_score(val.logits, val.targets, multi_label=multi_label)
        page = Page(
            title=self.model.spec.name,
            facts=[self.dataset.summary, self._training()],
            metric="Mean average precision of the classes" if multi_label else "Mean recall of the classes",
            score=score,
            chance=None if multi_label else 1 / int(val.targets.any(0).sum()),
            questions=[*self._questions(seen, score, painter.on_movement), *(growth.questions if growth else [])],
            division=[self.dataset.validation, *(describe(self.folds) if self.folds else [])],
            warnings=[] if findings is None else findings.warnings,
            notes=self.dataset.notes if findings is None else findings.notes,
            class_metric="average precision" if multi_label else "recall",
            classes=class_scores(val.logits, val.targets, self.dataset.classes, multi_label=multi_label),
            people=[] if multi_label else person_scores(val.logits, val.targets, _people(val.clips)),
            charts=self._charts(val),
            colour_key=colour_key(),
            typical=typical,
            worst=painter.worst(val),
            harmful=[] if seen.study is None else painter.harmful(seen.train, seen.study, seen.harm),
            examined=_examined(seen, len(self.dataset.train)),
            curve=growth.chart if growth else None,
            curve_notes=growth.notes if growth else [NO_STUDY],
        )
        steps.finish()
        return page

    def _look(self, show: Show) -> tuple["_Seen", _Steps]:
        """Run the network on the clips, and study what it knows of them."""
        dataset = self.dataset
        learnt = [dataset.train[i] for i in fair_sample(rarest_class(self._targets(dataset.train)))]
        steps = _Steps(len(learnt) + len(dataset.val), len(dataset.classes), show)
        train, val = self._judge(learnt, steps), self._judge(dataset.val, steps)
        study = make_study(train, val)
        if study is None:
            return _Seen(train, val, None, None, []), steps
        growth, harm = Growth.of(study, _people(train.clips)), most_harmful(study, len(dataset.classes))
        return _Seen(train, val, study, growth, harm), steps

    def _questions(self, seen: "_Seen", score: Score, on_movement: Sequence[float]) -> list[Question]:
        """Ask and answer what needs no learning curve."""
        people = _people(self.dataset.train), _people(seen.val.clips)
        others = on_others(score, *people, folds=[fold.trained for fold in self.folds])
        suspects = sum(one.suspect for one in seen.harm)
        return [
            Question("Will it work with another person or room?", others, "scores"),
            Question("Where does it look?", where_it_looks(on_movement), "heat"),
            Question("Which clips are wrong?", which_are_wrong(score, suspects, len(seen.train.clips)), "worst"),
        ]

    def _targets(self, clips: Sequence[LabelledClip]) -> Floats:
        targets = np.zeros((len(clips), len(self.dataset.classes)), np.float32)
        for row, clip in zip(targets, clips, strict=True):
            row[list(clip.labels)] = 1.0
        return targets

    def _judge(self, clips: Sequence[LabelledClip], steps: _Steps) -> JudgedClips:
        """Run the network on clips; those that cannot be decoded are left out."""
        pooled = pool_views(self.model.eval(), self._views(clips, steps))
        classifier = self.model.head.classifier
        with torch.no_grad():
            logits = classifier(pooled.features.to(classifier.weight)).cpu() / self.model.spec.temperature
        return JudgedClips(
            [clips[number] for number in pooled.numbers.tolist()],
            pooled.features.numpy(),
            logits.numpy(),
            pooled.targets.numpy(),
            self.config.multi_label,
        )

    def _views(self, clips: Sequence[LabelledClip], steps: _Steps) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the middle frames of clips as the network takes them, their targets and numbers, batch by batch."""
        clip_format, batch_size = self.model.spec.clip_format, self.config.batch
        dataset = ClipDataset(clips, len(self.dataset.classes), clip_format, frames=clip_format.length)
        sampler = ValidationSampler(len(clips), batch=batch_size)
        device = next(self.model.parameters()).device
        for batch in BatchLoader(dataset, sampler, workers=self.config.workers):
            if len(batch.frames):
                yield centre_crop(batch.frames.to(device), clip_format), batch.targets, batch.numbers
            steps.tell(len(batch.frames) + len(batch.unreadable))

    def _training(self) -> str:
        """Say how the network was trained."""
        best = max(self.history, key=lambda metrics: (metrics.score, -metrics.val_loss)).epoch
        which = f"this is the network after epoch {best} of {self.history[-1].epoch}"
        if not best:
            which = "this is a new classifier of its features as they are"
        frozen = ", its features kept as they are" if self.config.freeze else ""
        return f"Trained from {self.config.model}{frozen}; {which}."

    def _charts(self, val: JudgedClips) -> list[Chart]:
        charts = training_charts(self.history, multi_label=self.config.multi_label)
        return charts if self.config.multi_label else [*confusion_chart(val, self.dataset.classes), *charts]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What was found out about the clips."""

    train: JudgedClips
    val: JudgedClips
    study: Study | None
    """None where it would say nothing; then there are no curves and no harm."""
    growth: Growth | None
    harm: Sequence[Harm]


def _people(clips: Sequence[LabelledClip]) -> list[str | None]:
    return [clip.group for clip in clips]


def _examined(seen: _Seen, of: int) -> str:
    """Say which of all training clips were searched for harm."""
    if seen.study is None:
        return NO_STUDY
    count = len(seen.train.clips)
    which = f"each of the {count} training clips" if count == of else f"each of {count} of the {of} training clips"
    asked = f"How good would a classifier be without a clip? That was asked of {which}."
    if not seen.harm:
        return f"{asked} None of them does harm."
    return (
        f"{asked} Here are those that do most harm. First come those that such a classifier takes for something else. "
        "Look at them: is the label right?"
    )
