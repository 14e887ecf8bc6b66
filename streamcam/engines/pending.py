"""Clips on their way through an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streamcam.records import Heat


class Pending(Protocol):
    """A batch that was handed to an engine."""

    def done(self) -> bool:
        """Whether `wait` would return at once."""
        ...

    def wait(self) -> Sequence[Heat | None]:
        """The heat of each clip, in order; None for a clip that is not full yet."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """What was computed at once."""

    heats: Sequence[Heat | None]

    def done(self) -> bool:
        """It is."""
        return True

    def wait(self) -> Sequence[Heat | None]:
        """The heat of each clip."""
        return self.heats
