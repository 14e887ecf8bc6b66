#!/usr/bin/env bash
# pillow 13.0.0
# Expected: a grey TIFF that says that 0 is white (WhiteIsZero) is turned round at any depth.
# Seen: at 8 bits it is. At 16 bits it is read as it is stored, a negative, under the same mode as one where 0 is black,
# and nothing but the tag itself tells which it was.
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


def stored_zero(dtype, photometric):
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8), dtype), photometric=photometric)
    file.seek(0)
    picture = Image.open(file)
    return picture.mode, picture.getpixel((0, 0))


found = {}
for dtype in (np.uint8, np.uint16):
    for photometric in ("minisblack", "miniswhite"):
        mode, value = found[dtype, photometric] = stored_zero(dtype, photometric)
        print(f"{dtype.__name__}, {photometric}: a stored 0 is {value}, mode {mode}")
sys.exit(
    not (
        found[np.uint8, "miniswhite"] == ("L", 255)
        and found[np.uint16, "miniswhite"] == found[np.uint16, "minisblack"] == ("I;16", 0)
    )
)
PYTHON
