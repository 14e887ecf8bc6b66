"""Overlays → an mp4 file."""

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
from streamcam.sinks.unfinished import UnfinishedFile, has_pictures, sync_folder
from streamcam.sources.pixels import colour

TICKS = 90_000
"""Ticks a second of the recording's timestamps."""
TIME_BASE = Fraction(1, TICKS)

X264 = {"crf": "25", "preset": "veryfast", "tune": "zerolatency"}
"""`zerolatency`, so that the encoder holds no picture back: at one picture a second, that would be eleven seconds."""

FRAGMENTED = {"movflags": "+hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}
"""An unfinished mp4 consists of fragments of one second (in µs). Each is written out at once, so that it plays."""


class VideoRecorder(FileSink):
    """Records overlays into an H.264 mp4 with the frames' own timestamps.

    Until it is complete, the file is NAME.part.mp4. If the program is killed, that file lacks the last second at most,
    or the last picture where pictures come more seldom.
    """

    def __init__(
        self, path: Path, source: str, paint: Callable[[Result], Picture], *, sound: Sound | None = None
    ) -> None:
        """Open the temporary file.

        Args:
            path: the file to make.
            source: the source to record; results of others are ignored.
            paint: gives a result's picture.
            sound: the sound to write with the pictures; it is closed with the file.

        Raises:
            StreamcamError: it cannot be written, or its name does not end in .mp4.
        """
        if path.suffix.lower() != ".mp4":
            raise StreamcamError(f"cannot record to {path}: give a name that ends in .mp4")
        self._unfinished = UnfinishedFile(path)
        super().__init__(path, self._unfinished.path, rescued=self._unfinished.rescued)
        self._source, self._paint, self._sound = source, paint, sound
        self._container = av.open(f"file:{self.partial}", "w", format="mp4", options=FRAGMENTED)
        self._stream = self._container.add_stream("libx264", rate=30, options=X264)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
        if sound is not None:
            sound.join(self._container)
        self._scaler = VideoReformatter()
        self._size: tuple[int, int] = (0, 0)  # width and height; known with the first picture
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
                # Interleaved: the sound before a picture is written before it, as players read the two side by side.
                self._sound.write_until(result.frame.pts_s)
            self._container.mux(self._encoded(video_frame))
        except WRITE_FAILURES as e:
            raise self.failed(e) from e

    def _fit(self, picture: Image) -> Image:
        """Bring a picture to the first one's size, made even for 4:2:0; one of another shape gets black bars."""
        if self._size == (0, 0):
            height, width = picture.shape[:2]
            self._size = max(2, width & ~1), max(2, height & ~1)
            self._stream.width, self._stream.height = self._size
            self._tag_colours()
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

    def _tag_colours(self) -> None:
        """Write matrix, range and pixel shape into the stream, so that players need not guess.

        The matrix is the one that they would guess from the size anyway.
        """
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
        """Return a frame's timestamp in ticks, from 0, going up by at least one.

        Where the frames' clock starts again, a new session follows 1/30 s after the last frame. Times are counted from
        the session's start, so that rounding does not add up over hours.
        """
        last, self._last = self._last, frame
        if last is None:
            self._origin_s = frame.pts_s
            return 0
        if frame.pts_s < last.pts_s or (frame.pts_s == last.pts_s and frame.session != last.session):
            step_s = 1 / 30 if last.session != frame.session else 0.0
            self._origin_s = frame.pts_s - step_s - self._pts / TICKS
        before, self._pts = self._pts, max(self._pts + 1, round((frame.pts_s - self._origin_s) * TICKS))
        self._step = self._pts - before
        return self._pts

    def finish(self) -> bool:
        """Write what the encoders hold back, and close all; return whether there was any picture."""
        # Closed in reverse order, whatever fails: container, sound, and last the lock on the file.
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
        """Encode a picture, or with None what is held back.

        Each packet is given the duration of the one before: no later packet says how long the last picture is shown.
        """
        packets = self._stream.encode(picture)
        for packet in packets if self._step else ():
            packet.duration = self._step
        return packets

    def completed(self) -> None:
        """Put the index first, and bring the file's name to the disk."""
        index_first(self.path)
        sync_folder(self.path)

    def is_usable(self) -> bool:
        """Return whether the temporary file holds a whole fragment."""
        return has_pictures(self.partial)

    def _finish_sound(self, last: Frame) -> None:
        """Write sound until the last picture ends."""
        if self._sound is not None:
            self._sound.write_until(last.pts_s + self._step / TICKS)
            self._sound.finish()
