#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: an MP4 with pictures at 0, 0.04, 0.08, 0.12, 0.16 and 60 s says that it lasts about 60 s.
# Seen: with B-frames it says 0.24 s, at 25 pictures a second. Its length is the sum of the steps between times to be
# decoded, and these lag behind the times to be shown: the last pauses lie behind the last of them. A camera that sends
# a picture only where something moves makes such files. All pictures are read, at their right times; who seeks, draws a
# time line, or believes the table, ends after 0.24 s. Without B-frames, and in Matroska, the length is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys
from fractions import Fraction

import av
import numpy as np

TIMES_MS, MS = (0, 40, 80, 120, 160, 60000), Fraction(1, 1000)


def says(container_format, b_frames):
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.max_b_frames = MS, b_frames
        for number, time_ms in enumerate(TIMES_MS):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 4 * number, np.uint8))
            frame.pts, frame.time_base = time_ms, MS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        times = [round(frame.time * 1000) for frame in container.decode(video=0)]
        assert times == list(TIMES_MS)
        return container.duration / 1_000_000


found = {}
for container_format in ("mp4", "mov", "matroska"):
    for b_frames in (0, 2):
        found[container_format, b_frames] = length = says(container_format, b_frames)
        print(f"{container_format}, {b_frames or 'no'} B-frames: says {length:.2f} s, the last picture is at 60 s")
short = {key for key, length in found.items() if length < 1}
sys.exit(short != {("mp4", 2), ("mov", 2)})
PYTHON
