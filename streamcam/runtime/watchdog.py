"""A thread that hangs is found: in a driver, a dead disk, a lock. Nothing that can be waited for would ever tell."""

import faulthandler
import time
from collections.abc import Callable, Mapping

from streamcam.errors import StuckError

STUCK_S = 10.0
"""A thread that has been at the same piece of work for so long is stuck."""

FIRST_S = 120.0
"""The first piece may take so long: networks are compiled then."""

SLOWER = 4.0
"""What takes long each time is given so many times what it has taken at the longest, lately."""

KEEP = 0.999
"""How much of that is still remembered at the next piece."""

MAX_TICK_S = 1.0
"""No more than this is counted between two looks: a process that was stopped, or a machine that slept, is not stuck."""

STDERR = 2


class Pulse:
    """Shows that a thread gets on. The thread tells; others look."""

    def __init__(self) -> None:
        self.pieces, self.busy = 0, False

    def begin(self) -> None:
        """There is work: an end has to come."""
        self.busy = True

    def end(self) -> None:
        """A piece of work is done."""
        self.pieces, self.busy = self.pieces + 1, False


class Watchdog:
    """Looks at pulses, from one thread, a few times a second or more often."""

    def __init__(self, pulses: Mapping[str, Pulse], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._watches = {name: _Watch(pulse) for name, pulse in pulses.items()}
        self._clock, self._looked_s = clock, clock()

    def look(self) -> None:
        """See that all get on.

        Raises:
            StuckError: one does not. What every thread is at has been written to the standard error stream.
        """
        now_s = self._clock()
        passed_s, self._looked_s = min(now_s - self._looked_s, MAX_TICK_S), now_s
        for name, watch in self._watches.items():
            if watch.is_stuck(passed_s):
                faulthandler.dump_traceback(STDERR, all_threads=True)
                raise StuckError(
                    f"{name} has made no progress for {watch.still_s:.0f} s with work in hand: its device, disk or "
                    "driver hangs (the stacks of all threads are above); start this program again"
                )


class _Watch:
    """What is known of one thread."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse, self._pieces = pulse, 0
        self.still_s = self._longest_s = 0.0

    def is_stuck(self, passed_s: float) -> bool:
        """Another so many seconds have passed."""
        pieces, busy = self._pulse.pieces, self._pulse.busy
        if pieces != self._pieces:
            if self._pieces:
                self._longest_s = max(KEEP * self._longest_s, self.still_s)
            self._pieces = pieces
        elif busy:
            self.still_s += passed_s
            return self.still_s > (max(STUCK_S, SLOWER * self._longest_s) if pieces else FIRST_S)
        self.still_s = 0.0
        return False
