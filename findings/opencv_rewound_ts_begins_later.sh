#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 (the films are written by av 18.1.0, in a process of its own)
# Expected: `set(CAP_PROP_POS_FRAMES, 0)`, the usual way to show a film again and again, goes back to its first picture.
# Seen: it does in MP4 and Matroska. In a transport stream it goes to the second group of pictures: the first is shown
# once and never again. In a bare .h264 the film is over after the first time. `set` returns True and the position is 0
# in every case. Of the bare stream OpenCV says, besides, that it has minus 192 153 584 101 141 frames, and that all of
# them are at 0 ms. Opening the file anew is the way round.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import av
import numpy as np

for path in ("film.mp4", "film.mkv", "film.ts", "film.h264"):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.gop_size = 10
        for number in range(50):  # each of a grey of its own
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), 4 * number, np.uint8))))
        container.mux(stream.encode())
PYTHON
venv/bin/python - <<'PYTHON'
import sys

import cv2


def pictures(capture):
    numbers = []
    while True:
        found, pixels = capture.read()
        if not found:
            return numbers
        numbers.append(round(pixels.mean() / 4))


SEEN = {"film.mp4": list(range(50)), "film.mkv": list(range(50)), "film.ts": list(range(10, 50)), "film.h264": []}
same = True
for path, seen in SEEN.items():
    capture = cv2.VideoCapture(path)
    counted, first = capture.get(cv2.CAP_PROP_FRAME_COUNT), pictures(capture)
    told, position = capture.set(cv2.CAP_PROP_POS_FRAMES, 0), capture.get(cv2.CAP_PROP_POS_FRAMES)
    again = pictures(capture)
    begins = f", begins with {again[0]}" if again else ""
    print(f"{path}: says {counted:.0f} frames; first time {len(first)};", end=" ")
    print(f"rewound ({told}, position {position:.0f}): {len(again)}{begins}")
    same &= first == list(range(50)) and again == seen and (counted < 0) == (path == "film.h264")
sys.exit(not same)
PYTHON
