"""Events against truth: what is found, missed and false. Pure arithmetic on times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from streamcam.config.events import RuleConfig
from streamcam.events.track import Observation, RuleTrack

LEAST_S = 0.4
"""What is true for a shorter time counts for nobody."""

BRIDGED_S = 0.5
"""Two true times with a shorter gap are one."""

NEAR_S = 0.3
"""So long before and after a time that is true or unclear, it is unclear: the network looks at half a second."""

FALSE, UNCLEAR, TRUE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the footage, in seconds."""

    start_s: float
    end_s: float

    def overlaps(self, other: "Span") -> bool:
        """Whether they have a moment in common."""
        return self.start_s <= other.end_s and other.start_s <= self.end_s


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a rule."""

    true: Sequence[Span]
    unclear: Sequence[Span]
    """Events that touch these, and no true one, count for nobody."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event: when it was, and when it was told."""

    span: Span
    told_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a rule did on footage."""

    true: int = 0
    found: int = 0
    false: int = 0
    unclear: int = 0
    delays_s: tuple[float, ...] = ()
    """Of each true one that was found: how much later the event begins."""
    told_s: tuple[float, ...] = ()
    """The same for the moment at which it is told of, without the network's lookahead."""
    seconds: float = 0.0

    def __add__(self, other: "Verdict") -> "Verdict":
        """Count two together."""
        return Verdict(
            self.true + other.true,
            self.found + other.found,
            self.false + other.false,
            self.unclear + other.unclear,
            self.delays_s + other.delays_s,
            self.told_s + other.told_s,
            self.seconds + other.seconds,
        )

    def row(self) -> dict[str, float | int | None]:
        """Give the figures."""
        return {
            "true": self.true,
            "found": self.found,
            "missed": self.true - self.found,
            "false": self.false,
            "unclear": self.unclear,
            "delay_s": round(median(self.delays_s), 2) if self.delays_s else None,
            "told_s": round(median(self.told_s), 2) if self.told_s else None,
            "seconds": round(self.seconds, 1),
            "false_per_hour": round(3600 * self.false / self.seconds, 1) if self.seconds else None,
        }


def truth_of(times: Sequence[float], levels: Sequence[int]) -> Truth:
    """Make spans of what is true moment by moment.

    Args:
        times: the moments, in seconds.
        levels: `FALSE`, `UNCLEAR` or `TRUE` at each.
    """
    joined = _joined([Span(t, t) for t, level in zip(times, levels, strict=True) if level == TRUE])
    true = [span for span in joined if span.end_s - span.start_s >= LEAST_S - 1e-6]
    unclear = [Span(t - NEAR_S, t + NEAR_S) for t, level in zip(times, levels, strict=True) if level != FALSE]
    return Truth(true, _joined(unclear))


def _joined(spans: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for span in spans:
        if found and span.start_s - found[-1].end_s <= BRIDGED_S + 1e-6:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, span.end_s))
        else:
            found.append(span)
    return found


def find_events(rule: RuleConfig, seen: Sequence[Observation]) -> list[Found]:
    """Follow a rule over scores, with the detector's own state."""
    track, found, told_s = RuleTrack(rule), list[Found](), 0.0
    for moment in seen:
        for change in track.push(moment):
            if change.kind == "start":
                told_s = change.pts_s
            else:
                found.append(Found(Span(change.start_pts_s, change.pts_s), told_s))
    for change in track.end("ended"):
        found.append(Found(Span(change.start_pts_s, change.pts_s), told_s))
    return found


def judge(found: Sequence[Found], truth: Truth, within: Span) -> Verdict:
    """Count what is found, missed and false in a part of the footage.

    A true span counts if it begins there, and an event likewise. An event that touches a true one is right.
    """
    true = [span for span in truth.true if within.start_s <= span.start_s < within.end_s]
    firsts = [(span, next((event for event in found if event.span.overlaps(span)), None)) for span in true]
    hits = [(span, event) for span, event in firsts if event is not None]
    others = [
        event
        for event in found
        if within.start_s <= event.span.start_s < within.end_s
        and not any(event.span.overlaps(span) for span in truth.true)
    ]
    unclear = sum(any(event.span.overlaps(span) for span in truth.unclear) for event in others)
    return Verdict(
        len(true),
        len(hits),
        len(others) - unclear,
        unclear,
        tuple(event.span.start_s - span.start_s for span, event in hits),
        tuple(event.told_s - span.start_s for span, event in hits),
        within.end_s - within.start_s,
    )


def judge_bursts(found: Sequence[Found], truth: Truth, bursts: Sequence[Span]) -> Verdict:
    """Count what is found, missed and false while footage is disturbed.

    A true span or an event counts if it touches a burst.
    """
    true = [span for span in truth.true if any(span.overlaps(burst) for burst in bursts)]
    events = [event for event in found if any(event.span.overlaps(burst) for burst in bursts)]
    right = [event for event in found if any(event.span.overlaps(span) for span in true)]
    others = [event for event in events if not any(event.span.overlaps(span) for span in truth.true)]
    verdict = judge([*right, *others], Truth(true, truth.unclear), Span(float("-inf"), float("inf")))
    return replace(verdict, seconds=sum(burst.end_s - burst.start_s for burst in bursts))
