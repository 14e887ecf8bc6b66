"""Clips on their way through an engine."""

from collections.abc import Sequence
from typing import Protocol

from streamcam.records import Clip, Heat


class Pending(Protocol):
    """A batch that was handed to an engine."""

    def done(self) -> bool:
        """Whether `wait` would return at once."""
        ...

    def wait(self) -> Sequence[Heat | None]:
        """The heat of each clip, in order; None for a clip that is not full yet."""
        ...


class Engine(Protocol):
    """Says of clips what is in them and where."""

    @property
    def name(self) -> str:
        """One of `ENGINES`."""
        ...

    @property
    def max_batch(self) -> int:
        """How many clips go through it at once; it falls where the device's memory turns out to be too small."""
        ...

    def weight(self, clip: Clip) -> int:
        """How many of `max_batch` a clip counts for, from 1 up."""
        ...

    @property
    def in_flight(self) -> int:
        """How many batches are worth handing over before the first has come back."""
        ...

    @property
    def head_start(self) -> bool:
        """Whether it likes to get clips that are not full yet."""
        ...

    @property
    def hop(self) -> int:
        """Frames between two heat slices: a clip that comes sooner has no new one."""
        ...

    @property
    def lookahead_s(self) -> float:
        """How far the last heat slice of a clip is behind its newest frame, in seconds."""
        ...

    def submit(self, clips: Sequence[Clip]) -> Pending:
        """Begin with clips, in parts of `max_batch` where they are more; what is asked for first comes first."""
        ...

    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """The heat of each clip, in order; None for a clip that is not full yet."""
        ...
