"""Opens the outputs of a run: the publisher, and files of overlays and heat."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from streamcam.config.run import RunConfig
from streamcam.errors import StreamcamError, one_line
from streamcam.files import unfinished_name
from streamcam.render.overlay import Painter
from streamcam.sinks.file import path_for, require_folder
from streamcam.sinks.heat_npz import HeatRecorder
from streamcam.sinks.video_file import VideoRecorder
from streamcam.transport.publisher import Publisher

log = logging.getLogger(__name__)


def require_outputs_apart(config: RunConfig) -> None:
    """Check that no output is an input or another output, which it would overwrite.

    Raises:
        StreamcamError: one is, or its folder does not exist.
    """
    taken = {Path(source.uri).resolve(): source.uri for source in config.sources if "://" not in source.uri}
    for key in ("record", "save_heat", "summary_json"):
        path = getattr(config, key)
        if path is None:
            continue
        require_folder(path)
        for written in (path, unfinished_name(path)) if key == "record" else (path,):
            if written.resolve() in taken:
                raise StreamcamError(f"{key}: {written} is taken by {taken[written.resolve()]}: give another name")
            taken[written.resolve()] = key


def open_publisher(config: RunConfig, stack: ExitStack) -> Publisher | None:
    """Bind the publisher; None if the run publishes nowhere."""
    if config.bind is None:
        return None
    return stack.enter_context(Publisher(config.bind, sources=len(config.sources), keys=config.keys))


def open_recorders(
    config: RunConfig, names: Sequence[str], painter: Painter, labels: tuple[str, ...], stack: ExitStack
) -> tuple[list[VideoRecorder], list[HeatRecorder]]:
    """Open the files of overlays and of heat that a run writes, for each source by name.

    If a run that was killed has left recordings under these names, they are renamed, and a warning is logged.
    """
    several = len(names) > 1
    videos: list[VideoRecorder] = []
    heats: list[HeatRecorder] = []
    for name in names:
        if config.record is not None:
            path = path_for(config.record, name, several=several)
            videos.append(stack.enter_context(VideoRecorder(path, name, painter.overlay)))
        if config.save_heat is not None:
            path = path_for(config.save_heat, name, several=several)
            heats.append(stack.enter_context(HeatRecorder(path, name, labels)))
    for recorder in (*videos, *heats):
        if recorder.rescued is not None:
            log.warning("a run that did not end had recorded there, too: it is %s now", one_line(str(recorder.rescued)))
    return videos, heats
