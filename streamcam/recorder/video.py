"""Overlays → video."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from streamcam import colour
from streamcam.errors import StreamcamError
from streamcam.recorder.file import WRITE_FAILURES, FileSink
from streamcam.recorder.sound import Sound
from streamcam.records import Frame, Image, Picture, Result, on_host

TIME_BASE = Fraction(1, 90_000)

# x264's code for AVX-512 reads memory that nobody wrote when it weighs blocks by how long they stay (mbtree): one file
# in twenty came out otherwise. Up to AVX2 it makes the same file each time, the one that AVX-512 mostly makes.
UP_TO_AVX2 = {"x264-params": "asm=MMX2,SSE2Fast,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"}
CPU_AVX_512F = 13  # as cv::CpuFeatures numbers it; OpenCV's Python has no name for it
X264 = {"crf": "21", "preset": "veryfast"} | (UP_TO_AVX2 if cv2.checkHardwareSupport(CPU_AVX_512F) else {})


class VideoRecorder(FileSink):
    """Overlays → an H.264 mp4 with the frames' own timestamps."""

    def __init__(
        self, path: Path, source: str, paint: Callable[[Result], Picture], *, sound: Sound | None = None
    ) -> None:
        """Open it.

        Args:
            path: the file to make.
            source: the source to record; results of others are passed over.
            paint: result → picture.
            sound: goes with the pictures; it is closed with the file.

        Raises:
            StreamcamError: it cannot be written, or its name does not end in .mp4.
        """
        if path.suffix.lower() != ".mp4":
            raise StreamcamError(f"cannot record to {path}: give a name that ends in .mp4")
        super().__init__(path)
        self._source, self._paint, self._sound = source, paint, sound
        self._container = av.open(f"file:{self.partial}", "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=30, options=X264)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
        if sound is not None:
            sound.join(self._container)
        self._scaler = VideoReformatter()
        self._size: tuple[int, int] = (0, 0)
        self._pts = self._step = 0
        self._origin_s = 0.0
        self._last: Frame | None = None

    def on_frame(self, result: Result) -> None:
        """Add a frame."""
        if result.frame.source != self._source:
            return
        picture = self._fit(on_host(self._paint(result)))
        video_frame = self._to_yuv(picture)
        is_first = self._last is None
        video_frame.pts, video_frame.time_base = self._next_pts(result.frame), TIME_BASE
        try:
            if self._sound is not None:
                if is_first:
                    self._sound.begin(result.frame.pts_s)
                self._sound.write_until(result.frame.pts_s)
            self._container.mux(self._stream.encode(video_frame))
        except WRITE_FAILURES as e:
            raise self.failed(e) from e

    def _fit(self, picture: Image) -> Image:
        """To the first picture's size, made even, as H.264 wants it; one of another shape gets black bars."""
        if self._size == (0, 0):
            height, width = picture.shape[:2]
            self._size = max(2, width & ~1), max(2, height & ~1)
            self._stream.width, self._stream.height = self._size
            self._say_colours()
        width, height = self._size
        if picture.shape[0] - height in (0, 1) and picture.shape[1] - width in (0, 1):
            return np.ascontiguousarray(picture[:height, :width])
        fitted = np.zeros((height, width, 3), np.uint8)
        scale = min(height / picture.shape[0], width / picture.shape[1])
        rows, columns = (max(1, round(scale * side)) for side in picture.shape[:2])
        top, left = (height - rows) // 2, (width - columns) // 2
        fitted[top : top + rows, left : left + columns] = cv2.resize(
            picture, (columns, rows), interpolation=cv2.INTER_AREA
        )
        return fitted

    def _say_colours(self) -> None:
        """So that players neither guess nor squeeze. The matrix is the one that they would guess from the size."""
        codec = self._stream.codec_context
        codec.colorspace, codec.color_range = colour.usual_matrix(*self._size), colour.LIMITED
        codec.color_primaries = codec.color_trc = colour.BT709
        codec.sample_aspect_ratio = Fraction(1)

    def _to_yuv(self, picture: Image) -> VideoFrame:
        frame, matrix = VideoFrame.from_ndarray(picture, format="rgb24"), self._stream.codec_context.colorspace
        return self._scaler.reformat(
            frame, format="yuv420p", dst_colorspace=matrix, dst_color_range=colour.LIMITED, threads=1
        )

    def _next_pts(self, frame: Frame) -> int:
        """Times from 0 on, in 1/90000 s; a new session follows a 30th of a second after the last.

        Counted from the session's beginning, so that what is rounded off does not add up over hours.
        """
        last, self._last = self._last, frame
        if last is None:
            self._origin_s = frame.pts_s
            return 0
        if last.session != frame.session or frame.pts_s < last.pts_s:
            step_s = 1 / 30 if last.session != frame.session else 0.0
            self._origin_s = frame.pts_s - step_s - self._pts / 90_000
        before, self._pts = self._pts, max(self._pts + 1, round((frame.pts_s - self._origin_s) * 90_000))
        self._step = self._pts - before
        return self._pts

    def finish(self) -> bool:
        """Write what the encoders hold back."""
        try:
            if self._last is not None:
                self._container.mux(self._stream.encode(None))
                self._finish_sound(self._last)
        finally:
            self._container.close()
            if self._sound is not None:
                self._sound.close()
        return self._last is not None

    def _finish_sound(self, last: Frame) -> None:
        """It ends with the last picture, which is shown as long as the one before."""
        if self._sound is not None:
            self._sound.write_until(last.pts_s + self._step / 90_000)
            self._sound.finish()
