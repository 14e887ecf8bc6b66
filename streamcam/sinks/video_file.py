"""Overlays → video."""

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError
from streamcam.records import Frame, Image, Picture, Result, on_host
from streamcam.sinks.audio import Sound
from streamcam.sinks.faststart import index_first
from streamcam.sinks.file import WRITE_FAILURES, FileSink
from streamcam.sinks.unfinished import Unfinished, has_pictures, sync_folder
from streamcam.sources import colour

TIME_BASE = Fraction(1, 90_000)

X264 = {"crf": "25", "preset": "veryfast", "tune": "zerolatency"}
"""It holds no picture back: of a camera at one picture a second, it would hold eleven seconds."""

FRAGMENTED = {"movflags": "+hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}
"""Until it is complete, an mp4 is made of fragments of a second (in µs), each of which is written out at once."""


class VideoRecorder(FileSink):
    """Overlays → an H.264 mp4 with the frames' own timestamps.

    It lies in NAME.part.mp4 until it is complete. Of a process that is killed, that file has all but the last second,
    or the last picture, where they come more seldom.
    """

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
        self._unfinished = Unfinished(path)
        super().__init__(path, self._unfinished.path, left=self._unfinished.left)
        self._source, self._paint, self._sound = source, paint, sound
        self._container = av.open(f"file:{self.partial}", "w", format="mp4", options=FRAGMENTED)
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
            self._container.mux(self._encoded(video_frame))
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
        """Times from 0 on, in 1/90000 s; where they begin anew, a session follows a 30th of a second after the last.

        Counted from the session's beginning, so that what is rounded off does not add up over hours.
        """
        last, self._last = self._last, frame
        if last is None:
            self._origin_s = frame.pts_s
            return 0
        if frame.pts_s < last.pts_s or (frame.pts_s == last.pts_s and frame.session != last.session):
            step_s = 1 / 30 if last.session != frame.session else 0.0
            self._origin_s = frame.pts_s - step_s - self._pts / 90_000
        before, self._pts = self._pts, max(self._pts + 1, round((frame.pts_s - self._origin_s) * 90_000))
        self._step = self._pts - before
        return self._pts

    def finish(self) -> bool:
        """Write what the encoders hold back."""
        with ExitStack() as stack:
            stack.callback(self._unfinished.close)
            if self._sound is not None:
                stack.callback(self._sound.close)
            stack.callback(self._container.close)
            if self._last is not None:
                self._container.mux(self._encoded(None))
                self._finish_sound(self._last)
        return self._last is not None

    def _encoded(self, picture: VideoFrame | None) -> "list[Packet[VideoStream]]":
        """Packets; each says that its picture is shown as long as the one before, which holds for the last one."""
        packets = self._stream.encode(picture)
        for packet in packets if self._step else ():
            packet.duration = self._step
        return packets

    def completed(self) -> None:
        """Let it begin with its index."""
        index_first(self.path)
        sync_folder(self.path)

    def is_of_use(self) -> bool:
        """Whether there is a fragment in it."""
        return has_pictures(self.partial)

    def _finish_sound(self, last: Frame) -> None:
        """It ends with the last picture."""
        if self._sound is not None:
            self._sound.write_until(last.pts_s + self._step / 90_000)
            self._sound.finish()
