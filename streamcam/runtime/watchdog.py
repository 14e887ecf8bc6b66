"""Finds threads that hang: in a driver, in a dead disk, at a lock."""

import faulthandler
import time
from collections.abc import Callable, Mapping

from streamcam.errors import StuckError

STUCK_S = 10.0
"""A thread that has been busy with one piece of work for so long is stuck."""

FIRST_S = 120.0
"""The limit for the first piece of work, in which networks may be compiled."""

SLOWER = 4.0
"""A thread whose pieces take long may take so many times as long as the longest recent one."""

DECAY = 0.999
"""At each piece of work, the longest recent duration is multiplied by this."""

MAX_TICK_S = 1.0
"""At most so much time is counted between two checks. A process that was stopped, or a machine that slept, is not
stuck."""

STDERR = 2


class Heartbeat:
    """A sign of life of one thread. The thread writes it; the watchdog reads it.

    There is one writer, and each value is set in one step, so no lock is needed.
    """

    def __init__(self) -> None:
        self.count, self.busy = 0, False

    def begin(self) -> None:
        """Begin a piece of work, which has to end."""
        self.busy = True

    def end(self) -> None:
        """End a piece of work."""
        self.count, self.busy = self.count + 1, False


class Watchdog:
    """A check of heartbeats, which one thread makes a few times a second."""

    def __init__(self, heartbeats: Mapping[str, Heartbeat], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._watches = {name: _Watch(heartbeat) for name, heartbeat in heartbeats.items()}
        self._clock, self._checked_s = clock, clock()

    def check(self) -> None:
        """Check that all threads make progress.

        Raises:
            StuckError: one does not. The stacks of all threads have been written to standard error.
        """
        now_s = self._clock()
        elapsed_s, self._checked_s = min(now_s - self._checked_s, MAX_TICK_S), now_s
        for name, watch in self._watches.items():
            if watch.is_stuck(elapsed_s):
                faulthandler.dump_traceback(STDERR, all_threads=True)
                raise StuckError(
                    f"{name} has made no progress for {watch.still_s:.0f} s with work in hand: its device, disk or "
                    "driver hangs (the stacks of all threads are above); start this program again"
                )


class _Watch:
    """What the watchdog knows of one thread."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat, self._count = heartbeat, 0
        self.still_s = self._longest_s = 0.0

    def is_stuck(self, elapsed_s: float) -> bool:
        """Count another `elapsed_s` seconds, and return whether the thread is stuck."""
        count, busy = self._heartbeat.count, self._heartbeat.busy
        if count != self._count:
            if self._count:  # the first piece compiles networks: its duration says nothing of the next
                self._longest_s = max(DECAY * self._longest_s, self.still_s)
            self._count = count
        elif busy:
            self.still_s += elapsed_s
            return self.still_s > (max(STUCK_S, SLOWER * self._longest_s) if count else FIRST_S)
        self.still_s = 0.0
        return False
