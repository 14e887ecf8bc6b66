"""Opens what other programs ask about a run: /metrics and /healthz."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from streamcam.config.host_port import split_host_port
from streamcam.config.run import RunConfig
from streamcam.errors import StreamcamError
from streamcam.runtime.events import watched_rules
from streamcam.runtime.pipeline import Pipeline
from streamcam.sources.base import Source
from streamcam.transport.publisher import Publisher

if TYPE_CHECKING:  # it imports prometheus_client, which only the extra `metrics` has
    from streamcam.monitoring.collector import EventTally
    from streamcam.monitoring.server import MetricsServer


def require_metrics() -> None:
    """Check that the package of the extra `metrics` is installed, without importing it.

    Raises:
        StreamcamError: it is missing.
    """
    if find_spec("prometheus_client") is None:
        raise StreamcamError("metrics_bind needs the package prometheus_client: pip install 'streamcam[metrics]'")


def bind_metrics(config: RunConfig, stack: ExitStack) -> MetricsServer | None:
    """Bind the server of /metrics and /healthz, which answers once `serve_metrics` is called; None if none is wanted.

    Raises:
        StreamcamError: the address is in use, or not one of this machine's.
    """
    if config.metrics_bind is None:
        return None
    from streamcam.monitoring.server import MetricsServer

    return stack.enter_context(MetricsServer(*split_host_port(config.metrics_bind)))


def serve_metrics(
    server: MetricsServer,
    config: RunConfig,
    pipeline: Pipeline,
    sources: Sequence[Source],
    *,
    build: dict[str, str],
    publisher: Publisher | None = None,
    events: EventTally | None = None,
) -> None:
    """Begin to answer: with a run's figures, and with whether its pipeline is healthy."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.process_collector import ProcessCollector

    from streamcam.monitoring.collector import RunCollector

    registry = CollectorRegistry()  # of its own, so that two runs in one process do not mix
    ProcessCollector(registry=registry)
    registry.register(
        RunCollector(
            pipeline.metrics,
            sources,
            build={"version": version("streamcam"), **build},
            sent=(lambda: publisher.sent) if publisher else dict,
            subscriptions=(lambda: publisher.subscriptions) if publisher else None,
            events=events,
            watched=watched_rules(config, [source.name for source in sources]),
        )
    )
    server.start(registry, pipeline.health.trouble)
