"""The picture of an event's peak, decoded from packets, with the heat of that moment and a box."""

import io
from collections.abc import Sequence

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame

from streamcam.event import Event, Rectangle
from streamcam.events.recording.clip import ClipWriter
from streamcam.heat.localise import Box
from streamcam.records import Frame, Heat, Image, Result, on_host
from streamcam.render.canvas import Caption
from streamcam.render.overlay import Painter, overlay
from streamcam.render.text import percent
from streamcam.sources.packet_ring import ClipStreams, PacketRing, StoredPacket
from streamcam.sources.pixels.conversion import FrameConverter


def packets_up_to(ring: PacketRing, session: int, pts_s: float) -> list[StoredPacket]:
    """Return the pictures that are needed to decode the one that is shown at a time, from a key frame on."""
    first = ring.first(session, pts_s)
    if first is None:
        return []
    # A picture is decoded at its own time at the latest, and so are all that it needs.
    return [
        packet
        for packet in ring.since(session, first)
        if packet.kind == "video" and (packet.pts_s if packet.dts_s is None else packet.dts_s) <= pts_s + 1e-3
    ]


def picture_at(packets: Sequence[StoredPacket], streams: ClipStreams, pts_s: float) -> Image | None:
    """Decode the picture nearest to a time: uint8 [H,W,3], upright. None where there is none."""
    file = io.BytesIO()
    try:
        writer = ClipWriter(file, streams)
        for packet in packets:
            writer.write(packet)
        writer.close()
        if writer.begin_s is None:
            return None
        file.seek(0)
        with av.open(file, "r") as container:
            return _nearest(container, pts_s - writer.begin_s)
    except (av.error.FFmpegError, OSError, ValueError):
        return None


def _nearest(container: InputContainer, at_s: float) -> Image | None:
    stream = container.streams.video[0]
    stream.thread_type = "SLICE"
    nearest: VideoFrame | None = None
    for frame in container.decode(stream):
        if nearest is None or abs((frame.time or 0.0) - at_s) <= abs((nearest.time or 0.0) - at_s):
            nearest = frame
    if nearest is None:
        return None
    converter = FrameConverter("clip", "clip", decoder=None, levels=None)
    converter.begin(stream)
    return on_host(converter.picture(nearest, at_s))


def paint_snapshot(image: Image, event: Event, heat: Heat | None, painter: Painter) -> Image:
    """Paint an event's heat, box and caption over the picture of its peak, uint8 [H,W,3].

    Args:
        image: the picture.
        event: the event.
        heat: a window's heat around the peak; None where there is none of the event's class.
        painter: knows the heat's scale.
    """
    height, width = image.shape[:2]
    frame = Frame(image, 0, event.peak_pts_s, event.start_ns, event.source, session=event.session)
    k = heat.labels.index(event.label) if heat is not None and event.label in heat.labels else None
    if heat is None or k is None:
        heat, k, scale = None, 0, 1.0
    else:
        scale = painter.scale(event.source, heat, k)
    where = event.rule if event.zone is None else f"{event.rule} in {event.zone}"
    began = event.started.astimezone()
    notes = (f"{event.source}  {began:%Y-%m-%d %H:%M:%S}", f"{event.label} {percent(event.peak)}")
    box = None if event.box is None else to_pixels(event.box, height, width)
    painted = overlay(Result(frame, heat), scale=scale, k=k, caption=Caption(where, notes), box=box)
    return on_host(painted)


def to_pixels(part: Rectangle, height: int, width: int) -> Box:
    """Return a part of a picture in pixels; at least one in each direction."""
    x0, y0 = min(width - 1, int(part.left * width)), min(height - 1, int(part.top * height))
    return Box(x0, y0, max(x0 + 1, round(part.right * width)), max(y0 + 1, round(part.bottom * height)))
