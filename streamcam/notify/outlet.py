"""Tells one target of events, in a thread of its own: from its spool, in order, again until it has arrived."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event as Flag
from threading import Thread

from streamcam.config.notify import TargetConfig
from streamcam.event import Event
from streamcam.notify.spool import Spool, Waiting
from streamcam.notify.target import RefusedError, Target, TryAgainError

log = logging.getLogger(__name__)

BACKOFF_S = 1.0
MAX_ANSWERED = 10
"""A target that answers, and each time says no, is told of an event so many times."""

IDLE_S = 1.0


class Outlet:
    """A target, the spool in which its events wait, and the thread that tells it of them."""

    def __init__(
        self,
        target: Target,
        spool: Spool,
        wanted: TargetConfig,
        *,
        backoff_s: float = BACKOFF_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a target, and what it wants to be told of.

        Args:
            target: who is told.
            spool: where its events wait.
            wanted: names rules and states.
            backoff_s: how long to wait after the first failure; twice as long after each further one.
            clock: gives seconds.
        """
        self.target, self.spool = target, spool
        self.counts: Counter[str] = Counter()
        """Events that were `told`, and those that were `refused`."""
        self.error: BaseException | None = None
        """What has ended the thread, if it was an error."""
        self._wanted, self._backoff_s, self._clock = wanted, backoff_s, clock
        self._stop, self._last_try = Flag(), Flag()
        self._failures = self._answered = 0
        self._thread = Thread(target=self._run, name=target.name, daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue an event, if the target wants to be told of it."""
        rules = self._wanted.rules
        if event.state in self._wanted.states and (rules is None or event.rule in rules):
            self.spool.put(event)

    def finish(self) -> None:
        """Let it tell what waits, if the target takes it at once, and then end."""
        self._last_try.set()
        self.spool.wake()

    def close(self, *, until_s: float) -> None:
        """Finish, until a time of its clock at most; what is left stays on disk. Closing twice is fine."""
        self.finish()
        if self._thread.is_alive():
            self._thread.join(max(0.0, until_s - self._clock()))
        self._stop.set()
        self.target.close()  # ends what it waits for
        if self._thread.is_alive():
            self._thread.join(0.5)
        if not self._thread.is_alive():  # else it is in the middle of telling, and ends with the process
            self.spool.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self.spool.wait(0.0 if self._last_try.is_set() else IDLE_S):
                    self._tell()
                elif self._last_try.is_set():
                    return
        except BaseException as e:
            self.error = e

    def _tell(self) -> None:
        waiting = self.spool.peek(self.target.at_once)
        if not waiting:
            return
        try:
            self.target.tell([one.event for one in waiting])
        except TryAgainError as e:
            self._after_failure(e, waiting)
        except RefusedError as e:
            self._refuse(waiting, str(e))
        else:
            if self._failures:
                log.info("%s: told again", self.target.shown)
            self._finish(waiting, "told")

    def _after_failure(self, error: TryAgainError, waiting: Sequence[Waiting]) -> None:
        if not self._failures and not error.logged:
            log.warning("%s: %s; trying again", self.target.shown, error)
        self._failures += 1
        self._answered += error.answered
        if self._answered >= MAX_ANSWERED:
            self._refuse(waiting, f"{error}, {MAX_ANSWERED} times")
        elif self._last_try.is_set():
            self._stop.set()
        else:
            self._last_try.wait(min(self.target.backoff_max_s, self._backoff_s * 2 ** min(self._failures - 1, 20)))

    def _refuse(self, waiting: Sequence[Waiting], why: str) -> None:
        for one in waiting:
            log.warning("%s: %s; it is not told of %s (%s)", self.target.shown, why, one.event.id, one.event.state)
        self._finish(waiting, "refused")

    def _finish(self, waiting: Sequence[Waiting], how: str) -> None:
        self.spool.done(waiting)
        self.counts[how] += len(waiting)
        self._failures = self._answered = 0
