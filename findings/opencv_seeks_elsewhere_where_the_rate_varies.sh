#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 (the files are written by av 18.1.0, in a process of its own)
# Expected: in a film whose rate varies, as telephones and screen recorders make it, `set(CAP_PROP_POS_FRAMES, 48)` goes
# to picture 48, `set(CAP_PROP_POS_MSEC, 3000)` to what is shown at 3 s, and CAP_PROP_FRAME_COUNT is how many there are,
# since the MP4 has a table of them all and the packets of the MKV have their times.
# Seen: all is computed from one rate, right at the beginning and wrong behind. MP4: picture 59 instead of 48, while the
# position says 48; picture 59 at 3 s, where 50 is shown; for picture 54 nothing, which reads as the end. MKV: frames
# are found, but 118 are counted of 60, and a seek to 2 s of 4 finds nothing. `set` returns True each time. Reading on
# from the beginning gives all pictures, with right times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np

MS = Fraction(1, 1000)
for path in ("film.mp4", "film.mkv"):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.gop_size = MS, 12
        now = 0
        for number in range(60):  # 30 a second, and 10 a second from picture 30 on; each of a grey of its own
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 4 * number, np.uint8))
            frame.pts, frame.time_base = now, MS
            container.mux(stream.encode(frame))
            now += 33 if number < 30 else 100
        container.mux(stream.encode())
PYTHON
venv/bin/python - <<'PYTHON'
import sys

import cv2


def picture(capture):
    found, pixels = capture.read()
    return round(pixels.mean() / 4) if found else None


def look(path):
    capture = cv2.VideoCapture(path)
    counted, times, pictures = capture.get(cv2.CAP_PROP_FRAME_COUNT), [], []
    while (number := picture(capture)) is not None:
        pictures.append(number)
        times.append(round(capture.get(cv2.CAP_PROP_POS_MSEC)))
    assert pictures == list(range(60)) and times[29:32] == [957, 990, 1090]
    wrong = 0
    print(f"{path}: {counted:.0f} frames are counted, {len(pictures)} are read one by one")
    for wanted in (12, 24, 36, 48, 54):
        told = capture.set(cv2.CAP_PROP_POS_FRAMES, wanted)
        position = capture.get(cv2.CAP_PROP_POS_FRAMES)
        got = picture(capture)
        print(f"  picture {wanted} asked for: {told}, position {position:.0f}, picture {got}")
        wrong += got != wanted
    for wanted in (500, 1000, 2000, 3000):
        told = capture.set(cv2.CAP_PROP_POS_MSEC, wanted)
        got, shown = picture(capture), max(n for n in range(60) if times[n] <= wanted)
        print(f"  {wanted} ms asked for: {told}, picture {got}; {shown} is shown then")
        wrong += got != shown
    return counted, wrong


mp4, mkv = look("film.mp4"), look("film.mkv")
sys.exit(not (mp4[0] == 60 and mp4[1] >= 4 and mkv[0] > 100 and mkv[1] >= 2))
PYTHON
