#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93
# Expected: a VideoWriter of 101 x 75 pixels writes a film of 101 x 75 pixels, or says that the codec cannot.
# Seen: it writes 100 x 74, whatever the codec: the last column and the last row are missing, also in lossless FFV1,
# Motion JPEG and PNG, which know odd sizes. `isOpened` is True and nothing is said. Masks and boxes of the pictures
# that were written do not fit those that are read.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import sys

import cv2
import numpy as np

WIDTH, HEIGHT = 101, 75
picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
picture[-1], picture[:, -1] = 255, 255  # what is lost
same = True
for codec, name in (("FFV1", "film.mkv"), ("png ", "film.mov"), ("MJPG", "film.avi"), ("mp4v", "film.mp4")):
    writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*codec), 25, (WIDTH, HEIGHT))
    opened = writer.isOpened()
    for _ in range(5):
        writer.write(picture)
    writer.release()
    _, read = cv2.VideoCapture(name).read()
    height, width, _ = read.shape
    print(f"{codec}: opened {opened}, {width} x {height}, brightest value {read.max()}")
    same &= opened and (width, height) == (WIDTH - 1, HEIGHT - 1)
sys.exit(not same)
PYTHON
