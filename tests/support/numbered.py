"""Clips whose every picture shows its number, so that a test can tell which one it was given."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from tests.support.containers import add_audio, add_video

BITS = 8
WIDTH, HEIGHT = 16 * BITS, 64
RATE = 48_000

DEEP_B = {"preset": "ultrafast", "bf": "5", "g": "12", "x264-params": "scenecut=0:bframes=5:b-adapt=0:b-pyramid=normal"}
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "bf": "2", "g": "12", "x264-params": "scenecut=0:bframes=2:b-adapt=0"}),
    "h264-deep": ("libx264", DEEP_B),
    "hevc": ("libx265", {"preset": "ultrafast", "g": "12", "x265-params": "bframes=3:b-adapt=0:log-level=none"}),
    "xvid": ("mpeg4", {"bf": "2", "g": "12"}),
    "mpeg2": ("mpeg2video", {"bf": "2", "g": "12"}),
    "mpeg1": ("mpeg1video", {"bf": "2", "g": "12"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    "mjpeg": ("mjpeg", {}),
}
"""Name → encoder and its options: pictures that are decoded in another order than they are shown, but for MJPEG."""


def picture(number: int) -> npt.NDArray[np.uint8]:
    """A picture of a number, uint8 [64,128,3]: a bright bar for each bit that is set."""
    bits = [number >> bit & 1 for bit in range(BITS)]
    row = np.repeat(np.where(bits, 200, 64), WIDTH // BITS).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (HEIGHT, WIDTH, 3)))


def number_of(image: npt.NDArray[np.uint8]) -> int:
    """The number in a picture, uint8 [64,128,3]."""
    bars = image[8:-8].reshape(HEIGHT - 16, BITS, WIDTH // BITS, 3)[:, :, 4:-4].mean((0, 2, 3))
    return sum(int(bar > 132) << bit for bit, bar in enumerate(bars))


def write_numbered(
    path: Path,
    codec: str = "h264",
    *,
    times_s: Sequence[float] | None = None,
    count: int = 40,
    fps: int = 25,
    form: str | None = None,
    options: dict[str, str] | None = None,
    sound: str | None = None,
    sound_s: tuple[float, float] = (0.0, 0.0),
    beeps_s: Sequence[float] = (),
) -> Path:
    """Pictures 0, 1, 2 …, and where asked for sound with beeps of a tenth of a second.

    Args:
        path: the file; its name tells the container, where `form` does not.
        codec: one of `CODECS`.
        times_s: when each picture is shown; by default `count` of them, `fps` a second.
        count: how many pictures.
        fps: how many a second.
        form: FFmpeg's name of the container.
        options: more of the encoder's.
        sound: the sound's codec.
        sound_s: when it begins and ends.
        beeps_s: when there is a beep.
    """
    times_s = [i / fps for i in range(count)] if times_s is None else times_s
    encoder, own = CODECS[codec]
    even = all(abs(time_s * fps - round(time_s * fps)) < 1e-6 for time_s in times_s)
    base = Fraction(1, fps) if even else Fraction(1, 1000)
    with av.open(str(path), "w", format=form) as container:
        layout = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream = add_video(
            container, encoder, rate=fps, size=(WIDTH, HEIGHT), layout=layout, options={**own, **(options or {})}
        )
        stream.codec_context.time_base = base
        audio = add_audio(container, sound, rate=RATE) if sound else None
        packets: list[av.Packet[Any]] = []
        for number, time_s in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round(time_s / base), base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if audio is not None:
            packets += _sound(audio, sound_s, beeps_s)
        container.mux(sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)))
    return path


def _sound(
    stream: av.AudioStream, sound_s: tuple[float, float], beeps_s: Sequence[float]
) -> "list[av.Packet[av.AudioStream]]":
    begin_s, end_s = sound_s
    t = np.arange(round(begin_s * RATE), round(end_s * RATE)) / RATE
    loud = np.zeros(len(t), bool)
    for beep_s in beeps_s:
        loud |= (t >= beep_s) & (t < beep_s + 0.1)
    samples = (np.where(loud, 0.5 * np.sin(2 * np.pi * 1000 * t), 0) * 32767).astype(np.int16)
    packets: list[av.Packet[av.AudioStream]] = []
    for i in range(0, len(samples), 1152):
        frame = av.AudioFrame.from_ndarray(samples[None, i : i + 1152], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, round(begin_s * RATE) + i, Fraction(1, RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def remuxed(source: Path, target: Path, edit: "Callable[[int, av.Packet[av.VideoStream]], None]") -> Path:
    """The same packets in another file, each first changed by `edit(number, packet)`."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        video = container.streams.video[0]
        stream = out.add_stream_from_template(video)
        for number, packet in enumerate(packet for packet in container.demux(video) if packet.size):
            edit(number, packet)
            packet.stream = stream
            out.mux(packet)
    return target
