"""An mp4 whose index comes first, so that it plays while it is still being loaded over a network."""

import os
from contextlib import suppress
from pathlib import Path

import av
import av.error

MOST_BYTES = 200_000_000
"""What is copied in a second or two. A longer recording keeps its index at its end, which players of files take."""


def index_first(path: Path) -> None:
    """Copy a recording's packets into a file whose index comes first, which takes its place.

    Where that cannot be done (the disk is full, say), the recording stays as it is: it is complete.
    """
    if path.stat().st_size > MOST_BYTES:
        return
    copy = path.with_name(f".{path.name}.copy{path.suffix}")
    with suppress(av.error.FFmpegError, OSError):
        try:
            _copy(path, copy)
            _sync(copy)
            copy.replace(path)
        finally:
            copy.unlink(missing_ok=True)


def _copy(path: Path, copy: Path) -> None:
    options = {"movflags": "+faststart"}
    with av.open(f"file:{path}") as source, av.open(f"file:{copy}", "w", format="mp4", options=options) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
