"""The figures of a run in Prometheus' terms. docs/guides/metrics.md lists them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Protocol, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streamcam.errors import one_line, redact
from streamcam.metrics import BUCKETS_MS, STAGES, Histogram, Metrics
from streamcam.sources.base import Source
from streamcam.sources.status import Kind

DROP_STAGES = ("corrupt", "late", "rate", "output", "window")
"""Stages that are there from the beginning, at 0, so that the first drop is seen as an increase."""

Values = Iterable[tuple[tuple[str, ...], float]]
"""Values with the labels of each."""


class EventTally(Protocol):
    """What is known of events, by source and rule."""

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many have begun."""
        ...

    @property
    def going(self) -> Collection[tuple[str, str]]:
        """Which go on."""
        ...


class RunCollector(Collector):
    """The counts and states of a run, read anew for each page.

    Labels are names of sources, stages, rules and the like. No URL is among them.
    """

    def __init__(
        self,
        metrics: Metrics,
        sources: Sequence[Source],
        *,
        build: Mapping[str, str],
        sent: Callable[[], Mapping[tuple[str, str], int]] = dict,
        subscriptions: Callable[[], int] | None = None,
        events: EventTally | None = None,
        watched: Sequence[tuple[str, str]] = (),
        spools: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        """Take what is read.

        Args:
            metrics: the pipeline's.
            sources: whose states are shown.
            build: what runs, such as its version and model.
            sent: by source and kind, how many messages have been published.
            subscriptions: how many there are; None where nothing is published.
            events: the counts of events; None where there are no rules.
            watched: the source and rule of all events that there may be, so that the first is seen as an increase.
            spools: by target, how many events wait to be told; None where nobody is told.
        """
        self._metrics, self._sources = metrics, sources
        self._build = {key: one_line(redact(value)) for key, value in build.items()}
        self._sent, self._subscriptions, self._spools = sent, subscriptions, spools
        self._events, self._watched = events, watched

    def collect(self) -> Iterator[Metric]:
        """Give all figures as they are now."""
        yield InfoMetricFamily("streamcam_build", "What runs.", value=self._build)
        yield from self._counts()
        yield from self._states()
        yield self._latency()
        yield from self._published()
        yield from self._of_events()

    def _counts(self) -> Iterator[Metric]:
        metrics, names = self._metrics, [source.name for source in self._sources]
        drops = {source.name: self._drops_of(source) for source in self._sources}
        for noun, counter, about in (
            ("frames", metrics.frames, "Frames that were read."),
            ("windows", metrics.windows, "Windows of frames that were complete."),
            ("results", metrics.results, "Windows that were computed."),
        ):
            yield _counter(f"streamcam_{noun}", about, ("source",), (((name,), counter[name]) for name in names))
        yield _counter(
            "streamcam_dropped",
            "Frames and windows that were left out, by where.",
            ("source", "stage"),
            (((name, stage), count) for name in names for stage, count in drops[name].items()),
        )

    def _drops_of(self, source: Source) -> dict[str, int]:
        """Return by stage what was dropped; also where a source drops every frame, so that none tells the pipeline."""
        own = dict(list(source.drops.items()))  # copied in one step, since the source's thread adds stages meanwhile
        return {**dict.fromkeys(DROP_STAGES, 0), **self._metrics.drops(source.name), **own}

    def _states(self) -> Iterator[Metric]:
        now = {source.name: source.status.kind for source in self._sources}
        yield _gauge(
            "streamcam_source_up",
            "1 while the source gives frames.",
            ("source",),
            (((name,), kind == "live") for name, kind in now.items()),
        )
        yield _gauge(
            "streamcam_source_state",
            "1 for the state that the source is in.",
            ("source", "state"),
            (((name, state), kind == state) for name, kind in now.items() for state in get_args(Kind)),
        )

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "streamcam_latency_seconds", "How long a stage takes, or how old its output is.", labels=["stage"]
        )
        for stage in STAGES:
            histogram = self._metrics.histogram(stage)
            family.add_metric([stage], buckets=_buckets(histogram), sum_value=histogram.total_ms / 1e3)
        return family

    def _published(self) -> Iterator[Metric]:
        if self._subscriptions is None:
            return
        sent = self._sent().items()
        yield _counter("streamcam_published_messages", "Messages that were published.", ("source", "kind"), sent)
        about = "Different topics, or beginnings of topics, that somebody subscribes to."
        yield _gauge("streamcam_subscriptions", about, (), [((), self._subscriptions())])

    def _of_events(self) -> Iterator[Metric]:
        if self._events is not None:
            labels, counts, going = ("source", "rule"), self._events.counts, self._events.going
            begun = ((key, counts.get(key, 0)) for key in self._watched)
            yield _counter("streamcam_events", "Events that have begun.", labels, begun)
            is_open = ((key, key in going) for key in self._watched)
            yield _gauge("streamcam_event_open", "1 while an event goes on.", labels, is_open)
        if self._spools is not None:
            spools = (((target,), waiting) for target, waiting in self._spools().items())
            yield _gauge("streamcam_spool_events", "Events that wait to be told to a target.", ("target",), spools)


def _counter(name: str, about: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _gauge(name: str, about: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for of, value in values:
        family.add_metric(of, float(value))
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the upper bound of each bucket in seconds, and how many values are at or below it."""
    bounds = [str(bound_ms / 1e3) for bound_ms in BUCKETS_MS]
    return list(zip([*bounds, "+Inf"], accumulate(histogram.counts), strict=True))
