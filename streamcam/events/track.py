"""One rule on one source: scores over time in, the beginnings and ends of events out."""

from dataclasses import dataclass
from typing import Literal

from streamcam.config.events import RuleConfig
from streamcam.event import EndReason

ROUNDING_S = 1e-6
"""Times are sums of many steps: so much is left to rounding."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A rule's score at one moment."""

    pts_s: float
    """The moment, by the stream's time."""
    score: float
    """0–1."""
    step_s: float
    """How far apart such moments are, while none is missing."""
    quiet: bool = False
    """Whether one of the rule's `quiet` conditions holds."""
    scheduled: bool = True
    """Whether the rule's schedule lets an event begin."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an observation did to the rule's event."""

    kind: Literal["start", "end"]
    start_pts_s: float
    """When the event began."""
    pts_s: float
    """Of an end: the last moment at which the score was `off` or more. Of a start: the moment of the observation."""
    reason: EndReason | None = None


class RuleTrack:
    """The state of one rule on one session of a source.

    A candidate begins where the score reaches `on`. It goes on while the score is `off` or more, with gaps of up to
    `gap_s`. Once it has gone on for `for_s`, it is an event. No event is shorter than that, and events do not overlap.

    While a quiet condition holds, no candidate begins and none becomes an event, and the time does not count. A
    candidate or event that was there before goes on as its score says. So what is really there is told afterwards.
    """

    def __init__(self, rule: RuleConfig) -> None:
        self._rule = rule
        self._begin_s: float | None = None
        """When the candidate or event began; None where there is none."""
        self._held_s = 0.0
        """The last moment at which its score was `off` or more."""
        self._quiet_s = 0.0
        """For how long a quiet condition has held since it began."""
        self._is_open = False
        self._last_s: float | None = None
        self._cool_until_s = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether an event goes on."""
        return self._is_open

    @property
    def begin_pts_s(self) -> float | None:
        """When the candidate or event began; None where there is none."""
        return self._begin_s

    def push(self, seen: Observation) -> list[Change]:
        """Take the next observation, of a later moment than the last. An end may be followed by a start."""
        changes = self._end_if_over(seen)
        rule = self._rule
        if self._begin_s is None:
            may_begin = seen.scheduled and not seen.quiet and seen.pts_s >= self._cool_until_s
            if may_begin and seen.score >= rule.on:
                self._begin_s, self._quiet_s = seen.pts_s, 0.0
        elif seen.quiet and self._last_s is not None:
            self._quiet_s += seen.pts_s - self._last_s
        self._last_s = seen.pts_s
        if self._begin_s is None or seen.score < rule.off_at:
            return changes
        self._held_s = seen.pts_s
        long_enough = seen.pts_s - self._begin_s - self._quiet_s >= rule.for_s - ROUNDING_S
        if not self._is_open and not seen.quiet and long_enough:
            self._is_open = True
            changes.append(Change("start", self._begin_s, seen.pts_s))
        return changes

    def end(self, reason: EndReason) -> list[Change]:
        """End the event that goes on, if any, and forget a candidate."""
        if self._begin_s is None:
            return []
        change = Change("end", self._begin_s, self._held_s, reason)
        was_open, self._is_open, self._begin_s = self._is_open, False, None
        if not was_open:
            return []
        self._cool_until_s = self._held_s + self._rule.cooldown_s
        return [change]

    def _end_if_over(self, seen: Observation) -> list[Change]:
        if self._begin_s is None or self._last_s is None:
            return []
        if seen.pts_s - self._last_s > self._rule.gap_s + 2 * seen.step_s:
            return self.end("no results")
        below = seen.score < self._rule.off_at
        return self.end("over") if below and seen.pts_s - self._held_s > self._rule.gap_s + ROUNDING_S else []
