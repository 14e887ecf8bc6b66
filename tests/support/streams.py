"""Write small files of several streams, each in a colour of its own."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from tests.support.containers import add_audio, add_video

NONE = Disposition(0)


@dataclass(frozen=True)
class Video:
    """One video stream: evenly of one grey."""

    grey: int
    width: int = 64
    height: int = 48
    frames: int = 8
    codec: str = "libx264"
    disposition: Disposition = NONE


@dataclass(frozen=True)
class Tone:
    """One sound stream, silent."""

    layout: str = "mono"
    codec: str = "aac"
    disposition: Disposition = NONE
    language: str = "und"


def cover(grey: int = 250) -> Video:
    """A picture that belongs to a file, larger than any video here."""
    return Video(grey, 640, 480, 1, "mjpeg", Disposition.attached_pic)


def write_streams(
    path: Path, videos: Sequence[Video], tones: Sequence[Tone] = (), options: dict[str, str] | None = None
) -> Path:
    """A file of these streams, in this order."""
    with av.open(str(path), "w", options=options or {}) as container:
        streams = []
        for video in videos:
            layout = "yuvj420p" if video.codec == "mjpeg" else "yuv420p"
            stream = add_video(container, video.codec, rate=25, size=(video.width, video.height), layout=layout)
            stream.disposition = video.disposition
            streams.append(stream)
        sounds = []
        for tone in tones:
            sound = add_audio(container, tone.codec, layout=tone.layout)
            sound.disposition, sound.metadata["language"] = tone.disposition, tone.language
            sounds.append(sound)
        for video, stream in zip(videos, streams, strict=True):
            picture = np.full((video.height, video.width, 3), video.grey, np.uint8)
            for _ in range(video.frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        for tone, sound in zip(tones, sounds, strict=True):
            silence = np.zeros((1, sound.codec_context.channels * 4608), np.int16)
            frame = av.AudioFrame.from_ndarray(silence, format="s16", layout=tone.layout)
            frame.sample_rate = 48_000
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def cover_first(path: Path) -> Path:
    """Move `udta`, in which an .mp4 keeps its cover, before its first `trak`; its index is at the end, so nothing else
    moves."""
    data = path.read_bytes()
    boxes = dict(_boxes(data, 0, len(data)))
    begin, end = boxes["moov"]
    children = _boxes(data, begin + 8, end)
    user = [data[b:e] for name, (b, e) in children if name == "udta"]
    others = [(name, data[b:e]) for name, (b, e) in children if name != "udta"]
    at = next(i for i, (name, _) in enumerate(others) if name == "trak")
    parts = [part for _, part in others]
    path.write_bytes(data[: begin + 8] + b"".join([*parts[:at], *user, *parts[at:]]) + data[end:])
    return path


def two_programmes(path: Path, programmes: Sequence[tuple[Sequence[Video], Sequence[Tone]]]) -> Path:
    """A transport stream as television sends it: each programme has its own streams, packet after packet."""
    parts, table = [], b""
    for i, (videos, tones) in enumerate(programmes, start=1):
        own = {"mpegts_service_id": str(i), "mpegts_pmt_start_pid": str(512 * i), "mpegts_start_pid": str(512 * i + 16)}
        data = write_streams(path, videos, tones, own).read_bytes()
        packets = [data[at : at + 188] for at in range(0, len(data), 188)]
        parts += [packet for packet in packets if (packet[1] & 0x1F) << 8 | packet[2] not in (0, 17)]
        table += struct.pack(">HH", i, 0xE000 | 512 * i)
    path.write_bytes(b"".join([_association(table), *parts]))
    return path


def _association(table: bytes) -> bytes:
    """ISO/IEC 13818-1, table 2-30: the packet that lists the programmes."""
    section = struct.pack(">BHHBBB", 0, 0xB000 | (9 + len(table)), 1, 0xC1, 0, 0) + table
    crc = 0xFFFFFFFF
    for byte in section:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
            crc &= 0xFFFFFFFF
    return (b"\x47\x40\x00\x10\x00" + section + struct.pack(">I", crc)).ljust(188, b"\xff")


def turn_round(path: Path, width: int, height: int) -> Path:
    """Make an upright .mp4 or .mov say that it was taken upside down (ISO/IEC 14496-12, 8.3.2)."""
    one = 1 << 16
    upright = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", -one, 0, 0, 0, -one, 0, width * one, height * one, 1 << 30)
    head, track, rest = path.read_bytes().partition(b"tkhd")
    assert upright in rest
    path.write_bytes(head + track + rest.replace(upright, turned, 1))
    return path


def _boxes(data: bytes, begin: int, end: int) -> list[tuple[str, tuple[int, int]]]:
    found = []
    while begin < end:
        size, name = struct.unpack(">I4s", data[begin : begin + 8])
        found.append((name.decode("latin1"), (begin, begin + size)))
        begin += size
    return found
