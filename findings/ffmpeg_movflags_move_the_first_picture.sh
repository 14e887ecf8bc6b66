#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: how an MP4 is cut into pieces (`movflags`) changes how it can be read while it grows, not when its pictures
# are.
# Seen: the same 50 pictures with B-frames begin at 0, 0.04 or 0.08 s. Fragments are begun before the delay of
# reordering is known, so that no edit list takes it back; `cmaf` takes back a part; `delay_moov` all of it. A finished
# `hybrid_fragmented` file, which is an ordinary MP4 by then, keeps the shift. With `dash` the stream is as much too
# long as well. `frag_keyframe` says that it has 24 frames: those of the first piece. Heat, subtitles or sound that are
# counted from the other file are two pictures off.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys

import av
import numpy as np


def look(movflags):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.gop_size = 2, 25
        for number in range(50):
            picture = np.zeros((240, 320, 3), np.uint8)
            picture[:, number * 5 : number * 5 + 20] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        stream = container.streams.video[0]
        says, lasts = stream.frames, float(stream.duration * stream.time_base)
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == 50
    return times[0], lasts, says


SEEN = {  # the first picture's time and how long the stream says that it is, in s; how many frames it says to have
    "": (0.0, 2.0, 50),
    "+frag_keyframe+empty_moov": (0.08, 2.0, 0),
    "+frag_keyframe": (0.08, 2.0, 24),
    "+frag_keyframe+delay_moov": (0.0, 2.0, 0),
    "+hybrid_fragmented": (0.08, 2.0, 50),
    "+cmaf": (0.04, 2.0, 0),
    "+dash": (0.08, 2.08, 0),
}
same = True
for movflags, seen in SEEN.items():
    now = look(movflags)
    print(f"{movflags or 'none':27} begins at {now[0]:.2f} s, lasts {now[1]:.2f} s, says {now[2]} frames")
    same &= all(abs(a - b) < 0.001 for a, b in zip(now, seen))
sys.exit(not same)
PYTHON
