"""Clips on their way through an engine."""

from collections.abc import Sequence
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
