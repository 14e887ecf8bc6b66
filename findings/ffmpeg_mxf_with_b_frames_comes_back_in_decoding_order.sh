#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: H.264 with B-frames that FFmpeg writes to MXF is read by FFmpeg with the times that were written, as in MP4.
# Seen: every packet comes back with the time to be shown set to the time to be decoded. The decoder gives pictures in
# the right order, each with the time of another: 0, 2, 3, 1, 5, 6, 4. Whoever sorts by time, or drops what goes back,
# shuffles a good film or loses a third of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys

import av
import numpy as np

STEP = 5  # of grey, from picture to picture


def times_and_pictures(container_format):
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.max_b_frames = 2
        for number in range(50):
            picture = np.full((240, 320, 3), number * STEP, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        frames = list(container.decode(video=0))
    pictures = [round(frame.to_ndarray(format="rgb24").mean() / STEP) for frame in frames]
    return [round(frame.time * 25) for frame in frames], pictures


mp4_times, mp4_pictures = times_and_pictures("mp4")
mxf_times, mxf_pictures = times_and_pictures("mxf")
print("mp4: pictures", mp4_pictures[:10], "times", mp4_times[:10])
print("mxf: pictures", mxf_pictures[:10], "times", mxf_times[:10])
in_order = list(range(50))
sys.exit(not (mp4_times == in_order and mxf_pictures == mp4_pictures == in_order and mxf_times != in_order))
PYTHON
