#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: a decoded frame is freed when nothing refers to it any more.
# Seen: a frame whose `side_data` was looked at once refers to itself by it, and stays, with its pixels, until Python's
# garbage collector comes by. The collector counts objects, not bytes: hundreds of pictures, each of some megabytes in
# HD, can gather before it thinks that there is something to do. It is off here, so that chance has no part in it.
# av 17.1.0 does the same; 19.0.2 does not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import gc
import io
import sys

import av
import numpy as np

FRAMES = 60
file = io.BytesIO()
with av.open(file, "w", format="matroska") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    for _ in range(FRAMES):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8))))
    container.mux(stream.encode())


def frames_left(look):
    gc.collect()
    gc.disable()
    file.seek(0)
    with av.open(file) as container:
        for frame in container.decode(video=0):
            if look:
                frame.side_data
    del frame
    left = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    gc.enable()
    return left


untouched, looked_at = frames_left(False), frames_left(True)
print(f"of {FRAMES} frames that nothing refers to, {untouched} are in memory")
print(f"of {FRAMES} whose side data was looked at, {looked_at} are")
sys.exit(not (untouched <= 1 and looked_at == FRAMES))
PYTHON
