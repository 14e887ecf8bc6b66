"""The interface of all who are told of events, and the reasons why telling one fails."""

from collections.abc import Sequence
from typing import Protocol

from streamcam.event import Event


class TryAgainError(Exception):
    """The target could not be told now: later it may."""

    def __init__(self, reason: str, *, answered: bool = False, logged: bool = False) -> None:
        """Say why.

        Args:
            reason: in one line.
            answered: the target was there and said no. That is tried a few times only.
            logged: the target itself logs it.
        """
        super().__init__(reason)
        self.answered, self.logged = answered, logged


class RefusedError(Exception):
    """The target will not take this event: it is no use to try again."""


class Target(Protocol):
    """Somebody who is told of events, in a thread of its own."""

    name: str
    """Names its spool file; the same at each start, and another for each target."""
    shown: str
    """For people: in one line, without passwords."""
    at_once: int
    """How many events it takes in one call at most."""
    backoff_max_s: float
    """The longest wait between two tries."""

    def tell(self, events: Sequence[Event]) -> None:
        """Tell of events, in order. It waits until they are known to have arrived.

        Raises:
            TryAgainError: none, or not all, have arrived; the same events will come again.
            RefusedError: they will never be taken.
        """

    def close(self) -> None:
        """Disconnect. Closing twice is fine."""
