#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93
# Expected: a PGM says in its head which value is white (maxval). Read as 8-bit grey, that value is 255.
# Seen: OpenCV reads past it. Of a picture of 4 bits, white becomes 15; of one of 10 or 12 bits, 3 or 15: black
# pictures. IMREAD_UNCHANGED gives the values as they are stored, but no way to ask for the maxval.
# Pillow 13.0.0 and FFmpeg scale by it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys

import cv2
import numpy as np
from PIL import Image

SEEN = {15: 15, 100: 100, 255: 255, 1023: 3, 4095: 15, 65535: 255}
same = True
for maxval, seen in SEEN.items():
    white = np.full((2, 2), maxval, ">u2" if maxval > 255 else np.uint8)
    file = f"P5\n2 2\n{maxval}\n".encode() + white.tobytes()
    grey = int(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE)[0, 0])
    picture = Image.open(io.BytesIO(file))
    print(f"maxval {maxval}: white is {grey} of 255; in Pillow {picture.getpixel((0, 0))}, mode {picture.mode}")
    same &= grey == seen
sys.exit(not same)
PYTHON
