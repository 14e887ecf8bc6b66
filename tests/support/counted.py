"""Videos whose pictures show their own number, with a beep at each full second."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from streamcam.records import Image
from tests.support.containers import add_audio, add_video

BITS, FPS, RATE = 10, 25, 48_000
BLOCK = 24


def numbered(number: int, *, height: int = 120, width: int = 240) -> Image:
    """A picture with ten blocks in its middle, one for each binary digit."""
    image = np.full((height, width, 3), 90, np.uint8)
    for bit in range(BITS):
        image[48:72, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 20
    return image


def number_in(image: Image) -> int:
    middles = [image[56:64, bit * BLOCK + 8 : bit * BLOCK + 16].mean() for bit in range(BITS)]
    return sum(int(middle > 128) << bit for bit, middle in enumerate(middles))


def write_counted(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = 200,
    key_every: int = 25,
    b_frames: int = 0,
    sound: str | None = None,
    layout: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video of 25 pictures a second; the sound, if any, beeps for 50 ms at each full second."""
    with av.open(str(path), "w") as container:
        video = add_video(container, codec, rate=FPS, size=(240, 120), layout=layout, options=options)
        video.codec_context.gop_size, video.codec_context.max_b_frames = key_every, b_frames
        audio = None if sound is None else add_audio(container, sound, rate=8_000 if "pcm" in sound else RATE)
        beeper = iter(()) if audio is None else _beeps(audio.codec_context.rate, frames / FPS, sound or "")
        pending = next(beeper, None)
        for i in range(frames):
            picture = av.VideoFrame.from_ndarray(numbered(i), format="rgb24")
            picture.pts = i
            container.mux(video.encode(picture))
            while audio is not None and pending is not None and (pending.time or 0) <= i / FPS:
                container.mux(audio.encode(pending))
                pending = next(beeper, None)
        container.mux(video.encode())
        if audio is not None:
            container.mux(audio.encode())
    return path


def _beeps(rate: int, seconds: float, codec: str) -> Iterator[av.AudioFrame]:
    form = "s16" if "pcm" in codec else "fltp"
    for begin in range(0, int(seconds * rate), 1024):
        times_s = (begin + np.arange(1024)) / rate
        wave = 0.8 * np.sin(2 * np.pi * 1000 * times_s) * (times_s % 1 < 0.05)
        samples = wave.astype(np.float32) if form == "fltp" else (wave * 32_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        yield frame


def shown(path: Path) -> list[tuple[float, int]]:
    """The time and the number of each picture of a file, by FFmpeg."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), number_in(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
            for frame in container.decode(video=0)
        ]


def shown_by_opencv(path: Path) -> list[int]:
    video, found = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        found.append(number_in(np.asarray(read[1], np.uint8)))
    video.release()
    return found
