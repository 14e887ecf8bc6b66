"""Which of a file's streams is meant: its best video and sound, or those with a given number."""

from collections.abc import Sequence
from typing import TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError

ASIDE = (
    Disposition.still_image
    | Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.clean_effects
    | Disposition.karaoke
    | Disposition.dependent
    | Disposition.non_diegetic
)
"""What a stream is that stands beside the main one: commentary, descriptions for the blind, a part of another."""

COVER = Disposition.attached_pic | Disposition.timed_thumbnails
"""What a picture is that belongs to a file and is no part of its video."""

FLEETING = 0.1
"""A stream that lasts for a smaller share of the longest is a picture beside it."""

AnyStream = TypeVar("AnyStream", bound=Stream)


def video_stream(container: InputContainer, shown: str, number: int | None = None) -> VideoStream:
    """The video stream to decode; never a cover picture.

    Without a number: one that can be decoded, then the main one, one that is more than a single picture, the one marked
    default, the largest, the longest, that of the highest rate; of equals the first.

    Args:
        container: an open one.
        shown: what it is called, for people.
        number: from 0, among the container's video streams.

    Raises:
        StreamcamError: it has no video, or none with this number.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & COVER]
    if not streams:
        cover = ": it holds only a cover picture" if container.streams.video else ""
        raise StreamcamError(f"no video stream in {shown}{cover}")
    if number is not None:
        return _numbered(streams, number, "video", shown)
    if len(streams) == 1:
        return streams[0]
    longest_s = max(_length_s(stream) for stream in streams)
    return max(streams, key=lambda stream: _rank(stream, longest_s))


def sound_stream(
    container: InputContainer, shown: str, video: VideoStream | None = None, number: int | None = None
) -> AudioStream | None:
    """The sound that goes with a video stream; None where there is none that can be decoded.

    Without a number: the main one, the one marked default, that of the video's own programme, the one with most
    channels, that of the highest bit rate; of equals the first.

    Raises:
        StreamcamError: there is no sound with this number, or it cannot be decoded.
    """
    streams: Sequence[AudioStream] = container.streams.audio
    if number is not None:
        if not streams:
            raise StreamcamError(f"no sound in {shown}: leave out --sound-stream")
        chosen = _numbered(streams, number, "sound", shown)
        if chosen.codec_context is None:
            raise StreamcamError(f"cannot decode sound {number} of {shown}: its codec is not supported")
        return chosen
    streams = [stream for stream in streams if stream.codec_context is not None]
    # In a transport stream each programme has its own sound, and FFmpeg alone knows which.
    own = container.streams.best("audio", related=video) if container.format.name == "mpegts" else None
    return max(streams, key=lambda stream: (*_standing(stream), stream is own, *_fullness(stream)), default=None)


def _numbered(streams: Sequence[AnyStream], number: int, kind: str, shown: str) -> AnyStream:
    if 0 <= number < len(streams):
        return streams[number]
    listed = "; ".join(f"{i}: {_described(stream)}" for i, stream in enumerate(streams))
    count = f"there are {len(streams)}" if len(streams) > 1 else "there is one"
    raise StreamcamError(f"no {kind} stream {number} in {shown}: {count} ({listed})")


def _standing(stream: Stream) -> tuple[bool, ...]:
    codec = getattr(stream, "codec_context", None)
    return codec is not None, not stream.disposition & ASIDE, bool(stream.disposition & Disposition.default)


def _rank(stream: VideoStream, longest_s: float) -> tuple[float, ...]:
    codec = stream.codec_context
    pixels = codec.width * codec.height if codec is not None else 0
    length_s, rate = _length_s(stream), float(stream.average_rate or 0)
    # Matroska says only of a single picture that it is short.
    one_picture = stream.frames == 1 or 0 < length_s * rate < 1.5 or 0 < length_s < FLEETING * longest_s
    decodable, main, default = _standing(stream)
    return decodable, main, not one_picture, default, pixels, length_s, rate, -stream.index


def _length_s(stream: Stream) -> float:
    """In seconds; 0 where it is not known. Matroska has it in a tag."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tags = {key.partition("-")[0].upper(): value for key, value in stream.metadata.items()}
    try:
        hours, minutes, seconds = tags.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _fullness(stream: AudioStream) -> tuple[float, ...]:
    codec = stream.codec_context
    return codec.channels, codec.bit_rate or 0, -stream.index


def _described(stream: Stream) -> str:
    """`h264 1920×1080, 25 fps (default)`, or `aac, 2 channels, eng`."""
    codec = getattr(stream, "codec_context", None)
    words = ["of an unknown codec" if codec is None else codec.name]
    if isinstance(stream, VideoStream) and codec is not None:
        words[0] += f" {codec.width}×{codec.height}"
        words += [f"{float(stream.average_rate):.4g} fps"] if stream.average_rate else []
    if isinstance(stream, AudioStream) and codec is not None:
        words.append(f"{codec.channels} channel{'s' if codec.channels > 1 else ''}")
    words += [language] if (language := stream.metadata.get("language", "und")) != "und" else []
    return ", ".join(words) + (" (default)" if stream.disposition & Disposition.default else "")
