"""Frames of sources without packets that a clip can hold → H.264 packets."""

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from streamcam.records import Frame, on_host
from streamcam.sources.packet_ring import ClipStreams, StoredPacket
from streamcam.sources.pixels import colour

TIME_BASE = Fraction(1, 90_000)

KEY_EVERY_S = 1.0
"""How far key frames are apart, in seconds: a clip begins so much too early at most."""

X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "25"}
"""Of x264's presets, the one that takes the least of the processor. It holds no picture back."""


class FrameEncoder:
    """Encodes the frames of one session, all of one size."""

    def __init__(self, first: Frame) -> None:
        """Open an encoder for frames like the first one."""
        height, width = first.picture.shape[:2]
        self._size = max(2, width & ~1), max(2, height & ~1)  # 4:2:0 needs even sides
        container = av.open(io.BytesIO(), "w", format="mp4", options={"movflags": "empty_moov+frag_keyframe"})
        self._stream = container.add_stream("libx264", rate=30, options=X264)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        codec = self._stream.codec_context
        codec.time_base, codec.gop_size, codec.thread_count = TIME_BASE, 1000, 1
        codec.colorspace, codec.color_range = colour.BT601, colour.LIMITED  # OpenCV's matrix
        codec.color_primaries = codec.color_trc = colour.BT709
        container.start_encoding()  # the encoder's parameters are known from now on; nothing else is written there
        self.streams = ClipStreams(self._stream)
        self._next_key_s = first.pts_s

    def encode(self, frame: Frame) -> Iterator[StoredPacket]:
        """Encode a frame; its packet has the frame's time."""
        width, height = self._size
        picture = np.ascontiguousarray(on_host(frame.picture)[:height, :width])
        if picture.shape != (height, width, 3):
            return
        # OpenCV takes a fraction of the time that FFmpeg takes for the same.
        planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
        image = VideoFrame.from_ndarray(planes, format="yuv420p")
        image.colorspace, image.color_range = colour.BT601, colour.LIMITED
        image.pts, image.time_base = round(frame.pts_s / TIME_BASE), TIME_BASE
        if frame.pts_s >= self._next_key_s:
            image.pict_type = 1  # AV_PICTURE_TYPE_I
            self._next_key_s = frame.pts_s + KEY_EVERY_S
        for packet in self._stream.encode(image):
            yield StoredPacket("video", bytes(packet), frame.pts_s, frame.pts_s, 0.0, TIME_BASE, packet.is_keyframe)
