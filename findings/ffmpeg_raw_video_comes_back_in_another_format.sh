#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: raw video written by FFmpeg to one of its containers is read back by FFmpeg as what it was, or is refused
# when it is written, where the container has no way to say its pixel format.
# Seen: neither. The bits of a pixel are written down, and the reader takes the first format that has as many: 16-bit
# grey (thermal cameras, depth) in AVI and MOV comes back as RGB of 5 bits each, Bayer as a palette, YUV 4:4:4 as RGB.
# P010 does so in NUT, FFmpeg's own container, too. Every call succeeds, the size and the number of pictures are right,
# the colours are not. Of AVI and MOV, FFmpeg's log says that the "output file will be unreadable"; programs do not see
# it, and it is read. Of NUT nothing is said. Matroska is refused when it is opened. FFV1, which says its format itself,
# is safe.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys
from fractions import Fraction

import av


def there_and_back(container_format, pixels, codec="rawvideo"):
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for number in range(3):
                frame = av.VideoFrame(64, 48, pixels)
                for plane in frame.planes:
                    plane.update(bytes(plane.buffer_size))
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        file.seek(0)
        with av.open(file) as container:
            return next(container.decode(video=0)).format.name
    except av.FFmpegError:
        return "an error"


SEEN = {
    ("avi", "gray16le"): "rgb555le",
    ("mov", "gray16le"): "rgb555be",
    ("avi", "bayer_rggb8"): "pal8",
    ("avi", "yuv444p"): "bgr24",
    ("mov", "yuv444p"): "rgb24",
    ("nut", "p010le"): "rgb555le",
    ("nut", "gray16le"): "gray16le",
    ("matroska", "gray16le"): "an error",
}
same = True
for (container_format, pixels), seen in SEEN.items():
    now = there_and_back(container_format, pixels)
    print(f"{pixels} in {container_format}: {now}")
    same &= now == seen
ffv1 = there_and_back("avi", "gray16le", "ffv1")
print(f"gray16le in avi, but as FFV1: {ffv1}")
sys.exit(not (same and ffv1 == "gray16le"))
PYTHON
