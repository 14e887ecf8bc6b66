"""What the figures say, in sentences that answer a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from streamcam.render.text import percent
from streamcam.train.data.annotations import count_of, first_few
from streamcam.train.report.scores import Score

LEAST_CLIPS = 20
"""With fewer validation clips, small differences cannot be told from chance."""

LEAST_PEOPLE = 3
"""With fewer people for validation, the score says little of others."""

CLEAR, SLIGHT = 0.01, 0.02
"""A gain below the first is none, however sure; one that is surely below the second is not worth the work."""

PERFECT = 0.995

MOSTLY, PARTLY = 0.6, 0.35
"""Shares of the heat."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question."""

    short: str
    """A word or two, with its full stop."""
    text: str
    """The reason, in one or two sentences."""


@dataclass(frozen=True, slots=True)
class Step:
    """What more clips, or more people, have brought."""

    before: str
    """What the classifier learnt from, as after "with"."""
    after: str
    score_before: float
    score_after: float
    gain: Score


def on_others(
    score: Score,
    train_people: Sequence[str | None],
    val_people: Sequence[str | None],
    *,
    folds: Sequence[float] = (),
) -> Answer:
    """Say whether it will work with another person or room.

    Args:
        score: of the validation clips.
        train_people: who is in each training clip; None where that is not known.
        val_people: who is in each validation clip.
        folds: the scores for people who were left out of training, one at a time.
    """
    room = "Of another room it says something only if validation clips were recorded in one."
    if folds:
        reached = f"{mean(folds):.2f} on the average, {min(folds):.2f} at worst"
        text = f"Each of {len(folds)} people was left out of training once. The score for them is {reached}. {room}"
        return Answer("Perhaps." if len(folds) < LEAST_PEOPLE else _how_well(min(folds)), text)
    new = sorted({person for person in val_people if person is not None} - set(train_people))
    interval = f"{score.value:.2f} (95 % interval {score.low:.2f} to {score.high:.2f})"
    if None in val_people or {*val_people} & {*train_people}:
        return Answer(
            "Not known.",
            f"The same person may be in training and validation clips, so the score of {interval} says little of "
            "others. Record three people or more, and say who it is: then some are kept for validation alone.",
        )
    of_people = f"on {'somebody' if len(new) == 1 else count_of(len(new), 'person').replace('persons', 'people')}"
    measured = f"The score is {interval} {of_people} whom it has not learnt from: {first_few(new)}."
    if len(new) < LEAST_PEOPLE:
        return Answer("Perhaps.", f"{measured} So few people say little of others. {room}")
    return Answer(_how_well(score.low), f"{measured} {room}")


def _how_well(low: float) -> str:
    """Say how often it is right, from what may be the worst case, 0–1."""
    return "Mostly." if low >= 0.8 else "Often." if low >= 0.5 else "Not reliably."


def where_it_looks(shares: Sequence[float]) -> Answer:
    """Say how much of the heat lies where something moves.

    Args:
        shares: 0–1, of some clips: see `movement.heat_on_movement`.
    """
    advice = "If movement makes your classes, it should be most."
    if not shares:
        return Answer("See its heat.", "Nothing moves in the clips that are shown, so it cannot be measured.")
    share = sum(shares) / len(shares)
    short = "Mostly" if share >= MOSTLY else "Partly" if share >= PARTLY else "Hardly"
    return Answer(
        f"{short} where something moves.",
        f"{percent(share)} of the heat of a clip's own class lies on the fifth of the picture that changes most (20 % "
        f"by chance), on the average of {count_of(len(shares), 'clip')}. {advice}",
    )


def which_are_wrong(score: Score, suspects: int, examined: int) -> Answer:
    """Say how many validation clips are mistaken, and how many labels may be wrong.

    Args:
        score: of the validation clips.
        suspects: how many training clips do harm, and are taken for another class unless they are learnt from.
        examined: of so many training clips.
    """
    labels = (
        f"{suspects} of {count_of(examined, 'training clip')} may be wrongly labelled."
        if suspects
        else f"None of {count_of(examined, 'training clip')} looks wrongly labelled."
    )
    if score.right is None:
        return Answer("See below.", labels)
    wrong = score.clips - score.right
    mistaken = f"{wrong} of {count_of(score.clips, 'validation clip')} {'is' if wrong == 1 else 'are'} mistaken."
    return Answer(mistaken, labels)


def would_more_help(step: Step | None, what: str) -> Answer:
    """Say whether more clips, or more people, would help.

    Args:
        step: from a part of them to all; None where there are too few to take a part.
        what: clips or people.
    """
    if step is None:
        return Answer("Not known.", f"There are too few {what} to learn from a part of them.")
    found = (
        f"With {step.before} the score is {step.score_before:.2f}, with {step.after} {step.score_after:.2f} (95 % "
        f"interval of the difference {step.gain.low:+.2f} to {step.gain.high:+.2f})"
    )
    if step.score_after >= PERFECT:
        return Answer(
            "Not to be seen here.",
            f"{found}. There is nothing left to gain on these validation clips. Harder ones would tell: of other "
            "people, in other rooms and light.",
        )
    if step.gain.low > 0 and step.gain.value >= CLEAR:
        return Answer("Yes.", f"{found}: it still rises. Twice as many {what} should help.")
    if step.gain.clips < LEAST_CLIPS:
        return Answer("Perhaps.", f"{found}. {count_of(step.gain.clips, 'validation clip')} are too few to be sure.")
    if step.gain.high < SLIGHT:
        return Answer("Hardly.", f"{found}. Clips that differ from those that there are help more than more of them.")
    return Answer("Perhaps.", f"{found}. So small a difference may be chance.")
