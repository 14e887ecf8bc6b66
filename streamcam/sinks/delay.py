"""A delay that shows each frame with the heat of its own moment."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from streamcam.records import Result
from streamcam.sinks.base import Sink

ROUNDING_S = 1e-6


class DelaySink(Sink):
    """A sink that passes each frame on `delay_s` later, with the newest heat at that time.

    A heat slice belongs to the centre of its temporal receptive field, or to the frame that its network was taught to
    speak of. A network that needs later frames, too, has no heat for the newest frame yet. Painted on that frame, its
    heat would trail behind everything that moves.
    """

    def __init__(self, sinks: Sequence[Sink], *, delay_s: float) -> None:
        """Start with nothing buffered.

        Args:
            sinks: receive `on_frame` calls only, in this order.
            delay_s: how far the last heat slice lies behind the newest frame, by the source's clock; 0 delays nothing.
        """
        self._sinks, self._delay_s = sinks, delay_s
        self._buffers: defaultdict[str, deque[Result]] = defaultdict(deque)

    def on_frame(self, result: Result) -> None:
        """Buffer a frame, and pass on those that have waited long enough.

        A new session, or a clock that runs back, first passes on all older frames: with their own session's last heat.
        """
        buffer, frame = self._buffers[result.frame.source], result.frame
        if buffer and (buffer[-1].frame.session != frame.session or buffer[-1].frame.pts_s > frame.pts_s):
            self._pass_on(buffer, buffer[-1], until_s=float("inf"))
        buffer.append(result)
        self._pass_on(buffer, result, until_s=frame.pts_s - self._delay_s)

    def close(self) -> None:
        """Pass on all buffered frames, with the last heat. Closing twice is fine."""
        for buffer in self._buffers.values():
            if buffer:
                self._pass_on(buffer, buffer[-1], until_s=float("inf"))

    def _pass_on(self, buffer: deque[Result], newest: Result, *, until_s: float) -> None:
        """Pass on the frames up to a time, each with the heat of the newest result."""
        while buffer and buffer[0].frame.pts_s <= until_s + ROUNDING_S:
            delayed = replace(newest, frame=buffer.popleft().frame)
            for sink in self._sinks:
                sink.on_frame(delayed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.close()
