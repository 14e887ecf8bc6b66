"""Pictures wait for the heat that speaks of them."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from streamcam.records import Result
from streamcam.sinks.base import Sink

ROUNDING_S = 1e-6


class Aligned(Sink):
    """Gives its sinks each frame so much later, with the heat that is known by then.

    A heat slice speaks of the centre of what it sees. A network that looks half a second around has nothing to say of
    the newest frame yet: painted on that, its heat would trail behind whatever moves.
    """

    def __init__(self, sinks: Sequence[Sink], *, delay_s: float) -> None:
        """Begin.

        Args:
            sinks: are given frames only, in order.
            delay_s: how far behind the newest frame the last heat slice is, by the source's clock; 0 changes nothing.
        """
        self._sinks, self._delay_s = sinks, delay_s
        self._waiting: defaultdict[str, deque[Result]] = defaultdict(deque)

    def on_frame(self, result: Result) -> None:
        """Take a frame; give those that are due. A new session does not wait for the one before."""
        waiting, frame = self._waiting[result.frame.source], result.frame
        if waiting and (waiting[-1].frame.session != frame.session or waiting[-1].frame.pts_s > frame.pts_s):
            self._give(waiting, waiting[-1], until_s=float("inf"))
        waiting.append(result)
        self._give(waiting, result, until_s=frame.pts_s - self._delay_s)

    def close(self) -> None:
        """Give what is still waiting, with the last heat. Twice is fine."""
        for waiting in self._waiting.values():
            if waiting:
                self._give(waiting, waiting[-1], until_s=float("inf"))

    def _give(self, waiting: deque[Result], newest: Result, *, until_s: float) -> None:
        while waiting and waiting[0].frame.pts_s <= until_s + ROUNDING_S:
            due = replace(newest, frame=waiting.popleft().frame)
            for sink in self._sinks:
                sink.on_frame(due)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.close()
