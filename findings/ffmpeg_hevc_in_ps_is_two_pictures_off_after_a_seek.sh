#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: a picture has the same time whether it is read from the beginning or after a seek.
# Seen: not HEVC in an MPEG program stream (.mpg, .vob). A PES packet holds several small pictures there, and one time.
# After a seek the first picture, number 20, is given the time of a packet that began in its middle: it belongs to
# another picture. Next, right ones follow. H.264 in the same container is worse off: after later seeks no picture has a
# time at all. Only reading from the beginning and counting is exact.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - 2>"$work/encoder" <<'PYTHON'
import io
import sys

import av
import numpy as np

RATE, BEGINS = 25, 0.58  # what the first picture's time is


def film(codec):
    file = io.BytesIO()
    with av.open(file, "w", format="mpeg") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.gop_size = 20
        for number in range(200):  # each of a grey of its own
            picture = np.full((96, 128, 3), number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return file


def after_seek(file, second):
    """The first picture that has a time: which one it is, and by how many pictures its time is off."""
    file.seek(0)
    with av.open(file) as container:
        stream = container.streams.video[0]
        container.seek(int((BEGINS + second) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None:
                number = round(frame.to_ndarray(format="gray").mean())
                return number, round((frame.time - BEGINS) * RATE) - number
    return None


hevc, h264 = film("libx265"), film("libx264")
found = {}
for name, file in (("HEVC", hevc), ("H.264", h264)):
    found[name] = [after_seek(file, second) for second in (1, 3, 6, 7)]
    for second, what in zip((1, 3, 6, 7), found[name]):
        print(f"{name}, seek to {second} s:", f"picture {what[0]}, off by {what[1]}" if what else "no picture has a time")
sys.exit(not (any(what and what[1] for what in found["HEVC"]) and None in found["H.264"]))
PYTHON
