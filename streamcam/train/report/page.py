"""The report as one HTML file: pictures lie in it, and it needs no script and no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from streamcam.errors import one_line
from streamcam.train.report.answers import Answer
from streamcam.train.report.pictures import Strip
from streamcam.train.report.scores import Score

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True, slots=True)
class Question:
    """A question that people have, its answer, and the section that says more."""

    text: str
    answer: Answer
    section: str
    """The id of the section."""


@dataclass(frozen=True, slots=True)
class ClipCard:
    """A clip with its heat, and what there is to say of it."""

    name: str
    """Of its file."""
    text: str
    strips: Sequence[Strip]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure."""

    uri: str
    """The figure itself, as a data URI."""
    text: str
    """What it shows, for those who cannot see it."""


@dataclass(frozen=True, slots=True)
class Page:
    """All that the report says."""

    title: str
    facts: Sequence[str]
    """What was trained on what, a short line each."""
    metric: str
    """What the score is."""
    score: Score
    chance: float | None
    """The score of guessing; None where that depends on the classes."""
    questions: Sequence[Question]
    division: Sequence[str]
    """How the clips for validation were chosen, and how good it is for each person who was left out."""
    warnings: Sequence[str]
    notes: Sequence[str]
    class_metric: str
    classes: Sequence[Score]
    people: Sequence[Score]
    charts: Sequence[Chart]
    colour_key: str
    typical: Sequence[ClipCard]
    worst: Sequence[ClipCard]
    harmful: Sequence[ClipCard]
    examined: str
    """Which training clips were searched for harm."""
    curve: Chart | None
    curve_notes: Sequence[str]


def render(page: Page) -> str:
    """Return the report as HTML. Names of classes and files are text, whatever is in them."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(page=page)


def _shown(value: object) -> object:
    """Spell out what cannot be encoded or shown, as in a file's name that is not valid UTF-8."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
