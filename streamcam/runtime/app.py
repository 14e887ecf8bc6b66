"""Assembles a running pipeline from a configuration. This is the only place that knows all the parts."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from streamcam.child import stop_child
from streamcam.clips import SlidingWindow
from streamcam.config.groups import read_groups
from streamcam.config.run import RunConfig
from streamcam.engines.base import Engine
from streamcam.errors import StreamcamError
from streamcam.files import write_json
from streamcam.metrics import Metrics, Summary, without_window
from streamcam.models.classes import find_classes, grouped
from streamcam.notify.child import require_targets
from streamcam.render.overlay import Painter
from streamcam.runtime.caption import LiveCaption
from streamcam.runtime.events import NO_HOOKS, EventHooks, open_events, require_rules, watched_rules
from streamcam.runtime.inputs import open_sources
from streamcam.runtime.memory import trim_heap
from streamcam.runtime.monitoring import bind_metrics, require_metrics, serve_metrics
from streamcam.runtime.network import Network, find_network
from streamcam.runtime.outputs import open_publisher, open_recorders, require_outputs_apart
from streamcam.runtime.page import require_page, start_page
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.base import Sink
from streamcam.sinks.delay import DelaySink
from streamcam.sinks.publish import OverlaySink, PublishSink
from streamcam.sinks.shown import ShownClassesSink
from streamcam.sources.address import parse_address
from streamcam.sources.video import VideoSource
from streamcam.transport.endpoints import require_bindable
from streamcam.transport.keys import client_keys, server_keys
from streamcam.transport.publisher import Publisher
from streamcam.viewer.display import require_display

if TYPE_CHECKING:
    from streamcam.models.base import CamModel


@dataclass(frozen=True)
class Live:
    """A pipeline with all its parts, ready to run."""

    config: RunConfig
    network: Network
    sources: Sequence[VideoSource]
    engines: Sequence[Engine]
    """One on each device. Apart from the device they are alike."""
    pipeline: Pipeline
    endpoint: str | None
    """Where results are published; None for nowhere."""
    metrics_address: str | None = None
    """Where /metrics and /healthz are served, as HOST:PORT; None for nowhere."""
    interrupted: Event = field(default_factory=Event)
    """Set when Ctrl-C or a signal has ended the run."""

    @property
    def device_name(self) -> str:
        """The names of all devices, for people."""
        return ",".join(engine.runner.device_name for engine in self.engines)

    def without_window(self) -> dict[str, str]:
        """Return for each source that gave frames but no result why that is, in one line."""
        runner = self.engines[0].runner
        names = [source.name for source in self.sources]
        return without_window(names, self.pipeline.metrics, runner.context.model, runner.spec.clip_format)

    def build(self) -> dict[str, str]:
        """Return what computes the results: model, model_hash, engine, device and precision."""
        runner = self.engines[0].runner
        return {
            "model": runner.context.model,
            "model_hash": runner.context.model_hash,
            "engine": self.engines[0].name,
            "device": self.device_name,
            "precision": runner.precision,
        }

    def summary(self) -> Summary:
        """Summarise the run so far."""
        return self.pipeline.metrics.summary(**self.build())


def assemble(
    config: RunConfig,
    stack: ExitStack,
    *,
    model: "CamModel | None" = None,
    sinks: Sequence[Sink] = (),
    hooks: EventHooks = NO_HOOKS,
) -> Live:
    """Load the model, and open all sources and outputs of a run.

    Cheap checks come first, so that a mistake is reported before anything is written or bound.

    Args:
        config: what to run.
        stack: closes sources, sockets and files.
        model: used in place of the one that the config names.
        sinks: get results after the config's own sinks.
        hooks: told of events, and of the rules' scores.

    Raises:
        StreamcamError: a part cannot be made. Nothing is left half-written.
    """
    network = find_network(config, model)
    _require_environment(config)
    groups = read_groups(config.group, network.spec.classes)
    spec = grouped(network.spec, groups)
    classes = find_classes(spec, config.classes)
    require_rules(config, spec)
    engines = network.make_engines(groups, classes)
    trim_heap()  # after loading: the engines have copies of the weights
    engine = engines[0]  # all are alike but for the device
    hop = config.hop or engine.hop
    _require_every_frame(engine, hop)
    sources = open_sources(config, network.decoders(engines), stack)
    metrics = Metrics()
    publisher = open_publisher(config, stack)
    server = bind_metrics(config, stack)
    watching = [*_open_watchers(config, sources, engine, publisher, metrics, stack), *sinks]
    events = None
    if config.events:
        events = open_events(config, sources, engine.runner.context, publisher, hooks, stack)
        watching = [events, ShownClassesSink(watching, top_k=config.top_k, classes=classes)]
    clip_format = engine.runner.spec.clip_format
    pipeline = Pipeline(
        sources,
        engines,
        watching,
        window=lambda: SlidingWindow(clip_format, hop=hop, head_start=engine.head_start),
        lossless=config.as_fast_as_possible,
        max_frames=config.max_frames,
        metrics=metrics,
    )
    live = Live(
        config,
        network,
        sources,
        engines,
        pipeline,
        publisher.endpoint if publisher else None,
        server.address if server else None,
    )
    if server is not None:
        serve_metrics(server, config, pipeline, sources, build=live.build(), publisher=publisher, events=events)
    return live


def _open_watchers(
    config: RunConfig,
    sources: Sequence[VideoSource],
    engine: Engine,
    publisher: Publisher | None,
    metrics: Metrics,
    stack: ExitStack,
) -> list[Sink]:
    """Open all that shows results to people and programs: the publisher, overlays, files of heat."""
    names = [source.name for source in sources]
    # A recording that was made as fast as possible has no frame rate or latency to show.
    painter = Painter(None if config.as_fast_as_possible else LiveCaption(metrics))
    rules = watched_rules(config, names)
    published: list[Sink] = [PublishSink(publisher, sources, metrics, rules=rules)] if publisher else []
    overlays: list[Sink] = [OverlaySink(publisher, painter)] if publisher else []
    videos, heats = open_recorders(config, names, painter, engine.runner.context.labels, stack)
    # Overlays wait for the lookahead, so that each picture is painted with the heat of its own moment.
    delayed = stack.enter_context(DelaySink([*overlays, *videos], delay_s=engine.lookahead_s))
    return [*published, delayed, *heats]


def run(live: Live, *, show: Callable[[Live], None] = lambda _: None, file: Path | None = None) -> Summary:
    """Run until the sources end, `config.seconds` have passed, or the viewer is closed; then write the summary.

    Args:
        live: what to run.
        show: called with `live` about ten times a second, to show the progress.
        file: the configuration's file, whose zones the page shows.
    """
    config, pipeline = live.config, live.pipeline
    start_s = time.monotonic()
    viewer = _start_viewer(live.endpoint, config.keys) if config.view and live.endpoint else None
    page = start_page(live.endpoint, config, file=file) if config.web and live.endpoint else None

    def wait() -> None:
        show(live)
        timed_out = config.seconds is not None and time.monotonic() - start_s >= config.seconds
        if timed_out or (viewer is not None and viewer.poll() is not None):  # the viewer's process has ended
            pipeline.stop.set()

    on_cpu = any(engine.runner.on_cpu for engine in live.engines)
    try:
        with live.network.computing() if on_cpu else nullcontext():
            pipeline.run(wait=wait)
    except KeyboardInterrupt:
        live.interrupted.set()
    finally:
        if viewer is not None:
            viewer.terminate()
        if page is not None:
            stop_child(page)
    summary = live.summary()
    if config.summary_json is not None:
        write_json(config.summary_json, asdict(summary))
    return summary


def _require_environment(config: RunConfig) -> None:
    """Check files, endpoint, keys, display and addresses."""
    require_outputs_apart(config)
    if config.bind is not None:
        require_bindable(config.bind, keys=config.keys)
    if config.keys is not None:
        server_keys(config.keys)
    if config.metrics_bind is not None:
        require_metrics()
    if config.on_event:
        require_targets(config.on_event)
    if config.view:
        require_display()
    if config.web:
        require_page()
    if (config.view or config.web) and config.keys is not None:
        client_keys(config.keys)
    for source in config.sources:
        parse_address(source.uri_with_login())


def _require_every_frame(engine: Engine, hop: int) -> None:
    """Refuse a hop that leaves frames in no window, where the stream engine needs every frame.

    A network with padding in time would have to begin again after each such gap. Its heat would be that of the window
    engine, for the price of the stream engine.
    """
    spec = engine.runner.spec
    if engine.name == "stream" and engine.needs_every_frame and hop > spec.clip_format.length:
        raise StreamcamError(
            f"a hop of {hop} leaves frames out of windows of {spec.clip_format.length}, and {spec.name} as "
            "a stream needs every one: give a smaller one, or a longer --window"
        )


def _start_viewer(endpoint: str, keys: Path | None) -> subprocess.Popen[bytes]:
    options = [] if keys is None else ["--keys", str(keys)]
    return subprocess.Popen([sys.executable, "-m", "streamcam", "view", endpoint, *options])
