"""Write small video files for tests."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt


def write_clip(
    path: Path,
    pictures: Sequence[npt.NDArray[np.uint8]],
    *,
    fps: int = 10,
    index_first: bool = False,
    sound_s: float = 0.0,
) -> Path:
    """An H.264 file of pictures uint8 [H,W,3], whose sides are even; its index at the end or first, with silence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono") if sound_s else None
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = np.zeros((1, round(sound_s * 48_000)), np.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            samples.sample_rate = 48_000
            container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return path


def turn_clockwise(path: Path) -> None:
    """Make an upright .mp4, 64 pixels high, say that it was taken by a phone that was turned."""
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    head, track, rest = path.read_bytes().partition(b"tkhd")
    path.write_bytes(head + track + rest.replace(upright, clockwise, 1))
