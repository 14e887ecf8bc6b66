"""Explain a video file: what a network sees in every frame, and where. The same file always gives the same outputs."""

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamcam.clips import SlidingWindow
from streamcam.config.groups import read_groups
from streamcam.engines.backends import make_engine, require_device
from streamcam.engines.base import Engine
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.explain.film_outputs import NPZ, OUTPUTS, ZARR, FilmOutputs, PerFrameSink
from streamcam.explain.per_frame import PerFrame
from streamcam.files import require_fresh, staged
from streamcam.metrics import why_no_window
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.classes import find_classes, grouped
from streamcam.models.registry import find_spec, load_model
from streamcam.render.contact_sheet import clock
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.audio import Sound
from streamcam.sinks.heat_zarr import require_zarr
from streamcam.sources.address import parse_address
from streamcam.sources.base import open_source
from streamcam.sources.video import VideoSource

NPZ_LIMIT_BYTES = 1e9
"""Heat that takes more goes into a Zarr folder: NumPy reads an array of an .npz only as a whole."""


def seconds_of(text: str) -> float:
    """Read a time as people write it, such as 90, 1:30 or 0:01:30.5, in seconds.

    Raises:
        StreamcamError: the text is not a time.
    """
    parts = text.split(":")
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text.strip()):
        raise StreamcamError(f"not a time: {text!r} (give seconds, minutes:seconds or hours:minutes:seconds)")
    return sum(float(part) * 60.0**i for i, part in enumerate(reversed(parts)))


@dataclass(frozen=True, slots=True)
class Explained:
    """The counts of an explained file, and the files that were written."""

    frames: int
    windows: int
    corrupt: int
    """The number of frames, or parts of frames, that could not be decoded."""
    window_frames: int
    """The length of a window in frames: the model's, or that of the whole file if it is shorter."""
    seconds: float
    """The time that it took."""
    files: tuple[Path, ...]


def explain(
    uri: str,
    folder: Path,
    *,
    model: str | CamModel = "motion",
    weights: str | None = None,
    group: str = "auto",
    classes: Sequence[str] | None = None,
    top_k: int = 5,
    every: int | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    video_stream: int | None = None,
    sound_stream: int | None = None,
    levels: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    heat: str = "auto",
    force: bool = False,
    show: Callable[[float, float | None], None] = lambda _done_s, _total_s: None,
) -> Explained:
    """Explain a file: write overlay.mp4 (with the file's sound), heat.npz or heat.zarr, sheet.png and frames.csv.

    Every frame gets the average over all windows that contain it. Two runs write identical bytes. The outputs appear
    together at the end; after an error there are none.

    Args:
        uri: a file, or `sample`.
        folder: the folder for the outputs; it is made.
        model: one of `streamcam models`, or a loaded model.
        weights: as for `load_model`.
        group: as for `read_groups`.
        classes: paint the strongest of these; by default the strongest of all, frame by frame.
        top_k: the number of classes that each frame's outputs hold.
        every: samples between two windows; by default the model's temporal stride.
        start_s: begin at this time of the file, in seconds.
        end_s: end at this time of the file, in seconds; by default at its end.
        video_stream: as for `open_source`.
        sound_stream: the number of the sound stream, from 0; by default the best.
        levels: as for `open_source`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        heat: `npz`, `zarr`, or `auto`: npz up to 1 GB.
        force: write into a folder that is not empty, and replace earlier outputs.
        show: called about ten times a second with the seconds of video that are done, and of all (None if unknown).

    Returns:
        The counts and the files.

    Raises:
        StreamcamError: an argument is wrong, the file or the model cannot be read, or the outputs cannot be written.
    """
    began_s = time.monotonic()
    require_device(device, backend=backend)
    require_fresh(folder, force=force)
    _require_file(uri, folder, start_s, end_s)
    spec = find_spec(model) if isinstance(model, str) else model.spec
    groups = read_groups(group, spec.classes)
    spec = grouped(spec, groups)
    always = find_classes(spec, classes) or []
    _require_options(spec, every, heat)
    with _opened(uri, start_s, end_s, video_stream, sound_stream, levels) as (source, sound):
        length_s = _length_s(source, start_s, end_s)
        loaded = (load_model(model, weights=weights) if isinstance(model, str) else model).grouped(groups)
        engine = _make_engine(loaded, source, length_s, backend=backend, device=device, precision=precision)
        window_frames = engine.runner.spec.clip_format.length
        frames = (length_s or 0.0) * source.fps
        heat_name = _heat_name(heat, engine.runner, frames=frames, classes=max(top_k, len(always)))
        per_frame = PerFrame(engine.runner.context, top_k=top_k, always=always)
        with staged(folder, replaces=OUTPUTS) as hidden:
            with FilmOutputs(hidden, heat_name, source.name, per_frame, classes=always, sound=sound) as outputs:
                sink = PerFrameSink(per_frame, outputs)
                hop = every or spec.temporal_stride
                _run(source, engine, sink, hop, lambda done_s: show(max(0.0, done_s - start_s), length_s))
            windows = f"{sink.windows} windows of {window_frames} frames"
            outputs.draw_sheet(f"{Path(source.shown).name}, as {spec.name} sees it in {windows}")
            files = tuple(folder / path.name for path in sorted(hidden.iterdir()))
    duration_s = time.monotonic() - began_s
    return Explained(sink.frames, sink.windows, source.drops["corrupt"], window_frames, duration_s, files)


@contextmanager
def _opened(
    uri: str,
    start_s: float,
    end_s: float | None,
    video_stream: int | None,
    sound_stream: int | None,
    levels: str | None,
) -> Iterator[tuple[VideoSource, Sound | None]]:
    """Open the pictures of a file, and its sound if it has any."""
    opened = open_source(uri, paced=False, start_s=start_s, end_s=end_s, video_stream=video_stream, levels=levels)
    with closing(opened) as source:
        # The sound asks the pictures where the file's clock was set, and so stays in step with them.
        sound = Sound.of(uri, number=sound_stream, video_stream=video_stream, stretches=lambda: source.segments)
        try:
            yield source, sound
        finally:
            if sound is not None:
                sound.close()


def _run(
    source: VideoSource,
    engine: Engine,
    sink: PerFrameSink,
    hop: int,
    show: Callable[[float], None],
) -> None:
    """Run every frame, and a window every `hop` samples, through the engine and the sink, in order.

    Args:
        source: the frames.
        engine: its results carry all classes.
        sink: takes windows and frames.
        hop: samples between two windows. A hop longer than a window becomes a window.
        show: called about ten times a second with the time of the newest frame that has been written, in seconds.

    Raises:
        StreamcamError: not a single window was complete.
    """
    spec = engine.runner.spec
    hop = min(hop, spec.clip_format.length)

    def window() -> SlidingWindow:
        return SlidingWindow(spec.clip_format, hop=hop, head_start=engine.head_start)

    pipeline = Pipeline([source], [engine], [sink], window=window, lossless=True)
    pipeline.run(wait=lambda: show(sink.done_s))
    sink.finish()
    if not sink.windows:
        reason = why_no_window(source.name, pipeline.metrics, spec.name, spec.clip_format)
        raise StreamcamError(f"{source.shown}: {reason}")


def _require_file(uri: str, folder: Path, start_s: float, end_s: float | None) -> None:
    """Check that the input is a file with an end, and that no output replaces it."""
    address = parse_address(uri)
    if address.live or uri == "-":
        raise StreamcamError(f"explain is for files; {address.shown} is none: record it first (streamcam run --record)")
    if address.format == "lavfi" and end_s is None:
        raise StreamcamError(f"{address.shown} has no end: give --end")
    if end_s is not None and end_s <= start_s:
        raise StreamcamError(f"expected an end after the start, got --start {clock(start_s)} --end {clock(end_s)}")
    outputs = {(folder / name).resolve() for name in OUTPUTS}
    if Path(address.url.removeprefix("file:")).resolve() in outputs:
        raise StreamcamError(f"{address.shown} would be replaced by an output: give another folder")


def _require_options(spec: ModelSpec, every: int | None, heat: str) -> None:
    """Check that windows leave no frame out, and that `heat` is a format."""
    length = spec.clip_format.length
    if every is not None and not 1 <= every <= length:
        raise StreamcamError(f"--every {every} would leave frames out: the windows of {spec.name} have {length}")
    if heat not in ("auto", "npz", "zarr"):
        raise StreamcamError(f"no such heat: {heat} (use auto, npz or zarr)")


def _length_s(source: VideoSource, start_s: float, end_s: float | None) -> float | None:
    """Return the length of the part of the file to explain, in seconds; None if the file does not state its own.

    Raises:
        StreamcamError: there are no frames between start and end.
    """
    span = source.time_span
    if span is None:
        return None if end_s is None else end_s - start_s
    if start_s >= span.end_s:
        raise StreamcamError(f"{source.shown} ends after {span.end_s:.2f} s: there is nothing from {clock(start_s)} on")
    if end_s is not None and end_s <= span.begin_s:
        begins = f"{source.shown} has sound first: its pictures begin at {span.begin_s:.2f} s"
        raise StreamcamError(f"{begins}, and there are none before {clock(end_s)}")
    return min(span.end_s, math.inf if end_s is None else end_s) - max(start_s, span.begin_s)


def _make_engine(
    model: CamModel, source: VideoSource, length_s: float | None, *, backend: str, device: str, precision: str
) -> WindowEngine | StreamEngine:
    """Make an engine whose results carry all classes, since each frame's strongest are known only after averaging.

    If the file is shorter than the model's window, the window becomes as long as the file.
    """
    clip_format = model.spec.clip_format
    # Samples come at 0, 1/fps, 2/fps … up to the last frame, which begins one frame before the end of the file.
    samples = None if length_s is None else int(max(0.0, length_s - 1 / source.fps) * clip_format.fps) + 1
    length = clip_format.length if samples is None else min(clip_format.length, samples)
    try:
        return make_engine(
            model.with_clip_format(length=length),
            # Whole windows are the reference, and there is no hurry. Framewise, either engine gives the same answers.
            name="auto" if model.spec.framewise else "window",
            backend=backend,
            device=device,
            precision=precision,
            top_k=len(model.spec.classes),
        )
    except (RuntimeError, ArithmeticError) as e:  # so few frames that a layer has nothing left to compute
        if length == clip_format.length:
            raise
        raise StreamcamError(_too_short(source, model.spec, length)) from e


def _too_short(source: VideoSource, spec: ModelSpec, frames: int) -> str:
    clip_format = spec.clip_format
    need_s = clip_format.length / clip_format.fps
    return (
        f"{source.shown} is too short for {spec.name}: there are {frames} frames, and it needs {clip_format.length} at "
        f"{clip_format.fps:g} a second ({need_s:.2f} s)"
    )


def _heat_name(kind: str, runner: TorchRunner, *, frames: float, classes: int) -> str:
    """Choose the file for the heat: by its size, if `kind` is `auto`."""
    if kind == "auto":
        kind = "zarr" if frames * _bytes_per_frame(runner, classes) > NPZ_LIMIT_BYTES else "npz"
    if kind == "zarr":
        require_zarr()
    return ZARR if kind == "zarr" else NPZ


def _bytes_per_frame(runner: TorchRunner, classes: int) -> int:
    """Return the size of one frame's heat in bytes. A black clip shows how many cells it has."""
    clip_format = runner.spec.clip_format
    output = runner.run([np.zeros((clip_format.length, 3, *clip_format.crop), np.uint8)])
    cells = output.cube[0, 0, 0].numel()
    heat = 2 * (classes + 1) * cells  # float16: the cube and the common heat
    logits = 4 * output.logits.shape[1]  # float32, of all classes
    return heat + logits + 12 * classes + 40  # int64 class and float32 score; five numbers of 8 bytes for the times
