"""A recorded file → what a network sees in every frame and where: overlay, heat, sheet, table. Always the same."""

import csv
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine, require_device
from streamcam.engines.base import Engine
from streamcam.errors import StreamcamError
from streamcam.explain.findings import COLUMNS, find, painted
from streamcam.explain.per_frame import PerFrame
from streamcam.explain.storyboard import Storyboard
from streamcam.files import require_fresh, staged
from streamcam.metrics import why_no_window
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.classes import find_classes
from streamcam.models.registry import find_spec, load_model
from streamcam.records import Heat, Result
from streamcam.render.contact_sheet import clock
from streamcam.render.image_files import save_picture
from streamcam.render.overlay import Painter
from streamcam.runtime.pipeline import Pipeline
from streamcam.sinks.audio import Sound
from streamcam.sinks.base import Sink
from streamcam.sinks.heat_npz import HeatRecorder
from streamcam.sinks.heat_zarr import ZarrRecorder, require_zarr
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.address import parse_address
from streamcam.sources.base import open_source
from streamcam.sources.video import VideoSource

OVERLAY, SHEET, TABLE, NPZ, ZARR = OUTPUTS = ("overlay.mp4", "sheet.png", "frames.csv", "heat.npz", "heat.zarr")

NPZ_LIMIT_BYTES = 1e9
"""A larger .npz would be a burden: numpy reads an array of it only as a whole."""

BOX_SIDE = 240
"""Boxes are looked for in pictures of at most so many pixels: at full size, that would take longer than the network."""


def seconds_of(text: str) -> float:
    """A time as people write it, 90, 1:30 or 0:01:30.5 → seconds.

    Raises:
        StreamcamError: it is none.
    """
    parts = text.split(":")
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text.strip()):
        raise StreamcamError(f"not a time: {text!r} (give seconds, minutes:seconds or hours:minutes:seconds)")
    return sum(float(part) * 60.0**i for i, part in enumerate(reversed(parts)))


@dataclass(frozen=True, slots=True)
class Explained:
    """What came out."""

    frames: int
    windows: int
    corrupt: int
    """Frames, or pieces of them, that did not decode."""
    window_frames: int
    """The length of a window: the model's own, or that of a file that is shorter."""
    seconds: float
    """How long it took."""
    files: tuple[Path, ...]


def explain(
    uri: str,
    folder: Path,
    *,
    model: str | CamModel = "motion",
    weights: str | None = None,
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
    """Explain a file: overlay.mp4 (with the file's sound), heat.npz or heat.zarr, sheet.png and frames.csv.

    Every frame gets the average over all windows that contain it. Two runs give identical bytes. The outputs appear
    together, at the end; after an error there are none.

    Args:
        uri: a file, or `sample`.
        folder: where the outputs go; it is made.
        model: one of `streamcam models`, or one that is loaded already.
        weights: as for `load_model`.
        classes: paint the strongest of these; by default each frame's strongest of all.
        top_k: how many classes are told of for each frame.
        every: samples between two windows; by default the model's temporal stride.
        start_s: begin so many seconds into the file.
        end_s: end so many seconds into the file.
        video_stream: as for `open_source`.
        sound_stream: which of the file's sounds, from 0; by default the best.
        levels: as for `open_source`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        heat: `npz`, `zarr`, or `auto`: npz up to 1 GB.
        force: write into a folder that is not empty, and replace earlier outputs.
        show: called about ten times a second with the seconds of video that are done, and of all (None: unknown).

    Raises:
        StreamcamError: something cannot be had or written.
    """
    begin_s = time.monotonic()
    require_device(device, backend=backend)
    require_fresh(folder, force=force)
    _require_file(uri, folder, start_s, end_s)
    spec = find_spec(model) if isinstance(model, str) else model.spec
    always = find_classes(spec, classes) or []
    _require_sane(spec, every, heat)
    with ExitStack() as stack:
        opened = open_source(uri, paced=False, start_s=start_s, end_s=end_s, video_stream=video_stream, levels=levels)
        source = stack.enter_context(closing(opened))
        sound = Sound.of(uri, number=sound_stream, video_stream=video_stream, stretches=lambda: source.stretches)
        stack.callback(sound.close if sound else lambda: None)
        span_s = _span(source, start_s, end_s)
        loaded = load_model(model, weights=weights) if isinstance(model, str) else model
        engine = _engine(loaded, source, span_s, backend=backend, device=device, precision=precision)
        per_frame = PerFrame(engine.runner.context, top_k=top_k, always=always)
        heat_name = _heat_name(heat, engine, frames=(span_s or 0.0) * source.fps, classes=max(top_k, len(always)))
        hidden = stack.enter_context(staged(folder, replaces=OUTPUTS))
        with _Outputs(hidden, heat_name, sound, source.name, per_frame, always) as outputs:
            explaining = _Explaining(per_frame, outputs)
            pipeline = _pipeline(source, engine, explaining, every or spec.temporal_stride)
            pipeline.run(wait=lambda: show(max(0.0, explaining.done_s - start_s), span_s))
            explaining.finish()
            length = engine.runner.spec.clip_format.length
            if not explaining.windows:
                why = why_no_window(source.name, pipeline.metrics, spec.name, engine.runner.spec.clip_format)
                raise StreamcamError(f"{source.shown}: {why}")
        outputs.draw(
            f"{Path(source.shown).name}, as {spec.name} sees it in {explaining.windows} windows of {length} frames"
        )
        files = tuple(folder / path.name for path in sorted(hidden.iterdir()))
    seconds = time.monotonic() - begin_s
    return Explained(explaining.frames, explaining.windows, source.drops["corrupt"], length, seconds, files)


class _Explaining(Sink):
    """Windows → frames, on the output thread."""

    def __init__(self, per_frame: PerFrame, outputs: "_Outputs") -> None:
        self.frames = self.windows = 0
        self.done_s = 0.0
        self._per_frame, self._outputs = per_frame, outputs
        self._window: Heat | None = None

    def on_window(self, result: Result) -> None:
        """Keep a window until its last frame is there, which comes next."""
        self._window = result.heat
        self.windows += 1

    def on_frame(self, result: Result) -> None:
        """Take a frame, and the window that it has completed."""
        self._give(self._per_frame.push(result.frame))
        window, self._window = self._window, None
        if window is not None:
            self._give(self._per_frame.add(window))

    def finish(self) -> None:
        """Give out what is still waiting."""
        self._give(self._per_frame.finish())

    def _give(self, results: Sequence[Result]) -> None:
        for result in results:
            self._outputs.add(result)
            self.frames += 1
            self.done_s = result.frame.pts_s


class _Outputs:
    """The four outputs, frame by frame. To be used as a context: files are complete when it ends."""

    def __init__(
        self,
        folder: Path,
        heat_name: str,
        sound: Sound | None,
        source: str,
        per_frame: PerFrame,
        classes: Sequence[int],
    ) -> None:
        labels = per_frame.context.labels
        self._folder, self._classes = folder, classes
        self._painter = Painter()
        self._story = Storyboard(labels, per_frame.scores, classes=classes)
        with ExitStack() as stack:
            video = VideoRecorder(folder / OVERLAY, source, self._painter.overlay, sound=sound)
            self._video = stack.enter_context(video)
            recorder = ZarrRecorder if heat_name == ZARR else HeatRecorder
            self._heat = stack.enter_context(recorder(folder / heat_name, source, labels))
            self._table = csv.writer(
                stack.enter_context((folder / TABLE).open("w", newline="", encoding="utf-8", errors="backslashreplace"))
            )
            self._table.writerow(("time_s", "frame", *COLUMNS))
            self._files = stack.pop_all()

    def add(self, result: Result) -> None:
        """Take the next frame."""
        frame, heat = result.frame, result.heat
        height, width = frame.pixels.shape[:2]
        found, k = [], 0
        if heat is not None:
            found = find(heat, pts_s=frame.pts_s, width=width, height=height, max_side=BOX_SIDE)
            k = painted(heat, self._classes)
            self._story.add(result, k=k, scale=self._painter.scale(frame.source, heat, k))
        self._table.writerows([f"{frame.pts_s:.6f}", frame.index, *finding.row()] for finding in found)
        self._painter.overlay(result, k=k, box=found[k].box if found else None)  # the recorder takes the same picture
        self._video.on_frame(result)
        self._heat.on_window(result)

    def draw(self, title: str) -> None:
        """Write the sheet."""
        save_picture(self._folder / SHEET, self._story.draw(title))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._files.__exit__(kind, error, tb)


def _require_file(uri: str, folder: Path, start_s: float, end_s: float | None) -> None:
    address = parse_address(uri)
    if address.live or uri == "-":
        raise StreamcamError(f"explain is for files; {address.shown} is none: record it first (streamcam run --record)")
    if address.format == "lavfi" and end_s is None:
        raise StreamcamError(f"{address.shown} has no end: give --end")
    if end_s is not None and end_s <= start_s:
        raise StreamcamError(f"expected an end after the start, got --start {clock(start_s)} --end {clock(end_s)}")
    taken = {(folder / name).resolve() for name in OUTPUTS}
    if Path(address.url.removeprefix("file:")).resolve() in taken:
        raise StreamcamError(f"{address.shown} would be replaced by an output: give another folder")


def _require_sane(spec: ModelSpec, every: int | None, heat: str) -> None:
    length = spec.clip_format.length
    if every is not None and not 1 <= every <= length:
        raise StreamcamError(f"--every {every} would leave frames out: the windows of {spec.name} have {length}")
    if heat not in ("auto", "npz", "zarr"):
        raise StreamcamError(f"no such heat: {heat} (use auto, npz or zarr)")


def _span(source: VideoSource, start_s: float, end_s: float | None) -> float | None:
    """How much of the file there is to explain, in seconds; None where the file does not say."""
    extent = source.extent
    if extent is None:
        return None if end_s is None else end_s - start_s
    if start_s >= extent.end_s:
        raise StreamcamError(
            f"{source.shown} ends after {extent.end_s:.2f} s: there is nothing from {clock(start_s)} on"
        )
    if end_s is not None and end_s <= extent.begin_s:
        begins = f"{source.shown} has sound first: its pictures begin at {extent.begin_s:.2f} s"
        raise StreamcamError(f"{begins}, and there are none before {clock(end_s)}")
    return min(extent.end_s, math.inf if end_s is None else end_s) - max(start_s, extent.begin_s)


def _engine(
    model: CamModel, source: VideoSource, span_s: float | None, *, backend: str, device: str, precision: str
) -> Engine:
    """An engine that tells of all classes; its window is the model's own, or the whole of a shorter file."""
    own = model.spec.clip_format
    samples = own.length if span_s is None else int(max(0.0, span_s - 1 / source.fps) * own.fps) + 1
    fitted = replace(own, length=min(own.length, samples))
    try:
        return make_engine(
            model.with_spec(replace(model.spec, clip_format=fitted)),
            name="auto" if model.spec.framewise else "window",  # the reference: there is no hurry
            backend=backend,
            device=device,
            precision=precision,
            top_k=len(model.spec.classes),
        )
    except (RuntimeError, ArithmeticError) as e:  # nothing is left of so few frames on the way
        if fitted == own:
            raise
        raise StreamcamError(_too_short(source, model.spec, samples)) from e


def _too_short(source: VideoSource, spec: ModelSpec, frames: int) -> str:
    clip_format = spec.clip_format
    need_s = clip_format.length / clip_format.fps
    return (
        f"{source.shown} is too short for {spec.name}: there are {frames} frames, and it needs {clip_format.length} at "
        f"{clip_format.fps:g} a second ({need_s:.2f} s)"
    )


def _pipeline(source: VideoSource, engine: Engine, sink: Sink, every: int) -> Pipeline:
    """Every frame, and a window every so many samples, through the engine in order."""
    clip_format = engine.runner.spec.clip_format
    hop = min(every, clip_format.length)

    def window() -> SlidingWindow:
        return SlidingWindow(clip_format, hop=hop, head_start=engine.head_start)

    return Pipeline([source], [engine], [sink], window=window, lossless=True)


def _heat_name(kind: str, engine: Engine, *, frames: float, classes: int) -> str:
    """Which file the heat goes into, by the room that it will take."""
    if kind == "auto":
        kind = "zarr" if frames * _row_bytes(engine, classes) > NPZ_LIMIT_BYTES else "npz"
    if kind == "zarr":
        require_zarr()
    return ZARR if kind == "zarr" else NPZ


def _row_bytes(engine: Engine, classes: int) -> int:
    """What one frame's heat takes, in bytes, found out on a black clip."""
    clip_format = engine.runner.spec.clip_format
    output = engine.runner.run([np.zeros((clip_format.length, 3, *clip_format.crop), np.uint8)])
    cells = output.cube[0, 0, 0].numel()
    return 2 * (classes + 1) * cells + 4 * output.logits.shape[1] + 12 * classes + 40
