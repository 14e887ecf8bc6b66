"""The outputs of an explained video: overlay.mp4, heat.npz or heat.zarr, sheet.png and frames.csv."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from streamcam.explain.findings import COLUMNS, find, painted
from streamcam.explain.per_frame import PerFrame
from streamcam.explain.storyboard import Storyboard
from streamcam.records import Heat, Result
from streamcam.render.image_files import save_picture
from streamcam.render.overlay import Painter
from streamcam.sinks.audio import Sound
from streamcam.sinks.base import Sink
from streamcam.sinks.heat_npz import HeatRecorder
from streamcam.sinks.heat_zarr import ZarrRecorder
from streamcam.sinks.video_file import VideoRecorder

OVERLAY, SHEET, TABLE, NPZ, ZARR = OUTPUTS = ("overlay.mp4", "sheet.png", "frames.csv", "heat.npz", "heat.zarr")
"""The names of all outputs; a run writes one of the last two."""

BOX_SIDE = 240
"""Boxes are found in pictures whose longer side has at most this many pixels. At full size, it would take longer than
the network."""


class FilmOutputs:
    """The four outputs, written frame by frame. Use it in a `with` block: the files are complete when it ends."""

    def __init__(
        self,
        folder: Path,
        heat_name: str,
        source: str,
        per_frame: PerFrame,
        *,
        classes: Sequence[int],
        sound: Sound | None,
    ) -> None:
        """Open the files.

        Args:
            folder: an existing folder.
            heat_name: `NPZ` or `ZARR`.
            source: the name of the source of the frames.
            per_frame: gives the names of the classes, and their probabilities.
            classes: paint the strongest of these; if empty, the strongest of all.
            sound: the sound that goes with the pictures.
        """
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
            # All is open: from here on `__exit__` closes the files. Had one failed, this block would have closed them.
            self._files = stack.pop_all()

    def add(self, result: Result) -> None:
        """Write the next frame to all outputs."""
        frame, heat = result.frame, result.heat
        height, width = frame.pixels.shape[:2]
        findings, k = [], 0
        if heat is not None:
            findings = find(heat, pts_s=frame.pts_s, width=width, height=height, max_side=BOX_SIDE)
            k = painted(heat, self._classes)
            self._story.add(result, k=k, scale=self._painter.scale(frame.source, heat, k))
        self._table.writerows([f"{frame.pts_s:.6f}", frame.index, *finding.row()] for finding in findings)
        # The painter keeps the last overlay. The recorder asks it for that of the same result, and gets this one.
        self._painter.overlay(result, k=k, box=findings[k].box if findings else None)
        self._video.on_frame(result)
        self._heat.on_window(result)

    def draw_sheet(self, title: str) -> None:
        """Write the sheet."""
        save_picture(self._folder / SHEET, self._story.draw(title))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._files.__exit__(kind, error, tb)


class PerFrameSink(Sink):
    """A sink, on the output thread, that turns windows into one result per frame and writes it."""

    def __init__(self, per_frame: PerFrame, outputs: FilmOutputs) -> None:
        self.frames = self.windows = 0
        self.done_s = 0.0
        """The time of the newest frame that has been written, in seconds."""
        self._per_frame, self._outputs = per_frame, outputs
        self._window: Heat | None = None

    def on_window(self, result: Result) -> None:
        """Keep a window. The pipeline hands over its last frame next, and `PerFrame` wants frames before windows."""
        self._window = result.heat
        self.windows += 1

    def on_frame(self, result: Result) -> None:
        """Add a frame, then the window that it completes."""
        self._write(self._per_frame.push(result.frame))
        window, self._window = self._window, None
        if window is not None:
            self._write(self._per_frame.add(window))

    def finish(self) -> None:
        """Write the frames that are still pending."""
        self._write(self._per_frame.finish())

    def _write(self, results: Sequence[Result]) -> None:
        for result in results:
            self._outputs.add(result)
            self.frames += 1
            self.done_s = result.frame.pts_s
