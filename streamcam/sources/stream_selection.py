"""Which of a container's streams to use: its best video and audio stream, or those with a given number."""

from collections.abc import Sequence
from typing import TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError
from streamcam.sources.timing.stream_info import duration_tag_s

SECONDARY = (
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
"""The dispositions of streams beside the main one: commentary, descriptions for the blind, a part of another."""

COVER = Disposition.attached_pic | Disposition.timed_thumbnails
"""The dispositions of a picture that belongs to a file and is no part of its video."""

MIN_LENGTH = 0.1
"""A stream that is shorter than this share of the longest one is a single picture beside the video."""

AnyStream = TypeVar("AnyStream", bound=Stream)


def select_video_stream(container: InputContainer, shown: str, number: int | None = None) -> VideoStream:
    """Return the video stream to decode; never a cover picture.

    Without a number, these criteria decide, the first one first; of equal streams, the first is taken:

    1. It can be decoded.
    2. It is a main stream.
    3. It is more than a single picture.
    4. It is marked as default.
    5. It is the largest, then the longest, then that of the highest frame rate.

    Args:
        container: an open container.
        shown: the source's name for people.
        number: the stream's number, from 0, among the container's video streams.

    Raises:
        StreamcamError: the container has no video, or none with this number.
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
    return max(streams, key=lambda stream: _video_rank(stream, longest_s))


def select_audio_stream(
    container: InputContainer, shown: str, video: VideoStream | None = None, number: int | None = None
) -> AudioStream | None:
    """Return the audio stream that goes with a video stream; None where there is none that can be decoded.

    Without a number, these criteria decide, the first one first; of equal streams, the first is taken:

    1. It is a main stream.
    2. It is marked as default.
    3. It is of the video's own programme.
    4. It has the most channels, then the highest bit rate.

    Args:
        container: an open container.
        shown: the source's name for people.
        video: the video stream; None where there is none.
        number: the stream's number, from 0, among the container's audio streams.

    Raises:
        StreamcamError: there is no audio stream with this number, or it cannot be decoded.
    """
    streams: Sequence[AudioStream] = container.streams.audio
    if number is not None:
        if not streams:
            raise StreamcamError(f"no sound in {shown}: leave out --sound-stream")
        stream = _numbered(streams, number, "sound", shown)
        if stream.codec_context is None:
            raise StreamcamError(f"cannot decode sound {number} of {shown}: its codec is not supported")
        return stream
    streams = [stream for stream in streams if stream.codec_context is not None]
    # In a transport stream each programme has its own sound, and FFmpeg alone knows which.
    of_programme = container.streams.best("audio", related=video) if container.format.name == "mpegts" else None
    return max(
        streams,
        key=lambda stream: (*_standing(stream), stream is of_programme, *_audio_quality(stream)),
        default=None,
    )


def _numbered(streams: Sequence[AnyStream], number: int, kind: str, shown: str) -> AnyStream:
    if 0 <= number < len(streams):
        return streams[number]
    listed = "; ".join(f"{i}: {_described(stream)}" for i, stream in enumerate(streams))
    count = f"there are {len(streams)}" if len(streams) > 1 else "there is one"
    raise StreamcamError(f"no {kind} stream {number} in {shown}: {count} ({listed})")


def _standing(stream: Stream) -> tuple[bool, bool, bool]:
    """Return whether a stream can be decoded, is a main stream, and is marked as default."""
    codec = getattr(stream, "codec_context", None)
    return codec is not None, not stream.disposition & SECONDARY, bool(stream.disposition & Disposition.default)


def _video_rank(stream: VideoStream, longest_s: float) -> tuple[float, ...]:
    codec = stream.codec_context
    pixels = codec.width * codec.height if codec is not None else 0
    length_s, rate = _length_s(stream), float(stream.average_rate or 0)
    # Matroska does not count a stream's frames: there, only a short length tells a single picture.
    one_picture = stream.frames == 1 or 0 < length_s * rate < 1.5 or 0 < length_s < MIN_LENGTH * longest_s
    decodable, main, default = _standing(stream)
    return decodable, main, not one_picture, default, pixels, length_s, rate, -stream.index


def _length_s(stream: Stream) -> float:
    """Return a stream's length in seconds; 0 where it is not known."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return duration_tag_s(stream) or 0.0


def _audio_quality(stream: AudioStream) -> tuple[float, ...]:
    codec = stream.codec_context
    return codec.channels, codec.bit_rate or 0, -stream.index


def _described(stream: Stream) -> str:
    """Describe a stream for people: `h264 1920×1080, 25 fps (default)`, or `aac, 2 channels, eng`."""
    codec = getattr(stream, "codec_context", None)
    words = ["of an unknown codec" if codec is None else codec.name]
    if isinstance(stream, VideoStream) and codec is not None:
        words[0] += f" {codec.width}×{codec.height}"
        words += [f"{float(stream.average_rate):.4g} fps"] if stream.average_rate else []
    if isinstance(stream, AudioStream) and codec is not None:
        words.append(f"{codec.channels} channel{'s' if codec.channels > 1 else ''}")
    words += [language] if (language := stream.metadata.get("language", "und")) != "und" else []
    return ", ".join(words) + (" (default)" if stream.disposition & Disposition.default else "")
