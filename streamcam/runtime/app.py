"""A config → parts, wired into a running pipeline: the one place that assembles."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

from streamcam.clips import SlidingWindow
from streamcam.config import RunConfig
from streamcam.engines.backends import make_engine, require_device
from streamcam.engines.base import Engine
from streamcam.engines.device.hardware import a_core_left_free
from streamcam.engines.stream_engine import StreamEngine
from streamcam.errors import StreamcamError
from streamcam.files import unfinished_name, write_json
from streamcam.gpu.decoder import GpuDecoder, decoders_on
from streamcam.metrics import Metrics, Summary, without_window
from streamcam.models.base import CamModel
from streamcam.models.classes import find_classes
from streamcam.models.registry import find_spec, load_model
from streamcam.records import Result
from streamcam.render.canvas import Caption
from streamcam.render.overlay import Painter
from streamcam.render.text import heat_age
from streamcam.runtime.memory import give_back_freed
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.base import Sink
from streamcam.sinks.delay import DelaySink
from streamcam.sinks.file import path_for, require_folder
from streamcam.sinks.heat_npz import HeatRecorder
from streamcam.sinks.publish import OverlaySink, PublishSink
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.address import parse_address
from streamcam.sources.base import open_source
from streamcam.sources.video import VideoSource
from streamcam.transport.endpoints import require_bindable
from streamcam.transport.keys import client_keys, server_keys
from streamcam.transport.publisher import Publisher
from streamcam.viewer.display import require_display


@dataclass(frozen=True)
class Live:
    """A pipeline with all its parts, ready to run."""

    config: RunConfig
    sources: Sequence[VideoSource]
    engines: Sequence[Engine]
    """One for each device, otherwise alike."""
    pipeline: Pipeline
    endpoint: str | None
    """Where results are published."""
    left: Sequence[Path] = ()
    """What runs that were killed had recorded, under the names that it has now."""
    interrupted: Event = field(default_factory=Event)
    """Set where Ctrl-C or a signal ended the run."""

    @property
    def device_name(self) -> str:
        """What computes, for people."""
        return ",".join(engine.runner.device_name for engine in self.engines)

    def without_window(self) -> dict[str, str]:
        """Which sources gave pictures and no result, and why, in a line for each."""
        context = self.engines[0].runner.context
        names = [source.name for source in self.sources]
        return without_window(names, self.pipeline.metrics, context.model, self.engines[0].runner.spec.clip_format)

    def summary(self) -> Summary:
        """What the run has done so far."""
        runner = self.engines[0].runner
        return self.pipeline.metrics.summary(
            model=runner.context.model,
            model_hash=runner.context.model_hash,
            engine=self.engines[0].name,
            device=self.device_name,
            precision=runner.precision,
        )


def assemble(config: RunConfig, stack: ExitStack, *, model: CamModel | None = None, sinks: Sequence[Sink] = ()) -> Live:
    """Open everything that a config names; `stack` closes it.

    What is cheap to check comes first, so that a mistake is found before anything is written or bound.

    Args:
        config: what to do.
        stack: closes sources, socket and files.
        model: instead of the one that the config names.
        sinks: more takers of results, after the config's own.

    Raises:
        StreamcamError: something cannot be had; nothing is left open or half-written.
    """
    _require_surroundings(config)
    spec = model.spec if model is not None else find_spec(config.model)
    classes = find_classes(spec, config.classes)
    loaded = model or load_model(config.model, weights=config.weights)
    engines = _make_engines(config, loaded.with_clip_format(length=config.window, fps=config.fps), classes)
    give_back_freed()  # the model as it was loaded: the engines have copies
    engine = engines[0]
    hop = config.hop or engine.hop
    _require_every_frame(engine, hop)
    decoders = [] if config.decode == "cpu" else decoders_on([engine.runner.device for engine in engines])
    sources = _open_sources(config, decoders, stack)
    metrics = Metrics()
    painter = Painter(None if config.as_fast_as_possible else _LiveCaption(metrics))
    publisher = _publisher(config, stack)
    published: list[Sink] = [PublishSink(publisher, sources, metrics)] if publisher else []
    overlays: list[Sink] = [OverlaySink(publisher, painter)] if publisher else []
    videos, heats = _recorders(config, sources, painter, spec.classes, stack)
    delayed = stack.enter_context(DelaySink([*overlays, *videos], delay_s=engine.lookahead_s))
    clip_format = engine.runner.spec.clip_format
    pipeline = Pipeline(
        sources,
        engines,
        [*published, delayed, *heats, *sinks],
        window=lambda: SlidingWindow(clip_format, hop=hop, head_start=engine.head_start),
        lossless=config.as_fast_as_possible,
        max_frames=config.max_frames,
        metrics=metrics,
    )
    left = [file.rescued for file in (*videos, *heats) if file.rescued is not None]
    return Live(config, sources, engines, pipeline, publisher.endpoint if publisher else None, left)


def _require_surroundings(config: RunConfig) -> None:
    """Find out what is not there, as far as that can be told without loading a network."""
    for device in config.device.split(","):
        require_device(device, backend=config.backend)
    _require_outputs_apart(config)
    if config.bind is not None:
        require_bindable(config.bind, keys=config.keys)
    if config.keys is not None:
        server_keys(config.keys)
    if config.view:
        require_display()
        if config.keys is not None:
            client_keys(config.keys)
    for source in config.sources:
        parse_address(source.uri_with_login())


def _make_engines(config: RunConfig, model: CamModel, classes: Sequence[int] | None) -> list[Engine]:
    """One on each device."""
    with _cores(config):  # OpenVINO is told with how many threads when it compiles
        return [
            make_engine(
                model,
                name=config.engine,
                backend=config.backend,
                device=device,
                precision=config.precision,
                top_k=config.top_k,
                classes=classes,
                dense=config.dense,
                hop=config.hop,
            )
            for device in config.device.split(",")
        ]


def run(live: Live, *, show: Callable[[Live], None] = lambda _: None) -> Summary:
    """Run until the end, `config.seconds`, or the viewer is closed; then write the summary.

    Args:
        live: what to run.
        show: called about ten times a second with `live`, to show how it goes.
    """
    config, pipeline = live.config, live.pipeline
    start_s = time.monotonic()
    viewer = _start_viewer(live.endpoint, config.keys) if config.view and live.endpoint else None

    def wait() -> None:
        show(live)
        timed_out = config.seconds is not None and time.monotonic() - start_s >= config.seconds
        if timed_out or (viewer is not None and viewer.poll() is not None):
            pipeline.stop.set()

    on_cpu = any(engine.runner.device.type == "cpu" for engine in live.engines)
    try:
        with _cores(config) if on_cpu else nullcontext():
            pipeline.run(wait=wait)
    except KeyboardInterrupt:
        live.interrupted.set()
    finally:
        if viewer is not None:
            viewer.terminate()
    summary = live.summary()
    if config.summary_json is not None:
        write_json(config.summary_json, asdict(summary))
    return summary


def _cores(config: RunConfig) -> AbstractContextManager[None]:
    """How many a network gets: where cameras wait for nobody, one is left for them."""
    return nullcontext() if config.as_fast_as_possible else a_core_left_free()


class _LiveCaption:
    """What stands on a live overlay: how fast, and how old."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, result: Result) -> Caption:
        frame = result.frame
        drops = sum(result.drops.values())
        latency_ms = (time.time_ns() - frame.captured_ns) / 1e6
        hop_s = self._metrics.wide_hop_s(frame.source)
        behind = () if hop_s is None else (f"cannot keep up: a window every {hop_s:.2f} s",)
        return Caption(
            f"{frame.source}  {self._metrics.fps(frame.source):.0f} fps",
            (heat_age(result.heat_age_s), f"latency {latency_ms:.0f} ms, {drops} dropped", *behind),
        )


def _require_outputs_apart(config: RunConfig) -> None:
    """No output may be an input, or another output: it would be destroyed."""
    taken = {Path(source.uri).resolve(): source.uri for source in config.sources if "://" not in source.uri}
    for key in ("record", "save_heat", "summary_json"):
        path = getattr(config, key)
        if path is None:
            continue
        require_folder(path)
        for written in (path, unfinished_name(path)) if key == "record" else (path,):
            if written.resolve() in taken:
                raise StreamcamError(f"{key}: {written} is taken by {taken[written.resolve()]}: give another name")
            taken[written.resolve()] = key


def _require_every_frame(engine: Engine, hop: int) -> None:
    """A padded network as a stream would begin again after every frame that is in no window: with window's answers."""
    spec = engine.runner.spec
    if isinstance(engine, StreamEngine) and engine.needs_every_frame and hop > spec.clip_format.length:
        raise StreamcamError(
            f"a hop of {hop} leaves frames out of windows of {spec.clip_format.length}, and {spec.name} as "
            "a stream needs every one: give a smaller one, or a longer --window"
        )


def _open_sources(config: RunConfig, decoders: Sequence[GpuDecoder], stack: ExitStack) -> list[VideoSource]:
    """All of them, files open; two with the same default name become cam and cam-2. Decoders take turns."""
    sources: list[VideoSource] = []
    seen: Counter[str] = Counter()
    given = {source.name for source in config.sources}
    for source in config.sources:
        opened = open_source(
            source.uri_with_login(),
            name=source.name,
            paced=not config.as_fast_as_possible,
            loop=config.loop,
            refresh_uri=None if source.username is None else source.uri_with_login,
            video_stream=config.video_stream if source.video_stream is None else source.video_stream,
            levels=source.levels or config.levels,
            decoder=decoders[len(sources) % len(decoders)] if decoders else None,
            rtsp_transport=source.rtsp_transport or config.rtsp_transport,
        )
        stack.enter_context(closing(opened))
        base = opened.name
        while source.name is None and (opened.name in seen or opened.name in given):
            seen[base] += 1
            opened.name = f"{base}-{seen[base]}"
        seen[opened.name] += 1
        if config.as_fast_as_possible:
            opened.open()  # only then it is known what comes over HTTP
            if opened.live:
                raise StreamcamError(f"--as-fast-as-possible is for files; {opened.shown} is live")
        sources.append(opened)
    return sources


def _recorders(
    config: RunConfig, sources: Sequence[VideoSource], painter: Painter, labels: tuple[str, ...], stack: ExitStack
) -> tuple[list[VideoRecorder], list[HeatRecorder]]:
    several = len(sources) > 1
    videos: list[VideoRecorder] = []
    heats: list[HeatRecorder] = []
    for name in [source.name for source in sources]:
        if config.record is not None:
            path = path_for(config.record, name, several=several)
            videos.append(stack.enter_context(VideoRecorder(path, name, painter.overlay)))
        if config.save_heat is not None:
            path = path_for(config.save_heat, name, several=several)
            heats.append(stack.enter_context(HeatRecorder(path, name, labels)))
    return videos, heats


def _publisher(config: RunConfig, stack: ExitStack) -> Publisher | None:
    if config.bind is None:
        return None
    return stack.enter_context(Publisher(config.bind, sources=len(config.sources), keys=config.keys))


def _start_viewer(endpoint: str, keys: Path | None) -> subprocess.Popen[bytes]:
    options = [] if keys is None else ["--keys", str(keys)]
    return subprocess.Popen([sys.executable, "-m", "streamcam", "view", endpoint, *options])
