#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: a frame's side data can be read, and a kind that PyAV has no name for is passed over.
# Seen: one kind without a name makes all of them unreadable. A JPEG with EXIF, as every telephone writes it, carries
# two kinds: how to turn the picture, and the EXIF. FFmpeg 8 numbers the second 31, PyAV ends its list before it, and
# `frame.side_data` raises ValueError for the whole. The turn is lost with it. `frame.rotation` works, but knows no
# mirror.
# av 17.1.0 does the same; 19.0.2 does not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 pillow==13.0.0
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys

import av
from PIL import Image


def look(exif):
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "JPEG", exif=exif)
    file.seek(0)
    with av.open(file) as container:
        frame = next(container.decode(video=0))
        try:
            return f"{len(frame.side_data)} kinds, turned by {frame.rotation}"
        except ValueError as error:
            return f"ValueError: {error}, turned by {frame.rotation}"


turned = Image.Exif()
turned[0x0112] = 6
without, with_exif = look(b""), look(turned)
print("JPEG without EXIF:", without)
print("JPEG with EXIF:   ", with_exif)
sys.exit(not (without.startswith("0 kinds") and with_exif.startswith("ValueError: 31 is not a valid Type")))
PYTHON
