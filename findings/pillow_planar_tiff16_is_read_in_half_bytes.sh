#!/usr/bin/env bash
# pillow 13.0.0
# Expected: a TIFF of 16 bits for each colour looks the same however its planes lie and however it is compressed.
# Seen: where red, green and blue lie one behind the other (PlanarConfiguration 2), and nothing is compressed, Pillow
# reads bytes for samples: low and high bytes become pixels in turn, and only half of the picture is read. No error, no
# warning. The same file with Deflate, and the same without it but pixel by pixel, are right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import tifffile
from PIL import Image

COLOUR = (50000, 20000, 5000)  # of every pixel
WANTED = [value >> 8 for value in COLOUR]


def two_pixels(planes, compression):
    picture = np.full((8, 8, 3), COLOUR, np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.moveaxis(picture, -1, 0) if planes == "separate" else picture,
        photometric="rgb",
        planarconfig=planes,
        compression=compression,
    )
    file.seek(0)
    return np.asarray(Image.open(file))[0, :2].tolist()


print("the colour, in 8 bits:", WANTED)
same = True
for planes in ("contig", "separate"):
    for compression in (None, "zlib"):
        seen = two_pixels(planes, compression)
        right = seen == [WANTED, WANTED]
        print(f"{planes}, {compression or 'not compressed'}: {seen}")
        same &= right != (planes == "separate" and compression is None)
sys.exit(not same)
PYTHON
