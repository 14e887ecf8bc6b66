"""What an engine of a test has computed at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamcam.records import Heat


@dataclass(frozen=True, slots=True)
class Done:
    """A batch that was done when it was handed in."""

    heats: Sequence[Heat | None]

    def done(self) -> bool:
        return True

    def wait(self) -> Sequence[Heat | None]:
        return self.heats
