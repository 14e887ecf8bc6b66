"""The status of a source, how changes of it are logged, and when a lost source is tried again."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger(__name__)

RETRY_DELAYS_S = (*(0.5,) * 13, 1.0, 2.0, 4.0, 8.0, 10.0)
"""The waits before a lost source is tried again; the last one is repeated for ever.

No wait that can begin in the first five seconds is longer than 0.6 s. So a camera that was away for so long fills a
window of 2.1 s within three seconds of its return.
"""

JITTER = 0.2
"""Each wait is shorter or longer by up to this share, so that cameras that were lost together reconnect one by one."""

STALLED_AFTER_S = 1.5
"""A live source that sends nothing for so long is called stalled."""
DEAD_AFTER_S = 3.0
"""A live source that sends nothing for so long is lost, even if its connection is open."""

Kind = Literal["connecting", "live", "stalled", "lost", "ended"]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a source does now. Its text is one line for people, which does not change while the status does not."""

    kind: Kind
    """`stalled`: the connection is open, and nothing comes."""
    reason: str | None = None
    """Why it was lost, or why the last attempt to connect failed; without credentials."""
    session: int = 0
    """The session of the newest frame. While it connects, the session that the next frame would end."""
    next_try_s: float | None = None
    """When a lost source is tried again: Unix time in seconds."""
    wait_s: float | None = None
    """How long a lost source waits for that, in seconds."""

    def __str__(self) -> str:
        if self.kind == "stalled":
            return f"stalled: nothing has come for {STALLED_AFTER_S:g} s"
        if self.kind == "connecting" and self.reason:
            return f"connecting (last: {self.reason})"
        text = f"{self.kind}: {self.reason}" if self.reason else self.kind
        return text if self.wait_s is None else f"{text}; trying again after {self.wait_s:.1f} s"


class StatusLog:
    """Logs each change of a source's status once, and not each further attempt at one that is lost."""

    def __init__(self) -> None:
        self._logged: dict[str, tuple[object, ...]] = {}
        """A source's name → what was logged of it last."""

    def note(self, name: str, status: SourceStatus) -> None:
        """Log a source's status if it is new: as a warning where the source gives nothing, else as information."""
        change = status.kind, status.reason, status.session
        if status.kind == "connecting" or self._logged.get(name) == change:
            return
        self._logged[name] = change
        trouble = status.kind in ("lost", "stalled")
        log.log(logging.WARNING if trouble else logging.INFO, "%s %s", name, status)


class Backoff:
    """The waits before each further attempt to connect to one source."""

    def __init__(self, delays_s: Sequence[float] = RETRY_DELAYS_S, *, randomness: random.Random | None = None) -> None:
        self._delays_s, self._random = delays_s, randomness or random.Random()
        self._attempts = 0

    def next_s(self) -> float:
        """Return the next wait, in seconds."""
        delay_s = self._delays_s[min(self._attempts, len(self._delays_s) - 1)]
        self._attempts += 1
        return delay_s * self._random.uniform(1 - JITTER, 1 + JITTER)

    def reset(self) -> None:
        """Begin with short waits again: the source has given frames."""
        self._attempts = 0
