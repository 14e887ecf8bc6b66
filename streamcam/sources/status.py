"""How a source fares, and when one that was lost is tried again."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger(__name__)

RETRY_DELAYS_S = (*(0.5,) * 13, 1.0, 2.0, 4.0, 8.0, 10.0)
"""The waits before a lost source is tried again; the last is repeated for ever. None that can begin in the first five
seconds is longer than 0.6 s: what was away for so long gives a window of 2.1 s within three seconds of its return."""

JITTER = 0.2
"""Each wait is up to so much shorter or longer, so that cameras that were lost together do not come back together."""

STALLED_AFTER_S = 1.5
DEAD_AFTER_S = 3.0
"""A live source that sends nothing for so long is lost, though its connection is open."""

Kind = Literal["connecting", "live", "stalled", "lost", "ended"]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source fares. As text, it is one line for people that does not change while the state does not."""

    kind: Kind
    """`stalled`: the connection is open, and nothing comes."""
    reason: str | None = None
    """Why it was lost, or why the last attempt to connect failed; without credentials."""
    session: int = 0
    """Of the newest frame, or the one that the next frame would end."""
    next_try_s: float | None = None
    """When a lost source is tried again: Unix time in seconds."""
    wait_s: float | None = None
    """How long a lost source is left alone, in seconds."""

    def __str__(self) -> str:
        if self.kind == "stalled":
            return f"stalled: nothing has come for {STALLED_AFTER_S:g} s"
        if self.kind == "connecting" and self.reason:
            return f"connecting (last: {self.reason})"
        text = f"{self.kind}: {self.reason}" if self.reason else self.kind
        return text if self.wait_s is None else f"{text}; trying again after {self.wait_s:.1f} s"


class StatusLog:
    """Tells `logging` how sources fare: each change once, and not each further attempt at one that is lost."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[object, ...]] = {}

    def note(self, name: str, state: SourceStatus) -> None:
        """A source's state is this now: a warning if nothing comes of it, else a matter of information."""
        change = state.kind, state.reason, state.session
        if state.kind == "connecting" or self._told.get(name) == change:
            return
        self._told[name] = change
        trouble = state.kind in ("lost", "stalled")
        log.log(logging.WARNING if trouble else logging.INFO, "%s %s", name, state)


class Backoff:
    """How long to wait before each further attempt; one of these for each source."""

    def __init__(self, delays_s: Sequence[float] = RETRY_DELAYS_S, *, randomness: random.Random | None = None) -> None:
        self._delays_s, self._random = delays_s, randomness or random.Random()
        self._attempts = 0

    def next_s(self) -> float:
        """The next wait, in seconds."""
        delay_s = self._delays_s[min(self._attempts, len(self._delays_s) - 1)]
        self._attempts += 1
        return delay_s * self._random.uniform(1 - JITTER, 1 + JITTER)

    def reset(self) -> None:
        """It has delivered: begin with short waits again."""
        self._attempts = 0
