#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: swscale of FFmpeg 8, asked for an SDR transfer (`dst_color_trc`), brings HDR's highlights within SDR's
# range, or else refuses.
# Seen: it converts the curve and stops there. What is 203 cd/m2 becomes white, and so does everything brighter: a face
# in the sun, a lamp and the sun are one white patch. Not asked, it leaves PQ's code values as they are, grey and flat.
# Nothing is said in either case.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import av
import numpy as np

NITS = (0, 10, 100, 203, 300, 1000, 4000, 10000)
WIDE = 16  # of each patch, in pixels
PQ, BT2020, BT2020_NCL, LIMITED, BT709 = 16, 9, 9, 1, 1


def pq(nits):  # SMPTE ST 2084: light to signal
    y = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


frame = av.VideoFrame(WIDE * len(NITS), 16, "yuv420p10le")
luma = np.zeros((16, frame.planes[0].line_size // 2), "<u2")
luma[:, : frame.width] = np.repeat([round(64 + 876 * pq(n)) for n in NITS], WIDE)
frame.planes[0].update(luma.tobytes())
for plane in frame.planes[1:]:
    plane.update(np.full(plane.buffer_size // 2, 512, "<u2").tobytes())
frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = PQ, BT2020, BT2020_NCL, LIMITED


def patches(**wanted):
    return frame.reformat(format="rgb24", **wanted).to_ndarray()[8, WIDE // 2 :: WIDE, 1].tolist()


as_it_is, as_sdr = patches(), patches(dst_color_trc=BT709, dst_color_primaries=BT709)
print("cd/m2:      ", *(f"{n:6}" for n in NITS))
print("not asked:  ", *(f"{n:6}" for n in as_it_is))
print("asked, SDR: ", *(f"{n:6}" for n in as_sdr))
sys.exit(not (as_sdr[2] < 200 and as_sdr[3] >= 250 and set(as_sdr[4:]) == {255} and as_it_is[5] < 200))
PYTHON
