"""The sinks that publish: heat for every window, pictures while somebody subscribes to them, status once a second."""

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
    """Publishes heat, the cameras' own pictures, and the status of every source."""

    def __init__(
        self,
        publisher: Publisher,
        sources: Sequence[Source],
        metrics: Metrics,
        *,
        rules: Sequence[tuple[str, str]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start; the first status is due at once.

        Args:
            publisher: where to publish.
            sources: whose status is published.
            metrics: of the run.
            rules: for events, each as the names of a source and of a rule.
            clock: gives seconds.
        """
        self._rules = rules
        self._publisher, self._sources, self._metrics = publisher, sources, metrics
        self._clock, self._next_status_s = clock, clock()
        self._published: dict[str, SourceStatus] = {}

    def on_frame(self, result: Result) -> None:
        """Offer the camera's own picture."""
        self._publisher.offer_picture("frame", result, _camera_picture)

    def on_window(self, result: Result) -> None:
        """Publish the heat, subscribers or not: it is small, and a late joiner is sent the last one."""
        self._publisher.send_result(result)

    def tick(self) -> None:
        """Serve subscriptions. Publish a status when the second is over or a source's state has changed."""
        self._publisher.serve()
        now_s = self._clock()
        is_due = now_s >= self._next_status_s
        if is_due:
            self._next_status_s = now_s + STATUS_EVERY_S
            self._publisher.send_directory([source.name for source in self._sources])
        for source in self._sources:
            status = source.status
            if is_due or self._published.get(source.name) != status:
                self._published[source.name] = status
                self._publisher.send_status(source.name, status_of(source, self._metrics, self._rules))


class OverlaySink(Sink):
    """Publishes painted pictures while somebody subscribes to them."""

    def __init__(self, publisher: Publisher, painter: Painter) -> None:
        """Take the painter; others may share it, so that each result is painted once."""
        self._publisher, self._painter = publisher, painter

    def on_frame(self, result: Result) -> None:
        """Offer the overlay; it is painted only if somebody wants it."""
        self._publisher.offer_picture("overlay", result, self._painter.overlay)


def _camera_picture(result: Result) -> Picture:
    return result.frame.picture


def status_of(
    source: Source, metrics: Metrics, rules: Sequence[tuple[str, str]] = ()
) -> dict[str, str | int | float | bool | None]:
    """Return the `data` of a source's `status` message, as docs/reference/message-format.md lists it."""
    status = source.status
    return {
        "state": status.kind,
        "reason": status.reason,
        "next_try_s": status.next_try_s,
        "fps": round(metrics.fps(source.name), 2),
        "frames": metrics.frames[source.name],
        "windows": metrics.windows[source.name],
        "results": metrics.results[source.name],
        "rules": ",".join(rule for name, rule in rules if name == source.name),
        **{f"dropped_{stage}": count for stage, count in metrics.drops(source.name).items()},
    }
