"""Opens the sources of a run."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing

from streamcam.config.run import RunConfig
from streamcam.config.source import SourceConfig
from streamcam.errors import StreamcamError
from streamcam.sources.base import open_source
from streamcam.sources.packet_ring import PacketRing
from streamcam.sources.pixels.decoder import Decoder
from streamcam.sources.video import VideoSource

KNOWN_LATE_S = 10.0
"""So long after its beginning, and the time that its rule asks for, an event is known of at the latest, in seconds."""


def open_sources(config: RunConfig, decoders: Sequence[Decoder], stack: ExitStack) -> list[VideoSource]:
    """Open all sources of a run, and give each a name of its own.

    Args:
        config: names the sources.
        decoders: those of the GPUs, which the sources use in turn; empty for the CPU.
        stack: closes the sources.

    Raises:
        StreamcamError: a source cannot be opened, or is live where only files will do.
    """
    sources: list[VideoSource] = []
    name_uses: Counter[str] = Counter()
    reserved = {source.name for source in config.sources}
    for i, source in enumerate(config.sources):
        opened = _open(config, source, decoders[i % len(decoders)] if decoders else None)
        stack.enter_context(closing(opened))
        if source.name is None:
            opened.name = _unique(opened.name, name_uses, reserved)
        name_uses[opened.name] += 1
        if config.as_fast_as_possible:
            opened.open()  # only an open source knows whether what comes over HTTP is live
            if opened.live:
                raise StreamcamError(f"--as-fast-as-possible is for files; {opened.shown} is live")
        sources.append(opened)
    return sources


def _open(config: RunConfig, source: SourceConfig, decoder: Decoder | None) -> VideoSource:
    return open_source(
        source.uri_with_login(),
        name=source.name,
        paced=not config.as_fast_as_possible,
        loop=config.loop,
        refresh_uri=None if source.username is None else source.uri_with_login,
        video_stream=config.video_stream if source.video_stream is None else source.video_stream,
        levels=source.levels or config.levels,
        decoder=decoder,
        rtsp_transport=source.rtsp_transport or config.rtsp_transport,
        ring=_ring(config),
    )


def _ring(config: RunConfig) -> PacketRing | None:
    """Make a ring that holds what comes before an event until the event is known; None where no clips are kept."""
    files = config.event_files
    if files is None:
        return None
    late_s = KNOWN_LATE_S + max((rule.for_s for rule in config.events.values()), default=0.0)
    return PacketRing(max_bytes=round(files.ring_mb * 1e6), max_s=files.before_s + late_s)


def _unique(base: str, name_uses: Counter[str], reserved: set[str | None]) -> str:
    """Number a default name that is taken: the second cam is cam-2."""
    name = base
    while name in name_uses or name in reserved:
        name_uses[base] += 1
        name = f"{base}-{name_uses[base]}"
    return name
