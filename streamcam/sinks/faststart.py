"""Moves an mp4's index (`moov`) to its beginning, so that it plays while it is still being downloaded."""

import os
from contextlib import suppress
from pathlib import Path

import av
import av.error

MOST_BYTES = 200_000_000
"""The most that can be copied in a second or two. Larger recordings keep their index at the end, which players of local
files accept."""


def index_first(path: Path) -> None:
    """Replace a recording with a copy of its packets whose index comes first.

    Where the copy fails (the disk is full, say), the recording stays as it is: it is complete.
    """
    if path.stat().st_size > MOST_BYTES:
        return
    copy = path.with_name(f".{path.name}.copy{path.suffix}")
    with suppress(av.error.FFmpegError, OSError):
        try:
            _copy(path, copy)
            # On the disk before it takes the name: else a power cut could leave an empty file in place of a good one.
            _sync(copy)
            copy.replace(path)
        finally:
            copy.unlink(missing_ok=True)


def _copy(path: Path, copy: Path) -> None:
    options = {"movflags": "+faststart"}
    with av.open(f"file:{path}") as source, av.open(f"file:{copy}", "w", format="mp4", options=options) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:  # demux ends with an empty packet for each stream
                packet.stream = streams[packet.stream_index]
                target.mux(packet)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
