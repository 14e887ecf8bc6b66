"""A camera that is cut off again and again, in a process of its own, so that what it holds is all its own.

python -m tests.support.reconnects PORT COUNT

Watches an RTSP server through a proxy that cuts the line after some frames, COUNT times. All the while, frames have to
be in order, and no window may hold frames of two sessions. Prints what the process held after the tenth time and at the
end, as JSON: {"memory": bytes, "held": [file descriptors, threads, connections]}.
"""

import json
import sys
import time
from contextlib import closing
from typing import Any

import psutil

from streamcam.clips import SlidingWindow
from streamcam.records import ClipFormat
from tests.support.cameras import camera, held, in_order, stop_after
from tests.support.proxy import proxy

WARM_UP = 10
FORMAT = ClipFormat(length=3, fps=30, resize=(36, 48), crop=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)


def measured() -> dict[str, Any]:
    time.sleep(0.3)  # the proxy's other end closes a little later
    return {"memory": psutil.Process().memory_info().rss, "held": held()}


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    window, clips, last, seen = SlidingWindow(FORMAT), 0, None, 0
    found: list[dict[str, Any]] = []
    with (
        proxy(port) as way,
        stop_after(count * 3 + 30) as stop,
        closing(camera(f"rtsp://127.0.0.1:{way.port}/live", retry_s=0.02)) as source,
    ):
        for frame in source.frames(stop):
            assert last is None or in_order([last, frame])
            seen = seen + 1 if last is not None and last.session == frame.session else 1
            last = frame
            clip = window.push(frame)
            if clip is not None:
                clips += 1
                assert clip.pts_s[0] >= 0
                assert seen >= len(set(clip.pts_s))  # no more frames than the session has
            if seen == 6:
                if frame.session in (WARM_UP, count):
                    found.append(measured())
                if frame.session == count:
                    break
                way.cut()
    assert last is not None
    assert last.session == count
    assert clips >= count
    print(json.dumps(found))


if __name__ == "__main__":
    main()
