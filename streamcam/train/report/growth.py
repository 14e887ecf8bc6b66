"""Whether more clips, or more people, would help: the learning curves, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamcam.records import Floats
from streamcam.train.report.answers import Step, would_more_help
from streamcam.train.report.charts import curve_chart
from streamcam.train.report.learning_curve import DRAWS, CurvePoint
from streamcam.train.report.page import Chart, Question
from streamcam.train.report.scores import gain, mean_score
from streamcam.train.report.study import Study

SECTION = "more"
"""The id of the report's section."""


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """The learning curves of a study."""

    clips: Sequence[CurvePoint]
    """Empty where there are too few clips, or too many classes."""
    people: Sequence[CurvePoint]
    """Empty also where it is not known who is in the clips."""
    targets: Floats
    """float32 [M,C], of the validation clips."""
    multi_label: bool

    @classmethod
    def of(cls, study: Study, people: Sequence[str | None]) -> "Growth":
        """Train on parts of the clips; `people` says who is in each training clip."""
        known = [person for person in people if person is not None]
        by_people = len(known) == len(people) and len(set(known)) > 1
        return cls(
            study.curve_of_clips(),
            study.curve_of_people(known) if by_people else [],
            study.val_targets,
            study.multi_label,
        )

    @property
    def chart(self) -> Chart:
        """The curves."""
        return curve_chart(self.clips, self.people, self.targets, multi_label=self.multi_label)

    @property
    def questions(self) -> list[Question]:
        """Whether more clips would help and, where people are known, more people."""
        questions = [
            Question("Would more clips help?", would_more_help(self._last_step(self.clips), "clips"), SECTION),
            Question("Would more people help?", would_more_help(self._last_step(self.people), "people"), SECTION),
        ]
        return questions if self.people else questions[:1]

    @property
    def notes(self) -> list[str]:
        """What the chart shows, and what its two curves say together."""
        dots = (
            f"Each dot is a classifier that has learnt from a random part of the clips, at most {DRAWS} of each size."
        )
        if not self.people:
            return [dots]
        return [f"{dots} The numbers at the second line count people.", *self._comparison()]

    def _last_step(self, points: Sequence[CurvePoint]) -> Step | None:
        if len(points) < 2:
            return None
        less, more = points[-2:]
        return Step(
            before=_part(less),
            after=_part(more),
            score_before=self._score(less),
            score_after=self._score(more),
            gain=gain(less, more, self.targets, multi_label=self.multi_label),
        )

    def _comparison(self) -> list[str]:
        """Compare clips of everybody with as many of some people: the difference is what other people are worth."""
        if len(self.people) < 2 or len(self.clips) < 2:
            return []
        few = self.people[-2]
        everybody = min(self.clips[:-1], key=lambda point: abs(point.clips - few.clips))
        more = gain(few, everybody, self.targets, multi_label=self.multi_label)
        verdict = (
            "So clips of other people are worth more than more clips of the same."
            if more.low > 0
            else "So it is not to be seen that clips of other people are worth more than clips of the same."
        )
        return [
            f"{everybody.clips:.0f} clips of everybody reach {self._score(everybody):.2f}, the {few.clips:.0f} of "
            f"{_part(few)} {self._score(few):.2f}. {verdict}"
        ]

    def _score(self, point: CurvePoint) -> float:
        return mean_score(point, self.targets, multi_label=self.multi_label)


def _part(point: CurvePoint) -> str:
    """Name what was learnt from, as after "with"."""
    if point.people is not None:
        return "1 person" if point.people == 1 else f"{point.people} people"
    return f"{'all ' if point.share == 1 else ''}{point.clips:.0f} clips"
