"""A person crosses a zone before a real RTSP camera: how soon is it told, and what is kept of it?

    python -m scripts.events.crossing VIDEOS/one-by-one-person-detection.mp4 -o crossing

The camera plays 18 s of the footage, in which one person leaves to the right. `streamcam run` watches it in a process
of its own, with the rule below. What it publishes and keeps is looked at from outside.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import yaml

import streamcam
from streamcam.errors import StreamcamError
from streamcam.event import Event
from tests.support.cameras import rtsp_server
from tests.support.ports import unused_port

BEGIN_S, END_S = 34.0, 52.0
"""Of the footage."""
FPS = 10
FOR_S, BEFORE_S = 0.3, 5.0
RULES = {
    "zones": {"right": {"polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]], "source": "door"}},
    "events": {
        "leaves": {"classes": ["moving right"], "zone": "right", "on": 0.5, "off": 0.25, "for_s": FOR_S, "gap_s": 0.5}
    },
}
WAIT_S = 60.0
"""For the event's files, at most."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """What was published and kept of one event."""

    start: Event
    saved: Event
    told_after_s: float
    """From the moment at which it was known to have gone on for `FOR_S` until the message was sent."""
    clip: Path
    snapshot: Path
    before_s: float
    """How much the clip shows before the event."""
    after_s: float
    """And after it."""


def cut(footage: Path, path: Path) -> None:
    """Encode a part of the footage as a camera would: H.264, with a key frame a second."""
    with av.open(footage) as source, av.open(path, "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream("libx264", rate=FPS, options={"g": str(FPS), "tune": "zerolatency", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        count = 0
        for frame in source.decode(video):
            if frame.time is not None and BEGIN_S <= frame.time < END_S:
                picture = frame.reformat(format="yuv420p")
                picture.pts, picture.time_base, picture.pict_type = count, Fraction(1, FPS), 0
                target.mux(stream.encode(picture))
                count += 1
        target.mux(stream.encode())


def stage(footage: Path, folder: Path) -> Crossing:
    """Let it happen once, and return what came of it.

    Raises:
        StreamcamError: no event was told, or its files did not come.
    """
    cut(footage, folder / "camera.mp4")
    rtsp_port, port = unused_port(), unused_port()
    endpoint, kept = f"tcp://127.0.0.1:{port}", folder / "events"
    config = {
        "sources": [{"uri": f"rtsp://127.0.0.1:{rtsp_port}/live", "name": "door"}],
        "bind": endpoint,
        "event_files": {"folder": str(kept), "before_s": BEFORE_S, "after_s": 2},
        **RULES,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "streamcam", "run", "--config", str(folder / "run.yaml"), "--seconds", "120"]
    records: list[tuple[Event, int]] = []
    with (
        streamcam.Subscriber(endpoint, kinds=("event",)) as subscriber,
        rtsp_server(rtsp_port, "--file", str(folder / "camera.mp4")),
        subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run,
    ):
        try:
            for message in subscriber.messages(timeout_s=WAIT_S):
                if message.event is not None:
                    records.append((message.event, message.header.sent_ns))
                    if message.event.state == "saved":
                        break
        finally:
            run.terminate()
    return _crossing(records, kept)


def _crossing(records: Sequence[tuple[Event, int]], kept: Path) -> Crossing:
    start, sent_ns = next(((e, at) for e, at in records if e.state == "start"), (None, 0))
    saved = next((e for e, _ in records if e.state == "saved"), None)
    if start is None or saved is None or saved.folder is None:
        raise StreamcamError(f"of the event came {[e.state for e, _ in records] or 'nothing'}")
    clip = kept / saved.folder / "clip.mp4"
    # `heat.npz` says which moment of the stream a clip begins with.
    begin_s, end_s = _span_s(clip)
    offset_s = float(np.load(clip.with_name("heat.npz"))["clip_begin_pts_s"]) - begin_s
    return Crossing(
        start,
        saved,
        told_after_s=(sent_ns - start.start_ns) / 1e9 - FOR_S,
        clip=clip,
        snapshot=clip.with_name("snapshot.jpg"),
        before_s=saved.start_pts_s - begin_s - offset_s,
        after_s=end_s + offset_s - saved.pts_s,
    )


def _span_s(clip: Path) -> tuple[float, float]:
    """Return the times of a clip's first and last picture, which are all decoded."""
    with av.open(clip) as container:
        times = [frame.time for frame in container.decode(video=0) if frame.time is not None]
    return min(times), max(times)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("footage", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--times", type=int, default=1, help="how often")
    options = parser.parse_args(arguments)
    for i in range(options.times):
        folder = options.out / str(i)
        folder.mkdir(parents=True)
        try:
            seen = stage(options.footage, folder)
        except StreamcamError as e:
            print(f"error: {e}", file=sys.stderr)
            return 2
        kept = f"{seen.before_s:.1f} s before it and {seen.after_s:.1f} s after"
        print(f"told {seen.told_after_s:.2f} s after it could be known; the clip shows {kept}: {seen.clip}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
