"""Write video files whose planes hold given values, bit for bit, and which say given things of their colours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np


def write_planes(
    path: Path,
    values: Sequence[int],
    *,
    size: tuple[int, int] = (64, 48),
    layout: str = "yuv420p",
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
    **said: int,
) -> Path:
    """Two pictures of (width, height), all of one colour.

    Args:
        path: the file; .mkv holds what is said of colours.
        values: one for each plane.
        size: (width, height).
        layout: a planar pixel format, of 8 bits or of more, little-endian.
        codec: a lossless one.
        options: the codec's.
        said: `colorspace`, `color_range`, `color_trc`, `color_primaries`, by the numbers of ITU-T H.273.
    """
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = layout
        for name, value in said.items():
            setattr(stream.codec_context, name, value)
        for i in range(2):
            frame = av.VideoFrame(*size, layout)
            for plane, value in zip(frame.planes, values, strict=True):
                dtype = "<u2" if layout.endswith("le") else "u1"
                plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, value, dtype).tobytes())
            for name, value in said.items():
                setattr(frame, name, value)
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
