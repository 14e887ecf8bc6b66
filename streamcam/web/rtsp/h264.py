"""Pictures of one size → H.264 for a live stream."""

from base64 import b64encode
from fractions import Fraction

import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streamcam.records import Image
from streamcam.sources.pixels import colour
from streamcam.web.rtsp.rtp import PAYLOAD_TYPE, TICKS, split_nals

KEY_EVERY_S = 2.0
"""Who begins to watch sees nothing before the next key frame."""
X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "25"}
"""Of x264's presets, the one that takes the least of the processor. It holds no picture back."""
_SEQUENCE_SET, _PICTURE_SET, _DELIMITER = 7, 8, 9
"""Types of NAL units (ITU-T H.264, table 7-1)."""


class LiveEncoder:
    """Encodes the pictures of one stream."""

    def __init__(self, width: int, height: int) -> None:
        """Open an encoder.

        Args:
            width: of the pictures, in pixels; where it is odd, the last column is left out.
            height: likewise.
        """
        self.picture_size = width, height
        self._size = max(2, width & ~1), max(2, height & ~1)  # 4:2:0 needs even sides
        codec = VideoCodecContext.create("libx264", "w")
        codec.width, codec.height = self._size
        codec.pix_fmt, codec.time_base, codec.options = "yuv420p", Fraction(1, TICKS), X264
        codec.framerate = Fraction(30)  # the level follows from it: from the time base, that would be the highest one
        codec.gop_size, codec.thread_count = 1000, 1
        codec.colorspace, codec.color_range = colour.BT601, colour.LIMITED  # OpenCV's matrix
        codec.color_primaries = codec.color_trc = colour.BT709
        self._codec = codec
        self._next_key: int | None = None
        self.sequence_set = self.picture_set = b""
        """The parameters of the stream, as NAL units; known once a picture has been encoded."""

    def encode(self, picture: Image, ticks: int) -> list[bytes]:
        """Encode a picture, uint8 [H,W,3] RGB of the encoder's size, as NAL units.

        Args:
            picture: the next one.
            ticks: its time, in 1/90000 s, greater than the last one's.
        """
        width, height = self._size
        fitted = np.ascontiguousarray(picture[:height, :width])
        if fitted.shape[:2] != (height, width):  # one pixel wide or high
            fitted = np.asarray(cv2.resize(fitted, self._size), np.uint8)
        # OpenCV takes a fraction of the time that FFmpeg takes for the same.
        frame = VideoFrame.from_ndarray(np.asarray(cv2.cvtColor(fitted, cv2.COLOR_RGB2YUV_I420), np.uint8), "yuv420p")
        frame.colorspace, frame.color_range = colour.BT601, colour.LIMITED
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
        if self._next_key is None or ticks >= self._next_key:
            frame.pict_type = 1  # AV_PICTURE_TYPE_I
            self._next_key = ticks + round(KEY_EVERY_S * TICKS)
        nals = [nal for packet in self._codec.encode(frame) for nal in split_nals(bytes(packet))]
        for nal in nals:
            if nal[0] & 0x1F == _SEQUENCE_SET:
                self.sequence_set = nal
            elif nal[0] & 0x1F == _PICTURE_SET:
                self.picture_set = nal
        return [nal for nal in nals if nal[0] & 0x1F != _DELIMITER]

    def session_description(self, host: str) -> str:
        """Describe the stream to an RTSP server (RFC 8866, and RFC 6184, section 8.2).

        Args:
            host: the server's address.
        """
        sets = ",".join(b64encode(nal).decode() for nal in (self.sequence_set, self.picture_set))
        lines = (
            *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=streamcam"),
            f"c=IN {'IP6' if ':' in host else 'IP4'} {host}",
            *("t=0 0", f"m=video 0 RTP/AVP {PAYLOAD_TYPE}", f"a=rtpmap:{PAYLOAD_TYPE} H264/{TICKS}"),
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1; sprop-parameter-sets={sets}; "
            f"profile-level-id={self.sequence_set[1:4].hex().upper()}",
            "a=control:streamid=0",
        )
        return "".join(f"{line}\r\n" for line in lines)
