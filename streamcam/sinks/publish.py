"""The sinks that publish: heat for every window; pictures, while somebody wants them; status once a second."""

import time
from collections.abc import Callable, Sequence

from streamcam.metrics import Metrics
from streamcam.records import Picture, Result
from streamcam.render.overlay import Painter
from streamcam.sinks.base import Sink
from streamcam.sources.base import Source
from streamcam.sources.status import SourceStatus
from streamcam.transport.publisher import Publisher

STATUS_EVERY_S = 1.0


class PublishSink(Sink):
    """Results → `Publisher`."""

    def __init__(
        self,
        publisher: Publisher,
        sources: Sequence[Source],
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher, self._sources, self._metrics = publisher, sources, metrics
        self._clock, self._due_s = clock, clock()
        self._said: dict[str, SourceStatus] = {}

    def on_frame(self, result: Result) -> None:
        """The camera's own picture, while somebody wants it."""
        self._publisher.offer_picture("frame", result, _as_it_came)

    def on_window(self, result: Result) -> None:
        """The heat, always: it is small, and late joiners are sent the last one."""
        self._publisher.send_result(result)

    def tick(self) -> None:
        """Subscriptions; and the status, when it is due or a source's state has changed."""
        self._publisher.serve()
        due = self._clock() >= self._due_s
        if due:
            self._due_s = self._clock() + STATUS_EVERY_S
            self._publisher.send_directory([source.name for source in self._sources])
        for source in self._sources:
            status = source.status
            if due or self._said.get(source.name) != status:
                self._said[source.name] = status
                self._publisher.send_status(source.name, status_of(source, self._metrics))


class OverlaySink(Sink):
    """Painted pictures → `Publisher`, while somebody wants them."""

    def __init__(self, publisher: Publisher, painter: Painter) -> None:
        self._publisher, self._painter = publisher, painter

    def on_frame(self, result: Result) -> None:
        """Paint a picture and send it, or keep it for who comes next."""
        self._publisher.offer_picture("overlay", result, self._painter.overlay)


def _as_it_came(result: Result) -> Picture:
    return result.frame.picture


def status_of(source: Source, metrics: Metrics) -> dict[str, str | int | float | bool | None]:
    """How a source fares, for a `status` message."""
    status = source.status
    return {
        "state": status.kind,
        "reason": status.reason,
        "next_try_s": status.next_try_s,
        "fps": round(metrics.fps(source.name), 2),
        "frames": metrics.frames[source.name],
        "windows": metrics.windows[source.name],
        "results": metrics.results[source.name],
        **{f"dropped_{stage}": count for stage, count in metrics.drops(source.name).items()},
    }
