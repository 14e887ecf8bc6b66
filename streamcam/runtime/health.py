"""Whether a pipeline runs as it should."""

import time
from collections.abc import Callable, Sequence
from threading import Thread

from streamcam.errors import first_line

UNWATCHED_S = 10.0
"""After so long without a look for threads that hang, the thread that looks is taken to hang itself."""


class Health:
    """Whether the threads of a pipeline live. The pipeline writes it; any thread may ask.

    A camera that is lost is no trouble here: the process does what it should, and tries it again.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin as one that does not run yet; `clock` gives seconds."""
        self._clock, self._looked_s = clock, clock()
        self._threads: Sequence[Thread] = ()
        self._reason: str | None = None

    def begin(self, threads: Sequence[Thread]) -> None:
        """Note the threads that have to live until the end; they have been started."""
        self.look()
        self._threads = threads

    def look(self) -> None:
        """Note that the watchdog has looked."""
        self._looked_s = self._clock()

    def fail(self, error: BaseException) -> None:
        """Note why the run ends. The first reason stays."""
        self._reason = self._reason or first_line(error)

    def end(self) -> None:
        """Note that the run ends."""
        self._reason = self._reason or "the run ends"

    def trouble(self) -> str | None:
        """Say in one line why it does not run as it should; None while it does."""
        if self._reason is not None:
            return self._reason
        if not self._threads:
            return "the run has not begun"
        for thread in self._threads:
            if not thread.is_alive():
                return f"the thread {thread.name!r} has ended"
        unwatched_s = self._clock() - self._looked_s
        if unwatched_s > UNWATCHED_S:
            return f"nothing has looked for threads that hang for {unwatched_s:.0f} s"
        return None
